"""UR-FUNNY v2: does the audience laugh after the last sentence? (Hasan et al., EMNLP 2019)

    language_sdk.pkl       {id: {"context_sentences": [...], "punchline_sentence": "...", ...}}
    humor_label_sdk.pkl    {id: 0 or 1}
    data_folds.pkl         {"train": [ids], "dev": [ids], "test": [ids]}
    clips                  <id>.mp4, the context and the punchline

or, for a few of them, ``items.json``: [{"id", "humor", "context": [...], "punchline"}, ...].
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assistant.data.formats.plain_pickle import read_pickle
from assistant.data.formats.source import Reading, Record, Source, entry, judged, read_json, said
from assistant.data.items import SPLITS
from assistant.errors import InputError

LANGUAGE, LABELS, FOLDS = "language_sdk.pkl", "humor_label_sdk.pkl", "data_folds.pkl"
ITEMS = "items.json"


def read(source: Source) -> Reading:
    """Every punchline with its context.

    Raises:
        InputError: a file is missing, holds more than plain data, or an item of it is wrong.
    """
    if source.path.suffix == ".json" or (source.folder / ITEMS).is_file():
        return Reading(_few(source.file(ITEMS)))
    language, labels, folds = (
        _dict(source.beside(name), source.origin) for name in (LANGUAGE, LABELS, FOLDS)
    )
    split: dict[Any, str] = {}
    for name in SPLITS:
        for item in _list(folds.get(name), f"{FOLDS}: {name}"):
            if not isinstance(item, str | int) or item in split:
                raise InputError(
                    f"{FOLDS}: {item!r} is no id, or is there twice; get the file anew"
                )
            split[item] = name
    for item in split:
        for where, data in ((LANGUAGE, language), (LABELS, labels)):
            if item not in data:
                raise InputError(f"{where}: lacks {item!r}, which {FOLDS} names; get both anew")
    records = [
        _record(item, language[item], labels[item], ("context_sentences", "punchline_sentence"))
        | {"split": name}
        for item, name in split.items()
    ]
    left = len(language.keys() - split.keys())
    return Reading(records, [f"{left} items are in no split and were left out"] if left else [])


def _few(path: Path) -> list[Record]:
    records = []
    for item in _list(read_json(path), path.name):
        item = entry(item, f"{path.name}: an item", ("id", "humor", "context", "punchline"))
        records.append(_record(item["id"], item, item["humor"], ("context", "punchline")))
    return records


def _record(item: Any, value: Any, label: Any, keys: tuple[str, str]) -> Record:
    where = f"item {item!r}"
    value = entry(value, where, keys)
    context, punchline = (value[key] for key in keys)
    lines = [(None, _sentence(line, where)) for line in _list(context, f"{where}: {keys[0]}")]
    lines.append((None, _sentence(punchline, f"{where}: {keys[1]}")))
    if not isinstance(label, int | float) or label not in (0, 1):
        raise InputError(f"{where}: the label is {label!r}; wanted 1 (humorous) or 0")
    return judged("humor", item, lines, bool(label)) | {"video": f"urfunny2_videos/{item}"}


def _sentence(value: Any, where: str) -> str:
    """A sentence, or its words."""
    words = isinstance(value, list) and all(isinstance(word, str) for word in value)
    return said(" ".join(value) if words else value, where)


def _dict(path: Path, origin: str) -> Mapping[Any, Any]:
    value = read_pickle(path, origin)
    if not isinstance(value, dict):
        raise InputError(f"{path}: holds a {type(value).__name__}, no dict; get it from {origin}")
    return value


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise InputError(f"{where} is a {type(value).__name__}; wanted a list")
    return value
