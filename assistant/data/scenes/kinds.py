"""Kinds of objects ("red cube", "metal object") and where objects are to each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TypeVar

import numpy as np

from assistant.data.scenes.world import HELD_OUT_PAIRS, Scene, SceneObject

T = TypeVar("T")

ATTRIBUTES = ("color", "material", "shape")
OPPOSITES = {
    "left of": "right of",
    "right of": "left of",
    "above": "below",
    "below": "above",
    "behind": "in front of",
    "in front of": "behind",
}
ASIDE = 0.1  # share of the picture by which two places must differ to be told apart
DEEPER = 0.8  # world units by which two depths must differ


@dataclass(frozen=True)
class Kind:
    """All objects that have the given attributes; None leaves one open."""

    color: str | None = None
    material: str | None = None
    shape: str | None = None

    def matches(self, thing: SceneObject) -> bool:
        return all(getattr(self, name) in (None, getattr(thing, name)) for name in ATTRIBUTES)

    def among(self, scene: Scene) -> tuple[SceneObject, ...]:
        return tuple(thing for thing in scene.objects if self.matches(thing))

    @property
    def named(self) -> tuple[str, ...]:
        """The attributes that are given."""
        return tuple(name for name in ATTRIBUTES if getattr(self, name))

    @property
    def held_out(self) -> bool:
        return any((self.color, self.shape) in pairs for pairs in HELD_OUT_PAIRS.values())

    def phrase(self, many: bool = False) -> str:
        """Words for one or for many: "red metal cube", "gray objects"."""
        noun = (self.shape or "object") + ("s" if many else "")
        return " ".join(word for word in (self.color, self.material, noun) if word)

    def but(self, name: str, value: str | None) -> Kind:
        return replace(self, **{name: value})


def kind_of(thing: SceneObject, names: tuple[str, ...] = ATTRIBUTES) -> Kind:
    """The kind that the named attributes of an object make."""
    return Kind(**{name: getattr(thing, name) for name in names})


def unique_kinds(scene: Scene, thing: SceneObject, without: str | None = None) -> list[Kind]:
    """Kinds that only this object of the scene is of, the attribute ``without`` left open."""
    return [
        kind
        for names in _subsets(tuple(name for name in ATTRIBUTES if name != without))
        if len((kind := kind_of(thing, names)).among(scene)) == 1
    ]


def name_of(scene: Scene, rng: np.random.Generator, thing: SceneObject) -> str:
    """Words that only this object answers to; mostly the color and shape, where they suffice."""
    kinds = unique_kinds(scene, thing)
    usual = kind_of(thing, ("color", "shape"))
    return (usual if usual in kinds and rng.random() < 0.6 else pick(rng, kinds)).phrase()


def pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    """One of the options, each as likely."""
    return options[int(rng.integers(len(options)))]


def holds(scene: Scene, relation: str, first: int, second: int) -> bool | None:
    """Whether object ``first`` is clearly in the relation to ``second``; None where it is unclear.

    Relations are those of the picture, between centers; behind and in front of ask for depth too.
    """
    aside, down = scene.places[first] - scene.places[second]
    deeper = scene.depths[first] - scene.depths[second]
    if relation in ("left of", "right of"):
        ahead, clear = -aside, abs(aside) >= ASIDE
    else:
        ahead, clear = -down, abs(down) >= ASIDE
    if relation in ("behind", "in front of"):
        clear = clear and abs(deeper) >= DEEPER and (deeper > 0) == (ahead > 0)
    if not clear:
        return None
    return bool(ahead > 0) == (relation in ("left of", "above", "behind"))


def _subsets(names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for length in range(1, len(names) + 1):
        yield from combinations(names, length)
