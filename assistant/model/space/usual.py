"""How similar a vector is to most queries, whatever they ask.

In many dimensions a few items are near to everything (Radovanovic, Nanopoulos and Ivanovic, JMLR
2010) and are found too often. What counts is how much nearer an item is to this query than to a
bank of others: its cosine less a share of the log-mean-exp of its cosines to the bank (1: inverted
softmax, Smith et al., ICLR 2017; querybank normalisation, Bogolin et al., CVPR 2022). That depends
on no query, so that an index keeps it. The bank is centres of training texts and of training photos
with their shares; `assistant.training.space.usual` makes it. Between pictures it does harm, and is
left out.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from assistant.core.config import from_yaml
from assistant.errors import WeightsError
from assistant.model.weight_files import read_weights

if TYPE_CHECKING:
    from torch import Tensor

CONFIG, WEIGHTS = "usual.yaml", "usual.safetensors"  # beside the space's own
NAMES = ("texts", "photos")  # of queries


@dataclass(frozen=True)
class UsualConfig:
    """What a bank belongs to, and how it is used."""

    space: str  # fingerprint
    steepness: float  # beta
    share: float  # of what is usual that is taken off


@dataclass(frozen=True, eq=False)
class Usual:
    """A bank of queries; one without any finds nothing usual."""

    config: UsualConfig | None = None
    centres: tuple[Tensor, ...] = ()  # (K, E) each, of NAMES: means, whose lengths are below 1
    shares: tuple[Tensor, ...] = ()  # (K,) each, logarithms
    digest: str = ""  # of the files; empty: there is no bank

    def of(self, vectors: np.ndarray, *, text: bool) -> np.ndarray:
        """``(N, E)`` -> ``(N,)`` fp32: of texts to pictures, or of what is seen to texts."""
        if self.config is None:
            return np.zeros(len(vectors), np.float32)
        beta = self.config.steepness
        logits = beta * torch.from_numpy(vectors) @ self.centres[text].T + self.shares[text]
        return (self.config.share * torch.logsumexp(logits, 1) / beta).float().numpy()


def read_usual(folder: Path | None, fingerprint: str, width: int) -> Usual:
    """The bank beside a space's weights; an empty one where there is none, as of a hub's space.

    Raises:
        ConfigError, WeightsError: it is damaged or belongs to another space.
    """
    if folder is None or not (folder / CONFIG).is_file():
        return Usual()
    config = from_yaml(UsualConfig, folder / CONFIG)
    if config.space != fingerprint:
        raise WeightsError(
            f"{folder / CONFIG}: is of another joint space; make it anew with "
            "`assistant pretrain space --phrases`"
        )
    state = read_weights(folder / WEIGHTS)
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    wanted: dict[str, tuple[int, ...]] = {}
    for name in NAMES:
        count = shapes.get(name, (0,))[0]
        wanted |= {name: (count, width), f"{name}_shares": (count,)}
    if shapes != wanted:
        raise WeightsError(f"{folder / WEIGHTS}: holds {shapes}, wanted {wanted}")
    centres, shares = (
        tuple(state[name + end].float() for name in NAMES) for end in ("", "_shares")
    )
    told = repr(config).encode() + (folder / WEIGHTS).read_bytes()
    return Usual(config, centres, shares, hashlib.sha256(told).hexdigest()[:8])
