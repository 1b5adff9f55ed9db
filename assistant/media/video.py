"""Clips in: pictures with their times, facts, subtitle tracks and sound.

The decoders run in a process of their own (``assistant/media/worker.py``) with a time limit and a
memory limit, so that a file that hangs or crashes them is one VideoError here.
"""

import hashlib
import json
import os
import resource
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from assistant.errors import InputError, VideoError, VideoLimitError

DECODERS = {"auto": "pyav", "pyav": "pyav", "decord": "decord"}
MAGIC = b"VIDEO1\n"
LEAST_MB = 256  # of memory: with less a reader does not even start
ROOT = Path(__file__).resolve().parents[1]  # the folder that holds the package


@dataclass(frozen=True)
class Limits:
    """What a reader's process may use: seconds of wall time, MB (2^20 bytes) of address space."""

    seconds: float = 60.0
    memory_mb: int = 3072


@dataclass(frozen=True, eq=False)
class Clip:
    """Pictures of a clip.

    ``frames``: (T, H, W, 3) uint8 RGB as displayed, distinct, in order;
    ``seconds``: (T,) when each one starts on the clip's own clock, which starts at 0;
    ``duration``: where the pictures end, in seconds; ``start``, ``end``: the sampled range;
    ``digest``: sha256 of the file's content, when it is asked for; ``decoder``: "pyav" or "decord";
    ``corrupt_frames``: how many wanted frames could not be decoded; ``warnings``: one line each.
    """

    path: Path
    frames: np.ndarray
    seconds: tuple[float, ...]
    duration: float
    start: float
    end: float
    decoder: str
    corrupt_frames: int
    warnings: tuple[str, ...]

    @cached_property
    def digest(self) -> str:
        return digest_of(self.path)


@dataclass(frozen=True)
class VideoInfo:
    """Facts about a clip: seconds, pixels as displayed, pictures per second, names."""

    duration: float
    width: int
    height: int
    fps: float
    codec: str
    has_audio: bool
    subtitle_tracks: tuple[str, ...]


DEFAULT_LIMITS = Limits()
Ask = Callable[..., tuple[dict[str, Any], memoryview]]


def read_clip(
    path: str | Path,
    *,
    frames: int = 8,
    start: float | None = None,
    end: float | None = None,
    decoder: str = "auto",
    max_side: int = 448,
    limits: Limits = DEFAULT_LIMITS,
    ask_reader: Ask | None = None,
) -> Clip:
    """The pictures on show at the centres of ``frames`` equal segments of a range.

    ``start`` and ``end`` are seconds, the whole clip by default; ``max_side``: the longer side in
    pixels at most. A clip with fewer pictures gives fewer. ``decoder``: "auto" and "pyav" read
    everything; "decord" is a second opinion, which knows fewer formats and does not see damage.
    ``ask_reader``: what asks a process that reads several files, one of :class:`Reader`'s.
    Raises InputError for an unusable option, VideoError where nothing can be decoded or the range
    is outside the clip, VideoLimitError past ``limits``.
    """
    if frames < 1 or max_side < 1:
        raise InputError(f"frames={frames}, max_side={max_side}: both must be at least 1")
    if decoder not in DECODERS:
        raise InputError(f"decoder {decoder!r} is not known; choose one of {', '.join(DECODERS)}")
    path = checked(path)
    header, payload = (ask_reader or ask)(
        path, DECODERS[decoder], limits, frames=frames, start=start, end=end, max_side=max_side
    )
    pictures = np.frombuffer(payload, np.uint8).reshape(header["shape"])
    return Clip(
        path=path,
        frames=turned(pictures, *header["turn"]),
        seconds=tuple(header["seconds"]),
        duration=header["duration"],
        start=header["start"],
        end=header["end"],
        decoder=DECODERS[decoder],
        corrupt_frames=header["lost"],
        warnings=tuple(header["warnings"]),
    )


def probe(path: str | Path, limits: Limits = DEFAULT_LIMITS) -> VideoInfo:
    """Facts about a clip. Raises VideoError where it is none, VideoLimitError past ``limits``."""
    header, _ = ask(checked(path), "info", limits)
    header["subtitle_tracks"] = tuple(header["subtitle_tracks"])
    return VideoInfo(**header)


def read_subtitle_track(
    path: str | Path, limits: Limits = DEFAULT_LIMITS
) -> tuple[list[tuple[float, float, str | None, str]], tuple[str, ...]]:
    """A text track inside a clip: (start, end, speaker, text) in seconds; empty if there is none.

    And notes: which of several tracks it is. Raises VideoError where the file cannot be read,
    VideoLimitError past ``limits``.
    """
    header, _ = ask(checked(path), "subtitles", limits)
    return [tuple(event) for event in header["events"]], tuple(header["notes"])


