"""Questions of episodic memory about a walk: what was where, what was handled, in which order.

As in :mod:`assistant.data.scenes.questions` the answer is drawn first. Whatever depends on the
order of events is as likely in the same walk played backwards, so that frames without their order
do not tell it. What stood still is asked for where the walk did not end (or, by what was seen
first, did not begin): no frame's surface is the answer much more often than another's. A type of
question is a function, which makes this file long.
"""

from collections.abc import Callable
from itertools import combinations

import numpy as np

from assistant.data.scenes.kinds import Kind, kind_of, name_of, pick, unique_kinds
from assistant.data.scenes.questions import (
    EXISTING,
    YES_NO,
    Question,
    absent_kinds,
    object_choices,
    pick_denied,
)
from assistant.data.scenes.walk import Spot, Walk

QUESTIONS_PER_WALK = {
    "last_seen": 2,
    "first_seen": 1,
    "beside": 1,
    "order": 1,
    "first": 1,
    "picked": 1,
    "count": 2,
    "touched": 2,
    "existence": 1,
}
TYPES = tuple(QUESTIONS_PER_WALK)

NUMBERS = ("0", "1", "2", "3", "4")
BEFORE_AFTER = ("before", "after")
WORDINGS = {
    "last_seen": ("Where did I last see the {0}?", "Where was the {0} in the end?"),
    "first_seen": ("Where did I first see the {0}?", "Where was the {0} at first?"),
    "beside": ("What was {1} of the {0}?", "Which object was {1} of the {0}?"),
    "order": ("Did I pick up the {0} before or after the {1}?",),
    "first": ("Which did I see first, the {0} or the {1}?",),
    "picked": ("What did I pick up {0}?", "Which object did I pick up {0}?"),
    "count": ("How many {0} did I pass?", "How many {0} did I see?"),
    "touched": ("Did I pick up the {0}?", "Did I touch the {0}?"),
    "existence": ("Did I pass a {0}?", "Did I see a {0}?"),
}
MOVED_SHARE = 0.85  # of the questions for a place, where an object was carried to another
STILL_SHARE = 0.3  # of the walks without one in which such questions are asked
SIDES = {"just left": -1, "just right": 1}
COUNT_WEIGHTS = {  # of 0 to 4, against the rarity of many of a kind
    ("shape",): (1.0, 0.8, 1.2, 2.4, 5.0),
    ("material",): (1.0, 0.8, 1.2, 2.4, 5.0),
    ("color",): (1.0, 0.8, 1.2, 2.4, 5.0),
}
COUNTED = tuple(COUNT_WEIGHTS)


def ask_walk(walk: Walk, rng: np.random.Generator, split: str) -> tuple[Question, ...]:
    """Questions of each type that the walk allows, at most QUESTIONS_PER_WALK."""
    asked: dict[str, Question] = {}
    for name, count in QUESTIONS_PER_WALK.items():
        for _ in range(count):
            question = _BUILDERS[name](walk, rng, split)
            if question is not None:
                asked.setdefault(question.question, question)
    return tuple(asked.values())


def _last_seen(walk: Walk, rng: np.random.Generator, split: str) -> Question | None:
    return _place(walk, rng, "last_seen", last=True)


def _first_seen(walk: Walk, rng: np.random.Generator, split: str) -> Question | None:
    return _place(walk, rng, "first_seen", last=False)


def _place(walk: Walk, rng: np.random.Generator, name: str, last: bool) -> Question | None:
    known = _nameable(walk)
    moved = [each.index for each in walk.picks if each.moves and each.index in known]
    still = [i for i in known if walk.spots[i].surface == walk.last_spot(i).surface]
    if moved:
        pool = moved if rng.random() < MOVED_SHARE else still
    else:
        pool = still if rng.random() < STILL_SHARE else []
    start, between, end = (visit.surface for visit in walk.visits)
    off = between if start == end else start if last else end
    found: dict[int, list[int]] = {}
    for index in pool:
        spot = walk.last_spot(index) if last else walk.spots[index]
        if pool is moved or spot.surface == off:
            found.setdefault(spot.surface, []).append(index)
    if not found:
        return None
    surface = pick(rng, sorted(found))
    index = pick(rng, found[surface])
    choices = tuple(sorted(each.answer for each in walk.surfaces))
    return _question(name, walk, rng, (index,), walk.surfaces[surface].answer, choices)


