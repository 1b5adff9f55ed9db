"""``convert``: a dataset in its official format becomes checked examples in ``OUT/data.jsonl``."""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from assistant.data.formats import (
    clevrer,
    laughs,
    mustard,
    mvbench,
    qaego4d,
    texts,
    urfunny,
    youcook2,
)
from assistant.data.formats.clips import place_clips
from assistant.data.formats.source import Reading, Record, Source
from assistant.data.formats.table import FORMATS, MISSING, Format
from assistant.data.items import SPLITS, Item, check_item, describe_items
from assistant.errors import AssistantError, InputError

DATA = "data.jsonl"
MOST_LABELS = 6  # of a split, told in a report


READERS: dict[str, Callable[[Source], Reading]] = {
    "mustard": mustard.read,
    "urfunny": urfunny.read,
    "texts": texts.read,
    "laughs": laughs.read,
    "qaego4d": qaego4d.read,
    "clevrer": clevrer.read,
    "mvbench": mvbench.read,
    "youcook2": youcook2.read,
}


@dataclass(frozen=True)
class Converted:
    """What was written."""

    path: Path
    items: list[Item]
    notes: list[str]


def convert(
    name: str,
    path: Path,
    out: Path,
    *,
    clips: Path | None = None,
    missing: str | None = None,
    split: str | None = None,
    **options: int | bool | str | None,
) -> Converted:
    """Read ``path`` as the format ``name``; write ``out/data.jsonl``, whole or not at all.

    Args:
        clips: folder with the clips, any folders deep; None: ``path``, where it is a folder.
        missing: what becomes of a question whose clip is not there, of ``MISSING``; None: as the
            format has it.
        split: one of the format's. options: fold, seed, speakers, moments and hold_out of a
            ``Source``; None is the default.
    Raises:
        InputError: something is missing or wrong, an option is not the format's, or there is a
            ``data.jsonl`` already. Nothing is written then.
    """
    if name not in FORMATS:
        raise InputError(f"no format is called {name!r}; choose {', '.join(FORMATS)}")
    form, target = FORMATS[name], out / DATA
    given = {key: value for key, value in options.items() if value is not None}
    _check_options(name, form, split, given)
    if missing not in (None, *MISSING):
        raise InputError(f"missing is {missing!r}; choose {', '.join(MISSING)}")
    if target.exists():
        raise InputError(f"{target} is there already; choose another folder or remove it")
    if not path.exists():
        raise InputError(f"{path} is not there; {name} comes from {form.origin}")
    source = replace(
        Source(path, form.origin, split or next(iter(form.splits), "")),
        **given,  # type: ignore[arg-type]
    )
    reading = READERS[name](source)
    if not reading.records:
        raise InputError(f"{path}: holds no example; {name} comes from {form.origin}")
    folder = clips if clips is not None or not path.is_dir() else path
    records, notes = place_clips(
        reading.records, folder, out, missing or form.missing, form.origin, given=clips is not None
    )
    if not records:
        raise InputError(f"no example is left without its clip; the clips are {form.origin}'s")
    items = _checked(records, out)
    _write(target, records)
    return Converted(target, items, [*reading.notes, *notes])


def report(converted: Converted) -> Iterator[str]:
    """What was written, a line each; then what was missing."""
    items = converted.items
    yield f"wrote {converted.path}"
    yield from describe_items(items)
    for split in SPLITS:
        answers = Counter(item.answer for item in items if item.split == split)
        if answers and len(answers) <= MOST_LABELS:
            told = ", ".join(f"{answer} {count}" for answer, count in answers.most_common())
            yield f"{split}: {answers.total()} ({told})"
    yield from converted.notes


def _check_options(name: str, form: Format, split: str | None, given: dict) -> None:
    wrong = [key for key in given if key not in form.takes]
    if split is not None and split not in form.splits:
        known = f"choose {', '.join(form.splits)}" if form.splits else "its splits are its own"
        raise InputError(f"{name} has no split {split!r}; {known}")
    if wrong:
        knows = ", ".join(sorted(form.takes)) or "none"
        raise InputError(f"{name} does not take {wrong[0]}; of these options it takes {knows}")
    fold = given.get("fold")
    if fold is not None and (split not in (None, "folds") or fold < 0):
        raise InputError(f"fold is {fold} with the split {split or 'folds'}; give 0 or more")


def _checked(records: Sequence[Record], out: Path) -> list[Item]:
    """Every record as training will read it. Raises InputError: the first one that it would not."""
    items: list[Item] = []
    ids: set[str | int] = set()
    for record in records:
        try:
            item = check_item(record, out)
        except AssistantError as error:
            raise InputError(f"item {record['id']!r}: {error}; nothing was written") from error
        if item.id in ids:
            raise InputError(f"two items have the id {item.id!r}; give each its own")
        ids.add(item.id)
        items.append(item)
    return items


def _write(target: Path, records: Sequence[Record]) -> None:
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("w", encoding="utf-8") as file:
                for record in records:
                    file.write(json.dumps(record, ensure_ascii=False) + "\n")
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror}); check OUT") from error
