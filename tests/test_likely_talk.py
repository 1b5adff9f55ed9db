"""What the rules of talk let through and is none all the same: as shipped, and taught anew."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from clips import make_clip
from fakes import ScriptedModel, leave_sources
from safetensors.torch import save_file
from test_llm_answers import ScriptedChat
from test_talk import FOLLOWED, TURNS, real_questions

import assistant.model.sentences
from assistant.cli.main import main
from assistant.core.resources import adapters_dir
from assistant.errors import ConfigError, WeightsError
from assistant.model.features import FeatureStore
from assistant.model.sentences import WEIGHTS as ENCODER
from assistant.training import talk as training
from assistant.training.reading.questions import Asking
from assistant.vqa import likely_talk
from assistant.vqa.assistants import Assistant
from assistant.vqa.followups import leans_on_another
from assistant.vqa.likely_talk import CONFIG, WEIGHTS, TalkConfig, likely_kind, load_likely_talk
from assistant.vqa.reading import ReadingAssistant
from assistant.vqa.talk import QUESTION, kind_of, reply_to, words

SHIPPED = adapters_dir() / "mini" / "talk"
# Shares of talk that neither rules nor weights were made on: 0.86 and 0.3 as they fell.
LEAST_CAUGHT, LEAST_LET_THROUGH = {"held_out": 0.8, "later": 0.2}, 0.9
STAY = (
    "How is the weather?",
    "Who is in the video?",
    "Where is the man?",
    "What is the boy doing?",
    "When is the cake ready?",
)


def silent() -> bool:
    return False


def kind(text: str) -> str:
    """By the rules, then by what was learned, as a session asks mini."""
    found = kind_of(text)
    if found != QUESTION or leans_on_another(text):
        return found
    return likely_kind("mini", text, silent)


@pytest.mark.parametrize("split", ["held_out", "later"])
def test_more_talk_is_caught_than_by_rules(split):
    texts = [(told, text) for told, texts in TURNS[split].items() for text in texts]
    talk = [text for told, text in texts if told != QUESTION]
    real = [text for told, text in texts if told == QUESTION]
    caught = [text for text in talk if kind(text) != QUESTION]
    assert len(caught) > sum(kind_of(text) != QUESTION for text in talk)
    assert len(caught) >= LEAST_CAUGHT[split] * len(talk)
    assert sum(kind(text) == QUESTION for text in real) >= LEAST_LET_THROUGH * len(real)


def test_real_questions_and_follow_ups_go_to_the_model():
    asked = {*real_questions(), *STAY, *(text for _, text, _ in FOLLOWED)}
    assert not {text: found for text in asked if (found := kind(text)) != QUESTION}


def test_what_leans_on_another_question_is_told_by_itself():
    leaning = ["And then?", "what about her?", "And the woman?", "Where?", "and in the background?"]
    leaning += ["Anything else?", "And before that?", "How many?"]
    assert all(map(leans_on_another, leaning))
    alone = ["What color is it?", "What does he do next?", "Is she happy?", "So what is it?", *STAY]
    assert not any(map(leans_on_another, alone))


KINDS = ("mind", QUESTION, "sure", "future")
AXES = ("jealous", "color", "bet", "tomorrow")  # a word for each kind


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Vectors by the words above; keeps what it is asked."""
    asked: list[str] = []

    def encode(texts):
        asked.extend(texts)
        rows = np.array([[*(axis in text for axis in AXES), 0.1] for text in texts], np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    monkeypatch.setattr(assistant.model.sentences, "sentence_encoder", lambda: encode)
    monkeypatch.setattr(training, "sentence_encoder", lambda: encode)
    return asked


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Those of a model called scripted."""
    folder = tmp_path / "adapters" / "scripted" / "talk"
    folder.mkdir(parents=True)
    told = asdict(TalkConfig(ENCODER, KINDS, 0.1, 1.0, 0)) | {"kinds": [*KINDS]}
    (folder / CONFIG).write_text(yaml.safe_dump(told))
    state = {"weight": 9 * torch.eye(len(KINDS), len(AXES) + 1), "bias": torch.zeros(len(KINDS))}
    save_file({name: value.half() for name, value in state.items()}, folder / WEIGHTS)
    monkeypatch.setattr(likely_talk, "adapters_dir", lambda: tmp_path / "adapters")
    load_likely_talk.cache_clear()
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", 20, fps=10)


JEALOUS, BET = "Is she rather jealous of it?", "Would you bet on that?"


@pytest.mark.usefixtures("weights")
def test_it_answers_as_the_rules_do(encoder, clip, tmp_path):
    model = ScriptedModel(lambda asked: "a red guitar")
    session = Assistant(model, FeatureStore(tmp_path / "features")).open(clip)
    assert "no answer yet" in session.ask(BET).text
    assert session.ask("What color is it?").text == "a red guitar"
    assert '"a red guitar"' in session.ask(BET).text
    reply = session.ask(JEALOUS)
    assert reply.text == reply_to("mind", "the clip") and reply.as_dict()["task"] == "talk"
    assert reply.frames == () and len(session.conversation.about_clip) == 1
    asked, known = len(model.asked), len(encoder)
    assert session.ask("And the jealous woman?").text == "a red guitar"  # a follow-up
    assert session.ask("Thanks!").basis.task == "talk"  # by the rules
    assert len(encoder) == known and len(model.asked) == asked + 1


@pytest.mark.usefixtures("weights")
def test_what_was_named_is_never_guessed_about(encoder, clip, tmp_path):
    model = ScriptedModel(lambda asked: "yes")
    model.scores = {"yes": -0.1, "no": -3.0}
    session = Assistant(model, FeatureStore(tmp_path / "features")).open(clip)
    assert session.ask(JEALOUS, choices=["yes", "no"]).text == "yes"
    for named in ({"task": "chat"}, {"adapter": "none"}):
        assert session.ask(JEALOUS, **named).basis.task == "chat"
    assert encoder == []
    said = session.ask(JEALOUS, dialogue="ANN: I am not jealous.")
    assert said.basis.task == "chat"  # it may tell
    assert session.ask("Would it be tomorrow?").basis.task == "talk"
    assert session.ask("Is it tomorrow at 0:01?").basis.task == "chat"  # within the clip


@pytest.mark.usefixtures("weights")
def test_another_language_model_answers_what_no_rule_knows(encoder, clip, tmp_path, monkeypatch):
    leave_sources(monkeypatch)
    chat, store = ScriptedChat(["I cannot tell."]), FeatureStore(tmp_path / "features")
    session = ReadingAssistant(chat, "scripted", ScriptedModel, store, ScriptedModel).open(clip)
    assert session.ask(JEALOUS).text.strip() == "I cannot tell."
    assert session.ask("Thanks!").text == reply_to("thanks", "the clip")
    assert encoder == []


def damage_weight(folder: Path) -> None:
    save_file({"weight": torch.zeros(2, 5), "bias": torch.zeros(2)}, folder / WEIGHTS)


def change(key: str, value: object, folder: Path) -> None:
    told = yaml.safe_load((folder / CONFIG).read_text()) | {key: value}
    (folder / CONFIG).write_text(yaml.safe_dump(told))


@pytest.mark.parametrize(
    ("damage", "error", "told"),
    [
        (lambda folder: (folder / WEIGHTS).unlink(), WeightsError, "is not there"),
        (lambda folder: (folder / WEIGHTS).write_bytes(b"no"), WeightsError, "is damaged"),
        (damage_weight, WeightsError, "get the whole folder again"),
        (lambda folder: (folder / CONFIG).unlink(), ConfigError, "cannot be read"),
        (lambda folder: change("encoder", "other", folder), WeightsError, "other"),
        (lambda folder: change("kinds", ["mind"], folder), ConfigError, "'question'"),
        (lambda folder: change("kinds", ["question", "x"], folder), ConfigError, "x"),
        (lambda folder: change("least", 2, folder), ConfigError, "least is 2"),
    ],
)
@pytest.mark.usefixtures("encoder")
def test_damage_is_said_in_a_line(weights, damage, error, told):
    damage(weights)
    with pytest.raises(error) as caught:
        likely_kind("scripted", JEALOUS, silent)
    assert told in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.usefixtures("encoder")
def test_where_a_model_has_none_the_rules_are_alone(weights):
    assert likely_kind("scripted", JEALOUS, silent) == "mind"
    assert likely_kind("another", JEALOUS, silent) == QUESTION
    shutil.rmtree(weights)
    assert likely_kind("scripted", JEALOUS, silent) == QUESTION


def turns(path: Path, **changed: object) -> Path:
    dev = {
        QUESTION: [f"What color is it, number {n}?" for n in range(8)],
        "mind": [f"Is she jealous {n}?" for n in range(6)],
        "sure": [f"Do you bet {n}?" for n in range(6)],
        "nonsense": ["qwertz"],
    }
    path.write_text(yaml.safe_dump({"dev": dev | changed, "held_out": {"mind": ["never read"]}}))
    return path


@pytest.fixture
def photos(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of which few questions are asked."""
    asked = [Asking("a/b.jpg", f"Which color is {n}?", ("red",), "coco") for n in range(30)]
    asked += [Asking("a/b.jpg", "Who are you?", ("a bot",), "coco")] * 9  # talk, by the rules
    monkeypatch.setattr(training, "questions", lambda *_: {"train": asked})


@pytest.mark.usefixtures("photos", "weights")
def test_it_is_taught_the_same_twice(encoder, tmp_path, capsys):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("{questions: 20, strengths: [10], folds: 2}")
    made = []
    for name in ("one", "two"):
        words_of = ["--turns", turns(tmp_path / "turns.yaml"), "--photos", tmp_path]
        command = ["pretrain", "talk", *words_of, "--out", tmp_path / name, "--config", recipe]
        assert main([str(word) for word in command]) == 0
        made.append(tmp_path / name / "talk")
    assert f"small talk: {made[1]}" in capsys.readouterr().out
    assert (made[0] / WEIGHTS).read_bytes() == (made[1] / WEIGHTS).read_bytes()
    assert "never read" not in encoder and "qwertz" not in encoder
    assert "Who are you?" not in encoder and sum("Which" in text for text in encoder) == 40
    learned = load_likely_talk(made[0])
    assert learned.config.kinds == ("mind", QUESTION, "sure")
    for text, wanted in ((JEALOUS, "mind"), ("What color is that?", QUESTION), (BET, "sure")):
        assert learned.kind_of(text, silent) == wanted


def test_the_threshold_spares_questions():
    asked, talk = np.array([0.2, 0.6, 0.7, 0.9]), np.array([0.1, 0.3, 0.65, 0.8])
    assert training.threshold(asked, talk, 0.0) == (0.2, 0.25)
    assert training.threshold(asked, talk, 0.25) == (0.6, 0.5)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"greting": ["Hi"]}, "'greting'"),
        ({"mind": "Is she jealous?"}, "no list of texts"),
        ({"mind": ["Is she jealous?"]}, "or more of each"),
        ({QUESTION: []}, "or more of each"),
    ],
)
@pytest.mark.usefixtures("photos")
def test_unusable_turns_are_refused_in_a_line(tmp_path, capsys, changed, told):
    given = ["--turns", str(turns(tmp_path / "turns.yaml", **changed)), "--photos", str(tmp_path)]
    assert main(["pretrain", "talk", *given, "--out", str(tmp_path / "run")]) == 2
    err = capsys.readouterr().err
    assert told in err and err.count("\n") == 1


def test_the_shipped_ones_know_every_kind_but_those_of_the_rules_alone():
    kinds = load_likely_talk(SHIPPED).config.kinds
    assert {*kinds} == {QUESTION, *words().kinds} - {"nonsense", "language"}
