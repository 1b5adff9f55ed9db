"""What every joint space is to the rest: frames and texts as unit vectors that can be compared."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from assistant.errors import InputError

if TYPE_CHECKING:
    from assistant.sources import Look


class JointSpace(ABC):
    """Pictures, clips and texts as vectors of length 1, on the CPU in fp32; a product of two is
    their similarity."""

    width: int  # E
    scale: float  # of similarities, as it was trained: softmax(scale * similarity) over texts
    looks_twice = False  # whether a picture and its middle in one vector are better than it alone
    folder: Path | None = None  # where its weights lie, and what was made for them

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """All that decides the vectors of a picture or a text."""

    @abstractmethod
    def embed_frames(self, look: Look) -> Tensor:
        """``(T, E)`` of the frames that are looked at."""

    @abstractmethod
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """``(N, E)``."""

    @abstractmethod
    def embed_words(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Each token of each text, ``(N, M, E)``, and ``(N, M)``: True where there is one."""

    def embed_cells(self, look: Look) -> Tensor:
        """``(T, K, Ec)`` of each patch of each frame, comparable with `embed_keywords`.

        Raises:
            InputError: the space knows whole pictures alone.
        """
        raise InputError(
            f"the joint space {self.fingerprint} tells nothing of single patches; take mini's own "
            "or a CLIP, or leave out what asks for them"
        )

    def embed_keywords(self, texts: Sequence[str]) -> Tensor:
        """``(N, Ec)`` of words, to find patches with. Raises InputError: as `embed_cells`."""
        raise InputError(f"the joint space {self.fingerprint} finds no words in patches")

    def compare(self, look: Look, texts: Sequence[str]) -> Tensor:
        """``(T, N)``: the similarity of each frame to each text, as exactly as the space has it."""
        return self.embed_frames(look) @ self.embed_texts(texts).T

    def embed_clip(self, look: Look) -> Tensor:
        """``(E,)``: the frames' mean."""
        return mean_of(self.embed_frames(look))


def mean_of(vectors: Tensor) -> Tensor:
    """``(T, E)`` -> ``(E,)``: the mean direction."""
    return F.normalize(vectors.mean(0), dim=0)


def no_vectors(width: int) -> Tensor:
    """``(0, E)``, of no texts."""
    return torch.zeros(0, width)
