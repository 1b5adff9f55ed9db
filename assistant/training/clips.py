"""Encoded clips of a training set: computed once, memory-mapped, kept up to where it got."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import secrets
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from assistant.data.items import Item
from assistant.errors import InputError, VideoError
from assistant.media.video import read_clip
from assistant.model.encoders.base import Encoder
from assistant.sources.seen import as_text, likeliest
from assistant.training.generated import draw_clip, is_generated

__all__ = ["ClipRef", "ClipTable", "clip_of", "clips_of"]

READERS = 2  # clips that are decoded or drawn at a time, each in a process of its own
AHEAD = 8  # clips decoded before the encoder wants them
INDEX, PATCHES, CLASSES = "index.jsonl", "patches", "classes"


@dataclass(frozen=True)
class ClipRef:
    """A range of a file, seconds; None: where the clip begins and ends."""

    path: Path
    start: float | None = None
    end: float | None = None

    @property
    def key(self) -> str:
        """Tells it from any other clip, and from the same file once that has changed."""
        found = self.path.stat()
        return json.dumps([str(self.path), found.st_size, found.st_mtime_ns, self.start, self.end])

    def read(self, frames: int) -> np.ndarray:
        """``(T, H, W, 3)`` uint8 RGB, T at most ``frames``. Raises VideoError."""
        return read_clip(self.path, frames=frames, start=self.start, end=self.end).frames


class GeneratedRef(ClipRef):
    """A clip of ``assistant scenes`` that is drawn when it is wanted, and in no file."""

    @property
    def key(self) -> str:
        return str(self.path)

    def read(self, frames: int) -> np.ndarray:
        return draw_clip(self.path, frames)


def clip_of(item: Item) -> ClipRef | None:
    """What an item is about; None: text alone."""
    if item.video is None:
        return None
    kind = GeneratedRef if is_generated(item.video) else ClipRef
    return kind(item.video, item.start, item.end)


def clips_of(items: Sequence[Item]) -> dict[ClipRef, str]:
    """Every clip that the items are about, once, with its key."""
    refs = dict.fromkeys(ref for item in items if (ref := clip_of(item)) is not None)
    return {ref: ref.key for ref in refs}


class ClipTable:
    """Patches ``(T, K, Dv)`` and mean classes ``(C,)`` of clips, fp16.

    One folder holds all clips encoded so far with one encoder at T frames; each run that met new
    ones has added a shard of them. A clip with fewer than T frames leaves the last ones empty.
    """

    def __init__(self, folder: Path, encoder: Encoder) -> None:
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

    def attributes(self, key: str) -> str:
        """What the encoder's classifier finds in a clip, as the models read it."""
        mean = self._row(CLASSES, self.places[key]).astype(np.float32)
        return as_text(likeliest(torch.from_numpy(mean[None]), self.encoder.names))

    def _row(self, what: str, place: _Place) -> np.ndarray:
        name = f"{what}-{place.shard}.npy"
        if name not in self._arrays:
            self._arrays[name] = np.load(self.folder / name, mmap_mode="r")
        return self._arrays[name][place.row]

    @classmethod
    def open(
        cls, root: Path, encoder: Encoder, clips: dict[ClipRef, str], frames: int
    ) -> ClipTable:
        """The table under ``root`` with these clips in it; those it lacks are encoded now.

        Raises:
            InputError: clips that cannot be decoded; all of them are named.
        """
        told = json.dumps([encoder.fingerprint, frames])
        folder = root / hashlib.sha256(told.encode()).hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        table = cls(folder, encoder)
        missing = {ref: key for ref, key in clips.items() if key not in table}
        if missing:
            table._add(missing, frames)
            table = cls(folder, encoder)
        return table

    def _add(self, clips: dict[ClipRef, str], frames: int) -> None:
        """Encode clips into a new shard; after a stop, what is in the index stays."""
        shard = secrets.token_hex(4)  # several processes may add at a time
        shape = (len(clips), frames, self.encoder.patch_count, self.encoder.width)
        patches = _memmap(self.folder / f"{PATCHES}-{shard}.npy", shape)
        classes = _memmap(
            self.folder / f"{CLASSES}-{shard}.npy", (len(clips), self.encoder.class_count)
        )
        known = len(self.places)
        with (
            (self.folder / INDEX).open("a") as lines,
            tqdm(
                total=known + len(clips), initial=known, desc="encoding clips", unit="clip"
            ) as bar,
        ):
            pictures_of = _read(list(clips), frames)
            for row, (key, pictures) in enumerate(zip(clips.values(), pictures_of, strict=True)):
                seen = self.encoder(pictures)
                patches[row, : len(pictures)] = seen.patches.cpu().numpy()
                classes[row] = seen.classes.float().mean(0).cpu().numpy()
                place = _Place(shard, row, len(pictures))
                lines.write(json.dumps({"key": key} | vars(place)) + "\n")
                lines.flush()
                bar.update()
        patches.flush()
        classes.flush()


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


def _memmap(path: Path, shape: tuple[int, ...]) -> np.memmap:
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)


def _read(clips: Sequence[ClipRef], frames: int) -> Iterator[np.ndarray]:
    """Each clip's frames ``(T, H, W, 3)`` in order, decoded a few ahead."""
    problems: list[str] = []
    with _readers(drawn=isinstance(clips[0], GeneratedRef)) as pool:
        waiting: list[Future[np.ndarray]] = [pool.submit(ref.read, frames) for ref in clips[:AHEAD]]
        for number in range(len(clips)):
            if number + AHEAD < len(clips):
                waiting.append(pool.submit(clips[number + AHEAD].read, frames))
            try:
                pictures = waiting.pop(0).result()
            except VideoError as error:
                problems.append(str(error))
                continue
            if not problems:
                yield pictures
    if problems:
        raise InputError("\n  ".join(["clips that cannot be used; mend or remove them", *problems]))


def _readers(*, drawn: bool) -> Executor:
    """Reading a file starts a process by itself, drawing a clip does not."""
    if not drawn:
        return ThreadPoolExecutor(READERS)
    return ProcessPoolExecutor(
        READERS,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_serve,
    )


def _serve() -> None:
    """Leave Ctrl-C to the parent, and end with it, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=end_with_parent, daemon=True).start()
