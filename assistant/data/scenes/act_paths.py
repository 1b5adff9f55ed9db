"""The ways that objects go in clips of actions, drawn before there is room for bystanders.

The first object (0) goes; a second one (1) has a part in what two do together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from assistant.data.scenes.choreography import APART, NEAREST, TOUCH
from assistant.data.scenes.kinds import pick
from assistant.data.scenes.layout import EDGE, ground_place, radius_of
from assistant.data.scenes.walk import REST
from assistant.data.scenes.world import Camera, Scene, SceneObject

SECONDS = 2.5
PASSING = ("pass behind", "pass in front")  # the pair that is not one act backwards
GRID = np.linspace(0.0, SECONDS, 51)  # moments at which paths are known
Paths = Mapping[int, np.ndarray]  # by object: its foot at each moment of GRID, (51, 3)

ENDS, LASTS = 0.15, (1.4, 2.1)  # seconds: nothing moves yet, or any more; an action
SIDEWAYS, AWAY, CROSSING = (1.4, 2.6), (2.4, 3.8), (1.8, 4.2)  # world units of a path
MEETING, PUSHING, PASSED = (1.4, 2.4), (2.2, 3.2), (2.4, 3.2)
MET = (0.35, 0.6)  # share of a push that is over when the other object is met
AROUND, SWEEP = (0.25, 0.6), (4.4, 6.0)  # free ground to what is circled; radians
ASLANT, ANYHOW = 0.25, 0.7  # radians that a path leaves its direction at most
REACHED, RAISED, RISE = 0.3, 0.65, 1.0  # shares of a pick-up that are over; world units
ASIDE, DEEPER = 0.15, 0.3  # most that what is passed stands aside; and apart, world units


@dataclass(frozen=True, eq=False)
class Draft:
    """A way to do it, before it is known whether there is room for others."""

    paths: Paths
    mover: int = 0
    lifts: bool = True  # a hand may do it in the air
    side: int = 0  # of the hand that is needed
    came: np.ndarray | None = None  # how far it has come to the object, (51,); None: it is there


def _done(rng: np.random.Generator, halfway: bool = False) -> np.ndarray:
    """How much of an action is done at each moment of GRID, (51,).

    Args:
        halfway: a half is at the clip's middle.
    """
    lasts = rng.uniform(*LASTS)
    start = (SECONDS - lasts) / 2 if halfway else rng.uniform(ENDS, SECONDS - lasts - ENDS)
    return np.clip((GRID - start) / lasts, 0.0, 1.0)


def _straight(place: np.ndarray, heading: float, ways: np.ndarray) -> np.ndarray:
    """Path (51, 3) that is ``ways`` (51,) ahead of a place (2,); heading in radians from right."""
    ahead = np.array((np.cos(heading), np.sin(heading)))
    return np.pad(place + ways[:, None] * ahead, ((0, 0), (0, 1)))


def _heading(rng: np.random.Generator, aslant: float) -> float:
    """To the left or to the right."""
    return float(pick(rng, (0.0, np.pi)) + rng.uniform(-aslant, aslant))


def _at(rng: np.random.Generator, scene: Scene) -> np.ndarray:
    return np.array(ground_place(rng, scene.camera))


def _moving(
    rng: np.random.Generator, scene: Scene, towards: float, lengths: tuple[float, float]
) -> list[Draft]:
    """Its first, middle or last place is drawn: where it is says little about where it goes."""
    heading, share = towards + rng.uniform(-ASLANT, ASLANT), rng.integers(3) / 2
    path = _straight(_at(rng, scene), heading, (_done(rng) - share) * rng.uniform(*lengths))
    return _if_inside(scene, Draft({0: path}))


def _sideways(rng: np.random.Generator, scene: Scene) -> list[Draft]:
    return _moving(rng, scene, 0.0, SIDEWAYS)


def _away(rng: np.random.Generator, scene: Scene) -> list[Draft]:
    return _moving(rng, scene, np.pi / 2, AWAY)


def _entering(rng: np.random.Generator, scene: Scene) -> list[Draft]:
    ways = (_done(rng) - 1) * rng.uniform(*CROSSING)
    path = _straight(_at(rng, scene), _heading(rng, ASLANT), ways)
    first, last = (moved(scene.objects[0], path[end]) for end in (0, -1))
    across = scene.camera.project(first.corners)[0][:, 0]
    crosses = (across.max() < 0 or across.min() > 1) and is_inside(scene, last)
    return [Draft({0: path})] if crosses else []


def _picked(rng: np.random.Generator, scene: Scene) -> list[Draft]:
    """Reached, lifted, and taken out of the picture."""
    done, side = _done(rng), int(pick(rng, (-1, 1)))
    reached, up, gone = (
        eased((done - start) / (stop - start))
        for start, stop in ((0.0, REACHED), (REACHED, RAISED), (RAISED, 1.0))
    )
    path = _straight(_at(rng, scene), 0.0, 0 * done)
    if not is_inside(scene, moved(scene.objects[0], path[0])):
        return []
    path[:, 2] = RISE * up
    path += gone[:, None] * (rest_of(scene.camera, side) - path)
    return [Draft({0: path}, lifts=False, side=side, came=reached)]


def _circling(rng: np.random.Generator, scene: Scene) -> list[Draft]:
    middle, radius = _at(rng, scene), _reach(scene) + rng.uniform(*AROUND)
    turn = rng.uniform(0, 2 * np.pi) - rng.uniform(*SWEEP) * _done(rng)
    ring = middle + radius * np.stack((np.cos(turn), np.sin(turn)), axis=1)
    paths = {0: np.pad(ring, ((0, 0), (0, 1))), 1: _straight(middle, 0.0, 0 * turn)}
    return _if_inside(scene, Draft(paths))


def _meeting(rng: np.random.Generator, scene: Scene) -> list[Draft]:
    ways = (_done(rng) - 1) * rng.uniform(*MEETING) - _reach(scene)
    place, heading = _at(rng, scene), _heading(rng, ANYHOW)
    paths = {0: _straight(place, heading, ways), 1: _straight(place, heading, 0 * ways)}
    return _if_inside(scene, Draft(paths, lifts=False))


def _pushing(rng: np.random.Generator, scene: Scene) -> list[Draft]:
    """The other one stands until it is met, and goes on with the first."""
    ways = (_done(rng) - rng.uniform(*MET)) * rng.uniform(*PUSHING)
    place, heading = _at(rng, scene), _heading(rng, ANYHOW)
    paths = {
        0: _straight(place, heading, ways - _reach(scene)),
        1: _straight(place, heading, np.maximum(ways, 0.0)),
    }
    return _if_inside(scene, Draft(paths, lifts=False))


def _passing(rng: np.random.Generator, scene: Scene) -> list[Draft]:
    """The object behind moves, or the one in front."""
    ways = (_done(rng, halfway=True) - 0.5) * rng.uniform(*PASSED)
    behind, heading = _at(rng, scene), _heading(rng, ASLANT / 2)
    nearer = -_reach(scene) - rng.uniform(APART, DEEPER)
    front = behind + np.array((rng.uniform(-ASIDE, ASIDE), nearer))
    drafts = []
    for mover in (0, 1):
        ways_of = (ways, 0 * ways) if mover == 0 else (0 * ways, ways)
        paths = {
            index: _straight(place, heading, own)
            for index, (place, own) in enumerate(zip((behind, front), ways_of, strict=True))
        }
        drafts += _if_inside(scene, Draft(paths, mover, lifts=False))
    return drafts if len(drafts) == 2 else []


DRAFTS: Mapping[tuple[str, str], Callable[[np.random.Generator, Scene], list[Draft]]] = {
    ("move right", "move left"): _sideways,
    ("go away", "come nearer"): _away,
    ("enter", "leave"): _entering,
    ("pick up", "put down"): _picked,
    ("circle clockwise", "circle counterclockwise"): _circling,
    ("come together", "part"): _meeting,
    ("push", "drop off"): _pushing,
    PASSING: _passing,
}


def _reach(scene: Scene) -> float:
    """Between the middles of the first two objects where they touch."""
    return radius_of(scene.objects[0]) + radius_of(scene.objects[1]) + TOUCH


def _if_inside(scene: Scene, draft: Draft) -> list[Draft]:
    """The draft where all of its paths are in the picture."""
    ends = [
        (index, path[end]) for index, path in draft.paths.items() for end in range(0, len(GRID), 5)
    ]
    inside = all(is_inside(scene, moved(scene.objects[index], place)) for index, place in ends)
    return [draft] if inside else []


def is_inside(scene: Scene, thing: SceneObject) -> bool:
    places, depths = scene.camera.project(thing.corners)
    return bool(depths.min() > NEAREST and places.min() > EDGE and places.max() < 1 - EDGE)


def rest_of(camera: Camera, side: int) -> np.ndarray:
    """Where a hand is out of sight, (3,)."""
    across, down, depth = REST
    return camera.point(0.5 + side * across, down, depth)


def moved(thing: SceneObject, place: np.ndarray) -> SceneObject:
    x, y, z = place.tolist()
    return replace(thing, x=x, y=y, z=z)


def eased(share: np.ndarray) -> np.ndarray:
    share = np.clip(share, 0.0, 1.0)
    return share * share * (3 - 2 * share)
