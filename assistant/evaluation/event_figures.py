"""What an evaluation of events tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from assistant.evaluation.ranks import Value

KNOWN, FOUND = "known", "found"


@dataclass(frozen=True)
class Parted:
    """How well clips were parted."""

    name: str
    borders: Value  # F1 within TOLERANCE
    precision: float
    recall: float
    segments: dict[str, Value]  # F1 by least IoU
    labelled: dict[str, Value]  # the same, where the first label has to be right, too
    iou: Value  # of the known segments, each with its own found one


@dataclass(frozen=True)
class Named:
    """How well one branch names the known segments."""

    name: str
    segments: str  # KNOWN, or FOUND: named by the found one that overlaps it most
    views: str
    top1: Value
    top5: Value
    balanced: float  # top-1, the mean over classes
    ap: float  # mean average precision over classes


@dataclass(frozen=True)
class Drawn:
    """The mean and the deviation over seeded draws."""

    name: str
    classes: int
    queries: float  # segments asked about, in the mean
    figures: dict[str, tuple[float, float]]  # top-1 by system
    chance: float


@dataclass(frozen=True)
class Strip:
    """One clip, for the picture."""

    name: str
    duration: float
    known: list[tuple[float, float, str]]
    found: list[tuple[float, float, str]]


@dataclass(frozen=True)
class EventsReport:
    """All figures of one data file."""

    name: str
    manifest: dict[str, Any]
    parted: tuple[Parted, ...]  # empty: no clip has a border
    named: tuple[Named, ...]
    chance: tuple[float, float]  # top-1, top-5
    drawn: tuple[Drawn, ...]
    notes: tuple[str, ...]
    strips: tuple[Strip, ...]
