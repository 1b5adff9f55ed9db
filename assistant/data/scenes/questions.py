"""Questions about a scene whose answers the picture shows beyond doubt.

The answer is drawn before the question wherever the scene allows several, so that each type's
answers are balanced and the words of a question do not give its answer away. Questions never name
a pair that is held out for another split, not even to answer "no".
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from assistant.data.scenes.kinds import OPPOSITES, Kind, holds, kind_of, name_of, pick, unique_kinds
from assistant.data.scenes.layout import COUNTS, allowed_pairs
from assistant.data.scenes.world import (
    COLORS,
    MATERIALS,
    SHAPES,
    TEST_COLORS,
    TEST_SHAPES,
    Scene,
    SceneObject,
)

QUESTIONS_PER_PICTURE = {
    "count": 2,
    "color": 1,
    "shape": 1,
    "material": 1,
    "existence": 2,
    "relation": 1,
    "relation_object": 1,
    "position": 1,
    "caption": 1,
}
TYPES = tuple(QUESTIONS_PER_PICTURE)

YES_NO = ("yes", "no")
NUMBERS = ("0", *(str(count) for count in COUNTS))
VALUES = {"color": tuple(COLORS), "material": MATERIALS, "shape": SHAPES}
TEST_VALUES = {"color": TEST_COLORS, "material": MATERIALS, "shape": TEST_SHAPES}
WORDINGS = {
    "count": ("How many {0} are there?", "How many {0} do you see?"),
    "color": ("What color is the {0}?", "What is the color of the {0}?"),
    "shape": ("What shape is the {0}?", "What is the shape of the {0}?"),
    "material": ("What is the {0} made of?", "Is the {0} made of rubber or metal?"),
    "existence": ("Is there a {0}?", "Is there a {0} in the picture?", "Do you see a {0}?"),
    "relation": ("Is the {0} {1} the {2}?",),
    "relation_object": ("What is {0} the {1}?", "Which object is {0} the {1}?"),
    "caption": ("Describe the picture.",),
}
COUNT_WEIGHTS = (1.0, 1.0, 1.7, 2.6, 4.0, 6.0, 8.0)  # against the rarity of large counts
COUNTED = ((), ("color",), ("shape",), ("material",), ("color", "shape"))
EXISTING = (("color", "shape"), ("color", "shape"), ("material", "shape"), ("color", "material"))
EXISTING_SINGLE = (("color",), ("shape",), ("material",))
SMALL_NUMBERS = ("no", "one", "two", "three", "four", "five", "six")

# Wording, axis of the picture (0 across, 1 down), and the bands that are one answer each.
POSITIONS = (
    ("Where is the {0}?", 0, {"left": (0.0, 0.31), "middle": (0.4, 0.6), "right": (0.69, 1.0)}),
    ("Is the {0} on the left or the right?", 0, {"left": (0.0, 0.42), "right": (0.58, 1.0)}),
    (
        "Is the {0} in the upper or the lower half of the picture?",
        1,
        {"upper": (0.0, 0.43), "lower": (0.57, 1.0)},
    ),
)


@dataclass(frozen=True)
class Question:
    """A question with its answer; ``choices`` is empty for captions."""

    type: str
    question: str
    answer: str
    choices: tuple[str, ...]
    held_out: bool  # a held-out pair is named, or an object of one decides the answer
    about: tuple[tuple[int, ...], ...] = ()  # indices of the objects that each phrase names
    right: tuple[int, ...] = ()  # of the objects that the answer names, where it is told


def ask(scene: Scene, rng: np.random.Generator, split: str) -> tuple[Question, ...]:
    """Questions of each type that the scene allows, at most QUESTIONS_PER_PICTURE."""
    asked: dict[str, Question] = {}
    for name, count in QUESTIONS_PER_PICTURE.items():
        for _ in range(count):
            question = _BUILDERS[name](scene, rng, split)
            if question is not None:
                asked.setdefault(question.question, question)
    return tuple(asked.values())


def _count(scene: Scene, rng: np.random.Generator, split: str) -> Question:
    names = pick(rng, COUNTED)
    kinds = _kinds(names, split)
    counts = [len(kind.among(scene)) for kind in kinds]
    reachable = sorted(set(counts))
    weights = np.array([COUNT_WEIGHTS[count] for count in reachable])
    count = int(rng.choice(reachable, p=weights / weights.sum()))
    kind = pick(rng, [kind for kind, found in zip(kinds, counts, strict=True) if found == count])
    held_out = kind.held_out or any(thing.held_out for thing in kind.among(scene))
    words, about = (kind.phrase(many=True),), (_indices(scene, kind),)
    return _question("count", rng, words, str(count), NUMBERS, held_out, about)


def _values(split: str) -> dict[str, tuple[str, ...]]:
    return TEST_VALUES if split == "test" else VALUES


def _attribute(name: str, scene: Scene, rng: np.random.Generator, split: str) -> Question | None:
    known = [(thing, unique_kinds(scene, thing, without=name)) for thing in scene.objects]
    known = [(thing, kinds) for thing, kinds in known if kinds]
    if not known:
        return None
    thing, kinds = pick(rng, known)
    answer = getattr(thing, name)
    words, about = (pick(rng, kinds).phrase(),), ((scene.objects.index(thing),),)
    return _question(name, rng, words, answer, _values(split)[name], thing.held_out, about)


def _color(scene: Scene, rng: np.random.Generator, split: str) -> Question | None:
    return _attribute("color", scene, rng, split)


def _shape(scene: Scene, rng: np.random.Generator, split: str) -> Question | None:
    return _attribute("shape", scene, rng, split)


def _material(scene: Scene, rng: np.random.Generator, split: str) -> Question | None:
    return _attribute("material", scene, rng, split)


def _existence(scene: Scene, rng: np.random.Generator, split: str) -> Question:
    """Half yes, half no within each form of question; a "no" is one attribute away from a yes."""
    forms = [*EXISTING, *(form for form in EXISTING_SINGLE if absent_kinds(scene, form, split))]
    names = pick(rng, forms)
    wanted = pick(rng, YES_NO)
    absent = absent_kinds(scene, names, split)
    if wanted == "yes" or not absent:
        kind = kind_of(pick(rng, scene.objects), names)
        held_out = kind.held_out or all(thing.held_out for thing in kind.among(scene))
        words, about = (kind.phrase(),), (_indices(scene, kind),)
        return _question("existence", rng, words, "yes", YES_NO, held_out, about)
    kind = pick_denied(rng, absent)
    return _question("existence", rng, (kind.phrase(),), "no", YES_NO, kind.held_out, ((),))


def pick_denied(rng: np.random.Generator, absent: list[Kind]) -> Kind:
    """As many held-out pairs are denied as are affirmed: their name must not mean yes."""
    named = rng.random() < 0.5
    return pick(rng, [kind for kind in absent if kind.held_out == named] or absent)


def absent_kinds(scene: Scene, names: tuple[str, ...], split: str) -> list[Kind]:
    """Kinds one attribute away from an object of the scene that no object is of."""
    near = {
        kind_of(thing, names).but(name, value)
        for thing in scene.objects
        for name in names
        for value in _values(split)[name]
    }
    return [kind for kind in _kinds(names, split) if kind in near and not kind.among(scene)]


def _relation(scene: Scene, rng: np.random.Generator, split: str) -> Question | None:
    clear = [
        (relation, first, second)
        for first, second in permutations(range(len(scene.objects)), 2)
        for relation in OPPOSITES
        if holds(scene, relation, first, second)
        and unique_kinds(scene, scene.objects[first])
        and unique_kinds(scene, scene.objects[second])
    ]
    if not clear:
        return None
    relation, *indices = pick(rng, clear)
    first, second = (scene.objects[index] for index in indices)
    answer = pick(rng, YES_NO)
    words = (
        name_of(scene, rng, first),
        relation if answer == "yes" else OPPOSITES[relation],
        name_of(scene, rng, second),
    )
    held_out, about = first.held_out or second.held_out, tuple((index,) for index in indices)
    return _question("relation", rng, words, answer, YES_NO, held_out, about)


def _relation_object(scene: Scene, rng: np.random.Generator, split: str) -> Question | None:
    clear = []
    for anchor, thing in enumerate(scene.objects):
        others = [index for index in range(len(scene.objects)) if index != anchor]
        for relation in OPPOSITES if unique_kinds(scene, thing) else ():
            found = [holds(scene, relation, index, anchor) for index in others]
            if None not in found and found.count(True) == 1:
                clear.append((relation, anchor, others[found.index(True)]))
    if not clear:
        return None
    relation, *indices = pick(rng, clear)
    known, target = (scene.objects[index] for index in indices)
    answer = " ".join(target.pair)
    words = (relation, name_of(scene, rng, known))
    choices = object_choices(scene, rng, split, answer)
    held_out, about = target.held_out or known.held_out, ((indices[0],),)
    return _question("relation_object", rng, words, answer, choices, held_out, about)


def object_choices(
    scene: Scene, rng: np.random.Generator, split: str, answer: str
) -> tuple[str, ...]:
    """The answer and three other objects, those of the scene first, in alphabetical order."""
    here = [" ".join(thing.pair) for thing in scene.objects]
    elsewhere = [" ".join(pair) for pair in allowed_pairs(split)]
    others = [*rng.permutation(here), *rng.permutation(elsewhere)]
    chosen = dict.fromkeys([answer, *(str(other) for other in others)])
    return tuple(sorted(list(chosen)[:4]))


def _position(scene: Scene, rng: np.random.Generator, split: str) -> Question | None:
    wording, axis, bands = pick(rng, POSITIONS)
    placed: dict[str, list[SceneObject]] = {}
    for thing, place in zip(scene.objects, scene.places, strict=True):
        for answer, (low, high) in bands.items():
            if low <= place[axis] <= high and unique_kinds(scene, thing):
                placed.setdefault(answer, []).append(thing)
    if not placed:
        return None
    answer = pick(rng, list(placed))
    thing = pick(rng, placed[answer])
    text = wording.format(name_of(scene, rng, thing))
    about = ((scene.objects.index(thing),),)
    return Question("position", text, answer, tuple(bands), thing.held_out, about)


def _caption(scene: Scene, rng: np.random.Generator, split: str) -> Question:
    order = np.argsort(scene.places[:, 0], kind="stable")
    groups: dict[tuple[str, str], int] = {}
    for index in order:
        pair = scene.objects[index].pair
        groups[pair] = groups.get(pair, 0) + 1
    parts = [
        f"a {' '.join(pair)}" if count == 1 else f"{SMALL_NUMBERS[count]} {' '.join(pair)}s"
        for pair, count in groups.items()
    ]
    text = " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
    held_out = any(thing.held_out for thing in scene.objects)
    return _question("caption", rng, (), text, (), held_out)


def _kinds(names: tuple[str, ...], split: str) -> list[Kind]:
    """Every kind that names these attributes and that the split may speak of."""
    kinds = [Kind()]
    for name in names:
        kinds = [kind.but(name, value) for kind in kinds for value in _values(split)[name]]
    if "color" in names and "shape" in names:
        pairs = allowed_pairs(split)
        kinds = [kind for kind in kinds if (kind.color, kind.shape) in pairs]
    return kinds


def _question(
    name: str,
    rng: np.random.Generator,
    words: tuple[str, ...],
    answer: str,
    choices: tuple[str, ...],
    held_out: bool,
    about: tuple[tuple[int, ...], ...] = (),
) -> Question:
    text = pick(rng, WORDINGS[name]).format(*words)
    return Question(name, text, answer, choices, held_out, about)


def _indices(scene: Scene, kind: Kind) -> tuple[int, ...]:
    return tuple(index for index, thing in enumerate(scene.objects) if kind.matches(thing))


_BUILDERS: dict[str, Callable[[Scene, np.random.Generator, str], Question | None]] = {
    "count": _count,
    "color": _color,
    "shape": _shape,
    "material": _material,
    "existence": _existence,
    "relation": _relation,
    "relation_object": _relation_object,
    "position": _position,
    "caption": _caption,
}
