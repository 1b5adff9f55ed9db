"""Lets some objects of a scene move, enter, leave and collide, so that no single picture tells how.

What happens is drawn before there is room for it, and kept while room is sought: rooms do not
choose, but for four clips in a hundred whose events find none in ROOMS draws of places. A path is
laid around a place drawn like those of objects that stand, which is its first, its middle or its
last point with equal chance: where an object is says little about where it goes.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from assistant.data.scenes.layout import (
    CHECK_SIZE,
    EDGE,
    MIN_AREA,
    MIN_SEEN,
    TONE,
    ground_place,
    place_objects,
    radius_of,
    sample_kinds,
    sample_view,
)
from assistant.data.scenes.motion import DIRECTIONS, Collision, Move, MovingScene
from assistant.data.scenes.render import visibility
from assistant.data.scenes.world import Camera, Scene, SceneObject

SECONDS = 4.0
COUNTS, MOVERS = (3, 4, 5, 6), (0, 1, 2, 3)
COUNT_SHARES, MOVER_SHARES = (0.3, 0.3, 0.25, 0.15), (0.06, 0.3, 0.36, 0.28)
EVENTS = ("move", "enter", "leave", "hit", "part")
EVENT_SHARES = (0.5, 0.1, 0.1, 0.2, 0.1)
CROSSING = ("enter", "leave")  # the picture's left or right edge
PAIRED = ("hit", "part")  # a hit sets the other object going; part: it stood beside the other
AHEAD = {"enter": 1.0, "leave": 0.0, "hit": 1.0, "part": 0.0}  # share of the path before the place
LENGTHS, SPEEDS = (1.2, 2.4), (0.9, 1.7)  # of a path, world units, and per second
LATEST = 2.2  # seconds after which nothing starts by itself
ASLANT = np.radians(14)  # most that a path leaves its direction
APART = 0.08  # free ground between objects that do not touch
TOUCH = 0.02  # and between those that do
STEP = 0.1  # seconds between the moments that are checked
NEAREST = 2.0  # depth of a corner, world units
TRIES = 40
ROOMS = 40


@dataclass(frozen=True)
class Event:
    """What shall happen, before there is room for it."""

    name: str
    direction: str
    objects: tuple[int, ...]
    begins: tuple[float, float] = (0.0, LATEST)  # earliest and latest start, seconds
    ends: float = SECONDS  # by when all of it is over


def sample_moving_scene(
    rng: np.random.Generator,
    split: str,
    sample_events: Callable[[np.random.Generator, int], list[Event]] | None = None,
) -> MovingScene:
    """3 to 6 objects, of which up to 6 move; held-out pairs as in ``sample_scene``.

    ``sample_events``: what shall happen to so many objects; None: any of EVENTS, at any time.
    """
    while True:  # ends: some events find room at once
        count = int(rng.choice(COUNTS, p=COUNT_SHARES))
        kinds = sample_kinds(rng, split, count)
        events = (sample_events or _sample_events)(rng, count)
        for _ in range(ROOMS):
            camera, light, surroundings = sample_view(rng)
            objects = place_objects(rng, kinds, camera, TONE if split != "test" else 0.0)
            if len(objects) < count:
                continue
            still = MovingScene(Scene(objects, camera, light, surroundings), SECONDS)
            moving = _set_in_motion(rng, still, events)
            if moving is not None and _all_seen(moving):
                return moving


def _sample_events(rng: np.random.Generator, count: int) -> list[Event]:
    free = rng.permutation(count).tolist()  # the kind drawn first is as still as any other
    events: list[Event] = []
    for _ in range(int(rng.choice(MOVERS, p=MOVER_SHARES))):
        name = str(rng.choice(EVENTS, p=EVENT_SHARES))
        events.append(sample_event(rng, name, free))
        if not free:
            break
    return events


def sample_event(rng: np.random.Generator, name: str, free: list[int]) -> Event:
    """One event of objects that are taken from ``free``; a move where one is left of a pair."""
    if name in PAIRED and len(free) < 2:
        name = "move"
    directions = list(DIRECTIONS)[: 2 if name in CROSSING else 4]
    direction = directions[rng.integers(len(directions))]
    needed = 2 if name in PAIRED else 1
    return Event(name, direction, tuple(free.pop() for _ in range(needed)))


def _set_in_motion(
    rng: np.random.Generator, still: MovingScene, events: list[Event]
) -> MovingScene | None:
    """The clip with all ``events``; None where one found no room."""
    clip = still
    for event in events:
        drafts = (_draft(rng, clip, event) for _ in range(TRIES))
        found = next((draft for draft in drafts if draft and _has_room(draft)), None)
        if found is None:
            return None
        clip = found
    return clip


def _draft(rng: np.random.Generator, clip: MovingScene, event: Event) -> MovingScene | None:
    """The clip with one more event; None where a path does not end where it should."""
    things = list(clip.scene.objects)
    first, *others = event.objects
    thing = things[first]
    heading = _aslant(rng, event.direction)
    speed, length = rng.uniform(*SPEEDS), rng.uniform(*LENGTHS)
    start = rng.uniform(*event.begins)
    stop = start + length / speed
    velocity = (float(speed * heading[0]), float(speed * heading[1]))
    place = np.array(ground_place(rng, clip.scene.camera))
    if others:
        other = things[others[0]] = _moved(things[others[0]], place)
        reach = radius_of(thing) + radius_of(other) + TOUCH
        side = -1.0 if event.name == "hit" else 1.0
        place = place + side * reach * heading
    share = rng.integers(3) / 2 if event.name == "move" else AHEAD[event.name]
    things[first] = _moved(thing, place - share * length * heading)
    moves = [Move(first, start, stop, velocity)]
    found = replace(clip, scene=replace(clip.scene, objects=tuple(things)))
    if event.name == "hit":
        moves.append(Move(others[0], stop, stop + rng.uniform(*LENGTHS) / speed, velocity))
        found = replace(found, collisions=(*found.collisions, Collision(first, others[0], stop)))
    elif event.name == "part":
        found = replace(found, parted=(*found.parted, (first, others[0])))
    found = replace(found, moves=(*found.moves, *moves))
    in_time = moves[-1].stop <= event.ends
    return found if in_time and _ends_well(found, moves, event.name) else None


def _aslant(rng: np.random.Generator, direction: str) -> np.ndarray:
    """Unit vector (2,) near a direction."""
    x, y = DIRECTIONS[direction]
    turn = rng.uniform(-ASLANT, ASLANT)
    cos, sin = np.cos(turn), np.sin(turn)
    return np.array([x * cos - y * sin, x * sin + y * cos])


def _ends_well(clip: MovingScene, moves: list[Move], event: str) -> bool:
    """Whether each path is over in time and begins and ends inside the picture, or outside."""
    if moves[-1].stop >= clip.seconds - STEP:
        return False
    camera, things = clip.scene.camera, clip.scene.objects
    ends = zip(("enter", "leave"), clip.places(np.array([0.0, clip.seconds])), strict=True)
    return all(
        (_outside if event == crossing else _inside)(
            camera, _moved(things[move.index], places[move.index])
        )
        for crossing, places in ends
        for move in moves
    )


def _has_room(clip: MovingScene) -> bool:
    """Whether objects keep apart that do not touch on purpose."""
    touching = {frozenset((hit.first, hit.second)) for hit in clip.collisions}
    touching |= {frozenset(pair) for pair in clip.parted}
    radii = np.array([radius_of(thing) for thing in clip.scene.objects])
    least = radii[:, None] + radii + APART
    for pair in touching:
        one, two = pair
        least[one, two] = least[two, one] = radii[one] + radii[two]
    np.fill_diagonal(least, 0.0)
    places = clip.places(np.arange(0.0, clip.seconds, STEP))  # (N, M, 2)
    apart = np.linalg.norm(places[:, :, None] - places[:, None], axis=-1)
    return bool((apart >= least).all())


def _moved(thing: SceneObject, place: np.ndarray) -> SceneObject:
    return replace(thing, x=float(place[0]), y=float(place[1]))


def _inside(camera: Camera, thing: SceneObject) -> bool:
    places, depths = camera.project(thing.corners)
    return bool(depths.min() > NEAREST and places.min() > EDGE and places.max() < 1 - EDGE)


def _outside(camera: Camera, thing: SceneObject) -> bool:
    """Wholly to the left or to the right of the picture."""
    places, depths = camera.project(thing.corners)
    across = places[:, 0]
    return bool(depths.min() > NEAREST and (across.max() < 0.0 or across.min() > 1.0))


def _all_seen(clip: MovingScene) -> bool:
    """Whether each object is seen well at one moment at least."""
    seen = np.zeros(len(clip.scene.objects), bool)
    for share in (0.0, 0.5, 0.97):
        found = visibility(clip.at(share * clip.seconds), CHECK_SIZE)
        enough = np.maximum(MIN_SEEN * np.array(found.alone), MIN_AREA * CHECK_SIZE**2)
        seen |= np.array(found.seen) >= enough
    return bool(seen.all())
