"""Found moments as clips of their own, with their sound."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from assistant.errors import InputError
from assistant.retrieval.ranking import Hit

SIDE = 640  # pixels of the longer side
MOST_RATE = 30  # frames a second
BLOCK = 4.0  # s decoded at once
SOUND_RATE = 48000


def cut(hit: Hit, folder: Path, number: int) -> Path:
    """Write the moment of ``hit`` to ``folder``, decoded and encoded anew; returns the file.

    Raises:
        InputError: it is no clip. VideoError: it cannot be read any more.
    """
    from assistant.media.video import probe, read_audio
    from assistant.media.writer import write_clip

    if hit.kind != "clip" or hit.start is None or hit.end is None:
        raise InputError(f"{hit.file}: is no clip that a moment could be cut from; use --kind clip")
    source = Path(hit.file)
    about = probe(source)
    rate = max(1, min(MOST_RATE, round(about.fps)))
    sound = None
    if about.has_audio:
        sound, _ = read_audio(source, start=hit.start, end=hit.end, rate=SOUND_RATE)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{number:02}-{source.stem}-{hit.start:.0f}s-{hit.end:.0f}s.mp4"
    part = path.with_name(f".{path.name}")
    write_clip(part, _frames(source, hit.start, hit.end, rate), rate, sound, SOUND_RATE)
    return part.replace(path)


def _frames(path: Path, start: float, end: float, rate: int) -> Iterator[np.ndarray]:
    """Pictures on show at each tick, ``(H, W, 3)`` uint8 of even sides."""
    from assistant.media.video import read_clip

    for first in range(math.ceil((end - start) / BLOCK)):
        begin = start + first * BLOCK
        until = min(end, begin + BLOCK)
        count = max(1, round((until - begin) * rate))
        clip = read_clip(path, frames=count, start=begin, end=until, max_side=SIDE)
        height, width = (side // 2 * 2 for side in clip.frames.shape[1:3])
        for tick in range(count):
            moment = begin + (tick + 0.5) * (until - begin) / count
            place = max(0, bisect_right(clip.seconds, moment) - 1)
            yield clip.frames[place, :height, :width]
