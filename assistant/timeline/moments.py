"""When what is said in words is to be seen.

What is a phrase of the lexicon ("the dog"), or several ("the dog runs"), is judged by these, which
were trained with the space; what is a class of the image encoder ("a whale") and is no such phrase,
or none that is found, by its probability; all else by its cosine less what is usual of the frame
and of the text. Each has a threshold below which it is said not to appear, ``moments.yaml`` beside
the space's weights, set on films of panned photos (benchmarks/moments.py). A space without that
file goes by how many deviations the text is nearer than the lexicon's phrases are, and that is not
calibrated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from assistant.core.checks import check_text
from assistant.core.config import from_yaml
from assistant.errors import InputError
from assistant.model.space.usual import read_usual
from assistant.sources.bank import bank_of
from assistant.sources.wording import caption_of, classes_of, phrases_of
from assistant.timeline.saliency import saliency
from assistant.timeline.types import Moment, Query

if TYPE_CHECKING:
    from torch import Tensor

    from assistant.model.space.base import JointSpace

CONFIG = "moments.yaml"
SMOOTHED = 3  # frames that a score is the mean of, within a segment
DEVIATIONS = 3.3  # threshold where there is no calibrated one
SLACK = 1.0  # of ``Rule.spread`` below its best frame, down to which a moment lasts
KINDS = {
    "phrase": "log-odds of the lexicon's phrase",
    "class": "probability of the image encoder's class",
    "text": "cosine over usual",
    "deviations": "deviations over the lexicon's phrases",
}


@dataclass(frozen=True)
class Rule:
    """When something appears."""

    threshold: float
    spread: float  # by how much the score of one thing varies while it is to be seen
    sure: float  # from where on only one in twenty that is not there is taken for it


@dataclass(frozen=True)
class MomentConfig:
    """What was calibrated, and with what."""

    space: str  # fingerprint
    phrase: Rule
    text: Rule
    kind: Rule  # of a class of the image encoder


@dataclass(frozen=True, eq=False)
class Judged:
    """Frames, compared with a query."""

    scores: np.ndarray  # (T,)
    kind: str  # of KINDS
    rule: Rule


class Finder:
    """What compares queries with frames."""

    def __init__(self, space: JointSpace, class_names: Sequence[str] = ()) -> None:
        """``class_names``: of the image encoder. Raises ConfigError, WeightsError: a file beside
        the space's weights is damaged."""
        self._space, self._class_names = space, class_names
        self._usual = read_usual(space.folder, space.fingerprint, space.width)
        path = None if space.folder is None else space.folder / CONFIG
        config = from_yaml(MomentConfig, path) if path is not None and path.is_file() else None
        own = config is not None and config.space == space.fingerprint
        self._config = config if own else None

    @property
    def calibrated(self) -> bool:
        return self._config is not None

    def judge(self, text: str, frames: Tensor, once: Tensor, classes: Tensor) -> Judged:
        """``frames``, ``once``: ``(T, E)``, ``classes``: ``(T, C)``, see
        `assistant.timeline.track`."""
        if self._config is None:
            return Judged(
                self.by_deviations(text, frames), "deviations", Rule(DEVIATIONS, 1.0, DEVIATIONS)
            )
        ways = []
        if phrases := phrases_of(text):
            each = np.stack([self.by_phrase(place, once) for place in phrases])
            ways.append(Judged(each.min(0), "phrase", self._config.phrase))
        if kinds := classes_of(text, self._class_names):
            chances = classes[:, kinds].sum(1).numpy()
            ways.append(Judged(chances, "class", self._config.kind))
        for one in ways:
            if smooth(one.scores).max() >= one.rule.threshold:
                return one
        if ways and ways[0].kind == "phrase":
            return ways[0]
        return Judged(self.by_text(text, frames), "text", self._config.text)

    def by_phrase(self, place: int, once: Tensor) -> np.ndarray:
        """``(T,)``: log-odds of a phrase of the lexicon, by its number."""
        bank = bank_of(self._space)
        return (once @ bank.weights[place] + bank.bias[place]).numpy()

    def by_text(self, text: str, frames: Tensor) -> np.ndarray:
        """``(T,)``: cosines less what is usual of each frame, and of the text."""
        query = self._vector(caption_of(text))
        usual = self._usual.of(frames.numpy(), text=False)
        return (frames @ query).numpy() - usual - self._usual.of(query[None].numpy(), text=True)

    def by_deviations(self, text: str, frames: Tensor) -> np.ndarray:
        """``(T,)``: how many deviations a text is nearer than the lexicon's phrases are."""
        others = frames @ self._lexicon.T
        nearer = frames @ self._vector(text) - others.mean(1)
        return (nearer / (others.std(1) + 1e-6)).numpy()

    def _vector(self, text: str) -> Tensor:
        """``(E,)``."""
        with torch.inference_mode():
            return self._space.embed_texts([text])[0].float().clone()

    @cached_property
    def _lexicon(self) -> Tensor:
        """``(P, E)``: its phrases."""
        return F.normalize(bank_of(self._space).weights, dim=1)

    def find(
        self,
        text: str,
        frames: Tensor,
        once: Tensor,
        classes: Tensor,
        groups: Sequence[slice],
        spans: Sequence[tuple[float, float]],
        seconds: Sequence[float],
    ) -> Query:
        """Its moments.

        Args:
            groups: the frames of each segment, in order. spans: from when to when these reach.
            seconds: T, when each frame is looked at.
        Raises:
            InputError: the query is no text.
        """
        text = check_query(text)
        judged = self.judge(text, frames, once, classes)
        scores = np.concatenate([smooth(judged.scores[group]) for group in groups])
        peaks = [group.start + int(scores[group].argmax()) for group in groups]
        drop = SLACK * judged.rule.spread
        found = [
            _around(peak, scores, group, span, seconds, drop)
            for peak, group, span in zip(peaks, groups, spans, strict=True)
        ]
        best = max(found, key=lambda one: one.score)
        kept = joined([one for one in found if one.score >= judged.rule.threshold])
        with torch.inference_mode():
            vectors, there = self._space.embed_words([text])
            shares = saliency(frames, vectors[0].float(), there[0], 1 / self._space.scale)
        return Query(
            text=text,
            moments=tuple(sorted(kept, key=lambda one: -one.score)),
            best=best,
            threshold=judged.rule.threshold,
            sure=judged.rule.sure,
            calibrated=self.calibrated,
            score_kind=KINDS[judged.kind],
            saliency=tuple(shares.tolist()),
            scores=tuple(scores.tolist()),
        )


