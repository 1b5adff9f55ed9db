"""Pickles of plain data are read, and nothing in any pickle is run."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.cli.main import main
from assistant.data.formats.convert import convert
from assistant.data.formats.plain_pickle import read_pickle
from assistant.errors import InputError

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
ORIGIN = "its authors"


class Runs:
    """Whoever loads it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (os.mkdir, (str(self.path),))


def dumped(path: Path, value: object, protocol: int = 4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(value, protocol))
    return path


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_pickle(path, ORIGIN)
    assert "\n" not in str(caught.value) and ORIGIN in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_data_comes_back_in_lists_and_dicts(tmp_path, protocol):
    shared = [1, 2.5, "drei", None, True, b"\xff\x00"]
    value = {
        "lists": [shared, shared, (1, 2), {3}, frozenset({4})],
        7: OrderedDict(a=np.int64(5), b=np.float32(0.5), c=np.bool_(True)),
        "array": np.arange(6).reshape(2, 3),
        "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "swapped": np.array([1.5, 2.5], ">f4"),
        "empty": np.zeros((0,), np.int32),
    }
    assert read_pickle(dumped(tmp_path / "a.pkl", value, protocol), ORIGIN) == {
        "lists": [shared, shared, [1, 2], [3], [4]],
        7: {"a": 5, "b": 0.5, "c": True},
        "array": [[0, 1, 2], [3, 4, 5]],
        "columns": [[0, 1, 2], [3, 4, 5]],
        "swapped": [1.5, 2.5],
        "empty": [],
    }


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_code_is_refused_and_not_run(tmp_path, protocol):
    trap = tmp_path / "trap"
    path = dumped(tmp_path / "a.pkl", {"a": [Runs(trap)]}, protocol)
    assert "nothing in it was run" in refused(path)
    assert not trap.exists()
    pickle.loads(path.read_bytes())  # what anybody else's loader does
    assert trap.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cos\nsystem\n(S'true'\ntR.",
        b"cnumpy.core.multiarray\n_reconstruct.__globals__\n.",
        b"\x80\x04\x8c\x05numpy\x8c\x0bndarray.dump\x93.",
        b"ccollections\nOrderedDict\n}S'get'\ncbuiltins\nset\nsb.",  # to change a class
        b"cnumpy\ndtype\n}S'a'\nI1\nsb.",  # to change a stand-in
        b"cnumpy\ndtype\n(S'O8'\nI0\nI1\ntR.",  # an array of objects
        b"cnumpy\ndtype\n.",
        b"\x80\x04K\x00K\x01\x86\x94.",
    ],
)
def test_odd_names_get_nowhere(tmp_path, content):
    path = tmp_path / "a.pkl"
    path.write_bytes(content)
    if content.endswith(b"\x86\x94."):
        assert read_pickle(path, ORIGIN) == [0, 1]
    else:
        refused(path)


def test_damage_is_one_line(tmp_path):
    whole = pickle.dumps({"a": [np.arange(3), "b"]}, 2)
    path = tmp_path / "a.pkl"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        refused(path)
    deep: list = []
    for _ in range(sys.getrecursionlimit() * 3):
        deep = [deep]
    path.write_bytes(b"(l" * 50_000 + b"a" * 49_999 + b".")
    refused(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_pickle(tmp_path, ORIGIN)


def test_what_is_there_many_times_is_made_once(tmp_path):
    laughs: list = ["ha"]
    for _ in range(60):
        laughs = [laughs, laughs]  # 2^60 "ha", if each were made anew
    found = read_pickle(dumped(tmp_path / "a.pkl", laughs), ORIGIN)
    assert found[0] is found[1]


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x03Nr\x00\x00\x00\x08.",  # None, kept as number 2^27
        b"\x80\x05\x96" + (1 << 31).to_bytes(8, "little") + b"short.",  # 2 GiB of bytes
    ],
)
def test_no_room_is_made_for_what_is_not_there(tmp_path, data):
    path = tmp_path / "large.pkl"
    path.write_bytes(data)
    code = (
        "import resource, sys\nfrom pathlib import Path\n"
        "from assistant.data.formats.plain_pickle import read_pickle\n"
        "from assistant.errors import InputError\n"
        "most = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = most()  # what the process had that began it, too\n"
        "try:\n    read_pickle(Path(sys.argv[1]), 'there')\nexcept InputError:\n    pass\n"
        "print(most() - before)"
    )
    told = subprocess.run([sys.executable, "-c", code, path], stdout=-1, check=True, text=True)
    assert int(told.stdout) < 1 << 20  # KiB


