"""From what is seen or read to vectors and words: the bare joint space, or a head trained on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch

from assistant.model.space.base import mean_of
from assistant.retrieval.head import FusionHead
from assistant.sources import Look
from assistant.sources.bank import CONFIG, bank_of
from assistant.sources.phrases import hints, likely_names
from assistant.sources.seen import likeliest

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from assistant.model.sight import Sight

SIDE = 448  # pixels of the longer side, where the space does not say


class HasSight(Protocol):
    """What looks: an ``Assistant``, whose model is not loaded for it."""

    @property
    def sight(self) -> Sight: ...


@dataclass(frozen=True, eq=False)
class Item:
    """What one vector stands for: frames, a text, or both."""

    frames: Tensor | None = None  # (T, E), unit vectors of the joint space
    text: str = ""


@dataclass(frozen=True, eq=False)
class Seen:
    """Frames, encoded."""

    frames: Tensor  # (T, E)
    classes: Tensor  # (T, C) probabilities of the encoder's own classes

    def some(self, places: Sequence[int]) -> Seen:
        return Seen(self.frames[list(places)], self.classes[list(places)])


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
        self.side: int = getattr(self._space, "side", SIDE)

    @property
    def fingerprint(self) -> str:
        """All that decides a vector."""
        return (self._head or self._space).fingerprint

    def see(self, frames: np.ndarray, seconds: Sequence[float]) -> Seen:
        """``(T, H, W, 3)`` uint8 RGB, :attr:`side` pixels or less, with their times."""
        features = self._sight.encoder(frames)
        look = Look(
            patches=features.patches.cpu(),
            classes=features.classes.cpu(),
            class_names=self._sight.class_names,
            seconds=seconds,
            encoder=self._sight.encoder_fingerprint,
            pictures=lambda count, side: (frames, seconds),
            space=lambda: self._space,
        )
        with torch.inference_mode():
            return Seen(self._space.embed_frames(look), look.classes)

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

    @torch.inference_mode()
    def words(self, seen: Seen) -> tuple[str, ...]:
        """What the sources that cost next to nothing name: things by the encoder's classifier, and
        phrases of the lexicon by the vectors that are there already. These only where they were
        calibrated with the space: else one of each group is always said."""
        found = [thing.name for thing in likeliest(seen.classes, self._sight.class_names)]
        if self._names_phrases:
            found += likely_names(hints(bank_of(self._space), seen.frames))
        return tuple(dict.fromkeys(found))
