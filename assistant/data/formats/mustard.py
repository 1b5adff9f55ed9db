"""MUStARD: is the last line of a sitcom's dialogue sarcastic? (Castro et al., ACL 2019)

sarcasm_data.json    {"1_60": {"utterance", "speaker", "context", "context_speakers", "show",
                     "sarcasm"}, ...}
splits_5fold.json    [{"train": [places], "test": [places]}, ...], or the authors' own
                     split_indices.p with the same in pairs
clips                1_60.mp4 (in utterances_final/)
"""

from typing import Any

from assistant.data.formats.plain_pickle import read_pickle
from assistant.data.formats.source import (
    Reading,
    Record,
    Source,
    entry,
    judged,
    read_json,
    said,
    spread,
)
from assistant.errors import InputError

DATA = "sarcasm_data.json"
FOLDS = ("splits_5fold.json", "split_indices.p")
KEYS = ("utterance", "speaker", "context", "context_speakers", "show", "sarcasm")
PAPER_SHARES = {"test": 0.2, "dev": 0.2, "train": 0.6}  # 138/138/414, MTransLLAMA, Table I
HELD_OUT_SHOW = "FRIENDS"  # as the authors' data_loader.py has it (its docstring says otherwise)


def read(source: Source) -> Reading:
    """Every utterance with its dialogue.

    "folds": each has the official fold that tests it; with ``source.fold`` that one is the test
    split. "paper": 60/20/20, labels balanced, drawn by the seed (the paper does not publish its
    own). "independent": Friends is the test split, the other shows are for training.

    Raises:
        InputError: a file is missing or wrong, or there is no such fold.
    """
    path = source.file(DATA)
    data = read_json(path)
    if not isinstance(data, dict) or not data:
        raise InputError(f"{path}: holds no utterances; wanted {DATA} from {source.origin}")
    records = [
        _record(name, value, f"{path.name}: {name!r}", source.speakers)
        for name, value in data.items()
    ]
    if source.split == "paper":
        answers = {record["id"]: record["answer"] for record in records}
        splits = spread(answers, PAPER_SHARES, source.seed)
    elif source.split == "independent":
        held_out = {name for name, value in data.items() if value["show"] == HELD_OUT_SHOW}
        splits = {name: "test" if name in held_out else "train" for name in data}
    else:
        splits = _into_folds(records, source)
    for record in records:
        if splits:
            record["split"] = splits[record["id"]]
    return Reading(records)


def _record(name: str, value: Any, where: str, speakers: bool) -> Record:
    value = entry(value, where, KEYS)
    context, names = value["context"], value["context_speakers"]
    if not isinstance(context, list) or not isinstance(names, list) or len(context) != len(names):
        raise InputError(f"{where}: context and context_speakers are not lists of one length")
    if not isinstance(value["sarcasm"], bool):
        raise InputError(f"{where}: the label sarcasm is {value['sarcasm']!r}; wanted true, false")
    lines = [
        (said(speaker, f"{where}: a speaker") if speakers else None, said(text, f"{where}: {what}"))
        for speaker, text, what in [
            *((*pair, "a line of the context") for pair in zip(names, context, strict=True)),
            (value["speaker"], value["utterance"], "the utterance"),
        ]
    ]
    return judged("sarcasm", name, lines, value["sarcasm"]) | {"video": f"utterances_final/{name}"}


def _into_folds(records: list[Record], source: Source) -> dict[str, str]:
    """Give every record its fold; the splits, where one fold is asked for."""
    tests = _official_folds(source, len(records))
    if source.fold is not None and source.fold >= len(tests):
        raise InputError(f"fold is {source.fold}; choose 0 to {len(tests) - 1}")
    for number, places in enumerate(tests):
        for place in places:
            records[place]["fold"] = number
    if source.fold is None:
        return {}
    return {r["id"]: "test" if r["fold"] == source.fold else "train" for r in records}


def _official_folds(source: Source, count: int) -> list[set[int]]:
    """Places tested in each fold."""
    path = source.beside(*FOLDS)
    folds = read_json(path) if path.suffix == ".json" else read_pickle(path, source.origin)
    if not isinstance(folds, list) or not folds:
        raise InputError(f"{path}: holds no folds; wanted one of {', '.join(FOLDS)}")
    tests, everything = [], set(range(count))
    for number, fold in enumerate(folds):
        where = f"{path.name}: fold {number}"
        if isinstance(fold, dict):
            fold = [fold.get("train"), fold.get("test")]
        if not isinstance(fold, list) or not all(isinstance(part, list) for part in fold):
            raise InputError(f"{where} is no pair of lists; wanted places to train on and to test")
        train, test = fold
        for place in (*train, *test):
            if type(place) is not int or place not in everything:
                raise InputError(
                    f"{where} names the item {place!r}; {DATA} holds the {count} items 0 to "
                    f"{count - 1}: take both files from one release"
                )
        if set(train) != everything - set(test):
            raise InputError(f"{where} does not train on all that it does not test; get it anew")
        tests.append(set(test))
    if sum(map(len, tests)) != count or set().union(*tests) != everything:
        raise InputError(f"{path.name}: the folds do not test each of {count} items once")
    return tests
