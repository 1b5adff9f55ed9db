"""Supervision of questions that name their choices: which of the two is the answer.

"Which moves first, the red cube or the blue ball?" is answered in words of the question. Spelling
them is two things to learn at once, what is right and how to copy; this head asks for the first
alone, before the last rereading copies. A linear head, used in training only.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assistant.data.items import Item
from assistant.training.losses.base import Loss, Seen, Setting


def named_place(question: str, choices: Sequence[str], answer: str) -> int | None:
    """0 or 1: which of the two choices, as the question names them, is right.

    None of other questions: with another number of choices, or with one that it does not name.
    """
    told = f" {' '.join(question.casefold().split()).rstrip('.?!')} "
    for mark in ",;:":
        told = told.replace(mark, " ,")
    places = {choice: told.find(f" {choice.casefold()} ") for choice in choices}
    if len(places) != 2 or min(places.values()) < 0 or answer not in places:
        return None
    return sorted(places, key=places.__getitem__).index(answer)


class NamedChoice(Loss):
    """Loss of the query that begins the answer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.second = nn.Linear(width, 1)

    @classmethod
    def build(cls, setting: Setting) -> NamedChoice:
        return cls(setting.model.qformer.config.width)

    @classmethod
    def known(cls, item: Item, frames: int) -> int | None:
        return named_place(item.question, item.choices or (), item.answer)

    def forward(self, seen: Seen, known: Sequence[int | None]) -> Tensor:
        steps = seen.states.steps
        compared = steps[max(0, len(steps) - 2)]  # (B, L, D), before the last rereading
        rows = [row for row, place in enumerate(known) if place is not None]
        if not rows:
            return self.second(compared[:, 0].float()).sum() * 0.0  # with a gradient, of zero
        told = self.second(compared[rows, 0].float())[:, 0]
        wanted = torch.tensor([place for place in known if place is not None]).to(told)
        return F.binary_cross_entropy_with_logits(told, wanted)
