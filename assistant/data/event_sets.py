"""Events for retrieval (`assistant.data.events`) of sets that one has."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.core.files import write_whole
from assistant.core.jsonl import json_object
from assistant.errors import InputError

DATA = "data.jsonl"
SPLITS = ("train", "dev", "test")
Record = dict[str, Any]


@dataclass(frozen=True)
class EventSet:
    """A kind of folder."""

    holds: str
    read: Callable[[Path, Path, str], Iterator[Record]]  # folder, OUT, split


def write_events(name: str, folder: Path, out: Path, split: str = "test") -> tuple[Path, int, int]:
    """Write ``out/data.jsonl``, and photos that lie in an archive; returns it, lines and events.

    Raises:
        InputError: the folder is not as wanted, or ``out`` holds such a file already.
    """
    target = out / DATA
    if target.exists():
        raise InputError(f"{target} is there already; choose another folder or remove it")
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; give one with {SETS[name].holds}")
    records = list(SETS[name].read(folder, out, split))
    if not records:
        raise InputError(f"{folder}: holds no event of {name}; give {SETS[name].holds}")
    out.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    write_whole(target, "".join(lines))
    return target, len(records), len({record["event"] for record in records})


def _flickr8k(folder: Path, out: Path, split: str) -> Iterator[Record]:
    from assistant.training.pretraining.captions import read_captions, read_split

    captions, names = read_captions(folder / "captions.tsv"), read_split(folder / f"{split}.txt")
    archives = sorted(folder.glob("*.zip"))
    if not archives:
        raise InputError(f"{folder}: holds no zip of photos; give {SETS['flickr8k'].holds}")
    with zipfile.ZipFile(archives[0]) as archive:
        members = {Path(member).name: member for member in archive.namelist()}
        (out / "photos").mkdir(parents=True, exist_ok=True)
        for name in names:
            if name not in members or name not in captions:
                raise InputError(f"{folder}: lacks photo or captions of {name}; get the whole set")
            (out / "photos" / name).write_bytes(archive.read(members[name]))
            for told in captions[name]:
                yield {"event": name, "text": told.rstrip(" ."), "image": f"photos/{name}"}


def _clips(folder: Path, *, by: str) -> Iterator[Record]:
    table = folder / "clips.tsv"
    try:
        rows = list(csv.DictReader(table.read_text("utf-8-sig").splitlines(), delimiter="\t"))
    except (OSError, ValueError) as error:
        raise InputError(f"{table}: cannot be read ({error}); give UTF-8 with tabs") from error
    for number, row in enumerate(rows, 2):
        lacks = [key for key in ("file", "caption", "label") if not row.get(key)]
        if lacks:
            raise InputError(f"{table}:{number} lacks {lacks[0]}; wanted file, caption and label")
        clip = (folder / "clips" / row["file"]).resolve()
        event = row["file"] if by == "caption" else row["label"]
        yield {"event": event, "text": row[by], "video": str(clip)}


def _scenes(folder: Path, out: Path, split: str) -> Iterator[Record]:
    """Of each picture, what is in it."""
    try:
        lines = (folder / DATA).read_bytes().splitlines()
    except OSError as error:
        raise InputError(f"{folder / DATA}: cannot be read ({error.strerror})") from error
    for record in map(json_object, lines):
        if record.get("type") == "caption":
            image = str((folder / record["image"]).resolve())
            yield {"event": image, "text": record["answer"], "image": image}


SETS = {
    "flickr8k": EventSet(
        "Flickr8k: a zip of photos, captions.tsv and lists of the splits", _flickr8k
    ),
    "clips": EventSet(
        "clips/ and clips.tsv with file, caption and label: each clip is an event",
        lambda folder, out, split: _clips(folder, by="caption"),
    ),
    "labels": EventSet(
        "the same: each label is an event",
        lambda folder, out, split: _clips(folder, by="label"),
    ),
    "scenes": EventSet("pictures that `assistant scenes` made", _scenes),
}
