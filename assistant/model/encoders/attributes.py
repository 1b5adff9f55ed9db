"""Semantic attributes: what the frozen encoder, as a classifier of 1000 things, finds in a clip.

They enter as words beside the frames, so that a thing that no caption named can be named. Source:
BIKE's attribute branch (Cross-modal Knowledge Mining, 3.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Attribute", "attribute_text", "find_attributes", "read_class_names", "sure_names"]

MOST = 5  # attributes of a clip
FLOOR = 0.08  # least probability of an attribute
SURE = 0.5  # probability from which it is named without a question mark
SYNSETS, LEMMAS = "imagenet_synsets.txt", "imagenet_synset_to_lemma.txt"


@dataclass(frozen=True)
class Attribute:
    """One thing, and how much of the clip's probability it has."""

    name: str
    probability: float


def find_attributes(classes: Tensor, names: Sequence[str]) -> tuple[Attribute, ...]:
    """The likeliest classes of the frames' mean, likeliest first.

    Args:
        classes: ``(T, C)`` probabilities. names: C names; none gives no attributes.
    """
    if not names:
        return ()
    best = classes.float().mean(0).topk(MOST)
    found = zip(best.values.tolist(), best.indices.tolist(), strict=True)
    return tuple(Attribute(names[index], share) for share, index in found if share >= FLOOR)


def attribute_text(attributes: Sequence[Attribute]) -> str:
    """As the models read it: ``water bottle, cup?`` with a mark at what is less than sure."""
    return ", ".join(
        attribute.name + ("" if attribute.probability >= SURE else "?") for attribute in attributes
    )


def sure_names(text: str) -> list[str]:
    """The names in an :func:`attribute_text` that stand without a question mark."""
    return [name for name in text.split(", ") if name and not name.endswith("?")]


def read_class_names(folder: Path) -> tuple[str, ...]:
    """ImageNet-1k's names in class order: the first lemma of each synset in ``folder``."""
    lemmas = dict(line.split("\t", 1) for line in (folder / LEMMAS).read_text().splitlines())
    synsets = (folder / SYNSETS).read_text().split()
    missing = [synset for synset in synsets if synset not in lemmas]
    if missing:
        raise WeightsError(f"{folder / LEMMAS}: lacks {missing[0]}; clear the cache, fetch again")
    return tuple(lemmas[synset].split(",")[0].strip() for synset in synsets)
