"""The best of a search looked at again, word by word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from assistant.errors import InputError, VideoError
from assistant.model.space.base import JointSpace
from assistant.retrieval.rows import Window

if TYPE_CHECKING:
    from assistant.retrieval.embedding import Embedder
    from assistant.sources import Look

RERANKED = 50  # windows looked at again
FRAMES = 4  # of each
LEAST = 1e-6  # by which what is not looked at stays below
AT_ONCE = 1024  # frames compared at once


def compares_words(space: JointSpace | None) -> bool:
    """Whether a space compares words with parts of a picture, or has whole vectors alone."""
    return space is not None and type(space).compare is not JointSpace.compare


def rerank(found: Sequence[Window], text: str, embedder: Embedder) -> list[Window]:
    """Windows of clips and pictures, best first, the best `RERANKED` by the mean of the cosine and
    the similarity word by word; what can no longer be read keeps its score.

    Raises:
        InputError: the space compares whole vectors alone.
    """
    space = embedder.space
    if space is None:
        raise InputError("a head compares whole vectors alone; leave out --rerank or --head")
    if not compares_words(space):
        raise InputError("this joint space compares whole vectors alone; leave --rerank out")
    best, rest = list(found[:RERANKED]), list(found[RERANKED:])
    looks = {n: look for n, one in enumerate(best) if (look := _look(one, embedder)) is not None}
    if looks:
        scores = compare_looks(space, list(looks.values()), [text])[:, 0]
        for n, score in zip(looks, scores.tolist(), strict=True):
            best[n] = replace(best[n], score=best[n].score + gain(score, best[n].similarity))
    if rest:
        above = max(0.0, rest[0].score - min(one.score for one in best) + LEAST)
        rest = [replace(one, score=one.score - above) for one in rest]
    return [*sorted(best, key=lambda one: -one.score), *rest]


def gain(by_words: float, similarity: float | None) -> float:
    """What their mean is above the cosine."""
    return 0.0 if similarity is None else (by_words - similarity) / 2


def compare_looks(space: JointSpace, looks: Sequence[Look], texts: Sequence[str]) -> Tensor:
    """``(N, texts)``: word by word, in the mean over the frames of each look."""
    sizes = [len(look.patches) for look in looks]
    parts: list[Tensor] = []
    begin = 0
    for end in range(1, len(sizes) + 1):
        if end == len(sizes) or sum(sizes[begin : end + 1]) > AT_ONCE:
            some = looks[begin:end]
            joined = replace(
                some[0],
                patches=torch.cat([one.patches for one in some]),
                classes=torch.cat([one.classes.expand(len(one.patches), -1) for one in some]),
            )
            scores = space.compare(joined, texts).split(sizes[begin:end])
            parts += [one.mean(0) for one in scores]
            begin = end
    return torch.stack(parts)


def _look(window: Window, embedder: Embedder) -> Look | None:
    from assistant.media.video import read_clip

    try:
        clip = read_clip(
            Path(window.file),
            frames=FRAMES,
            start=window.start,
            end=window.end,
            max_side=embedder.side,
        )
    except VideoError:
        return None
    return embedder.look_at(clip.frames, clip.seconds)
