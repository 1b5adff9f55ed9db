"""Dense supervision of sound on generated clips: what is heard in each frame, and from whom.

A question's answer says little about when something is heard; the generator knows. What a frame's
queries are told of its sound says which kinds that is. After each of the last adapted layers so
does the query that begins the answer, and those that are laid over the picture as a grid
(``cells``) say whether the object in their cell moves now and what it lets be heard. Pooled over
frames, the first says how often each kind is heard and what each object that the question names
lets be heard. Linear heads, used in training only.
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
from assistant.data.scenes.sounding import SoundingScene
from assistant.data.scenes.timbres import KINDS
from assistant.training.generated import generated_clip, is_generated
from assistant.training.losses.base import Loss, Seen, Setting
from assistant.training.losses.cells import in_cells
from assistant.training.losses.motion import moved_of

PHRASES = 2  # of a question, at most, whose objects are asked for
LAYERS = 2  # adapted ones, the last, that are asked
SILENT = len(KINDS)  # of an object
COUNT_WEIGHT = 0.5


@dataclass(frozen=True)
class Sounding:
    """What is known about one question on one clip of T frames."""

    heard: Sequence[Sequence[float]]  # T x KINDS, 1 where it is heard beside the frame
    counts: Sequence[float]  # KINDS, how often
    places: Sequence[Sequence[tuple[float, float]]]  # T x M, of objects, shares of the picture
    sources: Sequence[Sequence[int]]  # T x M, kind that each lets be heard now, or SILENT
    moving: Sequence[Sequence[float]]  # T x M, 1 where it moves now
    named: Sequence[int]  # of each phrase of the question the kind of its object, or SILENT

    def beside(self, frames: Sequence[int]) -> Sounding:
        """Beside as many of the T frames, one of each N that follow each other: sound is heard
        during all N."""
        each = len(self.heard) // len(frames)
        spans = [slice(place * each, (place + 1) * each) for place in range(len(frames))]
        return replace(
            self,
            heard=[[max(kind) for kind in zip(*self.heard[span], strict=True)] for span in spans],
            sources=[[min(one) for one in zip(*self.sources[span], strict=True)] for span in spans],
            moving=[[max(one) for one in zip(*self.moving[span], strict=True)] for span in spans],
            places=[self.places[frame] for frame in frames],
        )


@lru_cache(maxsize=16)  # a clip's questions come one after the other
def sounding_of(video: Path, frames: int) -> Mapping[str, Sounding]:
    """By question what is known of a generated clip; nothing of one without sound."""
    example = generated_clip(video)
    clip = example.clip
    if not isinstance(clip, SoundingScene):
        return {}
    window = clip.seconds / frames
    heard = [[0.0] * len(KINDS) for _ in range(frames)]
    counts = [0.0] * len(KINDS)
    sources = [[SILENT] * len(clip.scene.objects) for _ in range(frames)]
    kinds = {sound.index: KINDS.index(sound.kind) for sound in clip.sounds}
    for sound in clip.sounds:
        kind = KINDS.index(sound.kind)
        counts[kind] += len(sound.onsets)
        for onset in sound.onsets:
            last = min(frames - 1, int((onset + sound.length) / window))
            for frame in range(int(onset / window), last + 1):
                heard[frame][kind] = 1.0
                sources[frame][sound.index] = kind
    moves = {move.index: move for move in clip.moves}
    borders = [(frame * window, (frame + 1) * window) for frame in range(frames)]
    moving = [
        [
            float(index in moves and moves[index].start < end and begin < moves[index].stop)
            for index in range(len(clip.scene.objects))
        ]
        for begin, end in borders
    ]
    return {
        question: Sounding(
            heard,
            counts,
            moved.places,
            sources,
            moving,
            [kinds.get(indices[0], SILENT) for indices in moved.about[:PHRASES]],
        )
        for question, moved in moved_of(video, frames).items()
    }


class SoundSupervision(Loss):
    """Loss of the query that begins the answer, and of those over the picture."""

    def __init__(self, queries: int, width: int) -> None:
        super().__init__()
        self.first = queries // 2
        self.side = math.isqrt(queries - self.first)
        self.sounds = nn.Linear(width, len(KINDS))
        self.heard = nn.ModuleList(nn.Linear(width, len(KINDS)) for _ in range(LAYERS))
        self.cells = nn.ModuleList(nn.Linear(width, len(KINDS) + 2) for _ in range(LAYERS))
        self.counts = nn.Linear(width, len(KINDS))
        self.named = nn.Linear(width, PHRASES * (len(KINDS) + 1))

    @classmethod
    def build(cls, setting: Setting) -> SoundSupervision:
        shape = setting.model.qformer.config
        return cls(shape.queries, shape.width)

    @classmethod
    def known(cls, item: Item, frames: int) -> Sounding | None:
        if item.video is None or not is_generated(item.video):
            return None
        return sounding_of(item.video, frames).get(item.question)

    def forward(self, seen: Seen, known: Sequence[Sounding | None]) -> Tensor:
        told = {row: s.beside(seen.frames[row]) for row, s in enumerate(known) if s is not None}
        states = seen.states
        if not told:
            return states.pooled.new_zeros((), dtype=torch.float32)
        rows, clips = list(told), list(told.values())
        pooled = states.steps[0][rows, 0].float()
        truth = torch.tensor([one.heard for one in clips]).to(pooled)  # (B, T, KINDS)
        loss = pooled.new_zeros(())
        if states.heard is not None:
            scores = self.sounds(states.heard[rows].float())
            loss = loss + F.binary_cross_entropy_with_logits(scores, truth)
        layers = [framed[rows].float() for framed in states.layers[-LAYERS:]]
        for framed, heard, cells in zip(layers, self.heard, self.cells, strict=True):
            loss = loss + F.binary_cross_entropy_with_logits(heard(framed[:, :, 0]), truth)
            loss = loss + self._of_cells(cells, framed, clips)
        counts = torch.tensor([one.counts for one in clips]).to(pooled)
        loss = loss + COUNT_WEIGHT * F.smooth_l1_loss(self.counts(pooled), counts)
        kinds = self.named(pooled).unflatten(-1, (PHRASES, -1))  # (B, PHRASES, KINDS + 1)
        asked = [
            (row, phrase, kind)
            for row, one in enumerate(clips)
            for phrase, kind in enumerate(one.named)
        ]
        if asked:
            at, phrases, wanted = torch.tensor(asked, device=pooled.device).T
            loss = loss + F.cross_entropy(kinds[at, phrases], wanted)
        return loss

    def _of_cells(self, head: nn.Module, framed: Tensor, known: Sequence[Sounding]) -> Tensor:
        """Of cells ``(B, T, L, D)`` with an object: whether it moves now and, where something is
        heard beside the frame, what it lets be heard."""
        where: list[tuple[int, int, int]] = []
        moving: list[float] = []
        sources: dict[int, int] = {}  # by place in ``where``
        for row, clip in enumerate(known):
            for frame, places in enumerate(clip.places):
                for cell, index in in_cells(places, self.side).items():
                    if any(clip.heard[frame]):
                        sources[len(where)] = clip.sources[frame][index]
                    where.append((row, frame, self.first + cell))
                    moving.append(clip.moving[frame][index])
        if not where:
            return framed.new_zeros(())
        rows, frames, queries = torch.tensor(where, device=framed.device).T
        told = head(framed[rows, frames, queries])
        loss = F.binary_cross_entropy_with_logits(told[:, -1], torch.tensor(moving).to(told))
        if sources:
            wanted = torch.tensor(list(sources.values()), device=told.device)
            loss = loss + F.cross_entropy(told[list(sources), :-1], wanted)
        return loss
