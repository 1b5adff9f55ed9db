"""Draws walks past three surfaces: their order, what stands on them, what the hand does when.

What shall happen is drawn first; then the surfaces get their objects and the visits their time.
Plans come in pairs, one the other played backwards, that are equally likely.
"""

from dataclasses import dataclass

import numpy as np

from assistant.data.scenes.furniture import PAINTS, SURFACES, Surface
from assistant.data.scenes.hand import SKINS, SLEEVES, Hand
from assistant.data.scenes.kinds import pick
from assistant.data.scenes.layout import TONE, sample_kinds, sample_tone, sample_view
from assistant.data.scenes.walk import LIFT, REACH, Pick, Spot, Visit, Walk
from assistant.data.scenes.world import Camera, Scene, SceneObject

SECONDS = 8.0
SPACING = 5.2  # between the middles of two surfaces: an object is seen with its own surface alone
SLOTS = (-1.3, 0.0, 1.3)
JITTER = (0.06, 0.2)  # of an object's place across and away
SIZES = (0.4, 0.48, 0.56)
RAISED = 0.07  # most by which a top is higher or lower than usual
HEAD = 0.4  # by which the camera is higher than that of pictures, and looks higher

# Kinds of the surfaces from left to right. In each split every kind is at each place as often;
# no order of one split is in another.
_ORDERS = {"train": ("012", "023", "031"), "dev": ("013",), "test": ("021", "032")}
LAYOUTS = {
    split: tuple(
        tuple(tuple(SURFACES)[int(digit) ^ flip] for digit in order)
        for order in orders
        for flip in range(4)
    )
    for split, orders in _ORDERS.items()
}

WALKS = ((0, 1, 2), (2, 1, 0), (0, 1, 0), (1, 0, 1), (1, 2, 1), (2, 1, 2))  # surfaces in turn
WALK_SHARES = (0.3, 0.3, 0.1, 0.1, 0.1, 0.1)


@dataclass(frozen=True)
class Deed:
    """An object is lifted at one visit and set down at another or the same."""

    lift: int
    drop: int

    @property
    def carries(self) -> bool:
        return self.lift != self.drop


_TOUCH = [Deed(visit, visit) for visit in range(3)]
_EARLY, _LATE, _LONG = Deed(0, 1), Deed(1, 2), Deed(0, 2)
PLANS: dict[tuple[Deed, ...], float] = {
    (): 0.04,
    **{(touch,): 0.03 for touch in _TOUCH},
    (_EARLY,): 0.07,
    (_LATE,): 0.07,
    (_LONG,): 0.09,
    (_TOUCH[0], _TOUCH[1]): 0.06,
    (_TOUCH[0], _TOUCH[2]): 0.06,
    (_TOUCH[1], _TOUCH[2]): 0.06,
    (_TOUCH[0], _EARLY): 0.06,
    (_LATE, _TOUCH[2]): 0.06,
    (_TOUCH[1], _LATE): 0.06,
    (_EARLY, _TOUCH[1]): 0.06,
    (_TOUCH[0], _LATE): 0.06,
    (_EARLY, _TOUCH[2]): 0.06,
    (_EARLY, _LATE): 0.10,
}
WALKING = 1.05  # seconds from one surface to the next
LOOK, GLANCE = 1.0, 0.4  # at a surface with nothing to do, and with an object to touch
TOUCHED = 1.3  # from lifting an object to setting it down at the same visit
STANDING = (0.2, 0.45, 0.35)  # shares of 1, 2 and 3 objects on a surface, where there is room


def sample_walk(rng: np.random.Generator, split: str) -> Walk:
    """A walk of 8 seconds; layouts and color-shape pairs are those of the split."""
    row = pick(rng, LAYOUTS[split])
    route = WALKS[rng.choice(len(WALKS), p=WALK_SHARES)]
    plan = _sample_plan(rng, route)
    surfaces = _sample_surfaces(rng, row)
    spots, handled = _sample_spots(rng, route, plan, surfaces)
    camera, light, surroundings = sample_view(rng)
    objects = _sample_objects(rng, split, spots)
    visits, times = _schedule(rng, route, plan, surfaces)
    picks = tuple(
        Pick(index, *moments, spots[index], target)
        for (index, target), moments in zip(handled, times, strict=True)
    )
    hand = Hand(int(rng.choice((-1, 1))), pick(rng, SKINS), pick(rng, SLEEVES))
    scene = Scene(objects, _raised(camera), light, surroundings)
    return Walk(scene, SECONDS, surfaces, visits, picks, spots, hand)


def _sample_plan(rng: np.random.Generator, route: tuple[int, ...]) -> tuple[Deed, ...]:
    """On the way back there is no long carry: it would end where it began."""
    plans = [plan for plan in PLANS if _LONG not in plan or route[0] != route[2]]
    shares = np.array([PLANS[plan] for plan in plans])
    return plans[rng.choice(len(plans), p=shares / shares.sum())]


