"""The answer through the frozen LLM: its cross-entropy, and that of telling it from the others."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from assistant.training.losses.base import Loss, Seen


class AnswerLoss(Loss):
    """Cross-entropy of the right answer."""

    through_llm = True

    def forward(self, seen: Seen, known: Sequence[Any]) -> Tensor:
        return torch.stack([some[0] for some in seen.told]).mean()


class ChoiceLoss(Loss):
    """Cross-entropy of the right choice among those offered, as they are scored."""

    through_llm = offers = True

    def forward(self, seen: Seen, known: Sequence[Any]) -> Tensor:
        return -torch.stack([(-some).log_softmax(0)[0] for some in seen.told]).mean()
