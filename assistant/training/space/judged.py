"""Photos and which phrases of the lexicon are true of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from assistant.model.space.mini import MiniSpace
from assistant.sources.lexicon import Lexicon
from assistant.training.space.photos import PhotoSet
from assistant.training.space.trainer import Data
from assistant.training.space.truth import Truth

CHUNK = 128  # pictures embedded at once
PRECISION = 0.8  # of what is said, on dev
LEAST = 20  # said of dev photos; a threshold that rests on fewer says nothing
NEVER = 2.0  # threshold of a group that cannot be said precisely


@dataclass(frozen=True, eq=False)
class Photos:
    """Pictures of one split of all sets, and what is known of them."""

    vectors: Tensor  # (N, E)
    true: Tensor  # (N, P) bool
    known: Tensor  # (N, P) bool: whether "true" is to be believed

    @classmethod
    def joined(cls, parts: Sequence[Photos]) -> Photos:
        return cls(
            torch.cat([part.vectors for part in parts]),
            torch.cat([part.true for part in parts]),
            torch.cat([part.known for part in parts]),
        )


def truth_of(lexicon: Lexicon) -> Truth:
    """Of all its phrases, in order."""
    return Truth(
        [(name, *also) for group in lexicon.groups.values() for name, also in group.phrases.items()]
    )


def read_photos(space: MiniSpace, data: Data, lexicon: Lexicon, split: str) -> dict[str, Photos]:
    """Each set's photos of a split, as they are, without their views."""
    truth = truth_of(lexicon)
    return {
        name: judge(
            photos, photos.splits[split], pictures(space, data, name, split), truth, lexicon
        )
        for name, photos in data.sets.items()
        if photos.splits[split]
    }


def pictures(space: MiniSpace, data: Data, name: str, split: str) -> Tensor:
    """``(N, E)`` of the photos of a set's split."""
    names = data.sets[name].splits[split]
    steps = range(0, len(names), CHUNK)
    return torch.cat(
        [
            space.embed_patches(*data.pictures(name, names[first : first + CHUNK]))
            for first in tqdm(steps, desc=f"embedding {name}", leave=False)
        ]
    )


def judge(
    photos: PhotoSet, names: Sequence[str], vectors: Tensor, truth: Truth, lexicon: Lexicon
) -> Photos:
    """What captions or labels say of photos.

    A label speaks of the phrases that labels of its set are about, and of no others. Of a group
    that captions seldom speak of, photos are known of which they do.
    """
    if photos.labels:
        said = {label: truth([label]) for label in set(photos.labels.values())}
        true = torch.tensor([said[photos.labels[name]] for name in names])
        known = torch.tensor(list(said.values())).any(0).expand_as(true).clone()
    else:
        true = torch.tensor([truth(photos.texts[name]) for name in names])
        known = torch.ones_like(true)
    for kind, own in columns(lexicon).items():
        if lexicon.groups[kind].seldom_said:
            known[:, own] &= true[:, own].any(1, keepdim=True)
    return Photos(vectors, true, known)


def columns(lexicon: Lexicon) -> dict[str, list[int]]:
    """Where the phrases of each group are."""
    found: dict[str, list[int]] = {}
    for place, (kind, _) in enumerate(lexicon.phrases):
        found.setdefault(kind, []).append(place)
    return found


def threshold(chances: np.ndarray, true: np.ndarray) -> float:
    """The lowest at which ``PRECISION`` of what is not below it is true; `NEVER` where none is."""
    order = np.argsort(-chances, kind="stable")
    precision = np.cumsum(true[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(precision >= PRECISION)
    if not len(enough) or enough[-1] + 1 < LEAST:
        return NEVER
    return float(chances[order[enough[-1]]])
