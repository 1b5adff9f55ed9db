"""Events and their texts, pictures and clips: one JSON object a line.

    {"event": "storm-12", "text": "A tree fell on a car", "image": "a.jpg", "video": "a.mp4"}

A line has one of the three at least; lines of the same ``event`` belong together. Files are
relative to the JSONL file. ``start`` and ``end`` are seconds of the video; ``split`` is train or
dev, and one event in ten is for dev where no line names a split.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from assistant.core.jsonl import in_seconds, is_id, read_records, text
from assistant.errors import InputError
from assistant.retrieval.fusion import MODALITIES

KEYS = ("event", *MODALITIES, "start", "end", "split")
SPLITS = ("train", "dev")
DEV_PART = 10  # one event in so many
Kinds = tuple[str, ...]  # modalities, in the order of MODALITIES
Pair = tuple[Kinds, Kinds]  # of a query, and of what it is to find
SUBSETS = [kinds for n in (1, 2, 3) for kinds in combinations(MODALITIES, n)]


@dataclass(frozen=True)
class Source:
    """Of what one part of an event is read: a text, or a file."""

    text: str = ""
    path: Path | None = None
    start: float | None = None  # seconds
    end: float | None = None


@dataclass(frozen=True)
class Line:
    """One checked line."""

    id: str | int  # of the event
    split: str | None
    sources: dict[str, Source]  # by modality


@dataclass(frozen=True)
class Event:
    """What shows or tells one event."""

    id: str | int
    parts: dict[str, tuple[int, ...]]  # by modality: numbers of its texts, pictures, clips

    def allows(self, pair: Pair) -> bool:
        """Whether it has a query and what to find that share nothing."""
        query, wanted = pair
        return all(
            len(self.parts.get(name, ())) >= (name in query) + (name in wanted)
            for name in MODALITIES
        )


@dataclass(frozen=True)
class Events:
    """Of each split, and what their parts are read of."""

    splits: dict[str, list[Event]]
    sources: dict[str, list[Source]]  # by modality


def read_events(path: Path) -> Events:
    """
    Raises:
        InputError: the file cannot be read, lines are wrong (all are named), or there is nothing to
            learn from or to measure.
    """
    lines = read_records(
        path, lambda data: _line(data, path.parent), unit="event", outcome="nothing was learned"
    )
    return gather(lines, str(path))


def gather(lines: Sequence[Line], where: str) -> Events:
    """Lines as events. Raises InputError: one is in two splits, or a split lacks events."""
    sources: dict[str, dict[Source, int]] = {name: {} for name in MODALITIES}
    parts: dict[str | int, dict[str, dict[int, None]]] = {}
    splits: dict[str | int, str | None] = {}
    for line in lines:
        if splits.setdefault(line.id, line.split) != line.split:
            raise InputError(f"{where}: event {line.id!r} is in two splits; choose one of them")
        own = parts.setdefault(line.id, {name: {} for name in MODALITIES})
        for name, source in line.sources.items():
            own[name][sources[name].setdefault(source, len(sources[name]))] = None
    found: dict[str, list[Event]] = {split: [] for split in SPLITS}
    named = any(splits.values())
    for event, own in parts.items():
        split = splits[event] or ("train" if named or not is_for_dev(event) else "dev")
        found[split].append(Event(event, {name: tuple(some) for name, some in own.items() if some}))
    for split, events in found.items():
        if not any(map(is_plain, pairs_of(events))):
            raise InputError(
                f"{where}: no two {split} events have a text and a picture each, or another two of "
                f'{", ".join(MODALITIES)}; give them such lines of one "event", or other splits'
            )
    return Events(found, {name: list(own) for name, own in sources.items()})


def pairs_of(events: Sequence[Event], least: int = 2) -> dict[Pair, list[int]]:
    """Queries and what they may find: of which events ``least`` or more have both."""
    found = {}
    for first, query in enumerate(SUBSETS):
        for wanted in SUBSETS[first:]:
            pair = (query, wanted)
            if len(own := [n for n, event in enumerate(events) if event.allows(pair)]) >= least:
                found[pair] = own
    return found


def is_plain(pair: Pair) -> bool:
    """Whether it asks for one modality by another one."""
    return len(pair[0]) == len(pair[1]) == 1 and pair[0] != pair[1]


def is_for_dev(event: str | int) -> bool:
    return zlib.crc32(str(event).encode()) % DEV_PART == 0


def _line(data: dict[str, Any], folder: Path) -> Line:
    unknown = [key for key in data if key not in KEYS]
    if unknown:
        raise InputError(f"has unknown {', '.join(unknown)}; known keys are {', '.join(KEYS)}")
    if not is_id(data.get("event")):
        raise InputError(f"event is {data.get('event')!r}; give a text or a whole number")
    if data.get("split", "train") not in SPLITS:
        raise InputError(f"split is {data['split']!r}; choose {' or '.join(SPLITS)}")
    start, end = in_seconds(data, "start"), in_seconds(data, "end")
    if (start is not None or end is not None) and data.get("video") is None:
        raise InputError("has start or end and no video; leave them out, or name it")
    if not 0 <= (start or 0) < (float("inf") if end is None else end):
        raise InputError(f"goes from {start} to {end} s; give a start of 0 or more, before the end")
    sources = {}
    for name in MODALITIES:
        if data.get(name) is None:
            continue
        told = text(data, name)
        if name == "text":
            sources[name] = Source(text=told)
            continue
        path = folder / Path(told).expanduser()
        if not path.is_file():
            raise InputError(f"{name} {told}: there is no such file")
        sources[name] = Source("", path, *((start, end) if name == "video" else ()))
    if not sources:
        raise InputError(f"has none of {', '.join(MODALITIES)}; give one")
    return Line(data["event"], data.get("split"), sources)
