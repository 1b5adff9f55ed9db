"""Questions about a clip that no single picture of it answers.

As in :mod:`assistant.data.scenes.questions` the answer is drawn first, so that a type's answers are
balanced. What is asked about stands beside others that look the part: a "no" names an object that
is there and stands, the choices for a moving object's color are the colors of the others.
"""

from collections.abc import Callable
from itertools import combinations

import numpy as np

from assistant.data.scenes.kinds import ATTRIBUTES, Kind, kind_of, name_of, pick, unique_kinds
from assistant.data.scenes.motion import DIRECTIONS, MovingScene
from assistant.data.scenes.questions import Question

QUESTIONS_PER_CLIP = {
    "direction": 2,
    "moving_count": 2,
    "moving_attribute": 2,
    "moving_existence": 2,
    "order": 3,  # of few clips: most have no two that start apart
    "collision": 2,
}
TYPES = tuple(QUESTIONS_PER_CLIP)

YES_NO = ("yes", "no")
NUMBERS = ("0", "1", "2", "3", "4")
WORDINGS = {
    "direction": (
        "In which direction does the {0} move?",
        "Which way does the {0} move?",
        "Does the {0} move left, right, away or closer?",
    ),
    "moving_count": ("How many {0} move?", "How many {0} are moving?"),
    "moving_existence": ("Does a {0} move?", "Is there a moving {0}?"),
    "collision": ("Does the {0} hit the {1}?", "Does the {0} collide with the {1}?"),
}
ATTRIBUTE_WORDINGS = {
    "color": ("What color is the moving {0}?", "What is the color of the {0} that moves?"),
    "shape": ("What shape is the moving {0}?", "What is the shape of the {0} that moves?"),
    "material": ("What is the moving {0} made of?",),
}
ORDER_WORDINGS = {
    "first": "Which moves first, the {0} or the {1}?",
    "last": "Which moves last, the {0} or the {1}?",
}
COUNTED = ((), ("shape",), ("material",), ("color",))
COUNT_WEIGHTS = (1.0, 0.7, 1.4, 3.0, 8.0)  # against the rarity of many movers
EXISTING = (("color", "shape"), ("color",), ("shape",), ("material", "shape"))
EARLIER = 0.7  # seconds by which one start must be ahead of the other
MOST_CHOICES = 4
HITS_SHARE = 0.65  # of the collision questions about clips with a hit; all others are a "no"


def ask_clip(clip: MovingScene, rng: np.random.Generator) -> tuple[Question, ...]:
    """Questions of each type that the clip allows, at most QUESTIONS_PER_CLIP."""
    asked: dict[str, Question] = {}
    for name, count in QUESTIONS_PER_CLIP.items():
        for _ in range(count):
            question = _BUILDERS[name](clip, rng)
            if question is not None:
                asked.setdefault(question.question, question)
    return tuple(asked.values())


def _direction(clip: MovingScene, rng: np.random.Generator) -> Question | None:
    """Of objects that are in the picture all the time: an edge would give it away."""
    things = clip.scene.objects
    ends = [clip.at(seconds).places for seconds in (0.0, clip.seconds)]
    found: dict[str, list[int]] = {}
    for move in clip.moves:
        stays = all(end[move.index].min() > 0 and end[move.index].max() < 1 for end in ends)
        if stays and unique_kinds(clip.scene, things[move.index]):
            found.setdefault(move.direction, []).append(move.index)
    if not found:
        return None
    answer = pick(rng, sorted(found))
    index = pick(rng, found[answer])
    words = (name_of(clip.scene, rng, clip.scene.objects[index]),)
    return _question("direction", rng, words, answer, tuple(DIRECTIONS), (index,), clip)


def _moving_count(clip: MovingScene, rng: np.random.Generator) -> Question | None:
    """The count first, then a kind of which so many move."""
    things = clip.scene.objects
    movers = [things[move.index] for move in clip.moves]
    kinds: dict[int, set[Kind]] = {}
    for names in COUNTED:
        for kind in {kind_of(thing, names) for thing in things}:
            kinds.setdefault(sum(map(kind.matches, movers)), set()).add(kind)
    reachable = sorted(count for count in kinds if count < len(NUMBERS))
    if not reachable:  # five objects or six that all look the same move
        return None
    weights = np.array([COUNT_WEIGHTS[count] for count in reachable])
    count = int(rng.choice(reachable, p=weights / weights.sum()))
    kind = pick(rng, sorted(kinds[count], key=str))
    about = tuple(m.index for m in clip.moves if kind.matches(things[m.index]))
    words = (kind.phrase(many=True),)
    return _question("moving_count", rng, words, str(count), NUMBERS, about, clip)


