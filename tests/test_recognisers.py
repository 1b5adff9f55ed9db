"""Recognisers of actions by name, and as a source of the conversation."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from fakes import ScriptedModel, install, leave_sources
from recogniser import teach
from retrieval_sight import TinySight, tiny_sight
from test_cli import one_line, run
from test_index import color_clip, color_photo
from test_llm_answers import ScriptedChat
from test_when import Watching

from assistant.actions.head import CONFIG
from assistant.actions.store import WEIGHTS, find_recogniser, install_recogniser, recogniser_called
from assistant.errors import ConfigError, InputError
from assistant.model.features import FeatureStore
from assistant.vqa.asked_actions import asks_for_action
from assistant.vqa.forms import OTHER
from assistant.vqa.weighing import KINDS, Weighing, Weights


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return teach(tmp_path_factory.mktemp("run") / "head", tiny_sight())


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "actions"


@pytest.fixture
def gestures(taught: Path, home: Path) -> Path:
    return install_recogniser(taught, "gestures")


@pytest.fixture
def sight() -> TinySight:
    return tiny_sight()


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest.fixture
def watching(sight, model, tmp_path, fresh_cache, monkeypatch) -> Watching:
    leave_sources(monkeypatch)
    return Watching(model, FeatureStore(tmp_path / "features"), sight)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("films") / "film.mp4"
    return color_clip(path, "red", "blue", "green", seconds=4)


class TestQuestions:
    @pytest.mark.parametrize(
        "question",
        [
            "What is he doing?",
            "what\u2019s the tall man doing here?",
            "And what are they doing right now?",
            "What is happening?",
            "What happens in the video?",
            "What is going on in this clip?",
            "What action is this?",
            "Which gesture is she making?",
            "What kind of movement is this?",
            "What exercise is being done in the picture?",
            "Can you tell me what the woman is doing?",
            "What does the girl do?",
            "What are people doing?",
            "Name the exercise.",
        ],
    )
    def test_what_asks_for_an_action(self, question):
        assert asks_for_action(question)

    @pytest.mark.parametrize(
        "question",
        [
            "What is he holding?",
            "What is he doing with the ball?",
            "What is he doing in the kitchen?",
            "What is the man in the red shirt doing?",
            "What are the man and the woman doing?",
            "What does he do for a living?",
            "What happens next?",
            "What are you doing?",
            "Is he waving?",
            "Why is he doing this?",
            "Who is doing that?",
            "Describe the clip.",
            "What do you see?",
            "",
        ],
    )
    def test_what_does_not(self, question):
        assert not asks_for_action(question)


class TestNames:
    def test_a_name_or_a_folder(self, gestures, taught):
        assert find_recogniser("gestures") == gestures and find_recogniser(taught) == taught
        assert [recogniser_called(one) for one in (gestures, taught)] == [
            "gestures",
            taught.parent.name,
        ]
        with pytest.raises(InputError, match="no recogniser 'other'; there are: gestures; or give"):
            find_recogniser("other")

    def test_one_that_is_there_is_not_overwritten(self, gestures, taught):
        before = (gestures / CONFIG).read_bytes()
        with pytest.raises(InputError, match=f"choose another --name, or remove {gestures}"):
            install_recogniser(taught, "gestures")
        assert (gestures / CONFIG).read_bytes() == before
        with pytest.raises(InputError, match=r"cannot be called '\.\./x'; use letters"):
            install_recogniser(taught, "../x")

    def test_an_interrupted_copy_leaves_nothing_by_the_name(self, taught, home, monkeypatch):
        def stop(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("shutil.copyfile", stop)
            with pytest.raises(KeyboardInterrupt):
                install_recogniser(taught, "gestures")
        assert not (home / "gestures").exists()
        assert install_recogniser(taught, "gestures").is_dir()

    def test_they_are_listed_and_damaged_ones_named(self, gestures, taught, capsys):
        for name, text in (("torn", "labels: [a"), ("foreign", None)):
            (gestures.parent / name).mkdir()
            if text is not None:
                (gestures.parent / name / CONFIG).write_text(text)
                (gestures.parent / name / "actions.safetensors").touch()
        code, out, err = run(capsys, "adapters", "list")
        told = {line.split()[0]: line for line in out.splitlines() if line}
        assert code == 0 and not err
        assert "top-1 100.0 % on dev; 2 labels: waving, clapping" in told["gestures"]
        assert "damaged: " in told["torn"] and "actions.yaml" in told["torn"]
        assert "damaged: " in told["foreign"] and "holds no actions.yaml" in told["foreign"]
        code, out, _ = run(capsys, "adapters", "show", "gestures")
        assert code == 0 and "waving" in out


class TestAnswers:
    def test_it_answers_where_it_is_sure(self, watching, model, gestures, film):
        session = watching.open(film, head="gestures")
        answer = session.ask("What is he doing at 0:02?")
        assert answer.text == "waving" and answer.choice == "waving" and answer.reason is None
        found = answer.as_dict()
        assert found["probabilities"]["waving"] > 0.65 and found["task"] == "actions"
        assert found["recognised"]["by"] == "gestures" and found["range_source"] == "question"
        assert found["recognised"]["actions"][0]["label"] == "waving"
        assert len(found["frames"]) == 4 and (found["start"], found["end"]) == (1.0, 3.0)
        assert session.ask("What is happening at 0:06?").text == "clapping"
        assert not model.asked and not model.encoded  # no other model was asked
        assert session.conversation.turns[0].answer == "waving"

    def test_other_questions_are_unchanged(self, watching, model, gestures, film):
        session = watching.open(film, head="gestures")
        for asked in (
            {"question": "What is he holding?"},
            {"question": "What is he doing?", "choices": ["a", "b"]},
            {"question": "What is he doing?", "task": "describe"},
        ):
            answer = session.ask(**asked, start=0.0, end=3.0)
            answer.finish()
            assert answer.basis.task != "actions" and "recognised" not in answer.as_dict()
        assert len(model.asked) == 3

    def test_where_it_is_not_sure_the_usual_way_answers(self, watching, model, gestures, film):
        answer = watching.open(film, head="gestures").ask("What is he doing?", start=8.5, end=11.5)
        assert answer.text.startswith("I see") and model.asked
        found = answer.as_dict()
        assert found["task"] == "chat" and "probabilities" not in found
        thought = found["recognised"]
        assert thought["by"] == "gestures" and thought["actions"][0]["probability"] < 0.65

    def test_what_it_thinks_is_weighed_among_others(
        self, watching, model, gestures, film, monkeypatch
    ):
        model.reading = Path("reading")
        weights = Weights((), ())
        weighing = Weighing(dict.fromkeys((*KINDS, OTHER), weights))
        monkeypatch.setattr("assistant.vqa.by_model.load_weighing", lambda folder: weighing)
        session = watching.open(film, head="gestures")

        def offered(question: str) -> set[str]:
            answer = session.ask(question, start=8.5, end=11.5)
            return {*answer.query.weigher.offered}

        assert {"waving", "clapping"} <= offered("What is he doing?")
        assert {"Waving.", "Clapping."} <= offered("What is happening?")
        assert not {"waving", "Waving."} & offered("What is he holding?")

    def test_a_language_model_reads_what_it_thinks(self, watching, gestures, film):
        watching.llm = chat = ScriptedChat(["A wall."])
        session = watching.open(film, head="gestures")
        session.ask("What is he doing?", start=8.5, end=11.5).finish()
        assert "Perhaps done: " in chat.read[-1][-1][1] and "waving " in chat.read[-1][-1][1]
        session.ask("What is he doing?", start=0.0, end=3.0).finish()
        assert len(chat.read) == 1  # sure
        session.ask("What is he holding?", start=8.5, end=11.5).finish()
        assert "Perhaps done" not in chat.read[-1][-1][1]

    def test_one_that_is_chosen_answers_whatever_is_asked(self, watching, model, gestures, film):
        session = watching.open(film)
        answer = session.ask("Is it good?", recogniser="gestures", start=8.5, end=11.5)
        assert answer.choice in ("waving", "clapping") and not model.asked
        assert "gestures is believed from 65% on" in (answer.reason or "")
        assert session.ask("When is it?", recogniser="gestures").basis.task == "actions"
        with pytest.raises(InputError, match="names one of its own labels"):
            session.ask("Is it good?", recogniser="gestures", choices=["yes", "no"])

    def test_it_does_not_answer_about_what_it_was_not_taught(self, watching, home, film, tmp_path):
        """However sure of one of its labels."""
        install_recogniser(teach(tmp_path / "head", tiny_sight(), least_known=0.9), "colors")
        session = watching.open(film)
        red, green = (
            session.ask("What is it?", recogniser="colors", start=at, end=at + 3) for at in (0, 8.5)
        )
        assert red.choice == "waving" and not red.reason
        assert "colors was taught by clips that are all less like this one" in green.reason

    def test_it_is_loaded_once_for_a_conversation(self, watching, gestures, film):
        session = watching.open(film, head="gestures")
        first, second = (session.ask("What is he doing?", start=0, end=3) for _ in range(2))
        assert first.basis.recognised.namer is second.basis.recognised.namer
        os.utime(gestures / WEIGHTS, (1, 1))  # another one lies there now
        third = session.ask("What is he doing?", start=0, end=3)
        assert third.basis.recognised.namer is not first.basis.recognised.namer

    def test_the_frames_with_what_it_rests_on(self, watching, gestures, film):
        session = watching.open(film, head="gestures")
        answer = session.ask("What is he doing?", start=0.0, end=3.0)
        answer.finish()
        pictures = session.pictures(answer, 32)
        assert pictures.shape == (4, 24, 32, 3) and str(pictures.dtype) == "uint8"
        assert session.perceived(answer) == () and answer.evidence() == ()
        plain = session.ask("What is he holding?", start=0.0, end=3.0)
        assert (session.pictures(plain, 32)[0] != pictures[0]).any()

    def test_a_picture_too(self, watching, gestures, tmp_path):
        photo = color_photo(tmp_path / "blue.png", "blue")
        assert watching.open(photo, head="gestures").ask("What is he doing?").text == "clapping"

    def test_one_that_does_not_fit_or_is_damaged_is_named(self, watching, gestures, film):
        with pytest.raises(InputError, match="no recogniser 'none'"):
            watching.open(film, head="none")
        config = gestures / CONFIG
        config.write_text(config.read_text().replace("encoder: ", "encoder: x"))
        with pytest.raises(InputError, match="reads what the encoder x"):
            watching.open(film, head="gestures").ask("What is he doing?")
        config.write_text("labels: 3")
        with pytest.raises(ConfigError, match=r"actions\.yaml"):
            watching.open(film, head="gestures").ask("What is he doing?")


class Seeing(ScriptedModel):
    """It looks with what the recogniser was taught by."""

    sight = tiny_sight()
    encoder = sight.encoder
    encoder_fingerprint = sight.encoder_fingerprint
    class_names = sight.class_names
    space = sight.space


class TestCommands:
    @pytest.fixture
    def model(self) -> ScriptedModel:
        model = Seeing()
        model.encoder_fingerprint = Seeing.sight.encoder_fingerprint
        return model

    @pytest.fixture(autouse=True)
    def loads(self, monkeypatch, model, sight, fresh_cache) -> list[dict]:
        leave_sources(monkeypatch)
        loads = install(monkeypatch, model)
        monkeypatch.setattr("assistant.model.sight_loading.load_sight", lambda name, **_: sight)
        return loads

    def test_ask_names_the_recogniser(self, gestures, loads, film, tmp_path, capsys):
        picture = tmp_path / "why.png"
        words = ("ask", film, "What is he doing?", "--end", "3", "--head", "gestures")
        code, out, err = run(capsys, *words, "--evidence", picture)
        assert (code, out) == (0, "waving\n") and not loads, err
        assert "; recogniser gestures answered; frames at " in err and "[waving " in err
        assert picture.read_bytes()[1:4] == b"PNG"
        code, out, _ = run(capsys, *words, "--json")
        assert json.loads(out)["recognised"]["by"] == "gestures"

    def test_one_is_checked(self, gestures, sight, capsys):
        code, out, err = run(capsys, "adapters", "check", "gestures")
        assert code == 0 and out == f"gestures: whole, and made for {sight.encoder_fingerprint}\n"
        weights = gestures / WEIGHTS
        weights.write_bytes(weights.read_bytes()[:-9])
        code, _, err = run(capsys, "adapters", "check", "gestures")
        assert code == 2 and WEIGHTS in one_line(err)

    def test_batch_and_chat(self, gestures, film, tmp_path, capsys, monkeypatch):
        lines = [
            {"id": 1, "video": str(film), "question": "What is he doing?", "start": 4, "end": 7},
            {"id": 2, "video": str(film), "question": "What is he holding?"},
        ]
        (tmp_path / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        out = tmp_path / "out.jsonl"
        words = ("--head", "gestures", "--quiet")
        code, _, err = run(capsys, "batch", tmp_path / "in.jsonl", out, *words)
        assert code == 0, err
        found = {line["id"]: line for line in map(json.loads, out.read_text().splitlines())}
        assert found[1]["answer"] == "clapping" and "recognised" not in found[2]
        monkeypatch.setattr("sys.stdin", io.StringIO("What is he doing at 0:02?\n"))
        code, told, err = run(capsys, "chat", film, "--head", "gestures")
        assert code == 0 and told == "waving\n" and "recogniser gestures answered" in err

    @pytest.mark.parametrize("command", [["ask", "CLIP", "What?"], ["chat", "CLIP"], ["ui"]])
    def test_one_that_is_not_there_is_one_line(self, home, film, capsys, command):
        words = [str(film) if word == "CLIP" else word for word in command]
        code, _, err = run(capsys, *words, "--head", "none")
        assert code == 2 and "no recogniser 'none'; there are: none yet" in one_line(err)
