"""The command line through its front door, with a scripted model behind it."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from clips import make_clip
from fakes import ScriptedModel, install

import assistant.data.scenes
from assistant.cli import main as cli
from assistant.cli.main import main
from assistant.cli.options import Ended
from assistant.core.resources import adapters_dir
from assistant.errors import InputError
from assistant.sources import Perceived
from assistant.weights import store as weights_store

TESTS = Path(__file__).parent


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Five seconds; the picture at t seconds carries the number 10 t."""
    return str(make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", 50, fps=10))


@pytest.fixture
def model(fresh_cache: Path) -> ScriptedModel:
    return ScriptedModel()


@pytest.fixture
def loads(model: ScriptedModel, monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    return install(monkeypatch, model)


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def one_line(err: str) -> str:
    assert err.startswith("assistant: ") and err.count("\n") == 1 and err.endswith("\n"), err
    return err


class TestAsk:
    def test_the_answer_goes_to_stdout_and_its_basis_to_stderr(self, loads, model, clip, capsys):
        code, out, err = run(capsys, "ask", clip, "What happens?", "--frames", 2)
        assert (code, out) == (0, "I see " + " ".join(map(str, model.encoded[0])) + "\n")
        assert err.startswith("[frames at ") and err.count("\n") == 1
        (loaded,) = loads
        assert (loaded["name"], loaded["base"], loaded["precision"]) == ("mini", None, "auto")
        assert (loaded["quantize"], loaded["device"], loaded["frames"]) == ("auto", "auto", 2)

    def test_quiet_leaves_the_answer_alone(self, loads, clip, capsys):
        code, out, err = run(capsys, "ask", clip, "What happens?", "--quiet")
        assert (code, err) == (0, "") and out.startswith("I see")

    def test_json_is_one_object(self, loads, clip, capsys):
        code, out, _ = run(capsys, "ask", clip, "What happens?", "--json", "--frames", 3)
        found = json.loads(out)
        assert code == 0 and out.count("\n") == 1
        assert found["answer"].startswith("I see") and len(found["frames"]) == 3
        assert {
            "task": "chat",
            "range_source": "clip",
            "dialogue_source": "none",
            "warnings": [],
            "model": "scripted",
            "adapter": None,
        }.items() <= found.items()

    def test_a_time_in_the_question_is_named(self, loads, clip, capsys):
        _, _, err = run(capsys, "ask", clip, "What happens between 2 and 4 seconds?")
        assert err.startswith("[0:02-0:04, as the question says; frames at 2.")

    def test_start_and_end_win_over_the_question(self, loads, clip, capsys):
        arguments = ("ask", clip, "What is at 0:04?", "--start", "0:00.5", "--end", 2, "--json")
        _, out, err = run(capsys, *arguments)
        assert all(0.5 <= second <= 2 for second in json.loads(out)["frames"])
        assert err.startswith("[0:00.5-0:02; frames")

    def test_choices(self, loads, model, clip, capsys):
        model.scores = {"day": -1.0, "night": -2.0}
        _, out, err = run(capsys, "ask", clip, "Day or night?", "--choices", "day", "night")
        assert out == "day\n"
        assert "[day 73%, night 27%]" in err
        _, out, _ = run(capsys, "ask", clip, "?", "--choices", "day", "night", "--json")
        assert json.loads(out)["probabilities"] == {"day": 0.7311, "night": 0.2689}

    @pytest.mark.parametrize("option", ["--dialogue", "--subtitles"])
    def test_dialogue(self, loads, model, clip, capsys, tmp_path, option):
        (tmp_path / "said.txt").write_text("ANN: Hello.")
        _, _, err = run(capsys, "ask", clip, "Who speaks?", option, tmp_path / "said.txt")
        assert "dialogue: file:said.txt" in err
        assert "ANN: Hello." in model.asked[0].qformer_text

    def test_warnings_are_shown(self, loads, model, clip, capsys, tmp_path):
        model.room = 3
        (tmp_path / "said.txt").write_text("ANN: Hello there, how are you?")
        _, _, err = run(capsys, "ask", clip, "Who speaks?", "--dialogue", tmp_path / "said.txt")
        assert "warning: the oldest 1 dialogue lines did not fit\n" in err

    def test_several_questions_give_an_answer_a_line(self, loads, model, clip, capsys):
        asked = ("ask", clip, "Who?", "What is at 0:04?", "--frames", 2)
        code, out, err = run(capsys, *asked)
        first, second = out.splitlines()
        assert code == 0 and first != second and err.count("[") == 2
        assert model.together == [2, 2] and model.asked[1].history == ()
        _, out, _ = run(capsys, *asked, "--json", "--quiet")
        assert [json.loads(line)["answer"] for line in out.splitlines()] == [first, second]
        code, _, err = run(capsys, *asked, "--evidence", "why.png")
        assert code == 2 and "2 questions" in one_line(err)

    def test_a_question_may_stand_after_options(self, loads, model, clip, capsys):
        code, _, _ = run(capsys, "ask", clip, "--frames", 2, "Who is there?", "--quiet")
        assert code == 0 and model.asked[0].prompt == "Who is there?"
        code, out, err = run(capsys, "ask", clip, "Who?", "--framez", 2)
        assert (code, out) == (2, "") and "--framez" in one_line(err)

    def test_a_task_may_bring_its_own_question(self, loads, model, clip, capsys):
        code, _, _ = run(capsys, "ask", clip, "--task", "describe", "--max-tokens", 5)
        assert code == 0 and model.asked[0].prompt
        assert model.asked[0].max_new_tokens == 5
        code, out, err = run(capsys, "ask", clip)
        assert (code, out) == (2, "") and "question" in one_line(err)

    def test_which_model_is_passed_on(self, loads, clip, capsys):
        base = adapters_dir() / "mini" / "base"
        options = ("--model", "mini", "--base", base, "--precision", "fp32")
        options += ("--quantize", "4bit", "--device", "cuda", "--frames", 4, "--quiet")
        options += ("--space", "openai/clip")
        run(capsys, "ask", clip, "What?", *options)
        assert loads == [
            {
                "name": "mini",
                "base": base,
                "precision": "fp32",
                "quantize": "4bit",
                "device": "cuda",
                "space": "openai/clip",
                "frames": 4,
                "tell": None,
            }
        ]

    @pytest.mark.parametrize(
        "arguments",
        [
            ["no-such.mp4", "What?"],
            ["CLIP", " "],
            ["CLIP", "What?", "--frames", "0"],
            ["CLIP", "What?", "--frames", "9999"],
            ["CLIP", "What", "is", "this?"],
            ["CLIP", "What?", "--start", "later"],
            ["CLIP", "What?", "--start", "1:2:3:4"],
            ["CLIP", "What?", "--start", "4", "--end", "2"],
            ["CLIP", "What?", "--start", "77"],
            ["CLIP", "What is at 9:00?"],
            ["CLIP", "What?", "--choices", "one"],
            ["CLIP", "What?", "--task", "no-such-task"],
            ["CLIP", "What?", "--dialogue", "no-such.srt"],
            ["CLIP", "What?", "--dialogue", "no-such.srt", "--transcribe", "yes"],
            ["CLIP", "What?", "--decoder", "none"],
            ["CLIP", "What?", "--no-such-option"],
        ],
    )
    def test_a_mistake_is_one_line_and_exit_code_2(self, loads, clip, capsys, arguments):
        code, out, err = run(capsys, "ask", *(clip if a == "CLIP" else a for a in arguments))
        assert (code, out) == (2, "")
        one_line(err)

    @pytest.fixture
    def talk(self, tmp_path: Path) -> Path:
        (tmp_path / "talk.txt").write_text("ANN: Nine it is.\nBOB: I love meetings at nine.\n")
        return tmp_path / "talk.txt"

    def test_a_dialogue_alone(self, loads, model, capsys, talk):
        code, out, err = run(capsys, "ask", "--dialogue", talk, "Who speaks?")
        assert (code, out, err) == (0, "I see\n", "[text alone; dialogue: file:talk.txt]\n")
        assert model.asked[0].prompt.endswith("Who speaks?") and model.encoded == []
        asked = "Why is it " + "very " * 60 + "late, and/or early, in a//b?"
        code, out, _ = run(capsys, "ask", asked, "--dialogue", talk, "--json")
        assert code == 0 and json.loads(out)["frames"] == []
        assert model.asked[1].prompt.endswith(asked)

    def test_a_dialogue_alone_and_a_task_with_its_own_question(self, loads, model, capsys, talk):
        code, out, err = run(capsys, "ask", "--dialogue", talk, "--task", "sarcasm")
        assert code == 0 and out in ("yes\n", "no\n")
        assert "warning: no adapter for sarcasm" in err
        assert "<BOB: I love meetings at nine.>" in model.blind[0].prompt

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ([], "VIDEO"),
            (["Is it sarcastic?"], "is not there"),
            (["no-such.mp4", "--dialogue", "TALK"], "no-such.mp4"),
            (["no-such.mp4", "Who?", "--dialogue", "TALK"], "no-such.mp4"),
            (["--dialogue", "TALK"], "question"),
            (["Who?", "--dialogue", "TALK", "--start", "1"], "clip"),
            (["Who?", "--dialogue", "TALK", "--transcribe", "yes"], "transcribe"),
            (["Who?", "--dialogue", "TALK", "--evidence", "why.png"], "text alone"),
            (["--dialogue", "TALK", "--task", "describe"], "describe"),
        ],
    )
    def test_a_mistake_without_a_clip(self, loads, model, capsys, talk, arguments, said):
        code, out, err = run(capsys, "ask", *(talk if a == "TALK" else a for a in arguments))
        assert (code, out) == (2, "") and said in one_line(err)
        assert model.asked == []

    def test_our_fault_is_one_line_and_exit_code_1(self, loads, model, clip, capsys):
        def script(asked):
            raise RuntimeError("a bug\nof two lines")

        model.script = script
        code, _, err = run(capsys, "ask", clip, "What?", "--quiet")
        assert code == 1
        assert "our fault" in one_line(err) and "RuntimeError: a bug of two lines" in err
        code, _, err = run(capsys, "ask", clip, "What?", "--quiet", "--debug")
        assert code == 1 and "Traceback" in err

    def test_ctrl_c_is_quiet(self, loads, model, clip, capsys):
        def script(asked):
            raise KeyboardInterrupt

        model.script = script
        code, _, err = run(capsys, "ask", clip, "What?", "--quiet")
        assert (code, err) == (130, "assistant: stopped\n")


