"""QaEgo4D: episodic memory on first-person clips of minutes (Bärmann and Waibel, CVPRW 2022).

    annotations.train.json, .val.json, .test.json, or annotations.QaEgo4D_<split>.json:
        [{"video_id", "sample_id", "question", "answer", "moment_start_frame",
          "moment_end_frame", "wrong_answers"?: [...] or "options"?: [...]}, ...]
    clips    <video_id>.mp4, the clips of Ego4D's NLQ task

``wrong_answers`` and ``options`` are those of the later multiple-choice version of the test split.
"""

import re
from pathlib import Path
from typing import Any

from assistant.data.formats.source import Reading, Record, Source, entry, read_json, said
from assistant.errors import InputError

KEYS = ("video_id", "sample_id", "question", "answer")
SPLITS = {"train": "train", "val": "dev", "test": "test"}
NAMES = ("annotations.{}.json", "annotations.QaEgo4D_{}.json")
FRAME_RATE = 30  # of the moments, as the authors' converter counts


def read(source: Source) -> Reading:
    """Every question about its whole clip, or with ``source.moments`` about the moment that
    answers it (an oracle: say so beside the figure).

    Raises:
        InputError: a file is missing or wrong.
    """
    notes = []
    if source.path.is_file():
        found = re.search("|".join(SPLITS), source.path.name)
        if found is None:
            raise InputError(f"{source.path}: its name has none of {', '.join(SPLITS)}; rename it")
        files = {found[0]: source.path}
    else:
        files = {}
        for name in SPLITS:
            try:
                files[name] = source.beside(*(pattern.format(name) for pattern in NAMES))
            except InputError as error:
                notes.append(str(error))
        if not files:
            raise InputError(notes[-1])
    records: list[Record] = []
    empty = 0
    for name, path in files.items():
        data = read_json(path)
        if not isinstance(data, list):
            raise InputError(f"{path}: is no list of questions; get it from {source.origin}")
        for number, item in enumerate(data):
            record = _record(item, f"{path.name}: item {number}") | {"split": SPLITS[name]}
            if source.moments:
                moment = _moment(item, path, number)
                empty += not moment
                record |= moment
            records.append(record)
    if empty:
        notes.append(f"{empty} questions have no moment, or one without length: the whole clip")
    return Reading(records, notes)


def _record(item: Any, where: str) -> Record:
    item = entry(item, where, KEYS)
    video, name, question, answer = (said(item[key], f"{where}: {key}") for key in KEYS)
    record: Record = {
        "id": name,
        "video": video,
        "question": question,
        "answer": answer,
        "type": "memory",
    }
    others = item.get("options", item.get("wrong_answers"))
    if others is not None:
        if not isinstance(others, list):
            raise InputError(f"{where}: its other answers are no list; get the file anew")
        # Sorted, so that a place says nothing.
        record["choices"] = sorted({answer, *(said(text, f"{where}: a choice") for text in others)})
    return record


def _moment(item: dict[str, Any], path: Path, number: int) -> Record:
    """Seconds; empty where there is no moment."""
    frames = [item.get(key) for key in ("moment_start_frame", "moment_end_frame")]
    if None in frames:
        return {}
    if not all(isinstance(frame, int | float) for frame in frames):
        raise InputError(f"{path.name}: item {number}: its moment is {frames}; wanted two frames")
    start, end = (round(frame / FRAME_RATE, 3) for frame in frames if frame is not None)
    return {"start": start, "end": end} if start < end else {}
