"""Events for retrieval, JSONL: what belongs together as text, picture and clip.

    {"event": "1001", "text": "two dogs run over a field", "image": "photos/a.jpg"}

Several lines may speak of one event; a relative file lies beside the JSONL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.core.jsonl import WrongLine, is_id, read_records, refusal, text
from assistant.errors import InputError

MODALITIES = ("text", "image", "video")


@dataclass(frozen=True)
class Line:
    """One line."""

    event: str | int
    text: str | None = None
    image: Path | None = None
    video: Path | None = None

    @property
    def id(self) -> str | int:
        return self.event


@dataclass(frozen=True)
class Item:
    """One text, picture or clip, of one event."""

    event: str | int
    content: str | Path


def read_events(path: Path) -> list[Line]:
    """Raises InputError: a line is wrong, or a file is of two events: all such lines are named."""
    lines = read_records(
        path, lambda data: _line(data, path.parent), unit="event", outcome="refused"
    )
    owner: dict[Path, str | int] = {}
    torn = [
        WrongLine(f"event {line.event!r}", f"{file.name} is of event {owner[file]!r}, too", None)
        for line in lines
        for file in (line.image, line.video)
        if file is not None and owner.setdefault(file, line.event) != line.event
    ]
    if torn:
        raise refusal(path, "a file belongs to one event", torn)
    return lines


def items_of(lines: Sequence[Line], modality: str) -> list[Item]:
    """Those of one of ``MODALITIES``, in order; what an event has twice is there once."""
    found = ((line.event, getattr(line, modality)) for line in lines)
    return [Item(*one) for one in dict.fromkeys(found) if one[1] is not None]


def _line(data: dict[str, Any], folder: Path) -> Line:
    """Raises InputError: what is wrong with it."""
    unknown = [key for key in data if key not in ("event", *MODALITIES)]
    if unknown:
        raise InputError(
            f"has unknown {', '.join(unknown)}; known keys are event, {', '.join(MODALITIES)}"
        )
    if not is_id(data.get("event")):
        raise InputError(f"event is {data.get('event')!r}; give a text or a whole number")
    there = {key: text(data, key) for key in MODALITIES if data.get(key) is not None}
    if not there:
        raise InputError(f"says nothing of its event; give some of {', '.join(MODALITIES)}")
    files = {key: folder / name for key, name in there.items() if key != "text"}
    gone = [str(file) for file in files.values() if not file.is_file()]
    if gone:
        raise InputError(f"{gone[0]} is not there; a path is taken from the JSONL's folder")
    return Line(data["event"], there.get("text"), files.get("image"), files.get("video"))