class TestChat:
    @pytest.fixture(autouse=True)
    def type_in(self, monkeypatch: pytest.MonkeyPatch, loads: list[dict]) -> None:
        def type_lines(*lines: str) -> None:
            text = "".join(line + "\n" for line in lines)
            monkeypatch.setattr(sys, "stdin", io.StringIO(text))

        self.type = type_lines

    def test_several_questions_on_one_encoding(self, model, clip, capsys):
        self.type("What happens?", "", "And now?")
        code, out, err = run(capsys, "chat", clip)
        assert code == 0
        assert out.count("I see") == 2 and len(model.encoded) == 1
        assert model.asked[1].history[0][0] == "What happens?"
        assert "clip.mp4: 5.0 s" in err

    def test_quit_leaves_before_the_end(self, model, clip, capsys):
        self.type("/quit", "What happens?")
        assert run(capsys, "chat", clip)[0] == 0
        assert model.asked == []

    def test_commands(self, model, clip, capsys, tmp_path):
        (tmp_path / "said.txt").write_text("ANN: Hello.")
        self.type("/help", "/frames", "/dialogue", "What happens?", "/clear", "And?", "/nonsense")
        options = ("--dialogue", tmp_path / "said.txt", "--frames", 2)
        code, out, err = run(capsys, "chat", clip, *options)
        assert code == 0
        assert "/save FILE" in out and "ANN: Hello." in out and "[file:said.txt]" in out
        assert [line for line in out.splitlines() if line.endswith(" s")]
        assert model.asked[1].history == ()
        assert "/nonsense is no command" in err

    def test_save(self, clip, capsys, tmp_path):
        saved = tmp_path / "talk.txt"
        self.type("What happens?", f"/save {saved}", f"/save {saved}", "/save", "Who?")
        _, out, err = run(capsys, "chat", clip)
        assert "> What happens?\nI see" in saved.read_text()
        assert err.count("assistant: ") == 2 and out.count("I see") == 2

    def test_a_mistake_does_not_end_the_conversation(self, clip, capsys):
        self.type("What is at 9:00?", "What happens?")
        code, out, err = run(capsys, "chat", clip)
        assert code == 0 and "I see" in out
        assert "assistant: " in err

    def test_ctrl_c_stops_the_answer_and_not_the_chat(self, model, clip, capsys):
        def script(asked):
            if asked.prompt == "Stop?":
                raise KeyboardInterrupt
            return "fine"

        model.script = script
        self.type("Stop?", "And now?")
        code, out, err = run(capsys, "chat", clip)
        assert code == 0 and "fine" in out and "stopped" in err
        assert model.asked[1].history == ()

    def test_a_signal_ends_the_chat_in_an_answer_and_between_two(
        self, model, clip, capsys, monkeypatch
    ):
        def ended(*_):
            raise Ended

        model.script = ended
        self.type("Stop?", "And now?")
        code, out, _ = run(capsys, "chat", clip, "--quiet")
        assert (code, out) == (130, "") and len(model.asked) == 1
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
        monkeypatch.setattr("builtins.input", ended)
        assert run(capsys, "chat", clip, "--quiet")[0] == 130

    def test_a_bad_clip_is_an_error_before_the_first_question(self, capsys, tmp_path):
        (tmp_path / "bad.mp4").write_text("no clip")
        self.type("What happens?")
        code, out, err = run(capsys, "chat", tmp_path / "bad.mp4")
        assert (code, out) == (2, "")
        one_line(err)

    def test_a_model_that_is_not_there_is_said_before_the_first_question(
        self, capsys, tmp_path, monkeypatch
    ):
        def fail(*args: object, **options: object) -> None:
            raise InputError("model 'nonsense' is unknown")

        stand_in = SimpleNamespace(load_model=fail)
        monkeypatch.setitem(sys.modules, "assistant.model.loading", stand_in)
        (tmp_path / "said.txt").write_text("ANN: Hello.")
        self.type("Who speaks?")
        code, out, err = run(capsys, "chat", "--dialogue", tmp_path / "said.txt")
        assert (code, out) == (2, "") and "nonsense" in one_line(err)

    def test_a_dialogue_alone(self, model, capsys, tmp_path):
        (tmp_path / "said.txt").write_text("ANN: Hello.\nBOB: And to you.")
        saved = tmp_path / "saved.txt"
        self.type("/frames", "Who speaks?", "/frames", "/dialogue", f"/save {saved}")
        code, out, err = run(capsys, "chat", "--dialogue", tmp_path / "said.txt")
        assert code == 0 and err.startswith("2 lines of dialogue (file:said.txt). /help")
        assert out.count("none\n") == 2 and "ANN: Hello." in out and model.encoded == []
        assert saved.read_text().startswith("said.txt\n\n> Who speaks?\nI see")
        code, _, err = run(capsys, "chat")
        assert code == 2 and "--dialogue" in one_line(err)

    def test_a_warning_is_said_once(self, model, clip, capsys, tmp_path):
        model.room = 2
        (tmp_path / "said.txt").write_text("ANN: Hello there.")
        self.type("What happens?", "What happens?")
        _, _, err = run(capsys, "chat", clip, "--dialogue", tmp_path / "said.txt")
        assert err.count("did not fit") == 1


