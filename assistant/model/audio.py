"""Frozen audio encoders: sound in, features over time out.

mini's is that of Whisper tiny.en, which transcribes, too (the ``speech`` extra). Any Whisper,
wav2vec 2.0, HuBERT or WavLM of `transformers` is another one, by hub id or folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from assistant.dialogue.speech import RATE, WEIGHTS, speech_model
from assistant.errors import WeightsError
from assistant.media.sound import read_pieces
from assistant.media.video import probe
from assistant.model.hearing import Heard, cut_sound
from assistant.tasks.recipes import Recipe
from assistant.weights.hub_names import folder_or_id

LONGEST = 30  # seconds that are encoded at a time
WINDOW = 10.0  # seconds beside a frame that are heard, at most
HOP = 320  # samples of one of Whisper's features
MELS_A_FEATURE = 2  # what its encoder's stride leaves


class AudioEncoder(Protocol):
    """Nothing of it learns."""

    width: int
    rate: float  # features a second
    fingerprint: str  # all that decides the features

    def encode(self, samples: np.ndarray) -> Tensor:
        """``(n,)`` float32 mono in [-1, 1], RATE a second -> ``(F, width)`` fp32."""


class WhisperTiny:
    """The encoder of the Whisper that the ``speech`` extra brings, by CTranslate2."""

    width, rate = 384, RATE / HOP

    def __init__(self) -> None:
        """Raises InputError: the extra is missing. WeightsError: the weights cannot be had."""
        from assistant.weights.store import ensure

        self._model = speech_model("float32")
        self.fingerprint = ensure(WEIGHTS).name

    def encode(self, samples: np.ndarray) -> Tensor:
        found = [torch.zeros(0, self.width)]
        for first in range(0, len(samples), LONGEST * RATE):
            part = samples[first : first + LONGEST * RATE]
            length = len(part) // HOP
            if length:
                mels = self._model.feature_extractor(part)[:, : length * MELS_A_FEATURE]
                found.append(torch.from_numpy(np.array(self._model.encode(mels))[0]).float())
        return torch.cat(found)


@dataclass(frozen=True)
class Ear:
    """How an adapter listens."""

    encoder: AudioEncoder
    tokens: int  # beside a frame

    @property
    def fingerprint(self) -> str:
        """All that decides what is heard of a sound."""
        return f"{self.encoder.fingerprint}-{self.tokens}"

    def hear(self, windows: np.ndarray) -> Heard:
        """``(T, n)`` as :func:`read_sound` has them, beside T frames."""
        samples = windows.reshape(-1)
        silent = np.isnan(samples)
        sounding = samples[: int(silent.argmax())] if silent.any() else samples
        features = self.encoder.encode(sounding)
        expected = round(len(samples) / RATE * self.encoder.rate)
        return cut_sound(features, expected, len(windows), self.tokens)


def ear_of(recipe: Recipe) -> Ear | None:
    """How an adapter of ``recipe`` listens; None: it does not.

    Raises:
        WeightsError: a finished one learned with another encoder; and as `audio_encoder`.
    """
    if not recipe.hears:
        return None
    encoder = audio_encoder(recipe.audio)
    wanted = encoder.fingerprint if recipe.made is None else recipe.made.sound
    if wanted != encoder.fingerprint:
        raise WeightsError(
            f"the adapter {recipe.task} learned to hear by {wanted}, and {recipe.audio} is "
            f"{encoder.fingerprint}; train it again, or get that encoder"
        )
    return Ear(encoder, recipe.transfer.sound_tokens)


def read_sound(
    path: Path, windows: int, start: float | None = None, end: float | None = None
) -> np.ndarray:
    """A clip's range as :func:`in_windows` has it: all of it, or, where the windows are longer,
    WINDOW seconds in the middle of each.

    Raises:
        VideoError: the clip cannot be read.
    """
    begin = start or 0.0
    stop = probe(path).duration
    stop = stop if end is None else min(end, stop)
    whole = max(0.0, stop - begin)
    length, every, count = whole, whole, 1
    if whole > windows * WINDOW:
        length, every, count = WINDOW, whole / windows, windows
    sound = np.full((count, round(length * RATE)), np.nan, np.float32)
    first = begin + (every - length) / 2
    pieces = read_pieces(path, first, stop, rate=RATE, length=length, every=every)
    for row, (_, heard) in zip(sound, pieces, strict=False):
        row[: len(heard)] = heard[: len(row)]
    return in_windows(sound.reshape(-1), windows)


def in_windows(sound: np.ndarray, windows: int) -> np.ndarray:
    """``(n,)`` float32 mono, RATE a second, as ``(windows, m)``: not a number where it has none."""
    length = max(1, -(-len(sound) // windows))
    missing = windows * length - len(sound)
    return np.pad(sound, (0, missing), constant_values=np.nan).reshape(windows, length)


@lru_cache(maxsize=1)
def audio_encoder(source: str) -> AudioEncoder:
    """The encoder of that name: mini's own, or a hub id or folder of `transformers`.

    Raises:
        InputError: mini's own without the ``speech`` extra, or no such name. WeightsError: the
            weights cannot be had, or are of another kind of model.
    """
    if source == WEIGHTS:
        return WhisperTiny()
    advice = (
        f"give {WEIGHTS}, a hub id (owner/name) or the folder of a Whisper, wav2vec 2.0, HuBERT "
        "or WavLM"
    )
    found = folder_or_id("audio", source, advice)
    from assistant.model.audio_hub import HubAudio

    return HubAudio(found)
