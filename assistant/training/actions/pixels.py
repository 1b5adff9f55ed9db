"""Clips as a video encoder takes them: decoded once, memory-mapped, kept up to where it got."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from assistant.training.clips import ClipRef, read_ahead
from assistant.training.features import whole_lines

if TYPE_CHECKING:
    from assistant.actions.video import VideoEncoder
    from assistant.model.sight import Sight
    from assistant.sources import Look


class PixelTable:
    """``(T, S, S, 3)`` uint8 RGB of each clip, one row of a file."""

    def __init__(self, rows: np.ndarray, keys: Sequence[str], video: VideoEncoder) -> None:
        self.rows, self.video = rows, video
        self.places = {key: place for place, key in enumerate(keys)}

    @classmethod
    def open(cls, root: Path, video: VideoEncoder, clips: Mapping[ClipRef, str]) -> PixelTable:
        """The table under ``root`` of these clips; those that it lacks are decoded now.

        Raises:
            InputError: clips that cannot be decoded; all of them are named.
        """
        refs = {key: ref for ref, key in clips.items()}
        raster, keys = video.raster, list(refs)
        stem = hashlib.sha256(json.dumps([video.digest, keys]).encode()).hexdigest()[:24]
        path, done = root / f"pixels-{stem}.npy", root / f"pixels-{stem}.done"
        root.mkdir(parents=True, exist_ok=True)
        first = len(whole_lines(done)) if path.is_file() else 0
        shape = (len(keys), raster.frames, raster.side, raster.side, 3)
        if first < len(keys):
            mode = "r+" if first else "w+"
            rows = np.lib.format.open_memmap(path, mode, np.uint8, None if first else shape)
            wanted = [refs[key] for key in keys[first:]]
            bar = tqdm(total=len(keys), initial=first, desc="decoding clips")
            with bar, done.open("a" if first else "w") as lines:
                for place, frames in enumerate(
                    read_ahead(wanted, raster.frames, video.side), first
                ):
                    rows[place] = video.pictures(frames)
                    lines.write(f"{place}\n")
                    lines.flush()
                    bar.update()
            rows.flush()
        return cls(np.load(path, mmap_mode="r"), keys, video)

    def clip(self, key: str) -> Tensor:
        """``(T, S, S, 3)``."""
        return torch.from_numpy(self.rows[self.places[key]].copy())

    def batch(self, keys: Sequence[str]) -> tuple[Tensor, Tensor]:
        """``(B, T, S, S, 3)``, and ``(B, T')`` ones: a short clip is stretched."""
        found = torch.stack([self.clip(key) for key in keys])
        return found, torch.ones(len(keys), self.video.raster.times, dtype=torch.long)

    def look(self, key: str, sight: Sight) -> Look:
        """What the teacher looks at."""
        return self.video.look(self.rows[self.places[key]], sight)