def _beside(walk: Walk, rng: np.random.Generator, split: str) -> Question | None:
    """Of neighbors on one surface that stay what they are."""
    found = [
        (side, anchor, other)
        for anchor in _nameable(walk)
        for side, other in zip(SIDES, neighbors(walk, anchor), strict=True)
        if other is not None and not _alike(walk, anchor, other)
    ]
    if not found:
        return None
    side, anchor, other = pick(rng, found)
    answer = " ".join(walk.scene.objects[other].pair)
    choices = object_choices(walk.scene, rng, split, answer)
    held_out = walk.scene.objects[other].held_out
    return _question(
        "beside", walk, rng, (anchor,), answer, choices, (side,), held_out, right=(other,)
    )


def neighbors(walk: Walk, anchor: int) -> tuple[int | None, ...]:
    """What stands to each of SIDES of an object all the time; None: nothing, or not the same."""
    found = []
    for way in SIDES.values():
        others = {_neighbor(walk, anchor, way, moment) for moment in _changes(walk)}
        found.append(others.pop() if len(others) == 1 else None)
    return tuple(found)


def _neighbor(walk: Walk, anchor: int, way: int, moment: float) -> int | None:
    """The nearest object to one side of another on its surface."""
    spots = [_spot_at(walk, index, moment) for index in range(len(walk.spots))]
    own = spots[anchor]
    if own is None:
        return None
    beside = [
        (abs(spot.slot - own.slot), index)
        for index, spot in enumerate(spots)
        if spot is not None and spot.surface == own.surface and (spot.slot - own.slot) * way > 0
    ]
    return min(beside)[1] if beside else None


def _order(walk: Walk, rng: np.random.Generator, split: str) -> Question | None:
    pair = _two_picks(walk)
    if pair is None:
        return None
    answer = pick(rng, BEFORE_AFTER)
    first, later = pair
    about = (first, later) if answer == "before" else (later, first)
    return _question("order", walk, rng, about, answer, BEFORE_AFTER)


def _picked(walk: Walk, rng: np.random.Generator, split: str) -> Question | None:
    pair = _two_picks(walk)
    if pair is None or _alike(walk, *pair):
        return None
    ends = ("first", "last")
    end = pick(rng, ends)
    index = pair[ends.index(end)]
    answer = " ".join(walk.scene.objects[index].pair)
    choices = object_choices(walk.scene, rng, split, answer)
    held_out = walk.scene.objects[index].held_out
    return _question("picked", walk, rng, (), answer, choices, (end,), held_out, right=(index,))


def _first(walk: Walk, rng: np.random.Generator, split: str) -> Question | None:
    """Of a walk straight on: on the way back one surface is seen twice, which frames would tell."""
    visited = [visit.surface for visit in walk.visits]
    if visited[0] == visited[-1]:
        return None
    turn = {index: visited.index(walk.spots[index].surface) for index in _nameable(walk)}
    found = [(i, j) if turn[i] < turn[j] else (j, i) for i, j in combinations(turn, 2)]
    found = [(first, later) for first, later in found if turn[first] != turn[later]]
    if not found:
        return None
    first, later = pick(rng, found)
    names = {index: name_of(walk.scene, rng, walk.scene.objects[index]) for index in (first, later)}
    order = (first, later) if rng.random() < 0.5 else (later, first)
    words = tuple(names[index] for index in order)
    text = pick(rng, WORDINGS["first"]).format(*words)
    held_out = any(walk.scene.objects[index].held_out for index in order)
    about = tuple((index,) for index in order)
    return Question("first", text, names[first], tuple(sorted(words)), held_out, about, (first,))


def _count(walk: Walk, rng: np.random.Generator, split: str) -> Question | None:
    """The count first, then a kind of which so many were there; what was carried counts once."""
    names = pick(rng, COUNTED)
    kinds: dict[int, set[Kind]] = {}
    for kind in {kind_of(thing, names) for thing in walk.scene.objects}:
        kinds.setdefault(len(kind.among(walk.scene)), set()).add(kind)
    kinds[0] = set(absent_kinds(walk.scene, names, split))
    reachable = [count for count in range(len(NUMBERS)) if kinds.get(count)]
    if not reachable:
        return None
    weights = np.array([COUNT_WEIGHTS[names][count] for count in reachable])
    count = int(rng.choice(reachable, p=weights / weights.sum()))
    kind = pick(rng, sorted(kinds[count], key=str))
    held_out = any(thing.held_out for thing in kind.among(walk.scene))
    words, answer = (kind.phrase(many=True),), str(count)
    shown = (_indices(walk, kind),)
    return _question("count", walk, rng, (), answer, NUMBERS, words, held_out, shown=shown)


