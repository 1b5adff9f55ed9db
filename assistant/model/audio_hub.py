"""Audio encoders of a model hub: Whisper, wav2vec 2.0, HuBERT or WavLM of ``transformers``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import (
    AutoFeatureExtractor,
    HubertModel,
    PreTrainedModel,
    Wav2Vec2Model,
    WavLMModel,
    WhisperModel,
)

from assistant.dialogue.speech import RATE
from assistant.errors import WeightsError
from assistant.model.encoders.base import weights_digest
from assistant.model.hub_files import errors_alone, fetched, read_network, unusable
from assistant.weights.checkpoints import CONFIG, read_json

LONGEST = 30  # seconds that are encoded at a time
ARCHITECTURES: dict[str, type[PreTrainedModel]] = {  # by model_type
    "whisper": WhisperModel,
    "wav2vec2": Wav2Vec2Model,
    "hubert": HubertModel,
    "wavlm": WavLMModel,
}


class HubAudio:
    """A frozen checkpoint, on the CPU in fp32."""

    def __init__(self, source: Path | str) -> None:
        """``source``: a folder, or a hub id to fetch it by.

        Raises:
            WeightsError: it is not there, damaged, or of another architecture.
        """
        folder = fetched(source, _kind_of)
        self.kind = _kind_of(folder)
        with errors_alone():
            try:
                self._prepare: Any = AutoFeatureExtractor.from_pretrained(
                    folder, local_files_only=True
                )
            except Exception as error:  # damaged files make the library raise anything
                raise unusable(folder, "feature extractor", error) from error
            network = read_network(folder, ARCHITECTURES[self.kind], torch.float32)
        if self._prepare.sampling_rate != RATE:
            raise WeightsError(
                f"{folder}: hears {self._prepare.sampling_rate} samples a second, wanted {RATE}; "
                "give another checkpoint"
            )
        self._network = network.get_encoder() if self.kind == "whisper" else network
        self._network.requires_grad_(False).eval()
        self.width: int = network.config.hidden_size
        self.fingerprint = f"{self.kind}-{weights_digest(self._network)}"
        self.rate = RATE / self._hop

    @property
    def _hop(self) -> int:
        """Samples of one feature."""
        if self.kind == "whisper":
            return self._prepare.hop_length * 2  # its encoder's stride
        return int(np.prod(self._network.config.conv_stride))

    @property
    def _missing(self) -> int:
        """Samples beyond the last feature's own that its convolutions read."""
        if self.kind == "whisper":
            return 0
        config, reach = self._network.config, 1
        for kernel, stride in zip(config.conv_kernel[::-1], config.conv_stride[::-1], strict=True):
            reach = (reach - 1) * stride + kernel
        return max(0, reach - self._hop)

    @torch.inference_mode()
    def encode(self, samples: np.ndarray) -> Tensor:
        """As `assistant.model.audio.AudioEncoder` has it."""
        found = [torch.zeros(0, self.width)]
        for first in range(0, len(samples), LONGEST * RATE):
            part = samples[first : first + LONGEST * RATE]
            count = len(part) // self._hop
            if not count:
                continue
            part = np.pad(part, (0, self._missing))
            given = self._prepare(part, sampling_rate=RATE, return_tensors="pt")
            features = given["input_features" if self.kind == "whisper" else "input_values"]
            found.append(self._network(features).last_hidden_state[0, :count].float())
        return torch.cat(found)


def _kind_of(folder: Path) -> str:
    """Raises WeightsError: no checkpoint, or of another architecture."""
    kind = str(read_json(folder / CONFIG).get("model_type"))
    if kind not in ARCHITECTURES:
        raise WeightsError(
            f"{folder}: is a {kind}; an encoder of sound is one of {', '.join(ARCHITECTURES)}"
        )
    return kind
