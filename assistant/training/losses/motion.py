"""Dense supervision of motion on generated clips: every cell says what becomes of its object.

A clip's questions say little about it each; how its objects move is known. In every frame the
queries that are laid over the picture as a grid (``cells``) say whether the object in their cell
moves in this clip, and whether it is one that the question is about; pooled over frames, the query
that begins the answer says how far the objects get that the question names, and when they start.
Linear heads, used in training only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assistant.data.items import Item
from assistant.data.scenes.walk import Walk
from assistant.media.sampling import centres
from assistant.training.generated import generated_clip, is_generated
from assistant.training.losses.base import Loss, Seen, Setting
from assistant.training.losses.cells import PLACE_WEIGHT, in_cells

PHRASES = 2  # of a question, at most, whose objects are asked for


@dataclass(frozen=True)
class Moved:
    """What is known about one question on one clip of T frames and M objects."""

    places: Sequence[Sequence[tuple[float, float]]]  # T x M, x and y as shares of the picture
    about: Sequence[Sequence[int]]  # objects that each phrase of the question names
    starts: Sequence[float]  # M, share of the clip after which each moves; 1: it never does

    def at(self, frames: Sequence[int]) -> Moved:
        """What is known of those frames alone."""
        return replace(self, places=[self.places[frame] for frame in frames])

    def path(self, index: int) -> tuple[float, float]:
        """From where an object is in the first frame to where it is in the last."""
        (x, y), (to_x, to_y) = self.places[0][index], self.places[-1][index]
        return to_x - x, to_y - y


@lru_cache(maxsize=16)  # a clip's questions come one after the other
def moved_of(video: Path, frames: int) -> Mapping[str, Moved]:
    """By question what is known of so many frames of a generated clip; nothing of a walk."""
    example = generated_clip(video)
    clip = example.clip
    if isinstance(clip, Walk):
        return {}
    places = [
        [(float(x), float(y)) for x, y in clip.at(time).places]
        for time in centres(0.0, clip.seconds, frames)
    ]
    starts = [1.0] * len(clip.scene.objects)
    for move in clip.moves:
        starts[move.index] = move.start / clip.seconds
    return {asked.question: Moved(places, asked.about, starts) for asked in example.questions}


class MotionSupervision(Loss):
    """Loss of the last layer's queries."""

    def __init__(self, queries: int, width: int) -> None:
        super().__init__()
        self.first = queries // 2
        self.side = math.isqrt(queries - self.first)
        self.cells = nn.Linear(width, 2)  # moves, is asked about
        self.named = nn.Linear(width, 3 * PHRASES)  # across, down, start

    @classmethod
    def build(cls, setting: Setting) -> MotionSupervision:
        shape = setting.model.qformer.config
        return cls(shape.queries, shape.width)

    @classmethod
    def known(cls, item: Item, frames: int) -> Moved | None:
        if item.video is None or not is_generated(item.video):
            return None
        return moved_of(item.video, frames).get(item.question)

    def forward(self, seen: Seen, known: Sequence[Moved | None]) -> Tensor:
        told = {row: m.at(seen.frames[row]) for row, m in enumerate(known) if m is not None}
        if not told:
            return seen.states.pooled.new_zeros((), dtype=torch.float32)
        rows, moved = list(told), list(told.values())
        framed, pooled = seen.states.framed[rows], seen.states.steps[0][rows]
        return self._of_cells(framed, moved) + self._of_named(pooled, moved)

    def _of_cells(self, states: Tensor, known: Sequence[Moved]) -> Tensor:
        where: list[tuple[int, int, int]] = []
        wanted: list[tuple[float, float]] = []
        for row, moved in enumerate(known):
            count = len(moved.places[0])
            asked = {index for indices in moved.about for index in indices}
            told = [
                (float(moved.path(index) != (0.0, 0.0)), float(index in asked))
                for index in range(count)
            ]
            for frame, places in enumerate(moved.places[: states.shape[1]]):
                found = in_cells(places, self.side)
                where += [(row, frame, self.first + cell) for cell in found]
                wanted += [told[index] for index in found.values()]
        if not where:
            return states.new_zeros((), dtype=torch.float32)
        rows, frames, queries = torch.tensor(where, device=states.device).T
        scores = self.cells(states[rows, frames, queries].float())
        return F.binary_cross_entropy_with_logits(scores, torch.tensor(wanted).to(scores))

    def _of_named(self, pooled: Tensor, known: Sequence[Moved]) -> Tensor:
        at = [
            (row, phrase, *moved.path(indices[0]), moved.starts[indices[0]])
            for row, moved in enumerate(known)
            for phrase, indices in enumerate(moved.about[:PHRASES])
            if len(indices) == 1
        ]
        if not at:
            return pooled.new_zeros((), dtype=torch.float32)
        rows, phrases, *known_of = zip(*at, strict=True)
        told = self.named(pooled[:, 0].float()).unflatten(-1, (PHRASES, 3))
        wanted = torch.tensor(known_of, device=pooled.device).T
        return PLACE_WEIGHT * (told[list(rows), list(phrases)] - wanted).abs().mean()
