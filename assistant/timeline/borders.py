"""Where a clip parts into scenes: change points of its frames' vectors, set to the cut beside them.

Penalised optimal partitioning with a linear kernel: segments are chosen so that the scatter of unit
vectors within them, n - |sum x|^2 / n, plus a penalty for each border is least. PELT's pruning
(Killick, Fearnhead and Eckley, JASA 2012) makes it linear in time where scenes are short; kernel
temporal segmentation (Potapov et al., ECCV 2014) is the same cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from assistant.media.video import Ask

PENALTY = 1.6  # of a border; chosen on films of panned photos (docs/events.md)
LEAST = 2  # frames of a segment
LONGEST = 1440  # frames (30 min) that are looked at as one: bounds the time that stillness takes
CLOSE = 12  # pictures between two frames, among which the cut is looked for
CUT_SIDE = 64  # pixels
CLEAR = 3.0  # times the median step that a cut changes


def change_points(frames: np.ndarray, penalty: float = PENALTY, least: int = LEAST) -> list[int]:
    """``(T, E)`` unit vectors -> the numbers of the frames that begin a segment, the first left
    out."""
    count = len(frames)
    sums = np.concatenate([np.zeros((1, frames.shape[1])), np.cumsum(frames, 0, np.float64)])
    squares = np.concatenate([[0.0], np.cumsum((frames.astype(np.float64) ** 2).sum(1))])
    best = np.full(count + 1, np.inf)  # of all up to a frame
    best[0], came = -penalty, np.zeros(count + 1, int)
    starts, outdone = np.zeros(0, int), np.full(count + 1, np.inf)
    for end in range(least, count + 1):
        starts = np.append(starts, end - least)
        lengths = end - starts
        own = squares[end] - squares[starts]
        own -= ((sums[end] - sums[starts]) ** 2).sum(1) / lengths
        totals = best[starts] + own + penalty
        place = int(totals.argmin())
        best[end], came[end] = totals[place], starts[place]
        worse = starts[totals - penalty > best[end]]  # than a border here, which counts from
        outdone[worse] = np.minimum(outdone[worse], end + least)  # then on
        starts = starts[(outdone[starts] > end + 1) & (lengths < LONGEST)]
    borders, end = [], count
    while count >= least and (end := int(came[end])) > 0:
        borders.append(end)
    return borders[::-1]


def clearest_cut(pictures: np.ndarray) -> tuple[int, bool]:
    """Which of some pictures ``(N, H, W, 3)`` uint8 differs most from the one before, and whether
    that is a cut and no slow change."""
    small = pictures.astype(np.float32)
    steps = np.abs(np.diff(small, axis=0)).mean((1, 2, 3))
    place = int(steps.argmax())
    return place + 1, bool(steps[place] > CLEAR * (np.median(steps) + 1.0))


def exact_border(path: Path, before: float, after: float, ask: Ask | None = None) -> float:
    """The second of the cut between two times; their middle where there is none. Raises VideoError:
    nothing can be decoded there."""
    from assistant.media.video import read_clip

    clip = read_clip(path, frames=CLOSE, start=before, end=after, max_side=CUT_SIDE, ask_reader=ask)
    if len(clip.frames) > 1:
        place, clear = clearest_cut(clip.frames)
        if clear:
            return clip.seconds[place]
    return (before + after) / 2


def merged(
    groups: Sequence[slice], frames: np.ndarray, labels: Sequence[str], alike: float
) -> list[slice]:
    """Neighbours become one where they are labelled the same and their mean directions are alike.

    Args:
        groups: of frames ``(T, E)``, in order. alike: least cosine.
    """
    kept: list[tuple[slice, str]] = []
    for group, label in zip(groups, labels, strict=True):
        if kept and kept[-1][1] == label and _cosine(frames, kept[-1][0], group) >= alike:
            kept[-1] = (slice(kept[-1][0].start, group.stop), label)
        else:
            kept.append((group, label))
    return [group for group, _ in kept]


def _cosine(frames: np.ndarray, one: slice, other: slice) -> float:
    a, b = frames[one].mean(0), frames[other].mean(0)
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b) + 1e-12))
