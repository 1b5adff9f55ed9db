"""Lists of labelled clips, as their datasets distribute them, become `assistant.data.segments`."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from assistant.core.files import write_whole
from assistant.data.formats.clips import place_clips
from assistant.data.formats.source import Reading, Record, Source, entry, read_json, said
from assistant.data.formats.table import LABELLED, LISTS
from assistant.data.items import DATA, SPLITS
from assistant.data.segments import read_segments
from assistant.errors import InputError


def convert_labelled(
    name: str,
    path: Path,
    out: Path,
    *,
    clips: Path | None = None,
    missing: str = "error",
    number: int | None = None,
) -> Iterator[str]:
    """Read ``path`` as the set ``name``; write ``out/data.jsonl``, whole or not at all; tells what
    was written, a line each.

    Args:
        clips: folder with the clips, any folders deep; None: ``path``. missing: what becomes of
            clips that are not there: error, or drop. number: of LISTS; None: the first.
    Raises:
        InputError: something is missing or wrong; nothing is written then.
    """
    kind, target = LABELLED[name], out / DATA
    if number is not None and not kind.lists:
        raise InputError(f"{name} has one list alone; leave out --list")
    if target.exists():
        raise InputError(f"{target} is there already; choose another folder or remove it")
    if not path.exists():
        raise InputError(f"{path} is not there; {name} comes from {kind.origin}")
    reading = READERS[name](Source(path, kind.origin), number or LISTS[0])
    if not reading.records:
        raise InputError(f"{path}: holds no labelled clip; {name} comes from {kind.origin}")
    folder = clips if clips is not None or not path.is_dir() else path
    records, notes = place_clips(
        reading.records, folder, out, missing, kind.origin, given=clips is not None
    )
    if not records:
        raise InputError(f"no clip is left; the clips are {kind.origin}'s: give --clips DIR")
    out.mkdir(parents=True, exist_ok=True)
    write_whole(target, "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records))
    made = read_segments(target)
    yield f"wrote {target}"
    labels = Counter(segment.label for clip in made for segment in clip.segments)
    yield f"{len(made)} clips, {labels.total()} segments, {len(labels)} labels"
    for split in SPLITS:
        if own := sum(clip.split == split for clip in made):
            yield f"{split}: {own}"
    yield from (note.replace("questions are", "segments are") for note in (*reading.notes, *notes))


def _kinetics(source: Source, number: int) -> Reading:
    """``label,youtube_id,time_start,time_end,split``; clips ``<id>_<start>_<end>.mp4``, of six
    digits."""
    files = _there(source, {"train": "train", "val": "dev", "validate": "dev", "test": "test"})
    wanted = ("label", "youtube_id", "time_start", "time_end")
    records = []
    for path, split in files:
        for where, row in _rows(path, wanted):
            times = [row[key] for key in wanted[2:]]
            if not all(time.isdigit() for time in times):
                raise InputError(f"{where}: its times are {times}; wanted whole seconds")
            name = "_".join([row["youtube_id"], *(f"{int(time):06}" for time in times)])
            records.append(_whole(name, row["label"], split))
    return Reading(records)


def _activitynet(source: Source, number: int) -> Reading:
    """The labels of its test split are not public; as the papers do, validation is the test."""
    path = source.file("activity_net.v1-3.min.json")
    splits = {"training": "train", "validation": "test"}
    records: list[Record] = []
    empty = hidden = 0
    database = entry(read_json(path), path.name, ("database",))["database"]
    for video, data in entry(database, f"{path.name}: database", ()).items():
        where = f"{path.name}: {video!r}"
        data = entry(data, where, ("subset", "annotations"))
        split = splits.get(str(data["subset"]))
        if split is None:
            if data["subset"] != "testing":
                known = ", ".join((*splits, "testing"))
                raise InputError(f"{where}: subset is {data['subset']!r:.40}; known are {known}")
            hidden += 1
            continue
        if not isinstance(data["annotations"], list):
            raise InputError(f"{where}: its annotations are no list; get the file anew")
        segments = []
        for item in data["annotations"]:
            item = entry(item, f"{where}: a segment", ("segment", "label"))
            segments += _timed(item["segment"], said(item["label"], f"{where}: a label"), where)
        empty += len(data["annotations"]) - len(segments)
        if segments:
            records.append({"video": f"v_{video}", "split": split, "segments": segments})
    notes = [f"{hidden} clips of the test split have no public labels"] if hidden else []
    return Reading(records, [*notes, *_lost(empty)])


def _charades(source: Source, number: int) -> Reading:
    """``actions``: ``c092 11.90 21.20;c147 0.00 12.60``, several at once."""
    listed = source.beside("Charades_v1_classes.txt")
    names = {}
    for where, line in _lines(listed):
        key, _, name = line.partition(" ")
        if not (re.fullmatch(r"c\d{3}", key) and name.strip()):
            raise InputError(f"{where}: {line!r:.60}; wanted a class and its name")
        names[key] = " ".join(name.split())
    files = _there(source, {"Charades_v1_train": "train", "Charades_v1_test": "test"})
    records: list[Record] = []
    empty = idle = 0
    for path, split in files:
        for where, row in _rows(path, ("id", "actions"), may_be_empty=("actions",)):
            segments = []
            for action in filter(None, row["actions"].split(";")):
                key, *times = action.split()
                if key not in names:
                    raise InputError(f"{where}: class {key!r:.20} is not in {listed.name}")
                try:
                    own = _timed([float(time) for time in times], names[key], where)
                except ValueError as error:
                    raise InputError(f"{where}: {action!r:.40}; wanted class start end") from error
                segments += own
                empty += not own
            idle += not segments
            if segments:
                records.append({"video": row["id"], "split": split, "segments": segments})
    notes = [f"{idle} clips without an action are left out"] if idle else []
    return Reading(records, [*notes, *_lost(empty)])


def _ucf101(source: Source, number: int) -> Reading:
    """``ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1``, in test lists without the number."""
    records = []
    for name, split in (("train", "train"), ("test", "test")):
        file = f"{name}list{number:02}.txt"
        for where, line in _lines(source.beside(file, f"ucfTrainTestlist/{file}")):
            clip = line.split()[0]
            folder, _, own = clip.partition("/")
            if not own or not clip.endswith(".avi"):
                raise InputError(f"{where}: {line!r:.60}; wanted Class/clip.avi")
            told = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", folder).lower()
            records.append(_whole(clip, told, split))
    return Reading(records)


def _hmdb51(source: Source, number: int) -> Reading:
    """``brush_hair_test_split1.txt``: a clip and 1 (train), 2 (test) or 0 (neither)."""
    ending = f"_test_split{number}.txt"
    folders = (source.folder, source.folder / "testTrainMulti_7030_splits")
    files = [path for folder in folders for path in sorted(folder.glob(f"*{ending}"))]
    if not files:
        raise InputError(f"{source.folder} holds no *{ending}: get it from {source.origin}")
    records = []
    for path in files:
        label = path.name.removesuffix(ending)
        for where, line in _lines(path):
            clip, _, use = line.rpartition(" ")
            if use not in ("0", "1", "2") or not clip:
                raise InputError(f"{where}: {line!r:.60}; wanted a clip and 0, 1 or 2")
            if use != "0":
                split = "train" if use == "1" else "test"
                records.append(_whole(f"{label}/{clip.strip()}", label.replace("_", " "), split))
    return Reading(records)


READERS: dict[str, Callable[[Source, int], Reading]] = {
    "kinetics": _kinetics,
    "activitynet": _activitynet,
    "charades": _charades,
    "ucf101": _ucf101,
    "hmdb51": _hmdb51,
}


def _there(source: Source, files: dict[str, str]) -> list[tuple[Path, str]]:
    """The CSV files that are there, with their splits. Raises InputError: none is."""
    if source.path.is_file():
        if source.path.stem not in files:
            known = ", ".join(f"{stem}.csv" for stem in files)
            raise InputError(f"{source.path}: its name tells no split; known are {known}")
        return [(source.path, files[source.path.stem])]
    paths = [(source.folder / f"{stem}.csv", split) for stem, split in files.items()]
    found = [(path, split) for path, split in paths if path.is_file()]
    if not found:
        source.beside(*(path.name for path, _ in paths))
    return found


def _rows(
    path: Path, wanted: tuple[str, ...], may_be_empty: tuple[str, ...] = ()
) -> Iterator[tuple[str, dict[str, str]]]:
    """Place and cells of each row. Raises InputError: a column or a cell is missing."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            table = csv.DictReader(stream)
            lacking = [key for key in wanted if key not in (table.fieldnames or ())]
            if lacking:
                told = f"{path}: has no column {lacking[0]}; wanted {', '.join(wanted)}"
                raise InputError(told)
            for row in table:
                where = f"{path}:{table.line_num}"
                cells = {key: (row[key] or "").strip() for key in wanted}
                bare = [key for key in wanted if not cells[key] and key not in may_be_empty]
                if bare:
                    raise InputError(f"{where}: lacks {bare[0]}; wanted {', '.join(wanted)}")
                yield where, cells
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error}); get the file anew") from error


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Place and text of each line that holds some."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); get the file anew") from error
    yield from ((f"{path}:{n}", line.strip()) for n, line in enumerate(lines, 1) if line.strip())


def _whole(video: str, label: str, split: str) -> Record:
    return {"video": video, "split": split, "segments": [{"label": label}]}


def _timed(times: Any, label: str, where: str) -> list[Record]:
    """A segment; none if it has no length, as a few of the official ones."""
    numbers = isinstance(times, list) and all(
        isinstance(time, int | float) and not isinstance(time, bool) for time in times
    )
    if not numbers or len(times) != 2 or not times[0] >= 0:  # NaN, too
        raise InputError(f"{where}: {times!r:.40} are not two seconds, start and end")
    start, end = times
    return [{"start": start, "end": end, "label": label}] if start < end else []


def _lost(count: int) -> list[str]:
    return [f"{count} segments without a length are left out"] if count else []
