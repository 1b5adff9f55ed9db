"""Encoded clips and pictures: computed once, memory-mapped, kept up to where it got."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from assistant.model.encoders.base import CHUNK, FrameFeatures

INDEX, PATCHES, CLASSES = "index.jsonl", "patches", "classes"


class TableEncoder(Protocol):
    """What fills a table: an image encoder, or an ear."""

    @property
    def fingerprint(self) -> str: ...
    @property
    def patch_count(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def class_count(self) -> int: ...
    @property
    def names(self) -> tuple[str, ...]: ...

    def __call__(self, frames: np.ndarray, /) -> FrameFeatures: ...


class FeatureTable:
    """Patches ``(T, K, Dv)`` and mean classes ``(C,)`` of clips, fp16; a still picture has T = 1.

    One folder holds all clips of one source encoded so far with one encoder at T frames; each run
    that met new ones has added a shard. A clip with fewer than T frames leaves the last ones empty.
    """

    sounds: FeatureTable | None = None  # what is heard in the same clips; None: nobody listens

    def __init__(self, folder: Path, encoder: TableEncoder) -> None:
        """What ``folder`` holds, whole or not."""
        self.folder, self.encoder = folder, encoder
        self.places: dict[str, _Place] = {}
        for line in whole_lines(folder / INDEX):
            found = json.loads(line)
            key = found.pop("key")
            self.places[key] = _Place(**found)
        self._arrays: dict[str, np.ndarray] = {}

    def __contains__(self, key: str) -> bool:
        return key in self.places

    def patches(self, keys: Sequence[str], chosen: Tensor) -> tuple[Tensor, Tensor]:
        """``(B, T, K, Dv)``, and ``(B, T)``: 1 where there is a frame.

        Args:
            chosen: ``(B, T)``, which of each clip's frames.
        """
        places = [self.places[key] for key in keys]
        lengths = torch.tensor([place.frames for place in places])
        first = torch.minimum(chosen[:, 0], lengths - 1)  # a short clip shows one at least
        chosen = torch.cat([first[:, None], chosen[:, 1:]], dim=1)
        there = chosen < lengths[:, None]
        longest = int(there.sum(1).max())
        frames = chosen[:, :longest].tolist()
        found = [
            self._row(PATCHES, place)[some] for place, some in zip(places, frames, strict=True)
        ]
        return torch.from_numpy(np.stack(found)), there[:, :longest].long()

    def stills(self, keys: Sequence[str]) -> Tensor:
        """``(B, 1, K, Dv)`` of pictures: clips of one frame."""
        return torch.from_numpy(np.stack([self._row(PATCHES, self.places[key]) for key in keys]))

    def clip(self, key: str) -> Tensor:
        """``(T, K, Dv)``, all that there is of one clip."""
        place = self.places[key]
        return torch.from_numpy(self._row(PATCHES, place)[: place.frames].copy())

    def classes(self, key: str) -> Tensor:
        """``(1, C)``, the frames' mean probabilities of the encoder's own classes."""
        mean = self._row(CLASSES, self.places[key]).astype(np.float32)
        return torch.from_numpy(mean[None])

    def _row(self, what: str, place: _Place) -> np.ndarray:
        name = f"{what}-{place.shard}.npy"
        if name not in self._arrays:
            self._arrays[name] = np.load(self.folder / name, mmap_mode="r")
        return self._arrays[name][place.row]

    @classmethod
    def open(
        cls,
        root: Path,
        encoder: TableEncoder,
        frames: int,
        keys: Iterable[str],
        read: Callable[[list[str]], Iterable[np.ndarray]],
        *,
        source: Sequence[str | int] = (),
        what: str = "clips",
    ) -> FeatureTable:
        """The table under ``root`` with these clips in it; those it lacks are encoded now.

        Args:
            keys: each tells a clip from any other of its ``source``. what: they are, in a title.
            read: frames ``(T, H, W, 3)`` uint8 RGB of such keys, in order, T at most ``frames``.
        """
        told = json.dumps([encoder.fingerprint, frames, *source])
        folder = root / hashlib.sha256(told.encode()).hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        table = cls(folder, encoder)
        if missing := [key for key in dict.fromkeys(keys) if key not in table]:
            table._add(missing, frames, read, what)
            table = cls(folder, encoder)
        return table

    def _add(
        self,
        keys: list[str],
        frames: int,
        read: Callable[[list[str]], Iterable[np.ndarray]],
        what: str,
    ) -> None:
        """Encode clips into a new shard; after a stop, what is in the index stays."""
        shard = secrets.token_hex(4)  # several processes may add at a time
        shape = (len(keys), frames, self.encoder.patch_count, self.encoder.width)
        patches = self._new(PATCHES, shard, shape)
        classes = self._new(CLASSES, shard, (len(keys), self.encoder.class_count))
        known, row = len(self.places), 0
        clips = zip(keys, read(keys), strict=True)
        with (
            (self.folder / INDEX).open("a") as lines,
            tqdm(total=known + len(keys), initial=known, desc=f"encoding {what}") as bar,
        ):
            while some := list(islice(clips, CHUNK if frames == 1 else 1)):
                seen = self.encoder(np.concatenate([pictures for _, pictures in some]))
                found = seen.patches.cpu().numpy(), seen.classes.float().cpu()
                first = 0
                for key, pictures in some:
                    own = slice(first, first := first + len(pictures))
                    patches[row, : len(pictures)] = found[0][own]
                    classes[row] = found[1][own].mean(0).numpy()
                    place = _Place(shard, row, len(pictures))
                    lines.write(json.dumps({"key": key} | vars(place)) + "\n")
                    row += 1
                lines.flush()
                bar.update(len(some))
        patches.flush()
        classes.flush()

    def _new(self, what: str, shard: str, shape: tuple[int, ...]) -> np.memmap:
        path = self.folder / f"{what}-{shard}.npy"
        return np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)


@dataclass(frozen=True)
class _Place:
    """Where a clip is."""

    shard: str
    row: int
    frames: int


def whole_lines(path: Path) -> list[str]:
    """The lines of a file that may have been cut off in its last one; the rest is removed."""
    if not path.exists():
        return []
    data = path.read_bytes()
    kept = data[: data.rfind(b"\n") + 1]
    if len(kept) < len(data):
        path.write_bytes(kept)
    return kept.decode().splitlines()
