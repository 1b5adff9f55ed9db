"""mini's joint space: two small towers, trained by us, on its image encoder and on MiniLM."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from assistant.core.config import EfficientNetConfig, SpaceConfig, from_mapping, read_yaml
from assistant.errors import WeightsError
from assistant.model.space.base import JointSpace
from assistant.model.space.network import SpaceNetwork, unit
from assistant.model.weight_files import read_weights
from assistant.weights import store as weights_store
from assistant.weights.spaces import OWN_CONFIG, OWN_WEIGHTS

if TYPE_CHECKING:
    from assistant.model.sentences import SentenceEncoder
    from assistant.sources import Look

CHUNK = 64  # texts at once


@dataclass(frozen=True)
class SpaceBase:
    """What a joint space is built on."""

    encoder: EfficientNetConfig
    space: SpaceConfig


def read_base(folder: Path) -> SpaceBase:
    """What the space in ``folder`` is built on; of its file, the rest is how it was trained.

    Raises:
        ConfigError: the file is missing or unusable.
    """
    known = read_yaml(folder / OWN_CONFIG)
    names = [field.name for field in fields(SpaceBase)]
    base = {name: known[name] for name in names if isinstance(known, dict) and name in known}
    return from_mapping(SpaceBase, base, str(folder / OWN_CONFIG))


class MiniSpace(JointSpace):
    """A trained :class:`SpaceNetwork` at work."""

    looks_twice = True

    def __init__(
        self,
        network: SpaceNetwork,
        load_sentences: Callable[[], SentenceEncoder],
        digest: str,
        folder: Path | None = None,
    ) -> None:
        """``load_sentences``: called with the first text; pictures do without."""
        self.folder = folder
        self.network, self._load_sentences = network.eval().requires_grad_(False), load_sentences
        self.width = network.config.width * network.config.members
        self.scale = float(torch.stack([one.scales()[0] for one in network.members]).mean())
        self._digest = digest

    @classmethod
    def load(cls, folder: Path) -> MiniSpace:
        """The space in ``folder``.

        Raises:
            ConfigError, WeightsError: its config or its weights cannot be used.
        """
        base = read_base(folder)
        weights = folder / OWN_WEIGHTS
        state = read_weights(weights)
        shapes = [
            state.get(name, torch.zeros(1, 1)).shape
            for name in ("members.0.patch.weight", "class_names")
        ]
        network = SpaceNetwork(base.space, shapes[0][-1], shapes[1][-1], shapes[1][0])
        own = network.state_dict()
        wrong = own.keys() ^ state.keys() or {k for k in own if own[k].shape != state[k].shape}
        if wrong:
            raise WeightsError(
                f"{weights}: {min(wrong)} does not fit {OWN_CONFIG} beside it; give a whole folder"
            )
        network.load_state_dict(state)
        told = weights.read_bytes() + repr(base).encode()
        digest = hashlib.sha256(told).hexdigest()[:16]
        return cls(network, partial(_load_sentences, base.space.weights), digest, folder)

    @cached_property
    def sentences(self) -> SentenceEncoder:
        """The text encoder."""
        return self._load_sentences()

    @property
    def fingerprint(self) -> str:
        return f"mini-{self._digest}"

    @torch.inference_mode()
    def embed_frames(self, look: Look) -> Tensor:
        return self.embed_patches(look.patches, look.classes)

    @torch.inference_mode()
    def embed_patches(self, patches: Tensor, classes: Tensor) -> Tensor:
        """``(T, K, Dv)``, ``(T, C)`` or ``(1, C)`` of the encoder -> ``(T, E)``."""
        classes = classes.float().expand(len(patches), -1)
        return self.network.embed_pictures(patches.float(), classes)

    @torch.inference_mode()
    def embed_cells(self, look: Look) -> Tensor:
        classes = look.classes.float().expand(len(look.patches), -1)
        seen = self.network.see(look.patches.float(), classes)
        return unit(torch.cat([patches for _, patches in seen], -1))

    @torch.inference_mode()
    def embed_keywords(self, texts: Sequence[str]) -> Tensor:
        states, there = self.sentences.tokens(texts)
        found = []
        for one in self.network.members:
            _, words, weights = one.embed_text(states, there)  # (N, M, Ew), (N, M)
            found.append(unit((words * weights[..., None]).sum(1)))
        return unit(torch.cat(found, -1))

    @torch.inference_mode()
    def compare(self, look: Look, texts: Sequence[str]) -> Tensor:
        """``(T, N)``: similarity of whole vectors and of single words to their best patches."""
        classes = look.classes.float().expand(len(look.patches), -1)
        seen = self.network.see(look.patches.float(), classes)
        found = [torch.zeros(len(look.patches), 0)]
        for first in range(0, len(texts), CHUNK):
            states, there = self.sentences.tokens(texts[first : first + CHUNK])
            found.append(self.network.compare(seen, states, there))
        return torch.cat(found, dim=1)

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        found = [torch.zeros(0, self.width)]
        for first in range(0, len(texts), CHUNK):
            states, there = self.sentences.tokens(texts[first : first + CHUNK])
            found.append(self.network.embed_texts(states, there))
        return torch.cat(found)

    @torch.inference_mode()
    def embed_words(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        states, there = self.sentences.tokens(texts)
        return self.network.embed_words(states) * there[..., None], there


def _load_sentences(weights: str) -> SentenceEncoder:
    from assistant.model.sentences import SentenceEncoder  # takes seconds to import

    return SentenceEncoder(weights_store.ensure_source(weights))
