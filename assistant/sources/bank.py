"""The lexicon's phrases in a joint space: how likely each is, frame by frame.

mini's phrases are trained with its space: each is a logistic classifier that begins as the phrase's
vector and has moved towards photos whose captions say it (`assistant.training.space.phrases`). Of
any other space they are the phrases' vectors, embedded once and kept in the cache, and their
probabilities, a softmax within a group, are not calibrated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from assistant.core.config import from_yaml
from assistant.core.progress import report
from assistant.core.resources import cache_dir
from assistant.errors import WeightsError
from assistant.model.weight_files import read_weights, save_weights
from assistant.sources.lexicon import Lexicon, load_lexicon
from assistant.weights.cache import cache_folder

if TYPE_CHECKING:
    from assistant.model.space.base import JointSpace

CONFIG, WEIGHTS = "phrases.yaml", "phrases.safetensors"  # beside the space's own
UNCALIBRATED = 0.5  # threshold of a softmax
CHUNK = 64  # texts embedded between two reports


@dataclass(frozen=True)
class PhraseConfig:
    """What trained phrases belong to, and how sure they must be."""

    space: str  # fingerprint
    lexicon: str  # digest
    thresholds: dict[str, float]  # by group; above 1: nothing of the group is said
    sentence: tuple[float, ...]  # see `assistant.sources.captions.chance`
    sentence_weight: float  # of similarity when sentences are ranked
    sentence_floor: float  # least chance of a sentence that is said; above 1: none is


@dataclass(frozen=True, eq=False)
class Bank:
    """Phrases, ready to be compared with frames."""

    phrases: tuple[tuple[str, str], ...]  # group and name of each
    weights: Tensor  # (P, E)
    bias: Tensor  # (P,)
    config: PhraseConfig | None  # None: not calibrated
    usual: Tensor | None = None  # (P,) mean logits over the photos they were trained on, set by set

    def within(self, group: str) -> list[int]:
        """Numbers of the phrases of a group."""
        return [place for place, (kind, _) in enumerate(self.phrases) if kind == group]

    def threshold(self, group: str) -> float:
        return UNCALIBRATED if self.config is None else self.config.thresholds[group]

    def logits(self, frames: Tensor) -> Tensor:
        """``(T, E)`` -> ``(T, P)``."""
        return frames @ self.weights.T + self.bias

    def probabilities(self, frames: Tensor) -> Tensor:
        """``(T, E)`` -> ``(T, P)``: of one among its group where not calibrated."""
        logits = self.logits(frames)
        if self.config is not None:
            return logits.sigmoid()
        found = torch.empty_like(logits)
        for group in dict.fromkeys(kind for kind, _ in self.phrases):
            own = self.within(group)
            found[:, own] = logits[:, own].softmax(1)
        return found


def bank_of(space: JointSpace) -> Bank:
    """The phrases of ``space``; embedded now where they are not kept.

    Raises:
        WeightsError: those beside its weights belong to others, or are damaged.
    """
    return _bank(space, space.fingerprint)


@lru_cache(maxsize=2)
def _bank(space: JointSpace, fingerprint: str) -> Bank:
    lexicon = load_lexicon()
    if space.folder is not None and (space.folder / CONFIG).is_file():
        return read_bank(space.folder, fingerprint, lexicon)
    told = f"{fingerprint} {lexicon.digest}"
    name = f"phrases-{hashlib.sha256(told.encode()).hexdigest()}.safetensors"
    vectors = _kept_vectors(cache_dir() / "features" / name)
    if vectors is None:
        vectors = embed(space, lexicon)
        with suppress(OSError):  # no room, or no rights: they are embedded anew each time
            save_weights({"vectors": vectors}, cache_folder("features") / name)
    return Bank(lexicon.phrases, space.scale * vectors, torch.zeros(len(vectors)), None)


def _kept_vectors(path: Path) -> Tensor | None:
    """``(P, E)``; None: there are none that can be read."""
    try:
        return read_weights(path)["vectors"].float()
    except (OSError, WeightsError, KeyError):
        return None


def read_bank(folder: Path, fingerprint: str, lexicon: Lexicon) -> Bank:
    """Trained phrases. Raises ConfigError, WeightsError."""
    config = from_yaml(PhraseConfig, folder / CONFIG)
    if (config.space, config.lexicon) != (fingerprint, lexicon.digest):
        raise WeightsError(
            f"{folder / CONFIG}: is of another joint space or lexicon; make it anew with "
            "`assistant pretrain space --phrases`"
        )
    state = read_weights(folder / WEIGHTS)
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    count = len(lexicon.phrases)
    wanted = {"weights": (count, *shapes.get("weights", ())[1:]), "bias": (count,)}
    if shapes != {**wanted, "usual": (count,)}:
        raise WeightsError(
            f"{folder / WEIGHTS}: holds {shapes}, wanted weights, bias and usual of {count}"
        )
    weights, bias, usual = (state[name].float() for name in ("weights", "bias", "usual"))
    return Bank(lexicon.phrases, weights, bias, config, usual)


def embed(space: JointSpace, lexicon: Lexicon) -> Tensor:
    """``(P, E)``: each phrase in the mean of its group's templates."""
    texts = [
        [template.format(name) for template in group.templates]
        for group in lexicon.groups.values()
        for name in group.phrases
    ]
    flat = [text for some in texts for text in some]
    vectors = []
    for first in range(0, len(flat), CHUNK):
        report("Embedding phrases", first / len(flat))
        vectors.append(space.embed_texts(flat[first : first + CHUNK]))
    parts = torch.cat(vectors).split([len(some) for some in texts])
    return F.normalize(torch.stack([part.mean(0) for part in parts]), dim=1)


def alike(names: Sequence[str], weights: Tensor, limit: float) -> list[int]:
    """Numbers of those that stay when each that says the same as an earlier one goes.

    Args:
        names: N, the likeliest first. weights: ``(N, E)``. limit: of their cosine.
    """
    vectors = F.normalize(weights, dim=1)
    kept: list[int] = []
    for place, name in enumerate(names):
        words = set(name.split())
        told = any(
            float(vectors[place] @ vectors[other]) >= limit
            or words <= set(names[other].split())
            or words >= set(names[other].split())
            for other in kept
        )
        if not told:
            kept.append(place)
    return kept
