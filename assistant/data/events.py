"""Events for retrieval, JSONL: what belongs together as text, picture and clip.

    {"event": "storm-12", "text": "A tree fell on a car", "image": "a.jpg", "video": "a.mp4"}

A line has one of the three at least; lines of the same ``event`` belong together. A relative file
lies beside the JSONL. For training ``start`` and ``end`` are seconds of the video, and ``split`` is
train or dev.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.core.jsonl import WrongLine, in_seconds, is_id, read_records, refusal, text
from assistant.errors import InputError

MODALITIES = ("text", "image", "video")
KEYS = ("event", *MODALITIES, "start", "end", "split")
SPLITS = ("train", "dev")


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
class Item:
    """One text, picture or clip, of one event."""

    event: str | int
    content: str | Path


def read_lines(path: Path, outcome: str) -> list[Line]:
    """Raises InputError: the file cannot be read, or lines are wrong: all are named, and the
    ``outcome`` of that."""
    return read_records(path, lambda data: _line(data, path.parent), unit="event", outcome=outcome)


def read_events(path: Path) -> list[Line]:
    """Those that whole files are measured by. Raises InputError: a line is wrong or asks for a part
    of a clip, or a file is of two events: all such lines are named."""
    lines = read_lines(path, "refused")
    torn = []
    owner: dict[Path, str | int] = {}
    for line in lines:
        for own in line.sources.values():
            if own.start is not None or own.end is not None:
                told = "asks for a part of its video; whole files are looked for, so cut it first"
                torn.append(WrongLine(f"event {line.id!r}", told, None))
            if own.path is not None and owner.setdefault(own.path, line.id) != line.id:
                told = f"{own.path.name} is of event {owner[own.path]!r}, too"
                torn.append(WrongLine(f"event {line.id!r}", told, None))
    if torn:
        raise refusal(path, "a file belongs to one event", torn)
    return lines


def items_of(lines: Sequence[Line], modality: str) -> list[Item]:
    """Those of one of ``MODALITIES``, in order; what an event has twice is there once."""
    found = [(line.id, line.sources[modality]) for line in lines if modality in line.sources]
    items = (Item(event, own.path or own.text) for event, own in found)
    return list(dict.fromkeys(items))


def _line(data: dict[str, Any], folder: Path) -> Line:
    """Raises InputError: what is wrong with it."""
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
            raise InputError(
                f"{name} {told}: there is no such file; a path is taken from the JSONL's folder"
            )
        sources[name] = Source("", path, *((start, end) if name == "video" else ()))
    if not sources:
        raise InputError(f"has none of {', '.join(MODALITIES)}; give one")
    return Line(data["event"], data.get("split"), sources)