class TestBatch:
    @pytest.fixture
    def questions(self, loads: list[dict], clip: str, tmp_path: Path) -> Path:
        path = tmp_path / "in.jsonl"
        lines = [
            {"id": 1, "video": clip, "question": "What happens?"},
            {"id": 2, "video": "no-such.mp4", "question": "What happens?"},
            {"id": 3, "video": clip, "question": "Stop?"},
        ]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path

    def test_answers_errors_and_a_summary(self, questions, loads, capsys, tmp_path):
        out_file = tmp_path / "out.jsonl"
        code, out, err = run(capsys, "batch", questions, out_file)
        assert (code, out) == (0, "")
        last = err.splitlines()[-1]
        assert last == f"3 questions done, 1 with an error (--retry asks them again): {out_file}"
        assert len(loads) == 1
        code, _, err = run(capsys, "batch", questions, out_file)
        assert code == 0 and "(3 of them before)" in err
        assert len(loads) == 1  # nothing to ask, no model

    def test_ctrl_c_says_how_to_go_on(self, questions, model, capsys, tmp_path):
        def script(asked):
            if asked.prompt == "Stop?":
                raise KeyboardInterrupt
            return "fine"

        model.script = script
        code, _, err = run(capsys, "batch", questions, tmp_path / "out.jsonl", "--quiet")
        assert code == 130
        assert "2 of 3 questions are left" in one_line(err) and "again" in err  # one pass for all
        model.script = lambda asked: "fine"
        assert run(capsys, "batch", questions, tmp_path / "out.jsonl", "--quiet")[0] == 0
        ids = [json.loads(line)["id"] for line in (tmp_path / "out.jsonl").open()]
        assert sorted(ids) == [1, 2, 3]

    def test_wrong_lines_are_all_named_and_nothing_is_written(self, loads, capsys, tmp_path):
        (tmp_path / "in.jsonl").write_text('{"id": 1}\n{\n')
        code, out, err = run(capsys, "batch", tmp_path / "in.jsonl", tmp_path / "out.jsonl")
        assert (code, out) == (2, "")
        assert "line 1: " in err and "line 2: " in err
        assert not (tmp_path / "out.jsonl").exists() and loads == []


