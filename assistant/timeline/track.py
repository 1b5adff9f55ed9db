"""A clip of any length as vectors of its frames: decoded and encoded once, a block at a time.

A block is kept as soon as it is there, beside clip features and under the same cap, so that a run
that was killed goes on where it was, and a second one reads files alone.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from assistant.core.languages import own_language
from assistant.core.progress import report
from assistant.errors import InputError
from assistant.media.windows import FRAMES, STEP, STILL, WINDOW, centres, shown_at
from assistant.model.block_files import get_block, put_block
from assistant.model.features import FeatureKey, FeatureStore, content_digest

if TYPE_CHECKING:
    from torch import Tensor

    from assistant.model.sight import Sight

BLOCK = 24  # frames decoded at once: 30 s
LOOKING = "Looking at the clip"  # as `assistant.core.progress.report` tells it
KINDS = 8  # of the encoder's classes that are kept of a frame, the likeliest


@dataclass(frozen=True, eq=False)
class Track:
    """What is seen of a whole clip, a frame every 1.25 s."""

    path: Path
    key: FeatureKey  # of the whole clip
    duration: float  # seconds
    seconds: tuple[float, ...]  # (T,) when each frame is looked at
    frames: Tensor  # (T, E) fp32, x_t
    once: Tensor  # (T, E) as they were seen first: what phrases were trained on
    kinds: Tensor  # (T, KINDS) int64, numbers of the encoder's likeliest classes
    chances: Tensor  # (T, KINDS) fp32, of these
    warnings: tuple[str, ...] = ()

    def classes(self, places: slice, count: int) -> Tensor:
        """``(T', C)`` probabilities of the encoder's classes; those not kept are 0."""
        kinds, chances = self.kinds[places], self.chances[places]
        return torch.zeros(len(kinds), count).scatter(1, kinds, chances)

    def within(self, start: float, end: float) -> slice:
        """The frames that are looked at between two times; at least one."""
        first = min(bisect_left(self.seconds, start), len(self.seconds) - 1)
        last = bisect_left(self.seconds, end)
        return slice(first, max(last, first + 1))


def track_of(path: Path, sight: Sight, store: FeatureStore) -> Track:
    """The whole clip, seen.

    Raises:
        VideoError: no such file, or nothing could be decoded. InputError: it is a picture, or the
            model has no joint space.
    """
    from assistant.media.video import probe

    digest, duration = content_digest(path), probe(path).duration
    if duration < STILL:
        raise InputError(
            f"{path}: is a picture, and events happen in clips; assistant look tells what it shows"
        )
    space = sight.space
    twice = "twice" if space.looks_twice else "once"
    eyes = f"{sight.encoder_fingerprint}+{space.fingerprint}+{twice}"
    whole = FeatureKey(digest, None, None, BLOCK, "auto", eyes, own_language())
    moments: list[float] = []
    parts: list[dict[str, Tensor]] = []
    notes: list[str] = []
    for start, end, count in blocks(duration):
        report(LOOKING, start, duration)
        key = replace(whole, start=start, end=end, frames=count)
        found = None
        with suppress(OSError):  # keeping it meets the same and says so
            found = get_block(store, key)
        if found is None:
            found = _block(path, key, sight)
            try:
                put_block(store, key, found)
            except OSError as error:
                notes.append(f"what is seen is not kept on disk: {error.strerror or error}")
        moments += centres(start, end, count)
        notes += json.loads(bytes(found.pop("notes").tolist()) or b"[]")
        parts.append(found)
    report(LOOKING, 1)
    tensors = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    return Track(
        path=path,
        key=whole,
        duration=duration,
        seconds=tuple(moments),
        frames=tensors["frames"].float(),
        once=tensors["once"].float(),
        kinds=tensors["kinds"].long(),
        chances=tensors["chances"].float(),
        warnings=tuple(dict.fromkeys(notes)),
    )


def blocks(duration: float) -> list[tuple[float, float, int]]:
    """From when to when each block reaches, and how many frames are looked at in it."""
    if duration <= WINDOW:
        return [(0.0, duration, FRAMES)]
    total = max(FRAMES, math.ceil(duration / STEP - 1e-6))
    edges = [min(n * STEP, duration) for n in range(0, total, BLOCK)] + [duration]
    counts = [min(BLOCK, total - first) for first in range(0, total, BLOCK)]
    return list(zip(edges, edges[1:], counts, strict=False))


def _block(path: Path, key: FeatureKey, sight: Sight) -> dict[str, Tensor]:
    """What is seen of one block, a row for each moment that is looked at. Raises VideoError."""
    from assistant.media.video import read_clip
    from assistant.model.space.seeing import see, side_of

    assert key.start is not None and key.end is not None
    clip = read_clip(
        path, frames=key.frames, start=key.start, end=key.end, max_side=side_of(sight.space)
    )
    seen = see(sight, clip.frames, clip.seconds)
    moments = centres(key.start, key.end, key.frames)
    seen = seen.some([shown_at(clip.seconds, moment) for moment in moments])
    best = seen.classes.float().topk(min(KINDS, seen.classes.shape[1]))
    return {
        "frames": seen.frames.half().contiguous(),
        "once": seen.once.half().contiguous(),
        "kinds": best.indices.int().contiguous(),
        "chances": best.values.half().contiguous(),
        "notes": torch.tensor(list(json.dumps(clip.warnings).encode()), dtype=torch.uint8),
    }
