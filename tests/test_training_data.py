"""Training data: every wrong line is named, and what is seldom meant is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from clips import make_clip, number_of
from fakes import ScriptedModel

from assistant.cli.main import main
from assistant.core.results import Results
from assistant.data.items import describe_items, read_items
from assistant.errors import InputError
from assistant.model.features import FeatureStore
from assistant.tasks.recipes import Recipe
from assistant.tasks.store import find_task
from assistant.training.clips import clips_of
from assistant.training.examples import make_examples
from assistant.vqa.assistants import Assistant
from assistant.vqa.batch import Options, answer_all, read_questions

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


SPOKEN = [
    {"text": "One.", "start": 0.0, "end": 0.9},
    {"text": "Two.", "start": 1.0, "end": 1.9},
    {"speaker": "ANN", "text": "Three.", "start": 2.0, "end": 2.9},
]
SO = {"video": "a.mp4", "question": "Is it so?", "choices": ["yes", "no"], "dialogue": SPOKEN}
LATE = {"question": "Is it so at 0:02?"}


@pytest.mark.parametrize("task", ["chat", "sarcasm"])
@pytest.mark.parametrize(
    ("line", "frames", "question", "said"),
    [
        ({}, [5, 15, 25], "Is it so?", "One. Two. Three."),
        ({"start": 1.0, "end": 2.0}, [11, 15, 18], "Is it so?", "Two."),
        ({"start": 1.5}, [17, 22, 27], "Is it so?", "Two. Three."),
        (LATE, [13, 20, 26], "Is it so?", "Two. Three."),
        (LATE | {"start": 0.0, "end": 1.0}, [1, 5, 8], "Is it so at 0:02?", "One."),
        (LATE | {"video": None}, [], "Is it so at 0:02?", "One. Two. Three."),
        ({"question": "Is it she in the last second?"}, [21, 25, 28], "Is it she?", "Three."),
    ],
)
def test_asked_or_learned_a_line_is_the_same_frames_and_texts(
    write, tmp_path, task, line, frames, question, said
):
    make_clip(tmp_path / "a.mp4", 30, fps=10)
    model, line = ScriptedModel(), {"id": 1} | SO | line
    asking = Assistant(model, FeatureStore(tmp_path / "features"))
    options = Options(frames=3, task=task)
    with Results(tmp_path / "out.jsonl") as results:
        list(answer_all(asking, read_questions(write(line)), results, options))
    asked, *_ = model.asked or model.blind  # without a clip nothing is seen

    items = read_items(write(line | {"answer": "yes"}))
    (example,) = make_examples(items, find_task(task), model, None, {}, Recipe(task, frames=0))
    assert (example.shown.qformer_text, example.shown.prompt) == (asked.qformer_text, asked.prompt)
    seen = [number_of(frame) for ref in clips_of(items) for frame in ref.read(3)]
    assert seen == asked.numbers == frames
    if task == "chat":
        assert example.shown.prompt.splitlines()[-1] == question
        assert [text for text in said.split() if text not in asked.prompt] == []
        assert asked.prompt.count(".") == said.count(".")


@pytest.mark.parametrize("given", [None, [{"text": "Given."}]])
def test_asked_or_learned_what_is_beside_a_clip_is_read(write, tmp_path, given):
    make_clip(tmp_path / "a.mp4", 30, fps=10)
    cues = "1\n00:00:00,000 --> 00:00:01,000\nOne.\n\n2\n00:00:02,000 --> 00:00:03,000\nANN: Two.\n"
    (tmp_path / "a.en.srt").write_text(cues)
    line = {"id": 1, "video": "a.mp4", "question": "What is said at 0:02?"}
    line |= {"dialogue": given} if given else {}
    model = ScriptedModel()
    asking = Assistant(model, FeatureStore(tmp_path / "features"))
    with Results(tmp_path / "out.jsonl") as results:
        list(answer_all(asking, read_questions(write(line)), results, Options(task="chat")))
    items = read_items(write(line | {"answer": "Two."}))
    (example,) = make_examples(items, find_task("chat"), model, None, {}, Recipe("chat", frames=0))
    assert example.shown.prompt == model.asked[0].prompt
    assert ("Two." in example.shown.prompt) is not bool(given)
    assert "One." not in example.shown.prompt
    assert example.speaker == ("" if given else "ANN")


def test_times_beyond_their_clips_are_all_named(write, tmp_path):
    make_clip(tmp_path / "a.mp4", 30, fps=10)
    late = [SO | {"id": n, "answer": "no", "question": f"Is it so at 0:2{n}?"} for n in range(2)]
    with pytest.raises(InputError) as error:
        clips_of(read_items(write(*late, SO | {"id": 2, "answer": "no"})))
    first, *told = str(error.value).splitlines()
    assert "examples that cannot be used" in first
    assert [line.split(":")[0].strip() for line in told] == ["example 0", "example 1"]
