"""Short texts with a label, humorous or sarcastic: CSV with a header, or JSONL.

    text,humor
    "What do you call a fish with no eyes? A fsh.",True

The column beside ``text`` is called humor or sarcasm and says true or false (yes or no, 1 or 0). A
column ``context`` may hold what was said before, turns joined by " / ".
"""

import csv
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from assistant.core.jsonl import json_object
from assistant.data.formats.source import Reading, Source, judged, said, spread
from assistant.errors import InputError

TASKS = ("humor", "sarcasm")
JOINT = " / "  # between turns
LABELS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
SHARES = {"test": 0.1, "dev": 0.1, "train": 0.8}


def read(source: Source) -> Reading:
    """Every text once, split by the seed with the labels in equal shares.

    Two texts are the same if their letters and digits are; a text with both labels is left out.

    Raises:
        InputError: no such file, a column is missing, a text is empty, or a label is unknown.
    """
    if not source.path.is_file():
        raise InputError(f"{source.path}: is no file; give one from {source.origin}")
    rows = list(table_rows(source.path))
    known: dict[str, tuple[int, str, list[str], bool]] = {}  # by the bare text: line, task, ...
    torn, twice = set(), 0
    for line, row in rows:
        where = f"{source.path.name}: line {line}"
        task = next((task for task in TASKS if task in row), None)
        if task is None or "text" not in row or None in row:  # None: more fields than columns
            columns = ", ".join(map(str, row))
            raise InputError(f"{where} has {columns}; wanted text and humor or sarcasm, quoted")
        text, label = said(row["text"], f"{where}: text"), LABELS.get(str(row[task]).lower())
        if label is None:
            raise InputError(f"{where}: {task} is {row[task]!r}; wanted true or false")
        turns = [*turns_before(row, where), text]
        bare = "".join(filter(str.isalnum, "".join(turns).casefold())) or text
        twice += bare in known
        if known.setdefault(bare, (line, task, turns, label))[3] != label:
            torn.add(bare)
    kept = {bare: value for bare, value in known.items() if bare not in torn}
    splits = spread({bare: str(value[3]) for bare, value in kept.items()}, SHARES, source.seed)
    records = [
        judged(task, f"text-{line}", [(None, turn) for turn in turns], label)
        | {"split": splits[bare]}
        for bare, (line, task, turns, label) in kept.items()
    ]
    return Reading(
        records,
        [
            f"{len(rows)} texts were read, {twice} of them again",
            f"{len(torn)} texts had both labels and were left out",
        ],
    )


def turns_before(row: Mapping[str, Any], where: str) -> list[str]:
    """The turns of the column ``context``; none where there is no such column."""
    context = row.get("context") or ""
    if not isinstance(context, str):
        raise InputError(f"{where}: context is {context!r:.60}; wanted turns joined by {JOINT!r}")
    parts = context.split(JOINT)
    return [said(turn, f"{where}: context") for turn in parts if turn.strip()]


def table_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line numbers and objects of CSV or JSONL. Raises InputError: it cannot be read."""
    try:
        text = path.read_text("utf-8-sig")
        if path.suffix.lower() == ".csv":
            reader = csv.DictReader(StringIO(text, newline=""), strict=True)
            for row in reader:
                yield reader.line_num, row
            return
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error}); give UTF-8 CSV or JSONL") from error
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield number, json_object(line.encode())
            except InputError as error:
                raise InputError(f"{path.name}: line {number} {error}") from error
