"""Training visual tokens as words, without running the LLM.

The frozen LLM understands its own input embeddings. So the first half of the visual tokens learns
to be the answer, word for word, and the other half the words that describe the picture: cosine
cross-entropy against the LLM's mean-centred embeddings. Training through the LLM then starts close.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assistant.model.llm import IGNORED, LanguageModel

__all__ = ["WordSlots"]

BAG = 12  # words of the picture at most
SCALE = 20.0  # of the cosine, before the softmax
NORM_WEIGHT = 0.1


class WordSlots(nn.Module):
    """Loss of visual tokens ``(B, L, W)`` against answers and the pictures' words."""

    def __init__(self, llm: LanguageModel, texts: Iterable[str], words: Iterable[str]) -> None:
        super().__init__()
        self.tokenizer = llm.tokenizer
        self.end = llm.tokenizer.eos_token_id
        self._ids: dict[str, list[int]] = {}
        known = {self.end}
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

    def ids(self, text: str) -> list[int]:
        """LLM tokens of ``text`` as it stands inside a sentence."""
        if text not in self._ids:
            plain = " " + text.strip().rstrip(".").lower()
            self._ids[text] = self.tokenizer(plain, add_special_tokens=False)["input_ids"]
        return self._ids[text]

    def forward(
        self, visual: Tensor, answers: Sequence[str], bags: Sequence[Sequence[str]]
    ) -> Tensor:
        """Scalar loss; ``visual`` ``(B, L, W)``."""
        centred = visual.float() - self.centre
        scores = F.normalize(centred, dim=-1) @ self.table.T * SCALE  # (B, L, V')
        norm = (centred.norm(dim=-1) / self.norm - 1.0).square().mean()
        half = visual.shape[1] // 2
        spelled = self._spelled(scores[:, :half], answers)
        return spelled + self._described(scores[:, half:], bags) + NORM_WEIGHT * norm

    def _spelled(self, scores: Tensor, answers: Sequence[str]) -> Tensor:
        targets = torch.full(scores.shape[:2], IGNORED)
        for row, answer in enumerate(answers):
            ids = [*self.ids(answer), self.end][: scores.shape[1]]
            targets[row, : len(ids)] = torch.tensor([self.index[token] for token in ids])
        targets = targets.to(scores.device)
        losses = F.cross_entropy(
            scores.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none"
        ).view_as(targets)
        counted = (targets != IGNORED).sum(1)
        return (losses.sum(1) / counted).mean()  # every answer weighs the same

    def _described(self, scores: Tensor, bags: Sequence[Sequence[str]]) -> Tensor:
        rows: list[int] = []
        places: list[int] = []
        for row, bag in enumerate(bags):
            for word in bag[:BAG]:
                ids = self.ids(word)
                rows += [row] * len(ids)
                places += [self.index[token] for token in ids]
        if not rows:
            return scores.new_zeros(())
        free = scores.log_softmax(-1)  # (B, F, V')
        said = free[torch.tensor(rows), :, torch.tensor(places)]  # (N, F)
        return -said.logsumexp(-1).mean()  # some free token says the word