def _moving_attribute(clip: MovingScene, rng: np.random.Generator) -> Question | None:
    """Of the only moving one among objects of a kind that differ in it."""
    found = []
    for move in clip.moves:
        thing = clip.scene.objects[move.index]
        for name in ATTRIBUTES:
            others = tuple(other for other in ATTRIBUTES if other != name)
            for names in ((), *((other,) for other in others)):
                kind = kind_of(thing, names)
                moving = [m.index for m in clip.moves if kind.matches(clip.scene.objects[m.index])]
                shown = sorted({getattr(each, name) for each in kind.among(clip.scene)})
                if moving == [move.index] and 1 < len(shown) <= MOST_CHOICES:
                    found.append((name, kind, move.index, tuple(shown)))
    if not found:
        return None
    name = pick(rng, sorted({name for name, *_ in found}))
    _, kind, index, values = pick(rng, [row for row in found if row[0] == name])
    answer = getattr(clip.scene.objects[index], name)
    text = pick(rng, ATTRIBUTE_WORDINGS[name]).format(kind.phrase())
    held_out = clip.scene.objects[index].held_out
    return Question("moving_attribute", text, answer, values, held_out, ((index,),))


def _moving_existence(clip: MovingScene, rng: np.random.Generator) -> Question | None:
    """A "no" names a kind that is there and stands."""
    names = pick(rng, EXISTING)
    moving = {move.index for move in clip.moves}
    kinds = {kind_of(thing, names) for thing in clip.scene.objects}
    moved = {kind_of(clip.scene.objects[index], names) for index in moving}
    answer = pick(rng, YES_NO)
    pool = sorted(moved if answer == "yes" else kinds - moved, key=str)
    if not pool:
        return None
    kind = pick(rng, pool)
    about = tuple(i for i in sorted(moving) if kind.matches(clip.scene.objects[i]))
    words = (kind.phrase(),)
    return _question("moving_existence", rng, words, answer, YES_NO, about, clip, kind.held_out)


def _order(clip: MovingScene, rng: np.random.Generator) -> Question | None:
    found = _apart(clip)
    if not found:
        return None
    pair = pick(rng, found)
    first, later = (name_of(clip.scene, rng, clip.scene.objects[index]) for index in pair)
    words, named = ((first, later), pair) if rng.random() < 0.5 else ((later, first), pair[::-1])
    asked = pick(rng, tuple(ORDER_WORDINGS))
    text = ORDER_WORDINGS[asked].format(*words)
    answer = first if asked == "first" else later
    held_out = any(clip.scene.objects[index].held_out for index in pair)
    about = tuple((index,) for index in named)
    return Question("order", text, answer, tuple(sorted(words)), held_out, about)


def _apart(clip: MovingScene) -> list[tuple[int, int]]:
    """Pairs of objects with names of their own, of which the first clearly starts first."""
    hits = {frozenset((hit.first, hit.second)) for hit in clip.collisions}
    return [
        (one.index, two.index) if one.start < two.start else (two.index, one.index)
        for one, two in combinations(clip.moves, 2)
        if abs(one.start - two.start) >= EARLIER
        and frozenset((one.index, two.index)) not in hits
        and all(unique_kinds(clip.scene, clip.scene.objects[m.index]) for m in (one, two))
    ]


def _collision(clip: MovingScene, rng: np.random.Generator) -> Question | None:
    """A "no" is about a pair that stood together and parted, or, beside a hit, about another."""
    hits = {(hit.first, hit.second) for hit in clip.collisions}
    other = {
        (move.index, index)
        for move in clip.moves
        for index in range(len(clip.scene.objects))
        if hits
        and index != move.index
        and hits.isdisjoint({(move.index, index), (index, move.index)})
    }
    answer = "yes" if hits and rng.random() < HITS_SHARE else "no"
    pool = sorted(hits) if answer == "yes" else sorted(clip.parted) or sorted(other)
    things = clip.scene.objects
    pool = [pair for pair in pool if all(unique_kinds(clip.scene, things[i]) for i in pair)]
    if not pool:
        return None
    pair = pick(rng, pool)
    words = tuple(name_of(clip.scene, rng, things[index]) for index in pair)
    return _question("collision", rng, words, answer, YES_NO, pair, clip)


def _question(
    name: str,
    rng: np.random.Generator,
    words: tuple[str, ...],
    answer: str,
    choices: tuple[str, ...],
    about: tuple[int, ...],
    clip: MovingScene,
    held_out: bool = False,
) -> Question:
    held_out = held_out or any(clip.scene.objects[index].held_out for index in about)
    text = pick(rng, WORDINGS[name]).format(*words)
    return Question(name, text, answer, choices, held_out, tuple((index,) for index in about))


_BUILDERS: dict[str, Callable[[MovingScene, np.random.Generator], Question | None]] = {
    "direction": _direction,
    "moving_count": _moving_count,
    "moving_attribute": _moving_attribute,
    "moving_existence": _moving_existence,
    "order": _order,
    "collision": _collision,
}
