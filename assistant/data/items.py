"""Questions with known answers, for training and evaluation: one JSON object a line.

    {"id": "a-1", "video": "clips/a.mp4", "question": "Which way does it move?", "answer": "left",
     "choices": ["left", "right"], "type": "direction", "split": "train"}

``video`` is null where there is none; ``start`` and ``end`` are seconds. ``dialogue``, ``choices``,
``type``, ``split`` (train, dev, test), ``fold`` (the one of a cross-validation that tests the line)
and ``held_out`` may be left out; without ``dialogue`` the subtitles of the clip are read.
"""

import os
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.core.checks import check_choices, check_question, check_range
from assistant.core.clip_names import clip_path
from assistant.core.jsonl import (
    WrongLine,
    check_keys,
    in_seconds,
    read_records,
    refusal,
    scan_records,
    text,
)
from assistant.dialogue.subtitles import Dialogue, parse_dialogue
from assistant.errors import InputError

DATA = "data.jsonl"  # of a folder
SPLITS = ("train", "dev", "test")
REQUIRED = ("id", "video", "question", "answer")
OPTIONAL = ("start", "end", "dialogue", "choices", "type", "split", "fold", "held_out")
MOST_ANSWERS = 6  # of a type, told in a description
MOST_NOTES = 5  # of one kind
NO_DEV = "no dev split: finetune will set some train examples aside"


@dataclass(frozen=True)
class Item:
    """One checked line."""

    id: str | int
    video: Path | None
    question: str
    answer: str
    start: float | None = None  # seconds
    end: float | None = None
    dialogue: Dialogue | None = None
    choices: tuple[str, ...] | None = None
    type: str = ""
    split: str | None = None
    fold: int | None = None
    held_out: bool = False


def read_items(path: Path) -> list[Item]:
    """Every line of ``path``, a file or a folder with ``data.jsonl``; a relative video lies beside
    it, else in the working directory.

    Raises:
        InputError: the file cannot be read, or some lines are wrong: all of them are named.
    """
    path = data_file(path)
    return read_records(
        path, lambda data: check_item(data, path.parent), unit="example", outcome="nothing was read"
    )


def scan_items(path: Path) -> tuple[list[Item], list[WrongLine]]:
    """Like `read_items`: the lines that are right, and the others.

    Raises:
        InputError: the file cannot be read, or no line is right.
    """
    path = data_file(path)
    items, wrong = scan_records(path, lambda data: check_item(data, path.parent), unit="example")
    if not items:
        raise refusal(path, "nothing was read", wrong)
    return items, wrong


def data_file(path: Path) -> Path:
    """The JSONL file of ``path``, which may be its folder. Raises InputError: there is none."""
    if not path.is_dir():
        if path.is_file() and zipfile.is_zipfile(path):  # a pipe can be read once
            unpack = f"python3 -m zipfile -e {path.name} {path.stem}"
            raise InputError(f"{path}: is a zip; unpack it ({unpack}) and give its folder")
        return path
    if (path / DATA).is_file():
        return path / DATA
    lists = sorted(found.name for found in path.glob("*.jsonl"))
    holds = f"; it holds {', '.join(lists[:3])}, name that" if lists else "; give a JSONL file"
    raise InputError(f"{path}: is a folder without {DATA}{holds}")


def describe_items(items: Sequence[Item]) -> Iterator[str]:
    """What is in the data, a line each; then what a person may want to mend."""
    clips = {(item.video, item.start, item.end) for item in items if item.video is not None}
    silent = sum(item.video is None for item in items)
    spoken = sum(item.dialogue is not None for item in items)
    yield f"{len(items)} examples, {len(clips)} clips, {silent} without, {spoken} with dialogue"
    for name, values in (
        ("split", [item.split or "none" for item in items]),
        ("fold", [str(item.fold) for item in items if item.fold is not None]),
    ):
        counted = ", ".join(f"{value} {count}" for value, count in Counter(values).most_common())
        if values:
            yield f"{name}: {counted}"
    for kind in sorted({item.type for item in items}):
        answers = Counter(item.answer for item in items if item.type == kind)
        told = ", ".join(f"{answer} {n}" for answer, n in answers.most_common(MOST_ANSWERS))
        more = f", {len(answers) - MOST_ANSWERS} more" if len(answers) > MOST_ANSWERS else ""
        yield f"{kind or 'no type'}: {answers.total()} ({told}{more})"
    yield from (f"note: {note}" for note in _notes(items))


