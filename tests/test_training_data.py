"""Training data: every wrong line is named, and what is seldom meant is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from assistant.cli.main import main
from assistant.data.items import describe_items, read_items
from assistant.errors import InputError

GOOD = {"id": "a", "video": "a.mp4", "question": "Which way?", "answer": "left"}


@pytest.fixture
def write(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"a clip")

    def written(*records: dict | str) -> Path:
        path = tmp_path / "data.jsonl"
        lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
        path.write_text("\n".join(lines) + "\n")
        return path

    return written


def test_a_line_is_read_whole(write, tmp_path):
    extra = {
        "start": 1,
        "end": 2.5,
        "dialogue": [{"speaker": "ANN", "text": "Go left."}],
        "choices": ["left", "right"],
        "type": "direction",
        "split": "dev",
        "fold": 3,
        "held_out": True,
    }
    first, second = read_items(write({**GOOD, **extra}, {**GOOD, "id": 7, "video": None}))
    assert first.video == tmp_path / "a.mp4"
    assert (first.start, first.end, first.fold, first.held_out) == (1.0, 2.5, 3, True)
    assert first.dialogue.as_text() == "ANN: Go left."
    assert first.choices == ("left", "right")
    assert (second.id, second.video, second.type, second.split) == (7, None, "", None)


@pytest.mark.parametrize(
    "change, told",
    [
        ({"video": "b.mp4"}, "'b.mp4' is not there"),
        ({"answer": " "}, "answer is ' '; give a text"),
        ({"answer": "up", "choices": ["left", "right"]}, "answer 'up' is none of the choices"),
        ({"choices": ["left"]}, "at least two"),
        ({"split": "valid"}, "split is 'valid'; choose train, dev, test"),
        ({"fold": -1}, "fold is -1"),
        ({"fold": 1.0}, "fold is 1.0"),
        ({"start": 3, "end": 2}, "start 3 s is not before end 2 s"),
        ({"start": "1"}, "start is '1'; give seconds"),
        ({"held_out": 1}, "held_out is 1"),
        ({"label": 1}, "has unknown label"),
        ({"question": ""}, "question is ''"),
        ({"dialogue": 5}, "dialogue"),
        ({"dialogue": ""}, "dialogue has a turn that says nothing"),
        ({"dialogue": [{"text": "Hi."}, {"text": " "}]}, "dialogue has a turn that says nothing"),
    ],
)
def test_a_wrong_line_is_named(write, change, told):
    with pytest.raises(InputError, match="nothing was read") as caught:
        read_items(write(GOOD, {**GOOD, "id": "b", **change}))
    assert "line 2: " in str(caught.value)
    assert told in str(caught.value)


def test_all_wrong_lines_are_named_at_once(write):
    path = write(GOOD, "{", {**GOOD, "id": "b", "fold": "x"}, GOOD, {"id": "c"})
    with pytest.raises(InputError) as caught:
        read_items(path)
    told = str(caught.value).splitlines()
    assert [line.split(":")[0].strip() for line in told[1:]] == [
        "line 2",
        "line 3",
        "line 4",
        "line 5",
    ]
    assert "is that of line 1" in told[3]


def test_what_is_seldom_meant_is_told(write):
    twin = {**GOOD, "id": "b", "answer": "right", "split": "test"}
    told = list(describe_items(read_items(write({**GOOD, "split": "train"}, twin))))
    assert told[0] == "2 examples, 1 clips, 0 without, 0 with dialogue"
    assert "no type: 2 (left 1, right 1)" in told
    assert "note: 'b' asks what 'a' asks and answers otherwise" in told
    assert "note: no dev split: finetune will set some train examples aside" in told
    assert "note: 1 clips are in more than one split" in told


def test_the_command_prints_it_or_one_clear_complaint(write, capsys):
    assert main(["data", "check", str(write(GOOD))]) == 0
    assert "1 examples, 1 clips" in capsys.readouterr().out
    assert main(["data", "check", str(write({**GOOD, "fold": "x"}))]) == 2
    shown = capsys.readouterr()
    assert "line 1: fold is 'x'" in shown.err and not shown.out
