"""Which pictures of a clip are wanted and how they are shown: the arithmetic, no decoder."""

import struct
from typing import Any

from assistant.errors import VideoError

GRACE = 1.0  # s that the asked end may lie past the clip's: people round up


def centres(start: float, end: float, count: int) -> list[float]:
    """The centres of ``count`` equal segments of a range, in seconds."""
    return [round(start + (end - start) * (i + 0.5) / count, 6) for i in range(count)]


def chosen_range(request: dict[str, Any], first: float, end: float) -> tuple[float, float]:
    """The asked range, in seconds, held to the pictures that are there (``first`` to ``end``).

    Raises VideoError, which names the clip's length, where it lies outside.
    """
    start = request["start"] if request["start"] is not None else min(first, end)
    stop = request["end"] if request["end"] is not None else end
    if not (0 <= start < end and start < stop <= end + GRACE):
        asked = f"from {start:g} s" if request["end"] is None else f"{start:g} s to {stop:g} s"
        raise VideoError(f"is {end:.2f} s long and {asked} was asked; choose a range inside it")
    return start, min(stop, end)


def fit(width: float, height: float, max_side: int) -> tuple[int, int]:
    """Width and height in pixels, shrunk so that the longer side is at most ``max_side``."""
    scale = min(1.0, max_side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def turn_of(matrix: bytes | None) -> tuple[bool, bool, bool]:
    """A display matrix (3 x 3 native int32, ffmpeg's libavutil/display.h) as steps.

    Transpose, then flip the rows, then flip the columns; angles between are taken to the nearest.
    """
    if matrix is None:
        return False, False, False
    a, b, _, c, d = struct.unpack_from("=5i", matrix)  # x' = a x + c y, y' = b x + d y
    if abs(b) > abs(a):
        return True, b < 0, c < 0
    return False, d < 0, a < 0
