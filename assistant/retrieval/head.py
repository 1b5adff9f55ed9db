"""A trained fusion head: its folder, and items through it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from assistant.core.config import from_yaml
from assistant.errors import InputError, WeightsError
from assistant.model.weight_files import read_weights
from assistant.retrieval.fusion import FusionConfig, FusionNetwork, Tokens, key_frames
from assistant.weights.spaces import HEAD_CONFIG, HEAD_WEIGHTS, check_head

if TYPE_CHECKING:
    from assistant.model.space.base import JointSpace

CHUNK = 64  # items at once


@dataclass(frozen=True)
class HeadConfig:
    """What a head is, and what it was made from."""

    space: str  # fingerprint of the joint space that it was trained on
    temperature: float
    fusion: FusionConfig
    data: str = ""  # sha256
    events: int = 0  # that it learned from
    epoch: int = 0
    seed: int = 0
    date: str = ""
    figures: dict[str, float] = field(default_factory=dict)  # on dev, in per cent
    bare: dict[str, float] = field(default_factory=dict)  # the same of the space without it


class FusionHead:
    """A trained :class:`FusionNetwork` at work."""

    def __init__(self, network: FusionNetwork, space: JointSpace, config: HeadConfig, digest: str):
        self.network, self.space, self.config = network.eval(), space, config
        self.network.requires_grad_(False)
        self.width, self.scale = space.width, 1 / config.temperature
        self.fingerprint = f"{space.fingerprint}+head-{digest}"

    @classmethod
    def load(cls, folder: Path, space: JointSpace) -> FusionHead:
        """
        Raises:
            InputError: there is no such head, or it was trained on another joint space.
            ConfigError, WeightsError: its config or its weights cannot be used.
        """
        check_head(folder)
        config = from_yaml(HeadConfig, folder / HEAD_CONFIG)
        if config.space != space.fingerprint:
            raise InputError(
                f"head {folder} was trained on the joint space {config.space}, and this one is "
                f"{space.fingerprint}; name that space with --space, or another head with --head"
            )
        state = read_weights(folder / HEAD_WEIGHTS)
        network = FusionNetwork(space.width, config.fusion)
        own = network.state_dict()
        wrong = own.keys() ^ state.keys() or {k for k in own if own[k].shape != state[k].shape}
        if wrong:
            raise WeightsError(
                f"{folder / HEAD_WEIGHTS}: {min(wrong)} does not fit {HEAD_CONFIG} beside it; "
                "give a whole folder"
            )
        network.load_state_dict(state)
        told = (folder / HEAD_WEIGHTS).read_bytes() + repr(config.fusion).encode()
        return cls(network, space, config, hashlib.sha256(told).hexdigest()[:16])

    @torch.inference_mode()
    def embed(self, frames: Sequence[Tensor | None], texts: Sequence[str]) -> Tensor:
        """``(N, E)``, of length 1.

        Args:
            frames: N, of a clip ``(T, E)``, of a picture ``(1, E)``, or None. texts: N; "" is none.
        """
        found = [torch.zeros(0, self.width)]
        for first in range(0, len(texts), CHUNK):
            own = slice(first, first + CHUNK)
            found.append(self._embed(frames[own], texts[own]))
        return torch.cat(found)

    def _embed(self, frames: Sequence[Tensor | None], texts: Sequence[str]) -> Tensor:
        fusion = self.config.fusion
        none = torch.zeros(0, self.width)
        read = iter(text_tokens(self.space, [text for text in texts if text.strip()]))
        seen = [none if own is None else own.float() for own in frames]
        chosen = partial(key_frames, count=fusion.frames, how=fusion.key_frames)
        rows = {
            "text": [next(read) if text.strip() else none for text in texts],
            "image": [own if len(own) == 1 else none for own in seen],
            "video": [own[chosen(own)] if len(own) > 1 else none for own in seen],
        }
        there = {name: own for name, own in rows.items() if any(map(len, own))}
        return self.network({name: Tokens.of(own) for name, own in there.items()})


def text_tokens(space: JointSpace, texts: Sequence[str]) -> list[Tensor]:
    """Of each text its vector, then its words', ``(1 + M, E)``."""
    if not texts:
        return []
    whole = space.embed_texts(texts)
    words, there = space.embed_words(texts)
    return [
        torch.cat([one[None], own[mask]]).float()
        for one, own, mask in zip(whole, words, there, strict=True)
    ]
