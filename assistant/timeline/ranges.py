"""What ranges of clips show, as vectors and as words; each text is embedded once for all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from assistant.sources.bank import bank_of
from assistant.timeline.knowledge import knowledge_of, sentences_of
from assistant.timeline.saliency import event_vector, saliency

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from assistant.model.sight import Sight
    from assistant.model.space.seeing import Seen
    from assistant.timeline.types import Knowledge


class Ranges:
    """In one joint space."""

    def __init__(self, sight: Sight) -> None:
        self.space = sight.space
        self._bank, self._names = bank_of(sight.space), sight.class_names
        self._tau = 1 / sight.space.scale
        self._kept: dict[str, Tensor] = {}  # (E,) of each text

    def texts(self, texts: Sequence[str]) -> Tensor:
        """``(N, E)``."""
        if new := [text for text in dict.fromkeys(texts) if text not in self._kept]:
            with torch.inference_mode():
                vectors = self.space.embed_texts(new).float()
            self._kept |= dict(zip(new, vectors.clone(), strict=True))
        found = [self._kept[text] for text in texts]
        return torch.stack(found) if found else torch.zeros(0, self.space.width)

    def told(self, seen: Seen) -> Knowledge:
        """What is told of a range, as words."""
        chances = self._bank.probabilities(seen.once)
        return knowledge_of(self._bank, chances, seen.classes, self._names)

    def event(self, seen: Seen, words: Sequence[str]) -> Tensor:
        """z_e ``(E,)``: the frames, weighed by how much each is about the words."""
        return event_vector(seen.frames, saliency(seen.frames, self.texts(words), tau=self._tau))

    def text(self, told: Knowledge) -> Tensor:
        """z_t ``(E,)`` of what is told, as sentences; zeros where nothing is."""
        sentences = self.texts(sentences_of(told))
        return sentences.mean(0) if len(sentences) else torch.zeros(self.space.width)
