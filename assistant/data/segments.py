"""Clips whose events are known, JSONL: what happens when.

    {"video": "joined/000.mp4", "split": "test",
     "segments": [{"start": 0.0, "end": 6.4, "label": "boxing", "source": "boxing.mp4"}, ...]}

Segments may overlap (many labels at once); one without times lasts as long as the clip. ``split``
and ``source``, the clip that a segment was cut from, may be left out. A relative video lies beside
the JSONL.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.core.clip_names import clip_path
from assistant.core.jsonl import in_seconds, read_records, text
from assistant.data.items import SPLITS, data_file
from assistant.errors import InputError

CLIP_KEYS, SEGMENT_KEYS = ("video", "segments", "split"), ("start", "end", "label", "source")
ABOUT = 0.5  # share of a segment that another one must cover, for its label to be true there


@dataclass(frozen=True)
class Segment:
    """What happens from when to when, in seconds; None: from the clip's start, or to its end."""

    label: str
    start: float | None = None
    end: float | None = None
    source: str = ""

    def within(self, duration: float) -> tuple[float, float]:
        """Its times in a clip of so many seconds."""
        return self.start or 0.0, duration if self.end is None else min(self.end, duration)


@dataclass(frozen=True)
class LabelledClip:
    """One line."""

    video: Path
    segments: tuple[Segment, ...]
    split: str | None = None

    @property
    def id(self) -> str:
        return str(self.video)

    def truth(self, duration: float) -> list[frozenset[str]]:
        """The labels of each segment: its own, and those of others that cover half of it."""
        spans = [segment.within(duration) for segment in self.segments]
        return [
            frozenset(
                other.label
                for other, (begin, stop) in zip(self.segments, spans, strict=True)
                if other is segment
                or min(end, stop) - max(start, begin) >= ABOUT * (end - start) > 0
            )
            for segment, (start, end) in zip(self.segments, spans, strict=True)
        ]


def read_segments(path: Path, split: str = "all") -> list[LabelledClip]:
    """The clips of a split, of a file or a folder with ``data.jsonl``; where no line names a split,
    all are of each.

    Raises:
        InputError: a line is wrong: all such lines are named; or no clip is of the split.
    """
    path = data_file(path)
    clips = read_records(
        path, lambda data: _clip(data, path.parent), unit="clip", outcome="refused"
    )
    if split == "all" or not any(clip.split for clip in clips):
        return clips
    chosen = [clip for clip in clips if clip.split == split]
    if not chosen:
        known = ", ".join(sorted({clip.split for clip in clips if clip.split}))
        raise InputError(f"{path}: holds no clip of the split {split}; its splits are {known}")
    return chosen


def labels_of(clips: Sequence[LabelledClip]) -> list[str]:
    """All labels, sorted."""
    return sorted({segment.label for clip in clips for segment in clip.segments})


def _clip(data: dict[str, Any], folder: Path) -> LabelledClip:
    """Raises InputError: what is wrong with it."""
    _known(data, CLIP_KEYS, ("video", "segments"), "")
    video = clip_path(text(data, "video"), folder)
    if not os.path.isfile(video):  # noqa: PTH113, of any length
        raise InputError(f"video {data['video']!r:.90} is not there; it lies beside the JSONL")
    found = data["segments"]
    if not isinstance(found, list) or not found:
        raise InputError(f"segments is {found!r:.40}; give a list of at least one segment")
    split = data.get("split")
    if split is not None and split not in SPLITS:
        raise InputError(f"split is {split!r}; choose {', '.join(SPLITS)}")
    segments = tuple(_segment(own, f"segment {n}") for n, own in enumerate(found, 1))
    return LabelledClip(video, segments, split)


def _segment(data: Any, where: str) -> Segment:
    if not isinstance(data, dict):
        raise InputError(f"{where} is {data!r:.40}; give an object with start, end and label")
    _known(data, SEGMENT_KEYS, ("label",), f"{where} ")
    start, end = (in_seconds(data, key) for key in ("start", "end"))
    first, last = start or 0.0, math.inf if end is None else end
    if not (0 <= first < last and (end is None or math.isfinite(end))):
        raise InputError(f"{where} lasts from {start} to {end}; give seconds, the start first")
    source = text(data, "source") if data.get("source") is not None else ""
    return Segment(" ".join(text(data, "label").split()), start, end, source)


def _known(data: dict[str, Any], keys: Sequence[str], wanted: Sequence[str], where: str) -> None:
    wrong = [f"has unknown {key}" for key in data if key not in keys]
    wrong += [f"lacks {key}" for key in wanted if data.get(key) is None]
    if wrong:
        raise InputError(f"{where}{wrong[0]}; known keys are {', '.join(keys)}")
