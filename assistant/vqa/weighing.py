"""Which of several answers is said, and how sure it is: what the clip makes likelier than the
question alone.

Each candidate has some features; a linear score of them picks the answer, a logistic model of the
best one's says what chance it has to be right. Both were fitted on dev photos, for each form of
question (`assistant.training.reading.weighing`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from assistant.core.config import from_yaml
from assistant.vqa import forms
from assistant.vqa.candidates import COLORS
from assistant.vqa.forms import Form, statement

YES, NO = "yes", "no"
SHADES = "|".join(COLORS)
ONLY_COLOR = re.compile(
    rf"(?:the|a|an|his|her) [\w ]+ (?:is|are) (?:{SHADES})(?: and (?:{SHADES}))?\.?$", re.IGNORECASE
)
WEIGHING = "weighing.yaml"
KINDS = (forms.DESCRIBE, forms.YES_NO, forms.COUNT, forms.COLOR)  # others share one: forms.OTHER
FEATURES = ("seen", "blind", "likeness", "written", "affirms", "outstanding")
# Chance from which an answer is said: of dev descriptions from there on 56 % are right, by captions
# that deny what they do not mention; of "yes" and "no", where chance is a half, from .65 on 84 %
# of 32, and below 38 % of 13.
SURE, SURE_OF_TWO = 0.4, 0.65
LIFT = 10.0  # log-odds that are 1 of the feature "outstanding"


@dataclass(frozen=True)
class Candidate:
    """An answer, and what speaks for it."""

    text: str
    seen: float  # mean log-probability per token, with the clip
    blind: float  # the same by the question alone
    likeness: float  # of the clip and the statement that it makes, in the joint space; 0: no space
    written: float  # 1: the language model wrote it itself
    affirms: float = 0.0  # 1: "yes"
    # How much likelier what it names is than in most pictures, see `Source.perhaps`, by LIFT.
    outstanding: float = 0.0

    @property
    def features(self) -> tuple[float, ...]:
        return tuple(getattr(self, name) for name in FEATURES)


@dataclass(frozen=True)
class Weights:
    """Of one kind of question."""

    score: tuple[float, ...]  # of FEATURES
    # Of the best one's lead over the next, its log-probability, its likeness, how much it stands
    # out; and a constant.
    chance: tuple[float, ...]


@dataclass(frozen=True)
class Weighing:
    """Of all kinds."""

    kinds: dict[str, Weights]

    def of(self, kind: str) -> Weights:
        return self.kinds[kind if kind in KINDS else forms.OTHER]


@dataclass(frozen=True)
class Verdict:
    """The answer that won."""

    place: int
    chance: float  # that it is right
    least: float  # chance from which it is said

    @property
    def sure(self) -> bool:
        return self.chance >= self.least


@dataclass(frozen=True)
class Weigher:
    """How one question's candidates are found and weighed."""

    form: Form
    weights: Weights
    offered: tuple[str, ...]  # candidates of the sources
    likeness: Callable[[Sequence[str]], Sequence[float]]  # of the clip and statements
    lifts: tuple[tuple[str, float], ...] = ()  # of phrases that stand out, log-odds
    surely: tuple[str, float] | None = None  # said where no candidate is sure, and its chance

    @property
    def is_free(self) -> bool:
        """Whether the language model may write answers of its own; else few are possible."""
        return self.form.kind not in (forms.YES_NO, forms.COUNT)

    def candidates(self, written: Sequence[str]) -> list[str]:
        """Those that the language model wrote, and those offered, each once; to a question of few
        answers only these."""
        found = list(dict.fromkeys([*(written if self.is_free else ()), *self.offered]))
        if self.form.kind == forms.DESCRIBE:  # "The sky is blue." tells nothing of what happens
            found = [text for text in found if not ONLY_COLOR.match(text)] or found
        return found

    def weighed(
        self,
        texts: Sequence[str],
        seen: Sequence[float],
        blind: Sequence[float],
        written: Collection[str],
    ) -> tuple[Candidate, ...]:
        """The candidates with all that speaks for them."""
        likeness = self.likeness([statement(self.form, text) for text in texts])
        return tuple(
            Candidate(
                text,
                s,
                b,
                0.0 if text == NO else like,
                float(text in written),
                float(text == YES),
                self._outstanding(text.lower()),
            )
            for text, s, b, like in zip(texts, seen, blind, likeness, strict=True)
        )

    def _outstanding(self, text: str) -> float:
        """What the phrases in a text that stand out do so by, the most."""
        if self.form.kind not in (forms.DESCRIBE, forms.DOING):
            return 0.0
        return max((lift for name, lift in self.lifts if name in text), default=0.0) / LIFT


@lru_cache(maxsize=4)
def load_weighing(folder: Path) -> Weighing | None:
    """What ``folder`` holds; None: nothing. Raises ConfigError."""
    return from_yaml(Weighing, folder / WEIGHING) if (folder / WEIGHING).is_file() else None


def weigh(candidates: Sequence[Candidate], weights: Weights) -> Verdict:
    """The best of one or more candidates."""
    scores = scores_of(candidates, weights.score)
    place = max(range(len(scores)), key=scores.__getitem__)
    chance = 1 / (1 + math.exp(-_dot(weights.chance, doubts(candidates, scores))))
    two = {candidate.text for candidate in candidates} <= {YES, NO}
    return Verdict(place, chance, SURE_OF_TWO if two else SURE)


def scores_of(candidates: Sequence[Candidate], weights: Sequence[float]) -> list[float]:
    """What each candidate weighs, by ``weights`` of FEATURES."""
    return [_dot(weights, one.features) for one in candidates]


def doubts(candidates: Sequence[Candidate], scores: Sequence[float]) -> tuple[float, ...]:
    """What tells whether the best one is right: see `Weights.chance`."""
    ranked = sorted(scores, reverse=True)
    best = candidates[max(range(len(scores)), key=scores.__getitem__)]
    margin = ranked[0] - ranked[1] if len(ranked) > 1 else 0.0
    return margin, best.seen, best.likeness, best.outstanding, 1.0


def _dot(weights: Sequence[float], values: Sequence[float]) -> float:
    return sum(w * v for w, v in zip(weights, values, strict=True))
