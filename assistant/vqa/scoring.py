"""How likely answers are, with the clip and by the question alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from assistant.model.assistant import VideoAssistant
    from assistant.vqa.request import Request


@dataclass(frozen=True)
class Scored:
    """Mean log-probability per token of some answers to one question."""

    scores: list[float]
    blind: list[float]  # the same by the question alone, without anything that is from the clip

    def without_prior(self, share: float) -> list[float]:
        """See :func:`without_prior`."""
        return without_prior(self.scores, self.blind, share)


def score_answers(
    model: VideoAssistant,
    requests: Sequence[Request],
    answers: Sequence[Sequence[tuple[str, bool]]],
    visual: Tensor,
    blind: Tensor | None,
) -> list[Scored]:
    """What the model makes of some answers to each question.

    Args:
        answers: texts, and whether they ended or are the beginning of more.
        visual: tokens ``(B, L, W)``. blind: those of the questions alone; None: all score 0.
    """
    prompts, histories = [r.prompt for r in requests], [r.history for r in requests]
    score = partial(  # all have the same adapter, and either all have choices or none
        model.score_batch, adapter=requests[0].adapter, choosing=requests[0].choices is not None
    )
    seen = score(visual, prompts, histories, answers)
    if blind is None:
        return [Scored(own, [0.0] * len(own)) for own in seen]
    nothing: list[tuple[tuple[str, str], ...]] = [()] * len(requests)
    alone = [r.blind_prompt for r in requests]
    dark = score(blind, alone, nothing, answers)
    return [Scored(own, alone) for own, alone in zip(seen, dark, strict=True)]


def without_prior(scores: Sequence[float], blind: Sequence[float], share: float) -> list[float]:
    """Log-probabilities of choices less a share of what each has without the clip.

    What a model seldom says is not wrong for that. Source: Holtzman et al. 2021, Surface Form
    Competition (share 1).
    """
    return [score - share * dark for score, dark in zip(scores, blind, strict=True)]


def softmax(scores: Sequence[float], temperature: float = 1.0) -> list[float]:
    """Probabilities of log-scores."""
    highest = max(scores)
    weights = [math.exp((score - highest) / temperature) for score in scores]
    return [weight / sum(weights) for weight in weights]
