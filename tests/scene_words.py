"""Which objects of a generated clip the words of its questions mean: read anew, for the tests."""

from __future__ import annotations

import re
from typing import Protocol

from assistant.data.scenes.kinds import Kind
from assistant.data.scenes.world import COLORS, MATERIALS, SHAPES, Scene


class HasScene(Protocol):
    scene: Scene


def meant(clip: HasScene, words: str) -> list[int]:
    """Objects that the words ("red metal cubes") fit."""
    words = [re.sub(r"s$", "", word) for word in words.split()]
    named = {
        group: [w for w in words if w in group] for group in (tuple(COLORS), MATERIALS, SHAPES)
    }
    color, material, shape = (next(iter(found), None) for found in named.values())
    assert sum(map(len, named.values())) + words.count("object") == len(words), words
    kind = Kind(color, material, shape)
    return [index for index, thing in enumerate(clip.scene.objects) if kind.matches(thing)]


def the_one(clip: HasScene, words: str) -> int:
    (index,) = meant(clip, words)
    return index
