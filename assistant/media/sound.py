"""The sound of a clip, a piece at a time, so that hours of it fit in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from assistant.errors import VideoError
from assistant.media.video import probe, read_audio

LONGEST = 300.0  # seconds of a piece


def read_pieces(
    path: Path,
    start: float | None = None,
    end: float | None = None,
    *,
    rate: int,
    length: float = LONGEST,
    every: float | None = None,
) -> Iterator[tuple[float, np.ndarray]]:
    """Second at which it begins, and ``(n,)`` float32 mono in [-1, 1], of each piece of a range.

    ``length``: of a piece, seconds. ``every``: seconds from one's beginning to the next's; None:
    they follow each other.
    Nothing where the clip has no sound track. A track that ends before its clip ends the pieces.
    Raises VideoError: the clip cannot be read, or nothing of its sound can be decoded.
    """
    found = probe(path)
    if not found.has_audio:
        return
    begin, stop = start or 0.0, found.duration if end is None else min(end, found.duration)
    first = begin
    while first < stop:
        try:
            samples, _ = read_audio(path, start=first, end=min(first + length, stop), rate=rate)
        except VideoError:
            if first == begin:
                raise
            return
        yield first, samples
        first += every or length
