"""Sitcoms whose audience is heard: does it laugh at the last line?

    text,context,label,source
    "It was on time.","How was the train? / Ask me another.",1,laugh/friends

``context`` holds the turns before the line, joined by " / "; ``source`` ends with the show.
"""

from collections.abc import Mapping, Sequence

from assistant.data.formats.source import Reading, Source, judged, said, spread
from assistant.data.formats.texts import LABELS, table_rows, turns_before
from assistant.errors import InputError

COLUMNS = ("text", "context", "label", "source")
WORDS = 6  # a turn of as many is hardly said twice: lines that share one are of one scene
SHARES = {"test": 0.1, "dev": 0.1, "train": 0.8}
SHARES_HELD_OUT = {"dev": 0.1, "train": 0.9}  # of the other shows


def read(source: Source) -> Reading:
    """Every line with what was said before it; lines that share a turn are in one split.

    With ``source.hold_out`` that show is the test split, whole; else each split has some of all.

    Raises:
        InputError: no such file or show, a column is missing, a text is empty, or a label is
            unknown.
    """
    if not source.path.is_file():
        raise InputError(f"{source.path}: is no file; give one from {source.origin}")
    shows: dict[str, str] = {}  # by the record's id
    records, turns = [], {}
    for line, row in table_rows(source.path):
        where, name = f"{source.path.name}: line {line}", f"laugh-{line}"
        lacking = [key for key in COLUMNS if not isinstance(row.get(key), str)]
        if lacking or None in row:  # None: more fields than columns
            raise InputError(
                f"{where} has {', '.join(map(str, row))}; wanted {', '.join(COLUMNS)}, quoted"
            )
        label = LABELS.get(row["label"].lower())
        if label is None:
            raise InputError(f"{where}: label is {row['label']!r}; wanted 1 (a laugh) or 0")
        turns[name] = [*turns_before(row, where), said(row["text"], f"{where}: text")]
        shows[name] = said(row["source"], f"{where}: source").rpartition("/")[2]
        records.append(judged("humor", name, [(None, turn) for turn in turns[name]], label))
    known = sorted(set(shows.values()))
    if source.hold_out is not None and source.hold_out not in known:
        raise InputError(f"no show is called {source.hold_out!r}; choose {', '.join(known)}")
    scenes = _scenes(turns, shows)
    splits = spread(
        {scene: shows[scene] for scene in scenes.values() if shows[scene] != source.hold_out},
        SHARES if source.hold_out is None else SHARES_HELD_OUT,
        source.seed,
    )
    for record in records:
        name = record["id"]
        held_out = shows[name] == source.hold_out
        record |= {"type": "laugh", "split": "test" if held_out else splits[scenes[name]]}
    return Reading(records, [f"{len(set(scenes.values()))} scenes share no line"])


def _scenes(turns: Mapping[str, Sequence[str]], shows: Mapping[str, str]) -> dict[str, str]:
    """For each name one of its show with which it shares a turn, perhaps by way of others."""
    first: dict[str, str] = {name: name for name in turns}
    owner: dict[tuple[str, str], str] = {}

    def root(name: str) -> str:
        while first[name] != name:
            first[name] = name = first[first[name]]
        return name

    for name, said_there in turns.items():
        for turn in said_there:
            if len(turn.split()) >= WORDS:
                other = root(owner.setdefault((shows[name], turn.casefold()), name))
                first[root(name)] = other
    return {name: root(name) for name in turns}
