"""Training visual tokens as words, without running the LLM.

The frozen LLM understands its own input embeddings. So the first half of the visual tokens learns
to be the answer, word for word, and the other half the words that describe the picture: cosine
cross-entropy against the LLM's mean-centred embeddings. Training through the LLM then starts close.

Or all of them say the answer and a full stop, over and over: the LLM reads answers of two words
better so (docs/egoqa.md), and yes and no worse (docs/sarcasm.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assistant.data.items import Item
from assistant.model.llm import LanguageModel
from assistant.training.losses.base import Loss, Seen, Setting

BAG = 12  # words of the picture at most
SCALE = 20.0  # of the cosine, before the softmax
NORM_WEIGHT = 0.1
STOP = "."  # between an answer and the next


class WordSlots(nn.Module):
    """Loss of visual tokens ``(B, L, W)`` against answers and the pictures' words."""

    def __init__(
        self,
        llm: LanguageModel,
        texts: Iterable[str],
        words: Iterable[str],
        *,
        repeated: bool = False,
    ) -> None:
        """``repeated``: answers are said over and over, in all tokens; else once, in the half."""
        super().__init__()
        self.repeated = repeated
        self.tokenizer = llm.tokenizer
        self.end = llm.tokenizer.eos_token_id
        self._ids: dict[str, list[int]] = {}
        self.stop: list[int] = llm.tokenizer(STOP, add_special_tokens=False)["input_ids"]
        known = {self.end, *(self.stop if repeated else ())}
        for text in {*texts, *words}:
            known.update(self.ids(text))
        self.vocabulary = sorted(known)
        self.index = {token: place for place, token in enumerate(self.vocabulary)}
        embeddings = llm.network.get_input_embeddings().weight.detach().float()
        centre = embeddings.mean(0)
        table = embeddings[self.vocabulary] - centre
        self.norm = float(table.norm(dim=-1).mean())
        self.register_buffer("centre", centre)
        self.register_buffer("table", F.normalize(table, dim=-1))  # (V', W)
        described = sorted({token for word in words for token in self.ids(word)} or {self.end})
        self.word_index = {token: place for place, token in enumerate(described)}
        rows = [self.index[token] for token in described]
        self.register_buffer("word_table", self.table[rows])  # (V'', W)

    def ids(self, text: str) -> list[int]:
        """LLM tokens of ``text`` as it stands inside a sentence."""
        if text not in self._ids:
            plain = " " + text.strip().rstrip(".").lower()
            self._ids[text] = self.tokenizer(plain, add_special_tokens=False)["input_ids"]
        return self._ids[text]

    def forward(
        self,
        visual: Tensor,
        answers: Sequence[str],
        bags: Sequence[Sequence[str]],
        weights: Sequence[float] | None = None,
    ) -> Tensor:
        """Scalar loss; ``visual`` ``(B, L, W)``; ``weights`` of the answers, 1 each if None."""
        unit, norm = self._directions(visual)
        half = visual.shape[1] // 2
        losses = self.spelled(unit[:, : self._said_in(unit)], answers)
        if weights is not None:
            losses = losses * torch.tensor(weights).to(losses)
        return losses.mean() + self._described(unit[:, half:], bags) + NORM_WEIGHT * norm

    def described(self, tokens: Tensor, bags: Sequence[Sequence[str]]) -> Tensor:
        """Scalar loss: some token of each row ``(B, N, W)`` says each word of its picture."""
        return self._described(self._directions(tokens)[0], bags)

    def choose(self, visual: Tensor, choices: Sequence[Sequence[str]]) -> list[int]:
        """Per row the choice that ``visual`` ``(B, L, W)`` spells best."""
        unit = self._directions(visual)[0][:, : self._said_in(visual)]
        counts = [len(some) for some in choices]
        repeated = unit.repeat_interleave(torch.tensor(counts, device=unit.device), dim=0)
        losses = self.spelled(repeated, [choice for some in choices for choice in some])
        return [int(part.argmin()) for part in losses.split(counts)]

    def _said_in(self, tokens: Tensor) -> int:
        """How many of the tokens ``(B, L, W)``, from the first, say the answer."""
        return tokens.shape[1] if self.repeated else tokens.shape[1] // 2

    def _directions(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Mean-centred unit vectors, and how far their length is from a word's."""
        centred = tokens.float() - self.centre
        norm = (centred.norm(dim=-1) / self.norm - 1.0).square().mean()
        return F.normalize(centred, dim=-1).to(tokens.dtype), norm

    def spelled(self, unit: Tensor, answers: Sequence[str]) -> Tensor:
        """Mean loss per token of each row's answer, ``(B,)``."""
        rows: list[int] = []
        slots: list[int] = []
        targets: list[int] = []
        weights: list[float] = []
        for row, answer in enumerate(answers):
            ids = [*self.ids(answer), *(self.stop if self.repeated else [self.end])]
            if self.repeated:
                ids *= -(-unit.shape[1] // len(ids))
            ids = ids[: unit.shape[1]]
            rows += [row] * len(ids)
            slots += range(len(ids))
            targets += [self.index[token] for token in ids]
            weights += [1.0 / len(ids)] * len(ids)
        said = _log_probabilities(unit[rows, slots], self.table)  # (N, V')
        device = said.device
        picked = said[torch.arange(len(targets), device=device), targets]
        losses = picked.new_zeros(len(answers))
        owner = torch.tensor(rows, device=device)
        return losses.index_add(0, owner, -picked * torch.tensor(weights, device=device))

    def _described(self, unit: Tensor, bags: Sequence[Sequence[str]]) -> Tensor:
        filled = [row for row, bag in enumerate(bags) if bag]
        if not filled:
            return unit.new_zeros((), dtype=torch.float32)
        rows, places = [], []
        for row, owner in enumerate(filled):
            ids = [token for word in bags[owner][:BAG] for token in self.ids(word)]
            rows += [row] * len(ids)
            places += [self.word_index[token] for token in ids]
        free = _log_probabilities(unit[filled], self.word_table)  # (F, N, V'')
        said = free[rows, :, places]
        return -said.logsumexp(-1).mean()


class SpelledAnswer(Loss):
    """The answer in the visual tokens themselves."""

    def __init__(self, words: WordSlots) -> None:
        super().__init__()
        self.words = words

    @classmethod
    def build(cls, setting: Setting) -> SpelledAnswer:
        repeated = setting.training.repeated
        return cls(WordSlots(setting.model.llm, setting.texts, (), repeated=repeated))

    @classmethod
    def known(cls, item: Item, frames: int) -> str:
        return item.answer

    def forward(self, seen: Seen, known: Sequence[str]) -> Tensor:
        bags: list[tuple[str, ...]] = [()] * len(known)
        return self.words(seen.visual, known, bags)

    def choose(self, visual: Tensor, choices: Sequence[Sequence[str]]) -> list[int]:
        return self.words.choose(visual, choices)


def _log_probabilities(unit: Tensor, table: Tensor) -> Tensor:
    """``(..., W)`` directions against ``(V, W)``; the matrix product is most of the cost."""
    return (unit @ table.to(unit.dtype).T).float().mul(SCALE).log_softmax(-1)
