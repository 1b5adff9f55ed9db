"""Dense supervision of sound on generated clips: what is heard in each frame, and from whom.

A question's answer says little about when something is heard; the generator knows. In every frame
the query that begins the answer says which kinds of sound are heard beside it; pooled over frames
it says how often each kind is heard and what each object that the question names lets be heard.
Linear heads, used in training only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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

PHRASES = 2  # of a question, at most, whose objects are asked for
SILENT = len(KINDS)  # of an object
COUNT_WEIGHT = 0.5


@dataclass(frozen=True)
class Sounding:
    """What is known about one question on one clip of T frames."""

    heard: Sequence[Sequence[float]]  # T x KINDS, 1 where it is heard beside the frame
    counts: Sequence[float]  # KINDS, how often
    named: Sequence[int]  # of each phrase of the question the kind of its object, or SILENT


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
    kinds = {sound.index: KINDS.index(sound.kind) for sound in clip.sounds}
    for sound in clip.sounds:
        kind = KINDS.index(sound.kind)
        counts[kind] += len(sound.onsets)
        for onset in sound.onsets:
            last = min(frames - 1, int((onset + sound.length) / window))
            for frame in range(int(onset / window), last + 1):
                heard[frame][kind] = 1.0
    return {
        asked.question: Sounding(
            heard, counts, [kinds.get(indices[0], SILENT) for indices in asked.about[:PHRASES]]
        )
        for asked in example.questions
    }


class SoundSupervision(Loss):
    """Loss of the query that begins the answer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heard = nn.Linear(width, len(KINDS))
        self.counts = nn.Linear(width, len(KINDS))
        self.named = nn.Linear(width, PHRASES * (len(KINDS) + 1))

    @classmethod
    def build(cls, setting: Setting) -> SoundSupervision:
        return cls(setting.model.qformer.config.width)

    @classmethod
    def known(cls, item: Item, frames: int) -> Sounding | None:
        if item.video is None or not is_generated(item.video):
            return None
        return sounding_of(item.video, frames).get(item.question)

    def forward(self, seen: Seen, known: Sequence[Sounding | None]) -> Tensor:
        told = {row: one for row, one in enumerate(known) if one is not None}
        states = seen.states
        if not told:
            return states.pooled.new_zeros((), dtype=torch.float32)
        rows, clips = list(told), list(told.values())
        framed, pooled = states.framed[rows, :, 0].float(), states.steps[0][rows, 0].float()
        scores = self.heard(framed)  # (B, T, KINDS)
        frames = [seen.frames[row][: scores.shape[1]] for row in rows]
        truth = [[c.heard[frame] for frame in own] for c, own in zip(clips, frames, strict=True)]
        loss = F.binary_cross_entropy_with_logits(scores, torch.tensor(truth).to(scores))
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
