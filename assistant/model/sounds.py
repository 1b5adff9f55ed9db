"""Which sounds are heard and when, by a head of ours on the frozen features of Whisper tiny.

A window of features is cut into blocks. Each block is scored for every class and for "none of
these"; a learned attention says which blocks a window's scores are read from (multiple-instance
learning), so that a label of a whole recording teaches when its sound is heard.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
import yaml
from torch import Tensor, nn

from assistant.core.bounds import check_bounds
from assistant.core.config import from_yaml
from assistant.core.runs import runs
from assistant.dialogue.speech import RATE
from assistant.errors import ConfigError, WeightsError
from assistant.model.weight_files import read_weights, save_weights

if TYPE_CHECKING:
    import numpy as np

    from assistant.model.audio import AudioEncoder

CONFIG, WEIGHTS = "sounds.yaml", "sounds.safetensors"


@dataclass(frozen=True)
class SoundsConfig:
    """Shape and vocabulary."""

    encoder: str  # fingerprint of the audio encoder
    classes: dict[str, tuple[str, ...]]  # words that mean the sound: "bark" of "dog barking"
    things: dict[str, tuple[str, ...]] = field(default_factory=dict)  # what makes it: "dog"
    features: int = 384  # width of the encoder
    width: int = 192
    window: int = 250  # features that are encoded and scored together
    block: int = 5  # features of the shortest sound that is told apart
    dropout: float = 0.3
    sure: float = 0.5  # probability of a window from which a sound is named; chosen on dev

    def __post_init__(self) -> None:
        check_bounds(self, features=(1, 16384), width=(1, 16384), dropout=(0, 1), sure=(0, 1))
        check_bounds(self, window=(1, 1500), block=(1, self.window))
        if not self.classes:
            raise ConfigError("classes is empty; name one at least")


@dataclass(frozen=True)
class Sound:
    """One sound from its first to its last block, seconds."""

    name: str
    probability: float  # of its window
    start: float
    end: float


class SoundModel(Protocol):
    """What names sounds: by features of a stretch of them, which may be kept."""

    rate: int  # samples a second that it hears

    def features(self, samples: np.ndarray) -> Tensor:
        """``(n,)`` float32 mono in [-1, 1], ``rate`` a second -> ``(N, D)``."""

    def sounds(self, features: Tensor, begin: float = 0.0) -> Iterator[Sound]:
        """Those that it is sure of in the features of a stretch that begins at ``begin`` seconds,
        in the order of their windows."""


class SoundNet(nn.Module):
    """Scores of C classes and, last, of none of them."""

    def __init__(self, config: SoundsConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.features)
        self.inner = nn.Linear(config.features, config.width)
        self.scores = nn.Linear(config.width, len(config.classes) + 1)
        self.attention = nn.Linear(config.width, 1)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, blocks: Tensor) -> tuple[Tensor, Tensor]:
        """``(N, K, D)`` blocks of N windows -> logits ``(N, C + 1)``, and those of each block."""
        states = self.dropout(self.norm(blocks))
        states = self.dropout(nn.functional.gelu(self.inner(states)))  # (N, K, width)
        scores = self.scores(states)  # (N, K, C + 1)
        weights = self.attention(states).softmax(1)  # (N, K, 1)
        return (weights * scores).sum(1), scores


class SoundHead:
    """A network that names the sounds it is sure of; a `SoundModel`."""

    rate = RATE

    def __init__(self, net: SoundNet, config: SoundsConfig, encoder: AudioEncoder) -> None:
        """Raises WeightsError: it learned with another encoder."""
        if encoder.fingerprint != config.encoder:
            raise WeightsError(
                f"the sounds were learned with {config.encoder}, and the encoder is "
                f"{encoder.fingerprint}; get that one"
            )
        self.net, self.config, self.encoder = net.eval(), config, encoder
        self.names = list(config.classes)

    @classmethod
    def load(cls, folder: Path, encoder: AudioEncoder) -> SoundHead:
        """
        Raises:
            ConfigError, WeightsError: a file is missing, damaged, of another shape or encoder.
        """
        config = from_yaml(SoundsConfig, folder / CONFIG)
        net = SoundNet(config)
        weights = {name: value.float() for name, value in read_weights(folder / WEIGHTS).items()}
        own = {name: value.shape for name, value in net.state_dict().items()}
        if own != {name: value.shape for name, value in weights.items()}:
            raise WeightsError(
                f"{folder / WEIGHTS}: is of another shape than {CONFIG} says; get the folder again"
            )
        net.load_state_dict(weights)
        return cls(net.requires_grad_(False), config, encoder)

    def save(self, folder: Path) -> None:
        """Write both files."""
        folder.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(asdict(self.config), sort_keys=False, default_flow_style=None)
        (folder / CONFIG).write_text(text)
        save_weights(self.net.state_dict(), folder / WEIGHTS)

    def features(self, samples: np.ndarray) -> Tensor:
        """``(N, D)`` blocks of all windows; see `SoundModel`."""
        config = self.config
        length = round(config.window / self.encoder.rate * RATE)
        windows = [samples[first : first + length] for first in range(0, len(samples), length)]
        found = [blocks_of(self.encoder.encode(window), config.block) for window in windows]
        return torch.cat([torch.zeros(0, config.features), *found])

    @torch.inference_mode()
    def sounds(self, features: Tensor, begin: float = 0.0) -> Iterator[Sound]:
        """See `SoundModel`."""
        config = self.config
        step = config.block / self.encoder.rate  # seconds
        for number, blocks in enumerate(features.float().split(config.window // config.block)):
            if not len(blocks):
                continue
            whole, each = self.net(blocks[None])
            chance, kind = whole[0].softmax(-1).max(-1)
            if int(kind) == len(self.names) or chance < config.sure:
                continue
            first = begin + number * config.window / self.encoder.rate
            heard = each[0].argmax(-1) == kind  # (K,)
            for start, end in runs(heard.tolist()):
                yield Sound(
                    self.names[int(kind)],
                    float(chance),
                    first + start * step,
                    first + end * step,
                )


def blocks_of(features: Tensor, size: int) -> Tensor:
    """``(F, D)`` -> ``(F // size, D)``, the mean of each ``size`` features."""
    count = len(features) // size
    return features[: count * size].view(count, size, features.shape[1]).mean(1)
