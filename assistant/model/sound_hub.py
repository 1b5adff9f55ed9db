"""Models of a hub that name sounds: audio classifiers, and CLAP by labels in words.

Their probabilities are theirs: nothing of them was calibrated here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import (
    AutoFeatureExtractor,
    AutoModelForAudioClassification,
    AutoTokenizer,
    ClapModel,
)

from assistant.dialogue.voices import KINDS
from assistant.model.hub_files import errors_alone, read_network, unusable
from assistant.model.sounds import Sound

WINDOW = 5.0  # seconds that are named together
SHORTEST = 1.0  # seconds; what is shorter is heard with silence after it
SURE = 0.5  # probability from which a sound is named


class HubSounds:
    """Windows of sound and what is heard in them; on the CPU in fp32."""

    several = False  # whether one window may hold more than one sound

    def __init__(self, folder: Path, names: Sequence[str], architecture: Any) -> None:
        """``names``: of the scores, in their order. Raises WeightsError."""
        self.names = names
        with errors_alone():
            self._prepare: Any = _part(AutoFeatureExtractor, folder, "feature extractor")
            self.network = read_network(folder, architecture, torch.float32)
        self.network.requires_grad_(False).eval()
        self.rate: int = self._prepare.sampling_rate

    @torch.inference_mode()
    def features(self, samples: np.ndarray) -> Tensor:
        """``(W, D)``, a row for each window; see `SoundModel`."""
        size, least = round(WINDOW * self.rate), round(SHORTEST * self.rate)
        rows = []
        for first in range(0, len(samples), size):
            part = samples[first : first + size]
            part = np.pad(part, (0, max(0, least - len(part))))
            given = self._prepare(part, sampling_rate=self.rate, return_tensors="pt")
            rows.append(self._encode(given))
        return torch.cat(rows) if rows else torch.zeros(0, len(self.names))

    @torch.inference_mode()
    def sounds(self, features: Tensor, begin: float = 0.0) -> Iterator[Sound]:
        """See `SoundModel`; speech, singing and music are told by another."""
        for number, chances in enumerate(self._chances(features.float())):
            start = begin + number * WINDOW
            best = chances.topk(len(chances) if self.several else 1)
            for chance, kind in zip(best.values.tolist(), best.indices.tolist(), strict=True):
                if chance >= SURE and self.names[kind] not in KINDS:
                    yield Sound(self.names[kind], chance, start, start + WINDOW)

    def _encode(self, given: Any) -> Tensor:
        """``(1, D)`` of a prepared window."""
        raise NotImplementedError

    def _chances(self, features: Tensor) -> Tensor:
        """``(W, D)`` -> ``(W, C)``."""
        raise NotImplementedError


class Classifier(HubSounds):
    """Any audio classifier of `transformers`."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        super().__init__(folder, names, AutoModelForAudioClassification)
        self.several = self.network.config.problem_type == "multi_label_classification"

    def _encode(self, given: Any) -> Tensor:
        return self.network(**given).logits.float()

    def _chances(self, features: Tensor) -> Tensor:
        return features.sigmoid() if self.several else features.softmax(-1)


class Clap(HubSounds):
    """What of some labels a sound is most like."""

    def __init__(self, folder: Path, names: Sequence[str], texts: Sequence[str]) -> None:
        """``texts``: the names in sentences."""
        super().__init__(folder, names, ClapModel)
        with errors_alone():
            tokenizer = _part(AutoTokenizer, folder, "tokenizer")
        with torch.inference_mode():
            given = tokenizer(list(texts), padding=True, return_tensors="pt")
            self._texts = self.network.get_text_features(**given).pooler_output  # (C, D)

    def _encode(self, given: Any) -> Tensor:
        return self.network.get_audio_features(**given).pooler_output

    def _chances(self, features: Tensor) -> Tensor:
        scores = features @ self._texts.T
        return (scores * self.network.logit_scale_a.exp()).softmax(-1)


def _part(kind: Any, folder: Path, what: str) -> Any:
    """Raises WeightsError: damaged."""
    try:
        return kind.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # damaged files make the library raise anything
        raise unusable(folder, what, error) from error
