"""Encoded clips of a training set: computed once, memory-mapped, kept up to where it got."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from assistant.errors import InputError, VideoError
from assistant.model.attributes import attribute_text
from assistant.model.vision import ImageEncoder
from assistant.training_data import Item
from assistant.training_scenes import draw_clip, is_generated
from assistant.video import read_clip

__all__ = ["ClipRef", "ClipTable", "clip_of", "clips_of"]

READERS = 2  # clips that are decoded or drawn at a time, each in a process of its own
AHEAD = 8  # clips decoded before the encoder wants them
INDEX = "index.jsonl"


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
    """Patches ``(N, T, K, Dv)`` and mean classes ``(N, 1000)`` of N clips, fp16.

    A clip with fewer than T frames leaves the last ones empty and says so in ``lengths``.
    """

    def __init__(self, folder: Path, encoder: ImageEncoder) -> None:
        lines = [json.loads(line) for line in (folder / INDEX).read_text().splitlines()]
        self.rows = {line["key"]: row for row, line in enumerate(lines)}
        self.lengths = [line["frames"] for line in lines]
        self.array = np.load(folder / "patches.npy", mmap_mode="r")
        self.classes = np.load(folder / "classes.npy", mmap_mode="r")
        self.encoder = encoder

    def patches(self, keys: Sequence[str], chosen: Tensor) -> tuple[Tensor, Tensor]:
        """``(B, T, K, Dv)``, and ``(B, T)``: 1 where there is a frame.

        Args:
            chosen: ``(B, T)``, which of each clip's frames.
        """
        rows = [self.rows[key] for key in keys]
        lengths = torch.tensor([self.lengths[row] for row in rows])
        first = torch.minimum(chosen[:, 0], lengths - 1)  # a short clip shows one at least
        chosen = torch.cat([first[:, None], chosen[:, 1:]], dim=1)
        there = chosen < lengths[:, None]
        longest = int(there.sum(1).max())
        frames = chosen[:, :longest].tolist()
        patches = np.stack([self.array[row, some] for row, some in zip(rows, frames, strict=True)])
        return torch.from_numpy(patches), there[:, :longest].long()

    def attributes(self, key: str) -> str:
        """What the encoder's classifier finds in a clip, as the models read it."""
        classes = torch.from_numpy(self.classes[self.rows[key]][None].astype(np.float32))
        return attribute_text(self.encoder.attributes(classes))

    @classmethod
    def open(
        cls, root: Path, encoder: ImageEncoder, clips: dict[ClipRef, str], frames: int
    ) -> ClipTable:
        """The table of these clips under ``root``; what an earlier run left undone is done now.

        Raises:
            InputError: clips that cannot be decoded; all of them are named.
        """
        keys = list(clips.values())
        told = json.dumps([encoder.fingerprint, frames, keys])
        folder = root / hashlib.sha256(told.encode()).hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        index = folder / INDEX
        done = len(whole_lines(index))
        if done < len(keys):
            shape = (len(keys), frames, encoder.patch_count, encoder.width)
            patches = _memmap(folder / "patches.npy", shape, fresh=not done)
            classes = _memmap(folder / "classes.npy", (len(keys), 1000), fresh=not done)
            with (
                index.open("a") as lines,
                tqdm(total=len(keys), initial=done, desc="encoding clips", unit="clip") as bar,
            ):
                waiting = list(clips)[done:]
                for row, pictures in enumerate(_read(waiting, frames), done):
                    seen = encoder(pictures)
                    patches[row, : len(pictures)] = seen.patches.cpu().numpy()
                    classes[row] = seen.classes.float().mean(0).cpu().numpy()
                    lines.write(json.dumps({"key": keys[row], "frames": len(pictures)}) + "\n")
                    lines.flush()
                    bar.update()
            patches.flush()
            classes.flush()
        return cls(folder, encoder)


def whole_lines(path: Path) -> list[str]:
    """The lines of a file that may have been cut off in its last one; the rest is removed."""
    if not path.exists():
        return []
    data = path.read_bytes()
    kept = data[: data.rfind(b"\n") + 1]
    if len(kept) < len(data):
        path.write_bytes(kept)
    return kept.decode().splitlines()


def _memmap(path: Path, shape: tuple[int, ...], *, fresh: bool) -> np.memmap:
    if fresh or not path.exists():
        return np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
    return np.lib.format.open_memmap(path, mode="r+")


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
        initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_IGN),  # Ctrl-C is for the parent
    )