class TestTools:
    def test_demo_shows_answers_what_they_rest_on_and_what_cannot_be_told(
        self, loads, model, clip, capsys, monkeypatch, tmp_path
    ):
        from assistant.vqa.demo import read_demo

        demo = read_demo()
        assert len(demo.questions) == 3 and len(demo.beyond) == 1
        (tmp_path / demo.clip).write_bytes(Path(clip).read_bytes())
        monkeypatch.setattr(weights_store, "ensure", lambda name: {demo.weights: tmp_path}[name])
        model.found = (Perceived("street", 0.9),)
        model.script = lambda asked: "a name" if demo.beyond[0] in asked.prompt else "cars"
        model.scores, model.blind_scores = {"a name": -2.0, "cars": -1.0}, {"a name": -1.0}
        code, out, _ = run(capsys, "demo")
        assert code == 0 and len(loads) == 1
        for question in (*demo.questions, *demo.beyond):
            assert out.count(f"Q: {question}\n") == 1
        assert out.count("A: cars\n") == 3 and out.count("seen: street 90%; most at ") == 3
        assert out.count("A: I cannot tell.\n") == out.count("this, and it says so)") == 1
        assert len(re.findall(r" \[\d+\.\d s\]\n", out)) == 4
        model.blind_scores = {}
        assert "this, and it does not say so)" in run(capsys, "demo")[1]

    def test_a_demo_without_its_clip_names_what_is_there(
        self, loads, capsys, monkeypatch, tmp_path
    ):
        (tmp_path / "other.mp4").touch()
        monkeypatch.setattr(weights_store, "ensure", lambda name: tmp_path)
        code, out, err = run(capsys, "demo")
        assert (code, out) == (2, "") and "choose among other.mp4" in one_line(err)

    def test_fetch(self, loads, capsys, monkeypatch, tmp_path):
        monkeypatch.setattr(weights_store, "ensure", lambda name: tmp_path / name)
        assert run(capsys, "fetch", "speech")[1] == (
            f"speech is ready: {tmp_path / 'whisper-tiny.en'}\n"
        )
        assert run(capsys, "fetch")[1] == "scripted is ready\n"
        assert loads == [{"name": "mini"}]

    def test_cache_shows_and_clears(self, loads, clip, capsys, fresh_cache):
        run(capsys, "ask", clip, "What happens?")
        assert "features of 1 clips" in run(capsys, "cache")[1]
        assert "removed" in run(capsys, "cache", "--clear")[1]
        code, out, _ = run(capsys, "cache")
        assert code == 0 and "features" not in out.replace(str(fresh_cache), "")

    def test_scenes(self, capsys, tmp_path):
        code, out, _ = run(capsys, "scenes", tmp_path / "made", "--count", 2, "--seed", 3)
        assert code == 0 and out.startswith("2 images, ")
        lines = (tmp_path / "made" / "data.jsonl").read_text().splitlines()
        first = assistant.data.scenes.example(0, 3, "train").records[0]
        assert json.loads(lines[0]) == first
        assert run(capsys, "scenes", tmp_path / "made")[0] == 2  # taken

    @pytest.mark.parametrize(
        ("what", "option", "told"),
        [
            ("space", ["--phrases", "s", "--resume"], "leave --resume out"),
            ("objects", ["--phrases", "s"], "--phrases is for space"),
            ("space", ["--boxes", "b"], "--boxes is for objects"),
            ("space", ["--phase", "2"], "for the base weights"),
            ("space", ["--turns", "t"], "--turns is for talk"),
            ("talk", [], "needs --turns"),
            ("talk", ["--turns", "t", "--resume"], "leave --resume out"),
        ],
    )
    def test_pretrain_refuses_what_belongs_elsewhere(self, capsys, tmp_path, what, option, told):
        code, _, err = run(capsys, "pretrain", what, "--photos", "p", "--out", tmp_path, *option)
        assert code == 2 and told in one_line(err)

    def test_pretrain_takes_minis_own_recipe(self, capsys, monkeypatch, tmp_path):
        calls = []

        def pretend(config, photos, out, *, resume, start, phase):
            calls.append((config.name, photos, out, resume, start, phase))
            return out / "base"

        stand_in = SimpleNamespace(run=pretend)  # the real one takes seconds to import
        monkeypatch.setitem(sys.modules, "assistant.training.pretraining.run", stand_in)
        code, out, _ = run(capsys, "pretrain", "--photos", "p", "--out", "o", "--resume")
        assert (code, out) == (0, "base weights: o/base\n")
        assert calls == [("pretrain.yaml", Path("p"), Path("o"), True, None, 1)]

    def test_doctor_reports_and_its_code_says_whether_something_is_amiss(self, capsys, monkeypatch):
        from assistant.model import doctor, recommend

        monkeypatch.setattr(recommend, "recommend", lambda where: recommend.Choice())
        for status, wanted in (("ok", 0), ("warn", 0), ("fail", 2)):
            checks = (doctor.Check("a thing", status, "found"),)
            monkeypatch.setattr(doctor, "examine", lambda checks=checks: checks)
            code, out, _ = run(capsys, "doctor")
            assert code == wanted and "a thing" in out


