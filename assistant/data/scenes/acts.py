"""Clips of one action each, of which a frame shows no more than where things are.

Actions come in pairs. The two of a pair are each other played backwards, frame for frame: no set of
frames without their order tells them apart. Only passing behind and passing in front are not; they
have the middle moment in common: either of the two objects may be the one that moves. What a frame
might betray is seen with every action: a hand leads the object, on the ground or above it, others
touch each other or are cut off by the picture's edge.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, replace

import numpy as np

from assistant.data.scenes.act_paths import (
    DRAFTS,
    GRID,
    PASSING,
    RISE,
    SECONDS,
    Draft,
    Paths,
    is_inside,
    moved,
    rest_of,
)
from assistant.data.scenes.choreography import APART, TOUCH
from assistant.data.scenes.hand import SKINS, SLEEVES, Hand
from assistant.data.scenes.kinds import pick
from assistant.data.scenes.layout import (
    TONE,
    ground_place,
    radius_of,
    sample_kinds,
    sample_tone,
    sample_view,
)
from assistant.data.scenes.render import visibility
from assistant.data.scenes.world import Scene, SceneObject, Surroundings, Vector

PAIRS = tuple(DRAFTS)
ACTIONS = tuple(label for pair in PAIRS for label in pair)

HUES = {  # of ground and backdrop, shares of the color circle
    "train": ((0.02, 0.14), (0.55, 0.68)),
    "dev": ((0.76, 0.86),),
    "test": ((0.28, 0.46),),
}
SATURATIONS, GROUNDS, BACKDROPS = (0.14, 0.34), (0.62, 0.88), (0.55, 0.95)
OBJECTS, SIZES = (3, 4, 5), (0.42, 0.52, 0.62)
LED, LIFTED, HEIGHTS = 0.5, 0.5, (0.25, 0.8)  # shares of clips with a hand, and of those in the air
STANDS = ("free", "edge", "beside")  # what a bystander is: cut off, or at another one's side
STAND_SHARES = (0.5, 0.22, 0.28)
AT_EDGE = (0.96, 1.06)  # how far from the middle, of half the picture
CHECKED, CHECK_SIZE = 6, 64  # moments, and pixels, in which it is measured what is seen
SEEN, CIRCLED = 0.85, 0.4  # least share of an object in sight
BY_ARM, HELD = 0.6, 0.3  # the same where a hand is in the way, and of what is in it
COVERED = 0.7  # most of what is passed before
TRIES = 40


@dataclass(frozen=True, eq=False)
class Act:
    """What a clip shows."""

    label: str
    scene: Scene
    paths: Paths
    mover: int = 0
    hand: Hand | None = None  # leads the mover
    grip: np.ndarray | None = None  # what it is around, (51, 3)
    backwards: bool = False
    seconds: float = SECONDS

    def at(self, seconds: float) -> Scene:
        """The scene at one moment."""
        moment = self.seconds - seconds if self.backwards else seconds
        things = list(self.scene.objects)
        for index, path in self.paths.items():
            things[index] = moved(things[index], _along(path, moment))
        fixtures = self.scene.fixtures
        if self.hand is not None and self.grip is not None:
            radius = float(things[self.mover].half_extents.min())
            fixtures = self.hand.solids(_along(self.grip, moment), radius, self.scene.camera)
        return replace(self.scene, objects=tuple(things), fixtures=fixtures)


def sample_acts(rng: np.random.Generator, pair: tuple[str, str], split: str) -> tuple[Act, Act]:
    """The two actions of a pair by the same objects.

    Colors on shapes and backgrounds are those of the split; the first object of dev and test is of
    a held-out pair.
    """
    kinds = sample_kinds(rng, split, int(pick(rng, OBJECTS)))
    led, lifted = rng.random(2) < (LED, LIFTED)  # for good: what finds room easily is not commoner
    tone = TONE if split != "test" else 0.0
    while True:  # ends: one draw in some dozens finds room
        camera, light, _ = sample_view(rng)
        things = tuple(_sample_thing(rng, *kind, tone) for kind in kinds)
        scene = Scene(things, camera, light, sample_background(rng, split))
        drafts = DRAFTS[pair](rng, scene)
        crowd = drafts and _with_bystanders(rng, scene, drafts)
        if not crowd:
            continue
        hand = Hand(drafts[0].side or int(pick(rng, (-1, 1))), pick(rng, SKINS), pick(rng, SLEEVES))
        height = float(rng.uniform(*HEIGHTS)) if lifted and drafts[0].lifts else 0.0
        acts = [Act(pair[0], crowd, draft.paths, draft.mover) for draft in drafts]
        if led or drafts[0].side:
            acts = [
                _led(act, hand, height, draft.came) for act, draft in zip(acts, drafts, strict=True)
            ]
        if all(map(_shows, acts)):
            return acts[0], replace(acts[-1], label=pair[1], backwards=pair != PASSING)


def sample_background(rng: np.random.Generator, split: str) -> Surroundings:
    """Pale ground and backdrop of hues that no other split has."""

    def tone(brightness: tuple[float, float]) -> Vector:
        hue = rng.uniform(*pick(rng, HUES[split]))
        return colorsys.hsv_to_rgb(hue, rng.uniform(*SATURATIONS), rng.uniform(*brightness))

    return Surroundings(tone(GROUNDS), tone(BACKDROPS))


def _sample_thing(
    rng: np.random.Generator, look: tuple[str, str], material: str, tone: float
) -> SceneObject:
    """An object that has no place yet."""
    size, yaw = float(pick(rng, SIZES)), float(rng.uniform(0, np.pi / 2))
    color, shape = look
    return SceneObject(shape, color, material, size, 0.0, 0.0, yaw, sample_tone(rng, tone))


# The hand


def _led(act: Act, hand: Hand, height: float, came: np.ndarray | None) -> Act:
    """The mover in the hand, ``height`` above the ground where that holds it all the time."""
    thing = act.scene.objects[act.mover]
    path = act.paths[act.mover] + np.array((0.0, 0.0, height))
    grip = path + np.array((0.0, 0.0, thing.half_extents[2]))
    if came is not None:
        grip += (1 - came[:, None]) * (rest_of(act.scene.camera, hand.side) - grip)
    return replace(act, paths={**act.paths, act.mover: path}, hand=hand, grip=grip)


# Room for it


def _with_bystanders(rng: np.random.Generator, scene: Scene, drafts: list[Draft]) -> Scene | None:
    """The other objects get places clear of all paths; None where there is no room."""
    movers = scene.objects[: len(drafts[0].paths)]
    placed: list[SceneObject] = []
    for thing in scene.objects[len(movers) :]:
        places = (_bystander(rng, scene, thing, placed) for _ in range(TRIES))
        found = next((one for one in places if one and _clear(one, placed, movers, drafts)), None)
        if found is None:
            return None
        placed.append(found)
    return replace(scene, objects=(*movers, *placed))


def _bystander(
    rng: np.random.Generator, scene: Scene, thing: SceneObject, placed: list[SceneObject]
) -> SceneObject | None:
    """At a place; None where it is out of the picture."""
    how = rng.choice(STANDS, p=STAND_SHARES)
    place = np.array(ground_place(rng, scene.camera))
    if how == "edge":
        aside = scene.camera.project(np.array([(*place, 0.0)]))[0][0, 0] - 0.5
        place[0] *= 0.5 / abs(aside) * rng.uniform(*AT_EDGE)
    elif how == "beside" and placed:
        other, turn = placed[-1], rng.uniform(0, 2 * np.pi)
        reach = radius_of(other) + radius_of(thing) + TOUCH
        place = np.array((other.x, other.y)) + reach * np.array((np.cos(turn), np.sin(turn)))
    thing = moved(thing, np.array((*place, 0.0)))
    return thing if how == "edge" or is_inside(scene, thing) else None


def _clear(
    thing: SceneObject,
    placed: list[SceneObject],
    movers: tuple[SceneObject, ...],
    drafts: list[Draft],
) -> bool:
    """Whether it keeps apart from all paths, and from those that have their place."""
    here = np.array((thing.x, thing.y))
    if any(np.hypot(*(here - (o.x, o.y))) < radius_of(thing) + radius_of(o) for o in placed):
        return False
    for draft in drafts:
        for index, path in draft.paths.items():
            low = path[path[:, 2] <= RISE / 2, :2]  # what is lifted passes over others
            least = radius_of(thing) + radius_of(movers[index]) + APART
            if (np.linalg.norm(low - here, axis=1) < least).any():
                return False
    return True


def _shows(act: Act) -> bool:
    """Whether objects are in sight, and one that is passed before is covered halfway."""
    moments = np.linspace(0.0, SECONDS, CHECKED)
    passed = act.label == PASSING[0]
    count = len(act.scene.objects)
    least = np.full(count, SEEN if act.hand is None else BY_ARM)
    if act.label.startswith("circle"):
        least[:] = CIRCLED
    if act.hand is not None:
        least[act.mover] = HELD
    for moment in moments[[0, -1]] if passed else moments:
        found = visibility(act.at(float(moment)), CHECK_SIZE)
        if (np.array(found.seen[:count]) < least * np.array(found.alone[:count])).any():
            return False
    if not passed:
        return True
    found = visibility(act.at(SECONDS / 2), CHECK_SIZE)
    return bool(found.seen[0] <= COVERED * found.alone[0])


def _along(path: np.ndarray, moment: float) -> np.ndarray:
    """Where on a path (51, 3) it is, (3,)."""
    return np.array([np.interp(moment, GRID, axis) for axis in path.T])