def _touched(walk: Walk, rng: np.random.Generator, split: str) -> Question | None:
    """A "no" names an object that was passed; without any pick-up nothing is asked."""
    known = _nameable(walk)
    touched = [index for index in known if walk.pick_of(index)]
    others = [index for index in known if not walk.pick_of(index)]
    if not touched or not others:
        return None
    answer = pick(rng, YES_NO)
    index = pick(rng, touched if answer == "yes" else others)
    return _question("touched", walk, rng, (index,), answer, YES_NO)


def _existence(walk: Walk, rng: np.random.Generator, split: str) -> Question | None:
    """A "yes" is about the only one of its kind, on any visited surface with equal chance."""
    names = pick(rng, EXISTING)
    answer = pick(rng, YES_NO)
    if answer == "no":
        absent = absent_kinds(walk.scene, names, split)
        if not absent:
            return None
        kind = pick_denied(rng, absent)
    else:
        surface = pick(rng, sorted({spot.surface for spot in walk.spots}))
        here = [i for i, spot in enumerate(walk.spots) if spot.surface == surface]
        kinds = [kind_of(walk.scene.objects[index], names) for index in here]
        kinds = [kind for kind in kinds if len(kind.among(walk.scene)) == 1]
        if not kinds:
            return None
        kind = pick(rng, kinds)
    held_out = kind.held_out or any(thing.held_out for thing in kind.among(walk.scene))
    words, shown = (kind.phrase(),), (_indices(walk, kind),)
    return _question("existence", walk, rng, (), answer, YES_NO, words, held_out, shown=shown)


def _indices(walk: Walk, kind: Kind) -> tuple[int, ...]:
    return tuple(i for i, thing in enumerate(walk.scene.objects) if kind.matches(thing))


def _nameable(walk: Walk) -> list[int]:
    """Objects that words tell from all others."""
    things = walk.scene.objects
    return [index for index, thing in enumerate(things) if unique_kinds(walk.scene, thing)]


def _two_picks(walk: Walk) -> tuple[int, int] | None:
    """The objects that were picked up, in their order, where there are two to be named."""
    picked = [each.index for each in walk.picks]
    known = _nameable(walk)
    return (picked[0], picked[1]) if len(picked) == 2 and {*picked} <= {*known} else None


def _alike(walk: Walk, one: int, two: int) -> bool:
    return walk.scene.objects[one].pair == walk.scene.objects[two].pair


def _changes(walk: Walk) -> list[float]:
    """The first moment, and those at which an object is gone from one place or come to another."""
    return [0.0, *(time for each in walk.picks if each.moves for time in (each.lift, each.drop))]


def _spot_at(walk: Walk, index: int, moment: float) -> Spot | None:
    """Where an object stands; None while it is carried."""
    moved = walk.pick_of(index)
    if moved is None or not moved.moves or moment < moved.lift:
        return walk.spots[index]
    return None if moment < moved.drop else moved.target


def _question(
    name: str,
    walk: Walk,
    rng: np.random.Generator,
    about: tuple[int, ...],
    answer: str,
    choices: tuple[str, ...],
    words: tuple[str, ...] = (),
    held_out: bool = False,
    *,
    shown: tuple[tuple[int, ...], ...] = (),
    right: tuple[int, ...] = (),
) -> Question:
    """A question that names the objects ``about``, then says ``words``, which mean ``shown``."""
    things = [walk.scene.objects[index] for index in about]
    named = (*(name_of(walk.scene, rng, thing) for thing in things), *words)
    text = pick(rng, WORDINGS[name]).format(*named)
    held_out = held_out or any(thing.held_out for thing in things)
    phrases = (*((index,) for index in about), *shown)
    return Question(name, text, answer, choices, held_out, phrases, right)


_BUILDERS: dict[str, Callable[[Walk, np.random.Generator, str], Question | None]] = {
    "last_seen": _last_seen,
    "first_seen": _first_seen,
    "beside": _beside,
    "order": _order,
    "first": _first,
    "picked": _picked,
    "count": _count,
    "touched": _touched,
    "existence": _existence,
}