def commands() -> list[str]:
    parser = cli.build_parser()
    (group,) = (action for action in parser._actions if action.dest == "command")
    return list(group.choices)


@pytest.mark.parametrize("command", commands())
def test_every_command_has_a_help_that_stands_in_the_list(command, capsys):
    code, out, err = run(capsys, command, "--help")
    assert (code, err) == (0, "") and f"usage: assistant {command}" in out
    assert f"\n    {command} " in run(capsys, "--help")[1]


def test_version_and_no_command(capsys):
    code, out, _ = run(capsys, "--version")
    assert code == 0 and out.startswith("assistant ")
    code, out, _ = run(capsys)
    assert code == 2 and out.startswith("usage: assistant")


def test_an_unknown_command_is_one_line(capsys):
    code, out, err = run(capsys, "answer")
    assert (code, out) == (2, "")
    assert "'answer'" in one_line(err)


ASK = """
import sys
sys.path.insert(0, {tests!r})
import pytest
from fakes import ScriptedModel, install
install(pytest.MonkeyPatch(), ScriptedModel(script=lambda asked: "word " * 50_000))
from assistant.cli.main import main
sys.exit(main(["ask", {clip!r}, "What?", "--quiet"]))
"""


def test_a_reader_that_leaves_is_no_fault(clip, fresh_cache):
    script = ASK.format(tests=str(TESTS), clip=clip)
    reading, writing = os.pipe()
    command = [sys.executable, "-c", script]
    process = subprocess.Popen(command, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert os.read(reading, 4) == b"word"
    os.close(reading)
    _, err = process.communicate()
    assert (process.returncode, err) == (141, b"")


def test_as_a_module_with_a_terminal_that_knows_only_ascii():
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "assistant", "ask", "no-such-é.mp4", "What?", "--decoder", "é"]
    done = subprocess.run(command, capture_output=True, env=environment)
    assert done.returncode == 2
    assert done.stderr.startswith(b"assistant: ") and done.stderr.count(b"\n") == 1