def check_query(text: str) -> str:
    """Raises InputError: it is no text."""
    if not (text := check_text("query", text)):
        raise InputError("a query is empty; say in words what is looked for, like 'a dog runs'")
    return text


def smooth(scores: np.ndarray) -> np.ndarray:
    """``(T,)``: each frame's mean with its neighbours; at an end it is its own."""
    side = SMOOTHED // 2
    padded = np.pad(scores, side, mode="edge")
    return np.convolve(padded, np.ones(SMOOTHED) / SMOOTHED, "valid")


def _around(
    peak: int,
    scores: np.ndarray,
    group: slice,
    span: tuple[float, float],
    seconds: Sequence[float],
    drop: float,
) -> Moment:
    """The frames around the best of a segment that are nearly as good; where these reach its first
    or last frame, its border."""
    least = scores[peak] - drop
    first = last = peak
    while first > group.start and scores[first - 1] >= least:
        first -= 1
    while last + 1 < group.stop and scores[last + 1] >= least:
        last += 1
    start = span[0] if first == group.start else (seconds[first - 1] + seconds[first]) / 2
    end = span[1] if last + 1 == group.stop else (seconds[last] + seconds[last + 1]) / 2
    return Moment(start, end, float(scores[peak]))


def joined(moments: Sequence[Moment]) -> list[Moment]:
    """In order; those that touch are one."""
    kept: list[Moment] = []
    for one in moments:
        if kept and one.start <= kept[-1].end:
            kept[-1] = Moment(kept[-1].start, one.end, max(one.score, kept[-1].score))
        else:
            kept.append(one)
    return kept