def read_audio(
    path: str | Path,
    *,
    start: float | None = None,
    end: float | None = None,
    rate: int = 16000,
    language: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """A sound track's range as (n,) float32 mono in [-1, 1], ``rate`` samples per second.

    Sample 0 is at ``start`` seconds; gaps are silence. And notes: which of several tracks it is.
    ``language``: the one that the listener knows ("en"); None: the person's own. Raises InputError
    for an unusable rate, VideoError where there is no sound, VideoLimitError past ``limits``.
    """
    if rate < 1:
        raise InputError(f"rate={rate}: at least 1 sample per second was wanted")
    options = {"start": start, "end": end, "rate": rate, "language": language}
    header, payload = ask(checked(path), "sound", limits, **options)
    return np.frombuffer(payload, "<i2").astype(np.float32) / 32768, tuple(header["notes"])


def checked(path: str | Path) -> Path:
    """The path, if a reader can be sent there. Raises VideoError."""
    path = Path(path)
    try:
        if path.is_dir():
            raise VideoError(line(path, "is a folder, a video file was wanted"))
        if path.exists() and not path.is_file():
            raise VideoError(line(path, "is a device or a pipe, a video file was wanted"))
        with path.open("rb") as file:
            if not file.read(1):
                raise VideoError(line(path, "is empty (0 bytes), a video file was wanted"))
    except FileNotFoundError:
        raise VideoError(line(path, "no such file; give the path of a clip")) from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = getattr(error, "strerror", None) or error
        raise VideoError(line(path, f"cannot be opened ({reason})")) from error
    return path


def line(path: Path, message: str) -> str:
    """One line, whatever the file's name holds."""
    return " ".join(f"{path}: {message}".splitlines())


def digest_of(path: Path) -> str:
    """sha256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def turned(pictures: np.ndarray, transpose: bool, rows: bool, columns: bool) -> np.ndarray:
    """Pictures (T, H, W, 3) as they are shown, contiguous and writable."""
    if transpose:
        pictures = pictures.transpose(0, 2, 1, 3)
    if rows:
        pictures = pictures[:, ::-1]
    if columns:
        pictures = pictures[:, :, ::-1]
    return pictures.copy(order="C")


def ask(path: Path, task: str, limits: Limits, **options: Any) -> tuple[dict[str, Any], memoryview]:
    """Sends one request to a reader's process; returns its reply's header and payload."""
    limits = within_own(limits)
    request = {"task": task, "path": str(path.absolute()), **options}
    request |= {"seconds": limits.seconds, "memory_mb": limits.memory_mb}
    with started() as process:
        try:
            reply, _ = process.communicate(json.dumps(request).encode(), timeout=limits.seconds)
        except subprocess.TimeoutExpired:
            message = f"reading it took longer than {limits.seconds:g} s; ask for a shorter range"
            raise VideoLimitError(line(path, message)) from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    return unpacked(path, reply, process.returncode, limits)


def started(*arguments: str) -> subprocess.Popen[bytes]:
    """A reader's process, which waits for its request."""
    # the parent's import path, but never the folder it happens to be in; threads would cost memory
    quiet = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONSAFEPATH": "1"}
    quiet |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "assistant.media.worker", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env=os.environ | quiet,
        start_new_session=True,
    )


def within_own(limits: Limits) -> Limits:
    """A reader cannot be allowed more memory than this process is."""
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    if most == resource.RLIM_INFINITY:
        return limits
    return replace(limits, memory_mb=min(limits.memory_mb, most >> 20))


def unpacked(
    path: Path, reply: bytes, code: int, limits: Limits
) -> tuple[dict[str, Any], memoryview]:
    """A reply's header and payload. Raises VideoError for a failure or an incomplete reply."""
    head = len(MAGIC) + 4
    size = struct.unpack_from("<I", reply, len(MAGIC))[0] if len(reply) >= head else 0
    header = json.loads(reply[head : head + size]) if code == 0 and size else None
    payload = memoryview(reply)[head + size :]
    unable = header is None and limits.memory_mb < LEAST_MB
    if unable or (header or {}).get("failure") == "memory":
        message = f"reading it takes more than {limits.memory_mb} MB of memory; allow more"
        raise VideoLimitError(line(path, message))
    if header is None or len(payload) != header["payload"]:
        how = f"was stopped by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        raise VideoError(line(path, f"its reader {how} before it was done; is the file damaged?"))
    if "failure" in header:
        raise VideoError(line(path, header["message"]))
    del header["payload"]
    return header, payload
