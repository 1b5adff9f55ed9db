"""Which task a question goes to: by scripted vectors, and by the real sentence encoder."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import yaml
from clips import make_clip
from fakes import ScriptedModel
from tiny import bert_folder

import assistant.model.sentences
from assistant.model.features import FeatureStore
from assistant.model.sentences import SentenceEncoder
from assistant.tasks.prompts import TaskPrompt, load_prompt
from assistant.tasks.recipes import RECIPE, Provenance, Recipe
from assistant.vqa import task_choice
from assistant.vqa.assistants import Assistant
from assistant.vqa.task_choice import CHAT, TaskChoice, choose_task

WORDS = ("move", "funny", "color")  # an axis for each; any other question lies on none
TASKS = {"motion": "Which way does it move?", "jokes": "Is it funny?"}


@pytest.fixture
def encoder(monkeypatch):
    """Vectors by the words above; counts what it is asked."""
    asked = []

    def encode(texts):
        asked.extend(texts)
        rows = [[*(word in text for word in WORDS), 0.3] for text in texts]
        found = np.array(rows, float)
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    monkeypatch.setattr(assistant.model.sentences, "sentence_encoder", lambda: encode)
    task_choice._vectors.cache_clear()
    yield asked
    task_choice._vectors.cache_clear()


@pytest.fixture
def adapters(tmp_path, monkeypatch):
    """The person's own adapters of a model called scripted."""
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))
    folder = tmp_path / "home/adapters/scripted"

    def add(name, example, base="scripted-1"):
        (folder / name).mkdir(parents=True)
        TaskPrompt(name, "x", "{question}", "{question}", (example,), 8).save(folder / name)
        Recipe(task=name, made=Provenance(base, "0", 1, 1)).save(folder / name)
        return folder / name

    return add


def test_without_adapters_nothing_is_computed(encoder, adapters):
    chosen = choose_task("Which way does it move?", "scripted")
    assert chosen.task == CHAT and math.isnan(chosen.score)
    adapters("chat", "Does it move?")  # chat's own is no other task
    assert choose_task("Which way does it move?", "scripted").task == CHAT
    assert encoder == []


def test_the_nearest_task_is_taken_and_chat_where_none_is_near(encoder, adapters):
    for name, example in TASKS.items():
        adapters(name, example)
    found = choose_task("Do they move, at 0:03?", "scripted")
    assert found == TaskChoice("motion", pytest.approx(1.0))
    assert choose_task("Is that funny?", "scripted").task == "jokes"
    assert choose_task("What color is it?", "scripted").task == CHAT  # its own example is nearer
    chosen = choose_task("What color has what is funny?", "scripted")  # as near to both
    assert chosen.score == pytest.approx(1 / math.sqrt(2), abs=0.07)


def test_chat_answers_what_is_like_nothing(encoder, adapters, monkeypatch):
    adapters("motion", TASKS["motion"])
    monkeypatch.setattr(task_choice, "load_prompt", lambda name: _chat("color"))
    assert choose_task("Does it move?", "scripted").task == "motion"
    other = choose_task("Why?", "scripted")
    assert other.task == CHAT and other.score < task_choice.LEAST_SCORE


def _chat(example):
    return TaskPrompt("chat", "x", "{question}", "{question}", (example,), 8)


def test_only_adapters_that_the_loaded_base_can_use(encoder, adapters):
    folder = adapters("motion", TASKS["motion"], base="other-base")
    question = "Does it move?"
    assert choose_task(question, "scripted", base="other-base").task == "motion"
    assert choose_task(question, "scripted", base="scripted-1").task == CHAT
    assert choose_task(question, "another-model").task == CHAT
    (folder / RECIPE).write_text("task: [")  # damaged: changed since it was read
    assert choose_task(question, "scripted", base="other-base").task == CHAT


def test_a_session_takes_the_task_and_says_so(encoder, adapters, tmp_path, monkeypatch):
    model = ScriptedModel()
    loaded = []
    model.load_adapter = lambda folder, recipe: loaded.append(recipe.task) or recipe.task
    model.routing = lambda *args, **options: []
    session = Assistant(model, FeatureStore(tmp_path / "features")).open(
        make_clip(tmp_path / "a.mp4", range(8))
    )
    assert "task_score" not in session.ask("Does it move?").as_dict()  # no adapter, as before
    folder = adapters("motion", TASKS["motion"])
    found = session.ask("Does it move?").as_dict()
    assert (found["task"], found["adapter"], found["task_score"]) == ("motion", "motion", 1.0)
    found = session.ask("What color is it?").as_dict()
    assert (found["task"], found["adapter"]) == ("chat", None) and found["task_score"] > 0.4
    for options in ({"task": "chat"}, {"adapter": "none"}):
        found = session.ask("Does it move?", **options).as_dict()
        assert found["task"] == "chat" and "task_score" not in found
    encoder.clear()
    for name in ("motion", folder):  # a named adapter brings its own task, whatever is asked
        found = session.ask("What color is it?", adapter=name).as_dict()
        assert (found["task"], found["adapter"]) == ("motion", "motion")
    assert encoder == [] and set(loaded) == {"motion"}


def test_vectors_are_means_of_length_one(tmp_path):
    encoder = SentenceEncoder(bert_folder(tmp_path))
    together = encoder(["is it?", "what moves here?"])
    assert np.linalg.norm(together, axis=1) == pytest.approx([1, 1])
    assert together[0] == pytest.approx(encoder(["is it?"])[0], abs=1e-5)  # padding counts nothing
    states, _ = encoder.tokens(["is it?"])
    mean = states[0].mean(0).numpy()
    assert together[0] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)


@pytest.mark.parametrize(("split", "least"), [("dev", 0.88), ("test", 0.75)])
def test_questions_in_other_words_find_their_task(monkeypatch, split, least):
    """With the shipped prompts' examples and mini's own sentence encoder."""
    lists = yaml.safe_load((Path(__file__).parent / "task_questions.yaml").read_text())
    tasks = {name: load_prompt(name).examples for name in lists[split] if name != CHAT}
    monkeypatch.setattr(task_choice, "_examples_by_task", lambda model, base: dict(tasks))
    right = [
        choose_task(question).task == task
        for task, questions in lists[split].items()
        for question in questions
    ]
    assert len(right) >= 60
    assert sum(right) / len(right) >= least