def _notes(items: Sequence[Item]) -> Iterator[str]:
    """What is no error and yet seldom meant."""
    asked: dict[tuple, Item] = {}
    torn = []
    for item in items:
        said = "" if item.dialogue is None else item.dialogue.as_text()
        first = asked.setdefault((item.video, item.start, item.end, item.question, said), item)
        if first.answer != item.answer:
            torn.append(f"{item.id!r} asks what {first.id!r} asks and answers otherwise")
    yield from torn[:MOST_NOTES]
    if len(torn) > MOST_NOTES:
        yield f"{len(torn) - MOST_NOTES} more ask what another asks and answer otherwise"
    if not any(item.split == "dev" for item in items):
        yield NO_DEV
    places: dict[Path, set[str | None]] = {}
    for item in items:
        if item.video is not None:
            places.setdefault(item.video, set()).add(item.split)
    shared = sum(len(splits) > 1 for splits in places.values())
    if shared:
        yield f"{shared} clips are in more than one split"


def check_item(data: dict[str, Any], folder: Path) -> Item:
    """One line of a file in ``folder``. Raises AssistantError saying what is wrong with it."""
    check_keys(data, REQUIRED, OPTIONAL)
    asked = check_asked(data, folder)
    answer = text(data, "answer")
    if asked["choices"] is not None and answer not in asked["choices"]:
        raise InputError(f"answer {answer!r} is none of the choices {', '.join(asked['choices'])}")
    split, fold = data.get("split"), data.get("fold")
    if split is not None and split not in SPLITS:
        raise InputError(f"split is {split!r}; choose {', '.join(SPLITS)}")
    if fold is not None and (type(fold) is not int or fold < 0):
        raise InputError(f"fold is {fold!r}; give a whole number, 0 or more")
    held_out = data.get("held_out", False)
    if not isinstance(held_out, bool):
        raise InputError(f"held_out is {held_out!r}; give true or false")
    return Item(
        id=data["id"],
        answer=answer,
        type=text(data, "type") if data.get("type") is not None else "",
        split=split,
        fold=fold,
        held_out=held_out,
        **asked,
    )


def check_asked(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What a question and an example say alike, of a line of a file in ``folder``.

    Raises:
        AssistantError: saying what is wrong with it.
    """
    video = None if data["video"] is None else clip_path(text(data, "video"), folder)
    if video is not None and not os.path.isfile(video):  # noqa: PTH113, of any length
        what = "is not there; it lies beside the data, or give its whole path"
        if os.path.isdir(video):  # noqa: PTH112
            what = "is a folder; name a clip in it"
        raise InputError(f"video {data['video']!r:.90} {what}")
    start, end = (in_seconds(data, key) for key in ("start", "end"))
    check_range(start, end)
    if video is None and (start, end) != (None, None):
        raise InputError("video is null; then start and end are a part of nothing, leave them out")
    return {
        "video": video,
        "question": check_question(text(data, "question")),
        "dialogue": _spoken(data.get("dialogue")),
        "start": start,
        "end": end,
        "choices": check_choices(data.get("choices")),
    }


def _spoken(said: Any) -> Dialogue | None:
    """What is said. Raises AssistantError: no dialogue, or a turn of it says nothing."""
    if said is None:
        return None
    dialogue = parse_dialogue(said)
    if not dialogue or (isinstance(said, list) and len(dialogue.lines) < len(said)):
        raise InputError("dialogue has a turn that says nothing; mend it, or leave it out")
    return dialogue