def _sample_surfaces(rng: np.random.Generator, row: tuple[str, ...]) -> tuple[Surface, ...]:
    paints = rng.permutation(len(PAINTS))[: len(row)]
    return tuple(
        Surface(
            kind,
            (place - 1) * SPACING,
            SURFACES[kind] + (float(rng.uniform(-RAISED, RAISED)) if kind != "rug" else 0.0),
            PAINTS[paint],
        )
        for place, (kind, paint) in enumerate(zip(row, paints, strict=True))
    )


def _sample_spots(
    rng: np.random.Generator,
    route: tuple[int, ...],
    plan: tuple[Deed, ...],
    surfaces: tuple[Surface, ...],
) -> tuple[tuple[Spot, ...], list[tuple[int, Spot]]]:
    """Where each object stands at first, and for each deed its object and where that ends.

    Every stay of an object has a slot of its own, so that backwards there is as much room.
    """
    free = {}
    for number in sorted(set(route)):
        free[number] = [_spot(rng, number, slot, surfaces) for slot in rng.permutation(len(SLOTS))]
    spots: list[Spot] = []
    handled: list[tuple[int, Spot] | None] = []
    for deed in plan:
        if deed.carries:
            handled.append((len(spots), free[route[deed.drop]].pop()))
            spots.append(free[route[deed.lift]].pop())
        else:
            handled.append(None)
    standing: dict[int, list[int]] = {}
    for number, places in free.items():
        touched = sum(not deed.carries and route[deed.lift] == number for deed in plan)
        count = min(max(1 + int(rng.choice(3, p=STANDING)), touched), len(places))
        standing[number] = list(range(len(spots), len(spots) + count))
        spots += places[:count]
    for place, deed in enumerate(plan):
        if not deed.carries:
            index = standing[route[deed.lift]].pop()
            handled[place] = (index, spots[index])
    return tuple(spots), [each for each in handled if each is not None]


def _spot(rng: np.random.Generator, number: int, slot: int, surfaces: tuple[Surface, ...]) -> Spot:
    across, away = rng.uniform(-1, 1, 2) * JITTER
    surface = surfaces[number]
    return Spot(number, int(slot), (surface.x + SLOTS[slot] + across, away, surface.height))


def _sample_objects(
    rng: np.random.Generator, split: str, spots: tuple[Spot, ...]
) -> tuple[SceneObject, ...]:
    kinds = sample_kinds(rng, split, len(spots))
    tone = TONE if split != "test" else 0.0
    order = rng.permutation(len(kinds))  # the kind drawn first is handled as often as any other
    things = []
    for place, spot in zip(order, spots, strict=True):
        (color, shape), material = kinds[place]
        x, y, z = spot.place
        size, yaw = float(pick(rng, SIZES)), float(rng.uniform(0, np.pi / 2))
        things.append(
            SceneObject(shape, color, material, size, x, y, yaw, sample_tone(rng, tone), z)
        )
    return tuple(things)


def _schedule(
    rng: np.random.Generator,
    route: tuple[int, ...],
    plan: tuple[Deed, ...],
    surfaces: tuple[Surface, ...],
) -> tuple[tuple[Visit, ...], list[tuple[float, float]]]:
    """The visits, and when each deed lifts and drops its object.

    A visit: what was carried is set down, there is time to look, an object is touched, the next
    one is lifted. What time is left is spread over the visits.
    """
    coming = [any(deed.carries and deed.drop == visit for deed in plan) for visit in range(3)]
    going = [any(deed.carries and deed.lift == visit for deed in plan) for visit in range(3)]
    touching = [Deed(visit, visit) in plan for visit in range(3)]
    step = LIFT + REACH
    lengths = np.array(
        [
            step * (coming[i] + going[i]) + (GLANCE + TOUCHED + 2 * REACH if touching[i] else LOOK)
            for i in range(3)
        ]
    )
    spare = SECONDS - 2 * WALKING - lengths.sum()
    lengths += spare * rng.dirichlet((1.0, 1.0, 1.0))
    visits = []
    arrive = 0.0
    for surface, length in zip(route, lengths.tolist(), strict=True):
        x = surfaces[surface].x + float(rng.uniform(-0.2, 0.2))
        visits.append(Visit(surface, arrive, arrive + length, x))
        arrive += length + WALKING
    times = []
    for deed in plan:
        first, last = visits[deed.lift], visits[deed.drop]
        if deed.carries:
            times.append((first.leave - LIFT, last.arrive + LIFT))
        else:
            begin = first.arrive + step * coming[deed.lift] + REACH
            end = first.leave - step * going[deed.lift] - REACH
            lift = float(rng.uniform(begin, end - TOUCHED))
            times.append((lift, lift + TOUCHED))
    return tuple(visits), times


def _raised(camera: Camera) -> Camera:
    """The camera of a picture, above surfaces instead of the ground."""
    (x, y, z), (turned, away, height) = camera.position, camera.target
    return Camera((x, y, z + HEAD), (turned, away, height + HEAD), camera.field_of_view)
