"""A clip as windows: 5 seconds each, half of it shared with the next, looked at every 1.25 s."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

from assistant.media.video import Clip

WINDOW, HOP = 5.0, 2.5  # s
FRAMES = 4  # of a window
STEP = WINDOW / FRAMES  # s between frames
STILL = 0.05  # s: a decoder gives a picture the length of one frame


def is_still(clip: Clip) -> bool:
    """Whether it is a picture."""
    return clip.duration < STILL


def spans(duration: float) -> list[tuple[float, float]]:
    """From when to when each window of a clip reaches; the last one ends with the clip."""
    count = max(1, math.ceil((duration - WINDOW) / HOP - 1e-6) + 1)
    return [(k * HOP, min(k * HOP + WINDOW, duration)) for k in range(count)]


def centres(start: float, end: float, count: int) -> list[float]:
    """Moments (s) in the middle of equal parts, where `read_clip` looks."""
    return [start + (k + 0.5) * (end - start) / count for k in range(count)]


def shown_at(seconds: Sequence[float], moment: float) -> int:
    """Number of the picture, of those which begin at ``seconds``, on show at a moment."""
    return max(0, bisect_right(seconds, moment) - 1)


def on_show(
    seconds: Sequence[float], moments: Sequence[float], start: float, end: float
) -> list[int]:
    """Numbers of the pictures, which begin at ``seconds``, on show in a window."""
    inside = [m for m in moments if start <= m < end] or [(start + end) / 2]
    return sorted({shown_at(seconds, moment) for moment in inside})
