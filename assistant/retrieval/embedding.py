"""From what is seen or read to vectors and words: the bare joint space, or a head trained on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from assistant.model.space.base import JointSpace, mean_of
from assistant.model.space.seeing import Seen, look_at, see, side_of
from assistant.model.space.usual import read_usual
from assistant.retrieval.head import FusionHead
from assistant.sources import Look
from assistant.sources.bank import CONFIG, bank_of
from assistant.sources.phrases import hints, likely_names
from assistant.sources.seen import likeliest

if TYPE_CHECKING:
    from torch import Tensor

    from assistant.model.sight import Sight


class HasSight(Protocol):
    """What looks: an ``Assistant``, whose model is not loaded for it."""

    @property
    def sight(self) -> Sight: ...


@dataclass(frozen=True, eq=False)
class Item:
    """What one vector stands for: frames, a text, or both."""

    frames: Tensor | None = None  # (T, E), unit vectors of the joint space
    text: str = ""


class Embedder:
    """The joint space as it stands, of frames their mean direction, of a text its vector; or a head
    that was trained on it."""

    def __init__(self, sight: Sight, head: Path | None = None) -> None:
        """
        Args:
            head: folder of a `FusionHead`.
        Raises:
            InputError, ConfigError, WeightsError: it holds none, or one of another joint space.
        """
        self._sight, self._space = sight, sight.space
        self._head = None if head is None else FusionHead.load(head, self._space)
        self.width, self.scale = self._space.width, (self._head or self._space).scale
        folder = self._space.folder
        self._names_phrases = folder is not None and (folder / CONFIG).is_file()
        bank = folder if head is None else None  # the space's own is none of a head's
        self._usual = read_usual(bank, self._space.fingerprint, self.width)
        self.side = side_of(self._space)

    @property
    def space(self) -> JointSpace | None:
        """The bare one; None: a head stands on it."""
        return self._space if self._head is None else None

    @property
    def fingerprint(self) -> str:
        """All that decides a vector and what is usual of it."""
        looks = "twice" if self._space.looks_twice else ""
        parts = ((self._head or self._space).fingerprint, looks, self._usual.digest)
        return "+".join(filter(None, parts))

    def see(self, frames: np.ndarray, seconds: Sequence[float], look: Look | None = None) -> Seen:
        """See `assistant.model.space.seeing`."""
        return see(self._sight, frames, seconds, look)

    def look_at(self, frames: np.ndarray, seconds: Sequence[float]) -> Look:
        """The same, as sources see it."""
        return look_at(self._sight, frames, seconds)

    @torch.inference_mode()
    def vectors(self, items: Sequence[Item]) -> np.ndarray:
        """``(N, E)`` fp32, of length 1. A text beside frames is read by a head, and only then."""
        if self._head is not None:
            frames = [item.frames for item in items]
            return self._head.embed(frames, [item.text for item in items]).cpu().numpy()
        texts = [item.text for item in items if item.frames is None]
        read = iter(self._space.embed_texts(texts) if texts else ())
        found = [next(read) if item.frames is None else mean_of(item.frames) for item in items]
        return torch.stack(found).float().cpu().numpy()

    def usual(self, vectors: np.ndarray, *, text: bool) -> np.ndarray:
        """``(N, E)`` of texts, or of what is seen, -> ``(N,)``: similarity to most of the other."""
        return self._usual.of(vectors, text=text)

    @torch.inference_mode()
    def words(self, seen: Seen) -> tuple[str, ...]:
        """What the sources that cost next to nothing name: things by the encoder's classifier, and
        phrases of the lexicon by the vectors that are there already. These only where they were
        calibrated with the space: else one of each group is always said."""
        found = [thing.name for thing in likeliest(seen.classes, self._sight.class_names)]
        if self._names_phrases:
            found += likely_names(hints(bank_of(self._space), seen.once))
        return tuple(dict.fromkeys(found))