@settings(max_examples=200, deadline=None)
@given(place=st.integers(0, 400), byte=st.integers(0, 255))
def test_any_damaged_byte_is_a_value_or_a_complaint(tmp_path_factory, place, byte):
    data = bytearray(pickle.dumps([{"a": np.arange(3), "b": (1, "c")}, np.float64(2)], 3))
    data[place % len(data)] = byte
    path = tmp_path_factory.getbasetemp() / "damaged.pkl"
    path.write_bytes(data)
    try:
        json.dumps(read_pickle(path, ORIGIN), default=repr)
    except InputError as error:
        assert "\n" not in str(error)


def urfunny(folder: Path, **changes: object) -> Path:
    """Three talks in the layout of version 2, one of them in no split."""
    sentence = {
        "punchline_embedding_indexes": [1, 2],
        "context_embedding_indexes": [[3], [4, 5]],
        "punchline_sentence": "it is a straw",
        "context_sentences": ["so this is", "the mouse"],
        "punchline_intervals": np.zeros((4, 2)),
        "context_intervals": [[[0.0, 0.5]], [[0.5, 1.0]]],
    }
    files = {
        "language_sdk": {
            1: sentence,
            2: sentence | {"punchline_sentence": ["in", "words"], "context_sentences": []},
            3: sentence,
        },
        "humor_label_sdk": {1: 1, 2: np.int64(0), 3: 1},
        "data_folds": {"train": [1], "dev": [], "test": np.array([2])},
    }
    for name, value in (files | changes).items():
        dumped(folder / f"{name}.pkl", value)
    return folder


def test_urfunny(tmp_path):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "2.mp4").write_bytes(b"a clip")
    made = convert("urfunny", urfunny(tmp_path / "in"), tmp_path / "out", clips=tmp_path / "clips")
    first, second = made.items
    assert (first.id, first.answer, first.split, first.video) == (1, "yes", "train", None)
    assert first.dialogue.as_text() == "so this is\nthe mouse\nit is a straw"
    assert (second.id, second.answer, second.split) == (2, "no", "test")
    assert second.dialogue.as_text() == "in words"
    assert second.video == tmp_path / "clips" / "2.mp4"
    assert made.notes[0] == "1 items are in no split and were left out"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data_folds": {"train": [1], "dev": [], "test": [1]}}, "1 is no id, or is there twice"),
        ({"data_folds": {"train": [9], "dev": [], "test": []}}, "lacks 9, which data_folds.pkl"),
        ({"data_folds": {"train": [[1]], "dev": [], "test": []}}, "[1] is no id"),
        ({"data_folds": {"train": [1]}}, "data_folds.pkl: dev is a NoneType; wanted a list"),
        ({"data_folds": [1]}, "holds a list, no dict"),
        ({"humor_label_sdk": {1: 3, 2: 0}}, "item 1: the label is 3; wanted 1 (humorous) or 0"),
        ({"language_sdk": {1: {"context_sentences": []}}}, "item 1 lacks punchline_sentence"),
    ],
)
def test_wrong_talks_are_named(tmp_path, changes, said):
    if "language_sdk" in changes:
        changes |= {"data_folds": {"train": [1], "dev": [], "test": []}}
    with pytest.raises(InputError) as caught:
        convert("urfunny", urfunny(tmp_path / "in", **changes), tmp_path / "out")
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_pickle_with_code_in_it_is_one_line(tmp_path, capsys):
    source = urfunny(tmp_path / "in", data_folds=Runs(tmp_path / "trap"))
    assert main(["data", "convert", "urfunny", str(source), str(tmp_path / "out")]) == 2
    shown = capsys.readouterr()
    [line] = shown.err.splitlines()
    assert "data_folds.pkl: names posix.mkdir" in line and "UR-FUNNY project" in line
    assert not (tmp_path / "trap").exists() and not (tmp_path / "out").exists()
    (source / "data_folds.pkl").unlink()
    assert main(["data", "convert", "urfunny", str(source), str(tmp_path / "out")]) == 2
    assert "holds no data_folds.pkl: get it from the UR-FUNNY" in capsys.readouterr().err


def test_mustards_own_folds_are_a_pickle(tmp_path):
    item = {
        "utterance": "Sure.",
        "speaker": "ROSS",
        "context": [],
        "context_speakers": [],
        "show": "FRIENDS",
        "sarcasm": True,
    }
    (tmp_path / "sarcasm_data.json").write_text(
        json.dumps({"a": item, "b": item | {"sarcasm": False}})
    )
    folds = [(np.array([1]), np.array([0])), (np.array([0]), np.array([1]))]
    dumped(tmp_path / "split_indices.p", folds, 2)
    made = convert("mustard", tmp_path, tmp_path / "out")
    assert [item.fold for item in made.items] == [0, 1]
