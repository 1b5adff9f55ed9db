"""Events (`assistant.data.events`) for training: of which split, and what may find what.

One event in ten is for dev where no line names a split.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from assistant.data.events import MODALITIES, SPLITS, Line, Source, read_lines
from assistant.errors import InputError

DEV_PART = 10  # one event in so many
Kinds = tuple[str, ...]  # modalities, in the order of MODALITIES
Pair = tuple[Kinds, Kinds]  # of a query, and of what it is to find
SUBSETS = [kinds for n in (1, 2, 3) for kinds in combinations(MODALITIES, n)]


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
    return gather(read_lines(path, "nothing was learned"), str(path))


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
