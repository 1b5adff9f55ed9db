"""A hand on an arm that reaches in from below the picture."""

from dataclasses import dataclass

import numpy as np

from assistant.data.scenes.world import Camera, Solid, Vector

SKINS: tuple[Vector, ...] = (
    (0.94, 0.76, 0.64),
    (0.87, 0.66, 0.52),
    (0.75, 0.54, 0.40),
    (0.56, 0.38, 0.27),
    (0.40, 0.27, 0.20),
)
SLEEVES: tuple[Vector, ...] = (
    (0.25, 0.28, 0.33),
    (0.70, 0.71, 0.72),
    (0.33, 0.40, 0.52),
    (0.45, 0.42, 0.36),
    (0.50, 0.33, 0.36),
)
ELBOW = (0.3, 1.5, 3.0)  # across from the middle and down, shares of the picture, and depth
CUFF = 1.0  # from the palm to the sleeve, world units


@dataclass(frozen=True)
class Hand:
    """A right (``side`` 1) or left (-1) hand and its arm."""

    side: int
    skin: Vector
    sleeve: Vector

    def solids(self, grip: np.ndarray, radius: float, camera: Camera) -> tuple[Solid, ...]:
        """The hand around a ball of ``radius`` at ``grip`` (3,), the thumb on its inner side."""
        skin, sleeve = np.array(self.skin, np.float32), np.array(self.sleeve, np.float32)

        def beside(outward: float, ahead: float, up: float) -> np.ndarray:
            """A point (3,) around the grip, in its radii; outward is away from the thumb."""
            return grip + radius * np.array((self.side * outward, ahead, up))

        across, down, depth = ELBOW
        elbow = camera.point(0.5 + self.side * across, down, depth)
        palm = beside(0.65, -0.85, -0.85)
        arm = (elbow - palm) / np.linalg.norm(elbow - palm)
        wrist = palm + CUFF * arm
        fingers = [
            _bone("sphere", beside(0.8, -0.9, up - 0.35), beside(1.2, 0.5, up), 0.14, skin)
            for up in (-0.5, 0.0, 0.5)
        ]
        thumb = _bone("sphere", beside(0.5, -1.0, -0.9), beside(-0.7, -0.95, -0.2), 0.15, skin)
        return (
            _bone("sphere", palm - 0.3 * arm, palm + 0.4 * arm, 0.33, skin),
            _bone("cylinder", palm, wrist, 0.22, skin),
            _bone("cylinder", wrist, elbow, 0.33, sleeve),
            thumb,
            *fingers,
        )


def _bone(
    shape: str, start: np.ndarray, end: np.ndarray, radius: float, paint: np.ndarray
) -> Solid:
    """A cylinder between two points (3,), or an egg that reaches a bit beyond them."""
    along = end - start
    length = float(np.linalg.norm(along))
    ahead = along / length
    across = np.cross(ahead, (0.0, 0.0, 1.0) if abs(ahead[2]) < 0.9 else (1.0, 0.0, 0.0))
    across /= np.linalg.norm(across)
    rotation = np.stack((across, np.cross(ahead, across), ahead), axis=1).astype(np.float32)
    half = length / 2 + (0.8 * radius if shape == "sphere" else 0.0)
    extents = np.array((radius, radius, half), np.float32)
    return Solid(shape, ((start + end) / 2).astype(np.float32), extents, rotation, paint)
