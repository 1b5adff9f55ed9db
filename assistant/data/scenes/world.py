"""What a scene is made of: the vocabulary, the objects, what they stand on, the camera.

World units are about half the height of a large object; x points right, y away from the camera,
z up, and the ground is z = 0. Places in the picture are fractions: (0, 0) top left, (1, 1) bottom
right, whatever its size in pixels.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

Vector = tuple[float, float, float]

COLORS: dict[str, Vector] = {
    "gray": (0.46, 0.46, 0.47),
    "red": (0.80, 0.10, 0.10),
    "blue": (0.13, 0.26, 0.88),
    "green": (0.10, 0.55, 0.12),
    "brown": (0.50, 0.28, 0.11),
    "purple": (0.55, 0.12, 0.78),
    "cyan": (0.14, 0.80, 0.82),
    "yellow": (0.98, 0.86, 0.12),
    "orange": (0.95, 0.42, 0.04),
    "pink": (0.96, 0.55, 0.72),
    "white": (0.95, 0.95, 0.95),
    "black": (0.05, 0.05, 0.06),
    "lime": (0.55, 0.90, 0.15),
    "navy": (0.04, 0.07, 0.34),
}
SHAPES = ("cube", "sphere", "cylinder", "cone", "pyramid")
TEST_COLORS, TEST_SHAPES = tuple(COLORS)[:8], SHAPES[:3]
"""What the test split is made of, as in CLEVR; the rest is variety to learn from."""

MATERIALS = ("rubber", "metal")
SIZES = (0.48, 0.62, 0.8)

HELD_OUT_PAIRS = {
    "train": frozenset[tuple[str, str]](),
    "dev": frozenset(
        {("orange", "cube"), ("pink", "cylinder"), ("lime", "sphere"), ("navy", "sphere")}
    ),
    "test": frozenset(
        {("blue", "cube"), ("red", "cylinder"), ("yellow", "sphere"), ("gray", "cylinder")}
    ),
}
"""Color and shape together that only pictures and questions of this split show and name."""

# Half width, half depth, half height of each shape as a share of an object's size.
_PROPORTIONS = {
    "cube": (0.8, 0.8, 0.8),
    "sphere": (1.0, 1.0, 1.0),
    "cylinder": (0.8, 0.8, 0.85),
    "cone": (0.95, 0.95, 1.0),
    "pyramid": (0.9, 0.9, 0.95),
}
_CORNERS = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)


@dataclass(frozen=True)
class SceneObject:
    """One thing standing at (x, y), turned by ``yaw`` radians about the vertical."""

    shape: str
    color: str
    material: str
    size: float
    x: float
    y: float
    yaw: float = 0.0
    tone: Vector = (1.0, 1.0, 1.0)  # factors of its color's channels: no two reds are alike
    z: float = 0.0  # height of what it stands on

    @property
    def half_extents(self) -> np.ndarray:
        """Half width, depth and height, (3,)."""
        return np.array(_PROPORTIONS[self.shape], np.float32) * np.float32(self.size)

    @property
    def center(self) -> np.ndarray:
        """Center of the body, (3,)."""
        return np.array((self.x, self.y, self.z + self.half_extents[2]), np.float32)

    @property
    def rotation(self) -> np.ndarray:
        """World from object axes, (3, 3)."""
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        return np.array(((cos, -sin, 0), (sin, cos, 0), (0, 0, 1)), np.float32)

    @property
    def corners(self) -> np.ndarray:
        """Corners of the enclosing box, (8, 3)."""
        return self.center + (_CORNERS * self.half_extents) @ self.rotation.T

    @property
    def paint(self) -> np.ndarray:
        """Its own shade of its color, (3,)."""
        return np.clip(np.array(COLORS[self.color]) * self.tone, 0, 1).astype(np.float32)

    @property
    def foot(self) -> float:
        """Height of its lowest point."""
        return self.z

    @property
    def shades(self) -> bool:
        """Whether it shades other bodies."""
        return True

    @property
    def shades_ground(self) -> bool:
        return self.z == 0.0

    @property
    def pair(self) -> tuple[str, str]:
        return self.color, self.shape

    @property
    def held_out(self) -> bool:
        return any(self.pair in pairs for pairs in HELD_OUT_PAIRS.values())


@dataclass(frozen=True, eq=False)
class Solid:
    """A part of what is not asked about: of a table, of a hand. Rubber of any color."""

    shape: str  # as of objects: cube, sphere, cylinder
    center: np.ndarray  # (3,)
    half_extents: np.ndarray  # (3,) along its own axes
    rotation: np.ndarray  # (3, 3), world from own axes
    paint: np.ndarray  # (3,)
    shades: bool = False  # the ground and other bodies
    material: str = "rubber"

    @property
    def shades_ground(self) -> bool:
        return self.shades

    @cached_property
    def size(self) -> float:
        """Radius of the ball around it."""
        return float(np.linalg.norm(self.half_extents))

    @cached_property
    def corners(self) -> np.ndarray:
        """Corners of the enclosing box, (8, 3)."""
        return self.center + (_CORNERS * self.half_extents) @ self.rotation.T

    @cached_property
    def foot(self) -> float:
        """Height of its lowest corner."""
        return float(self.corners[:, 2].min())


@dataclass(frozen=True)
class Camera:
    """A pinhole camera at ``position`` looking at ``target``; ``field_of_view`` in degrees."""

    position: Vector
    target: Vector
    field_of_view: float = 42.0

    @cached_property
    def _axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Right, up and forward; right and up reach from the middle to the picture's edge."""
        forward = np.subtract(self.target, self.position)
        forward = forward / np.linalg.norm(forward)
        right = np.cross(forward, (0.0, 0.0, 1.0))
        right = right / np.linalg.norm(right)
        up = np.cross(right, forward)
        reach = np.tan(np.radians(self.field_of_view) / 2)
        return tuple(axis.astype(np.float32) for axis in (right * reach, up * reach, forward))

    def rays(self, size: int, rows: slice, columns: slice) -> np.ndarray:
        """Unit directions through the pixels of a size x size picture, (rows, columns, 3)."""
        right, up, forward = self._axes
        across = (np.arange(size, dtype=np.float32)[columns] + 0.5) * (2 / size) - 1
        down = (np.arange(size, dtype=np.float32)[rows] + 0.5) * (2 / size) - 1
        rays = np.empty((len(down), len(across), 3), np.float32)
        for axis in range(3):  # three times as fast as with the axes innermost
            rays[..., axis] = forward[axis] + across * right[axis] - (down * up[axis])[:, None]
        rays /= np.sqrt(np.einsum("ijk,ijk->ij", rays, rays))[..., None]
        return rays

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places in the picture (N, 2) and depths (N,) of points (N, 3); behind it depth <= 0."""
        right, up, forward = self._axes
        offset = np.asarray(points, np.float32) - np.array(self.position, np.float32)
        depth = offset @ forward
        scale = np.maximum(depth, 1e-6)[:, None] * (right @ right)
        flat = np.stack((offset @ right, -(offset @ up)), axis=1) / scale
        return (flat + 1) / 2, depth

    def point(self, across: float, down: float, depth: float) -> np.ndarray:
        """The point (3,) that ``project`` takes to this place and depth."""
        right, up, forward = self._axes
        ray = forward + (2 * across - 1) * right - (2 * down - 1) * up
        return np.array(self.position, np.float32) + np.float32(depth) * ray


@dataclass(frozen=True)
class Light:
    """A distant lamp: unit direction towards it, brightness, and the light from everywhere."""

    direction: Vector
    strength: float = 0.62
    ambient: float = 0.42


@dataclass(frozen=True)
class Surroundings:
    """Colors of the ground and of the backdrop behind it."""

    ground: Vector
    backdrop: Vector


@dataclass(frozen=True)
class Scene:
    """Everything that a picture shows."""

    objects: tuple[SceneObject, ...]
    camera: Camera
    light: Light
    surroundings: Surroundings
    fixtures: tuple[Solid, ...] = ()  # seen, and not asked about

    @property
    def bodies(self) -> tuple[SceneObject | Solid, ...]:
        """All that is drawn."""
        return (*self.objects, *self.fixtures)

    @cached_property
    def places(self) -> np.ndarray:
        """Where in the picture each object's center is, (N, 2)."""
        centers = np.array([thing.center for thing in self.objects], np.float32)
        return self.camera.project(centers.reshape(-1, 3))[0]

    @cached_property
    def depths(self) -> np.ndarray:
        """How far from the camera along its view each object's center is, (N,)."""
        centers = np.array([thing.center for thing in self.objects], np.float32)
        return self.camera.project(centers.reshape(-1, 3))[1]
