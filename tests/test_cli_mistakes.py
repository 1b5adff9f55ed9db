"""What is mistyped is said before the model loads, in one line; what can be read right is."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from clips import make_clip
from fakes import ScriptedModel, install
from test_cli import one_line, run

from assistant.core.resources import adapters_dir

MOTION = adapters_dir() / "mini" / "motion"


@pytest.fixture
def here(tmp_path: Path, fresh_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: clips, a dialogue, data, adapters of several kinds, a run."""
    make_clip(tmp_path / "clip.mp4", 20, fps=10)
    shutil.copy(tmp_path / "clip.mp4", tmp_path / "-clip.mp4")
    shutil.copy(tmp_path / "clip.mp4", tmp_path / "other clip.mp4")
    (tmp_path / "talk.txt").write_text("ANN: Nine it is.\nBOB: I love meetings at nine.\n")
    (tmp_path / "bad.mp4").write_text("no clip")
    line = {"id": 1, "video": "clip.mp4", "question": "Open?", "answer": "no", "split": "train"}
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "data.jsonl").write_text(json.dumps(line))
    for name in ("peft", "pickled", "foreign", "run"):
        (tmp_path / name).mkdir()
    for name in ("adapter_config.json", "recipe.yaml"):
        for folder in ("peft", "pickled", "foreign"):
            if (folder, name) != ("peft", "recipe.yaml"):
                shutil.copy(MOTION / name, tmp_path / folder)
    (tmp_path / "peft" / "adapter_model.safetensors").touch()
    (tmp_path / "pickled" / "adapter_model.bin").touch()
    recipe = yaml.safe_load((MOTION / "recipe.yaml").read_text())
    recipe["made"]["base"] = "mini-of-another-day"
    (tmp_path / "foreign" / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    (tmp_path / "run" / "checkpoint.pt").touch()
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model cannot be loaded."""

    def load_model(*args: object, **options: object) -> None:
        raise SystemError("the model is being loaded")

    stand_in = SimpleNamespace(load_model=load_model)
    monkeypatch.setitem(sys.modules, "assistant.model.loading", stand_in)
    monkeypatch.setitem(sys.modules, "faster_whisper", None)


@pytest.fixture
def model(here: Path, monkeypatch: pytest.MonkeyPatch) -> ScriptedModel:
    model = ScriptedModel(scores={"yes": -1.0, "no": -2.0})
    install(monkeypatch, model)
    return model


BACKEND = [
    (["--precision", "int8"], "int8"),
    (["--quantize", "2bit"], "2bit"),
    (["--device", "gpu"], "gpu"),
    (["--base", "data"], "model.yaml"),
    (["--base", "gone"], "model.yaml"),
    (["--model", "nonsense"], "instructblip-vicuna-7b"),
    (["--space", "nonsense"], "SigLIP"),
    (["--space", "data"], "config.json"),
]
QUESTION = [
    (["--frames", "0"], "1 to 256"),
    (["--frames", "9999"], "1 to 256"),
    (["--max-tokens", "9" * 30], "--max-tokens"),
    (["--task", "nope"], "'nope'"),
    (["--adapter", "nope"], "'nope'"),
    (["--adapter", "peft"], "recipe.yaml"),
    (["--adapter", "pickled"], "safetensors.torch.save_file"),
    (["--adapter", "foreign"], "mini-of-another-day"),
    (["--transcribe", "yes"], "faster-whisper"),
    (["--without", "seen"], "'seen'"),
    (["--colour", "red"], "--colour"),
]
CLIP = [
    (["--start", "77"], "77 s"),
    (["--start", "3", "--end", "1"], "not before"),
    (["--dialogue", "gone.srt"], "gone.srt"),
    (["--decoder", "ffmpeg"], "ffmpeg"),
]
COMMANDS = [
    ("ask clip.mp4 Who?", [*BACKEND, *QUESTION, *CLIP, (["--evidence", "a.txt"], "a.txt")]),
    ("ask clip.mp4", [(["What is at 9:00?"], "9:00"), ([" "], "empty"), ([], "empty")]),
    (
        "ask clip.mp4 Who? --evidence a.png",
        [(["--task", "humor"], "text alone"), (["Where?"], "2 questions")],
    ),
    ("ask", [(["bad.mp4", "Who?"], "bad.mp4"), (["talk.txt", "Who?"], "as dialogue")]),
    ("ask --dialogue talk.txt", [(["--task", "describe"], "no clip"), (["a.mp4"], "a.mp4")]),
    ("chat clip.mp4", [*BACKEND, *QUESTION, *CLIP, (["Who?"], "questions are typed")]),
    ("chat", [(["bad.mp4"], "bad.mp4"), (["clip.mp4", "9 clips?"], "no clip")]),
    ("batch data out.jsonl", [*BACKEND, *QUESTION]),
    (
        "finetune motion --data data --out out",
        [
            *BACKEND,
            (["--resume"], "no run to resume"),
            (["--out", "run"], "holds a run"),
            (["--out", "clip.mp4"], "is a file"),
            (["--seed", "-1"], "--seed"),
            (["--from", "foreign"], "mini-of-another-day"),
            (["--data", "run"], "data.jsonl"),
            (["--config", "gone.yaml"], "gone.yaml"),
        ],
    ),
    (
        "evaluate motion --data data --out out --split train",
        [
            *BACKEND,
            (["--out", "clip.mp4"], "is a file"),
            (["--split", "dev"], "--split train"),
            (["--frames", "999"], "1 to 256"),
            (["--seed", "-1"], "--seed"),
            (["--adapter", "foreign"], "mini-of-another-day"),
            (["--compare", "motion", "pickled"], "save_file"),
            (["--compare", "motion", "--adapter", "motion"], "--compare"),
        ],
    ),
    ("evaluate base --out out", [(["--photos", "data"], "zip of photos")]),
    ("adapters check", [(["foreign"], "mini-of-another-day"), (["pickled"], "save_file")]),
]


@pytest.mark.usefixtures("no_model")
@pytest.mark.parametrize(("command", "mistakes"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_a_mistake_is_said_before_the_model_loads(here, capsys, command, mistakes):
    for words, said in mistakes:
        code, out, err = run(capsys, *command.split(), *words)
        assert (code, out) == (2, ""), (words, err)
        assert said in one_line(err), words
    assert not (here / "out").exists()


def test_a_right_command_reaches_the_model(here, no_model, capsys):
    code, _, err = run(capsys, "ask", "clip.mp4", "Who?", "--adapter", "motion")
    assert code == 1 and "being loaded" in err


@pytest.mark.parametrize(
    "words",
    [
        ["--choices", "yes", "no", "clip.mp4", "Is it open?"],
        ["clip.mp4", "--choices", "yes", "no", "Is it open?"],
        ["--choices", "yes", "no", "--", "clip.mp4", "Is it open?"],
        ["--choices", "yes", "no", "--frames", "2", "clip.mp4", "Is it open?"],
        ["--without", "read", "clip.mp4", "Is it open?", "--choices", "yes", "no"],
        ["clip.mp4", "--without", "read", "Is it open?", "--choices", "yes", "no"],
        ["--choices", "yes", "no", "--dialogue", "talk.txt", "clip.mp4", "Is it open?"],
        ["other clip.mp4", "--choices", "yes", "no", "Is it open?"],
        ["--choices", "yes", "no", "./-clip.mp4", "Is it open?"],
    ],
)
def test_a_list_of_choices_ends_where_the_clip_or_the_question_begins(here, model, capsys, words):
    code, out, err = run(capsys, "ask", *words)
    assert (code, out) == (0, "yes\n"), err
    assert len(model.encoded) == 1 and "Is it open?" in model.blind[0].prompt


def test_choices_without_a_clip(here, model, capsys):
    code, out, _ = run(
        capsys, "ask", "--dialogue", "talk.txt", "--choices", "yes", "no", "Is it open?"
    )
    assert (code, out) == (0, "yes\n") and model.encoded == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--choices", "yes", "no"], "--choices took 'yes', 'no'"),
        (["clip.mp4", "Who?", "gone.mov"], "all clips before the questions"),
        (["gone.mov", "lost.mp4", "Who?"], "is not there"),
        (["clip.mp4", "gone.mov", "Which is longer?"], "two clips are wanted"),
        (["clip.mp4", *["other clip.mp4"] * 8, "Who?"], "1 to 8 can be asked"),
        (["clip.mp4", "other clip.mp4", "Who?", "--dialogue", "talk.txt"], "belongs to one clip"),
        (["Who is it?", "clip.mp4"], "put the clip first"),
        (["-clip.mp4", "Who?"], "./-clip.mp4"),
        (["https://example.com/a.mp4", "Who?"], "download"),
        ([r"C:\clips\a.mp4", "Who?"], "drive of Windows"),
        (["", "Who?"], "no name"),
    ],
)
def test_what_cannot_be_read_right_is_said(here, model, capsys, words, said):
    code, out, err = run(capsys, "ask", *words)
    assert (code, out) == (2, "") and said in one_line(err)


def test_a_question_may_end_with_the_name_of_a_clip(here, model, capsys):
    code, out, err = run(capsys, "ask", "clip.mp4", "Describe clip.mp4")
    assert code == 0 and out.startswith("I see"), err


def test_a_clip_may_be_an_address_of_this_machine(here, model, capsys):
    code, out, _ = run(capsys, "ask", (here / "other clip.mp4").as_uri(), "Who?")
    assert code == 0 and out.startswith("I see")


def test_words_of_evidence_come_when_it_is_known_whether_they_are_sure(here, model, capsys):
    model.occlusion = lambda *_, **__: [-0.5] * 8
    code, _, err = run(capsys, "ask", "clip.mp4", "Who?", "--evidence", "why.png")
    assert code == 0 and (here / "why.png").is_file()
    assert "[unsure: no frame speaks for" in err


def test_batch_names_wrong_lines_at_once_and_goes_on(here, model, capsys):
    lines = [{"id": name, "video": name, "question": "Who?"} for name in ("a.mp4", "clip.mp4")]
    (here / "in.jsonl").write_text("\n".join(map(json.dumps, lines)))
    code, _, err = run(capsys, "batch", "in.jsonl", "out.jsonl")
    assert code == 0 and err.startswith("warning: in.jsonl, line 1: video 'a.mp4' is not there")
    assert err.splitlines()[-1].startswith("2 questions done, 1 with an error")


def test_check_reports_the_right_lines_beside_the_wrong_ones(here, capsys):
    data = here / "data" / "data.jsonl"
    data.write_text(data.read_text() + '\n{"id": 2, "video": "gone.mp4", "question": "?"}\n{')
    code, out, err = run(capsys, "data", "check", "data")
    assert code == 2 and out.startswith("1 examples, 1 clips")
    assert "2 lines are wrong" in err
    assert "line 2: lacks answer" in err and "line 3: is not JSON" in err
    shutil.make_archive("saved", "zip", here / "data")
    code, _, err = run(capsys, "data", "check", "saved.zip")
    assert code == 2 and "unpack it" in one_line(err)


def test_adapters_of_other_base_weights_lie_under_their_own_name(here, no_model, capsys):
    base, shipped = here / "base", MOTION.parent / "base"
    base.mkdir()
    config = (shipped / "model.yaml").read_text()
    (base / "model.yaml").write_text(config.replace("name: mini", "name: ours"))
    shutil.copy(shipped / "qformer.safetensors", base)
    asked = ("ask", "clip.mp4", "Who?", "--base", base)
    code, _, err = run(capsys, *asked, "--adapter", "motion")
    assert code == 2 and "for ours" in one_line(err)
    adapter = here / "home" / "adapters" / "ours" / "mine"
    shutil.copytree(here / "foreign", adapter)
    code, _, err = run(capsys, *asked, "--adapter", "mine")
    assert code == 2 and "mini-of-another-day, the model is ours-" in one_line(err)
    code, _, err = run(capsys, *asked, "--model", "instructblip-vicuna-7b")
    assert code == 2 and "leave one of them out" in one_line(err)
