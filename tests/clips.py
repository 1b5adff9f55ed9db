"""Test clips, made with imageio-ffmpeg's binary; every picture carries its own number.

A picture has three rows of blocks: its number in binary, the same number inverted, and colours that
move. ``number_of`` reads the number back and returns None where the two rows disagree, so that a
wrong frame, a turned frame and a garbled frame are all seen.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import imageio_ffmpeg
import numpy as np

BITS = 12
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")


def ffmpeg(*arguments: str | Path, stdin: bytes | None = None) -> bytes:
    """Runs ffmpeg; returns its standard output. Raises RuntimeError with its log."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", *map(str, arguments)]
    done = subprocess.run(command, input=stdin, capture_output=True)
    if done.returncode:
        log = done.stderr.decode(errors="replace")[-500:]
        raise RuntimeError(f"{' '.join(command)}: {log}")
    return done.stdout


def picture(number: int, size: tuple[int, int] = (96, 64)) -> np.ndarray:
    """The picture (H, W, 3) uint8 of one number; ``size`` is (width, height)."""
    width, height = size
    columns = np.minimum(np.arange(width) * BITS // width, BITS - 1)
    bits = (number >> (BITS - 1 - columns)) & 1
    phase = (np.arange(width) + 2 * number) / width * 2 * np.pi
    colours = np.stack([np.sin(phase), np.cos(phase), np.sin(2 * phase)], axis=-1) * 90 + 128
    frame = np.empty((height, width, 3), np.uint8)
    third = height // 3
    frame[:third] = (16 + 223 * bits)[None, :, None]
    frame[third : 2 * third] = (16 + 223 * (1 - bits))[None, :, None]
    frame[2 * third :] = colours.astype(np.uint8)[None]
    return frame


def number_of(frame: np.ndarray) -> int | None:
    """The number drawn into a picture of any size, or None where it is not readable."""
    height, width = frame.shape[:2]
    grey = frame.mean(axis=2)
    columns = ((np.arange(BITS) + 0.5) * width / BITS).astype(int)
    straight = grey[height // 6, columns] - 128
    inverted = grey[height // 2, columns] - 128
    if not ((np.abs(straight) > 30) & (np.abs(inverted) > 30) & (straight * inverted < 0)).all():
        return None
    return int("".join("1" if value > 0 else "0" for value in straight), 2)


def make_clip(
    path: Path,
    numbers: int | Iterable[int] = 50,
    *,
    fps: float = 25,
    size: tuple[int, int] = (96, 64),
    codec: Sequence[str] = X264,
    inputs: Sequence[str | Path] = (),
    output: Sequence[str | Path] = (),
) -> Path:
    """Encodes numbered pictures; ``inputs`` and ``output`` are further ffmpeg arguments."""
    numbers = range(numbers) if isinstance(numbers, int) else numbers
    raw = b"".join(picture(number, size).tobytes() for number in numbers)
    video = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}", "-r", str(fps))
    ffmpeg(*video, "-i", "pipe:0", *inputs, *codec, *output, path, stdin=raw)
    return path


def reference_frames(path: Path, size: tuple[int, int]) -> tuple[list[float], np.ndarray]:
    """All frames as ffmpeg itself shows them: seconds, and pictures (N, H, W, 3) at ``size``."""
    plain = ("-i", path, "-map", "0:V:0", "-fps_mode", "passthrough")
    table = ffmpeg(*plain, "-enc_time_base", "1:1000000", "-f", "framecrc", "-").decode()
    seconds = [
        int(line.split(",")[2]) / 1e6 for line in table.splitlines() if not line.startswith("#")
    ]
    scale = f"scale={size[0]}:{size[1]}:flags=area+accurate_rnd+full_chroma_int"
    raw = ffmpeg(*plain, "-vf", scale, "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
    return seconds, np.frombuffer(raw, np.uint8).reshape(-1, size[1], size[0], 3)
