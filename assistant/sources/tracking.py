"""Boxes of one frame after the other, linked into tracks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assistant.model.objects.head import Thing

GAP = 2  # frames that a thing may be out of sight
APART = -0.4  # generalised IoU from which two boxes may be of one thing; frames are seconds apart
MOVES = 0.15  # of the picture: less is none
STEADY = 0.75  # share of the steps that go the way of the whole


@dataclass
class Track:
    """One thing over frames."""

    seen: list[Thing] = field(default_factory=list)

    @property
    def best(self) -> Thing:
        """Where it is seen best."""
        return max(self.seen, key=lambda spot: spot.score)

    @property
    def colors(self) -> list[float]:
        """The frames' mean, each by its score."""
        total = sum(spot.score for spot in self.seen)
        weighed = zip(*([spot.score * p for p in spot.colors] for spot in self.seen), strict=True)
        return [sum(column) / total for column in weighed]

    @property
    def direction(self) -> str:
        """Which way its box moves: left, right, up or down; "": none, or not steadily."""
        if len(self.seen) < 3:
            return ""
        first, last = self.seen[0].box, self.seen[-1].box
        shifts = [end - start for start, end in zip(first, last, strict=True)]
        axis = 0 if abs(shifts[0] + shifts[2]) >= abs(shifts[1] + shifts[3]) else 1
        low, high = shifts[axis], shifts[axis + 2]
        centers = [spot.box[axis] + spot.box[axis + 2] for spot in self.seen]
        steps = [(after - before) * low > 0 for before, after in pairwise(centers)]
        # Both its sides: a box that only grows or is cut off does not move.
        if low * high <= 0 or min(abs(low), abs(high)) < MOVES:
            return ""
        if sum(steps) < STEADY * len(steps):
            return ""
        return (("left", "right"), ("up", "down"))[axis][low > 0]


def link(things: Iterable[Thing]) -> list[Track]:
    """Each thing into the track of its name whose last box is nearest, those of earlier frames
    first; or into one of its own."""
    tracks: list[Track] = []
    frames: dict[int, list[Thing]] = {}
    for spot in things:
        frames.setdefault(spot.frame, []).append(spot)
    for frame in sorted(frames):
        free = [t for t in tracks if frame - t.seen[-1].frame <= GAP + 1]
        new = list(frames[frame])
        pairs = [
            (giou(track.seen[-1].box, spot.box), i, j)
            for i, track in enumerate(free)
            for j, spot in enumerate(new)
            if track.seen[-1].name == spot.name
        ]
        taken: set[int] = set()
        placed: set[int] = set()
        for near, i, j in sorted(pairs, reverse=True):
            if near >= APART and i not in taken and j not in placed:
                free[i].seen.append(new[j])
                taken.add(i)
                placed.add(j)
        tracks += [Track([spot]) for j, spot in enumerate(new) if j not in placed]
    return tracks


def giou(one: Sequence[float], other: Sequence[float]) -> float:
    """Generalised IoU of two boxes, -1 to 1: below 0 the farther apart they are."""
    shared = _area([*map(max, one[:2], other[:2]), *map(min, one[2:], other[2:])])
    around = _area([*map(min, one[:2], other[:2]), *map(max, one[2:], other[2:])])
    union = _area(one) + _area(other) - shared
    return shared / max(union, 1e-9) - (around - union) / max(around, 1e-9)


def _area(box: Sequence[float]) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])
