"""The clips of a training set: which they are, and their frames, read a few ahead."""

import hashlib
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from assistant.data.items import Item
from assistant.dialogue.spoken import Range
from assistant.errors import InputError, VideoError
from assistant.media.video import probe, read_clip
from assistant.model.audio import Ear, read_sound
from assistant.model.encoders.base import Encoder
from assistant.training.features import FeatureTable
from assistant.training.generated import draw_clip, draw_sound, is_generated
from assistant.training.sounds import sound_table
from assistant.vqa.time_ranges import range_of

READERS = 2  # clips that are decoded or drawn at a time, each in a process of its own
AHEAD = 8  # clips decoded before the encoder wants them
SIDE = 448  # pixels of a frame's longer side, at most


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

    def read(self, frames: int, side: int = SIDE) -> np.ndarray:
        """``(T, H, W, 3)`` uint8 RGB, T at most ``frames``. Raises VideoError."""
        clip = read_clip(self.path, frames=frames, start=self.start, end=self.end, max_side=side)
        return clip.frames

    def sound(self, windows: int) -> np.ndarray:
        """As `read_sound` has it. Raises VideoError."""
        return read_sound(self.path, windows, self.start, self.end)


class GeneratedRef(ClipRef):
    """A clip of ``assistant scenes`` that is drawn when it is wanted, and in no file."""

    @property
    def key(self) -> str:
        return str(self.path)

    def read(self, frames: int, side: int = SIDE) -> np.ndarray:
        return draw_clip(self.path, frames)

    def sound(self, windows: int) -> np.ndarray:
        return draw_sound(self.path, windows)


def clip_of(item: Item) -> ClipRef | None:
    """What an item is about; None: text alone. Raises InputError: as :func:`asked_of`."""
    if item.video is None:
        return None
    kind = GeneratedRef if is_generated(item.video) else ClipRef
    return kind(item.video, *asked_of(item)[0])


def asked_of(item: Item) -> tuple[Range, str]:
    """The range of its clip that an item is about and its question as it is put to the model, both
    as a session has them.

    Raises:
        InputError: the question names a time beyond the clip, or the clip cannot be opened.
    """
    video = item.video
    if video is None or is_generated(video):  # what is generated asks about no time
        return (None, None), item.question
    try:
        given = (item.start, item.end)
        where, _, plain = range_of(
            item.question, given, (None, None), lambda: _duration(video, video.stat().st_mtime_ns)
        )
    except (InputError, VideoError) as error:
        raise InputError(f"example {item.id!r}: {error}") from error
    return where, plain


@lru_cache(maxsize=1 << 16)
def _duration(video: Path, changed: int) -> float:
    return probe(video).duration


def clips_of(items: Sequence[Item]) -> dict[ClipRef, str]:
    """Every clip that the items are about, once, with its key.

    Raises:
        InputError: questions that name a time beyond their clip; all of them are named.
    """
    found: dict[ClipRef, str] = {}
    problems = []
    for item in items:
        try:
            if (ref := clip_of(item)) is not None and ref not in found:
                found[ref] = ref.key
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise InputError("\n  ".join(["examples that cannot be used; mend them", *problems]))
    return found


def digest_of(clips: dict[ClipRef, str]) -> str:
    """Tells what is in these clips, wherever their files lie."""
    states = (key.replace(json.dumps(str(ref.path)), "", 1) for ref, key in clips.items())
    return hashlib.sha256("\n".join(states).encode()).hexdigest()


def clip_table(
    root: Path,
    encoder: Encoder,
    clips: dict[ClipRef, str],
    frames: int,
    ear: Ear | None = None,
    windows: int = 0,
) -> FeatureTable:
    """The table under ``root`` with these clips in it; those it lacks are encoded now.

    Args:
        ear: how their sound is listened to, beside so many ``windows``; None: it is not.
    Raises:
        InputError: clips that cannot be decoded; all of them are named.
    """
    refs = {key: ref for ref, key in clips.items()}

    def read(keys: list[str]) -> Iterator[np.ndarray]:
        return read_ahead([refs[key] for key in keys], frames)

    table = FeatureTable.open(root, encoder, frames, refs, read)
    if ear is not None:
        table.sounds = sound_table(root, ear, refs, windows)
    return table


def read_ahead(clips: Sequence[ClipRef], frames: int, side: int = SIDE) -> Iterator[np.ndarray]:
    """Each clip's frames ``(T, H, W, 3)`` in order, decoded a few ahead.

    Raises:
        InputError: clips that cannot be decoded; all of them are named.
    """
    problems: list[str] = []
    with _readers(drawn=isinstance(clips[0], GeneratedRef)) as pool:
        waiting: list[Future[np.ndarray]] = [
            pool.submit(ref.read, frames, side) for ref in clips[:AHEAD]
        ]
        for number in range(len(clips)):
            if number + AHEAD < len(clips):
                waiting.append(pool.submit(clips[number + AHEAD].read, frames, side))
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
        READERS, mp_context=multiprocessing.get_context("spawn"), initializer=_serve
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
