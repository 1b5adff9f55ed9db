"""What a loss of finetuning is: a class in a file of its own, and a key of a recipe.

``assistant.training.losses.LOSSES`` lists them; neither the loop nor the learner knows one by name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from assistant.data.items import Item
from assistant.model.assistant import VideoAssistant
from assistant.model.spatiotemporal import States
from assistant.tasks.recipes import Training


@dataclass(frozen=True)
class Setting:
    """What a loss is made for."""

    model: VideoAssistant
    training: Training
    texts: Collection[str]  # every answer and choice


@dataclass(frozen=True)
class Seen:
    """What one forward pass made of B examples."""

    states: States
    visual: Tensor  # (B, L, W), the visual tokens
    frames: Sequence[Sequence[int]]  # B x T, which of the encoded frames it looked at
    told: Sequence[Tensor] = ()  # B, the LLM's loss of the right answer, then of other choices


class Loss(nn.Module, ABC):
    """A scalar loss. Its parameters, a head, learn with the adapter and are no part of it."""

    through_llm: ClassVar[bool] = False  # it reads ``Seen.told``, and rests where the LLM does
    offers: ClassVar[bool] = False  # ``Seen.told`` has the other choices, too

    @classmethod
    def build(cls, setting: Setting) -> Loss:
        return cls()

    @classmethod
    def known(cls, item: Item, frames: int) -> Any:
        """What it wants to know of an item, of whose clip so many frames are encoded.

        None: the item does not concern it. Without an item that does it is left out of a run.
        """
        return True

    @abstractmethod
    def forward(self, seen: Seen, known: Sequence[Any]) -> Tensor:
        """``known``: of each of the B examples."""

    def choose(self, visual: Tensor, choices: Sequence[Sequence[str]]) -> list[int] | None:
        """Per row the choice that ``visual`` tells without the LLM; None: it tells none."""
        return None
