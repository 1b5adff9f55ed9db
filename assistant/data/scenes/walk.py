"""A walk past surfaces on which objects stand: where the camera, the hand and the objects are.

Played backwards a walk is a walk, and as likely: a pick-up becomes a put-down. So which frames
there are says nothing about their order.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from assistant.data.scenes.furniture import Surface
from assistant.data.scenes.hand import Hand
from assistant.data.scenes.world import Camera, Scene, SceneObject, Vector

REACH, LIFT = 0.3, 0.35  # seconds to reach for an object, and to lift it
HELD = (0.14, 0.78, 5.6)  # across from the middle and down, shares of the picture, and depth
REST = (0.3, 1.7, 5.0)  # the same for an idle hand, below the picture
ARC = 0.9  # by which a lifted object clears the edge of what it stood on
STEPS, BOB, SWAY = 1.7, 0.05, 0.1  # steps per second; rise and turn of the head, world units


@dataclass(frozen=True)
class Visit:
    """A halt of the camera before a surface, in seconds."""

    surface: int
    arrive: float
    leave: float
    x: float  # of the camera


@dataclass(frozen=True)
class Spot:
    """A place on a surface; ``slot`` counts from the left."""

    surface: int
    slot: int
    place: Vector  # of an object's foot


@dataclass(frozen=True)
class Pick:
    """The hand lifts an object off one spot and sets it on another or the same."""

    index: int  # of the object
    lift: float  # seconds
    drop: float
    source: Spot
    target: Spot

    @property
    def moves(self) -> bool:
        """Whether it ends on another surface."""
        return self.source.surface != self.target.surface


@dataclass(frozen=True)
class Walk:
    """What a first-person clip shows."""

    scene: Scene  # at the first moment, without surfaces and hand
    seconds: float
    surfaces: tuple[Surface, ...]  # from left to right
    visits: tuple[Visit, ...]
    picks: tuple[Pick, ...]  # in their order
    spots: tuple[Spot, ...]  # of each object at first
    hand: Hand

    def pick_of(self, index: int) -> Pick | None:
        return next((pick for pick in self.picks if pick.index == index), None)

    def last_spot(self, index: int) -> Spot:
        pick = self.pick_of(index)
        return self.spots[index] if pick is None else pick.target

    def camera(self, seconds: float) -> Camera:
        x = float(np.interp(seconds, *self._stations))
        step = 2 * np.pi * STEPS * seconds
        _, y, z = self.scene.camera.position
        turned, away, height = self.scene.camera.target
        position = (x, y, z + BOB * float(np.sin(step)))
        target = (x + turned + SWAY * float(np.sin(step / 2)), away, height)
        return replace(self.scene.camera, position=position, target=target)

    def at(self, seconds: float) -> Scene:
        """The scene at one moment."""
        camera = self.camera(seconds)
        things = list(self.scene.objects)
        grip: tuple[np.ndarray, float] | None = None
        for pick in self.picks:
            thing = things[pick.index]
            place, grasp = _handled(pick, thing, camera, self.hand.side, seconds)
            x, y, z = place.tolist()
            things[pick.index] = replace(thing, x=x, y=y, z=z)
            grip = grip if grasp is None else (grasp, float(thing.half_extents.min()))
        fixtures = [solid for surface in self.surfaces for solid in surface.solids()]
        if grip is not None:
            fixtures += self.hand.solids(*grip, camera)
        return replace(self.scene, camera=camera, objects=tuple(things), fixtures=tuple(fixtures))

    @cached_property
    def _stations(self) -> tuple[np.ndarray, np.ndarray]:
        """Moments and the camera's x at them; walks begin and end softly."""
        moments, across = [0.0], [self.visits[0].x]
        for one, two in zip(self.visits, self.visits[1:], strict=False):
            shares = np.linspace(0, 1, 9)
            moments += (one.leave + shares * (two.arrive - one.leave)).tolist()
            across += (one.x + _eased(shares) * (two.x - one.x)).tolist()
        return np.array(moments), np.array(across)


def _handled(
    pick: Pick, thing: SceneObject, camera: Camera, side: int, seconds: float
) -> tuple[np.ndarray, np.ndarray | None]:
    """Where an object's foot is (3,), and what the hand is around (3,); None while it is away."""
    middle = np.array((0.0, 0.0, thing.half_extents[2]))
    across, down, depth = HELD
    held = camera.point(0.5 + side * across, down, depth) - middle
    across, down, depth = REST
    rest = camera.point(0.5 + side * across, down, depth)
    source, target = np.array(pick.source.place), np.array(pick.target.place)
    lifted = _share(seconds, pick.lift, LIFT)
    dropped = _share(seconds, pick.drop - LIFT, LIFT)
    place = source + lifted * (held - source) if dropped == 0 else held + dropped * (target - held)
    place[2] += ARC * 4 * (lifted * (1 - lifted) + dropped * (1 - dropped))
    if not pick.lift - REACH < seconds < pick.drop + REACH:
        return place, None
    away = 1 - _share(seconds, pick.lift - REACH, REACH) + _share(seconds, pick.drop, REACH)
    return place, place + middle + away * (rest - place - middle)


def _share(seconds: float, start: float, length: float) -> float:
    """How much of a smooth motion is done."""
    return float(_eased(np.clip((seconds - start) / length, 0, 1)))


def _eased(share: np.ndarray) -> np.ndarray:
    return share * share * (3 - 2 * share)
