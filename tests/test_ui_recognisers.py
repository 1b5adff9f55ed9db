"""A recogniser of actions as a task of the page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from assistant.ui import asking, cards, picking
from assistant.ui.answering import answer_once
from assistant.ui.export import as_json, as_markdown, read_conversation
from assistant.ui.room import Room, arrive, change
from assistant.ui.settings import YES_NO, Options
from assistant.ui.view import Props
from assistant.ui.visitor import Visitor
from fakes import install, leave_sources
from recogniser import teach
from test_index import color_clip
from test_ui_scenes import SeeingModel, seeing_model
from ui_page import last, opened, upload

from assistant.actions.store import CONFIG, install_recogniser
from assistant.errors import InputError

pytest_plugins = ["ui_room"]
TASK = "actions:gestures"


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Red, blue, and what is half of each, four seconds each."""
    return color_clip(
        tmp_path_factory.mktemp("films") / "film.mp4", "red", "blue", "green", seconds=4
    )


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = seeing_model(tmp_path_factory.mktemp("space"))
    return teach(tmp_path_factory.mktemp("run") / "head", model)


@pytest.fixture
def model(monkeypatch, tmp_path) -> SeeingModel:
    leave_sources(monkeypatch, "attributes")
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))
    model = seeing_model(tmp_path)
    install(monkeypatch, model)
    return model


@pytest.fixture
def gestures(taught: Path, model: SeeingModel) -> Path:
    return install_recogniser(taught, "gestures")


def test_one_that_was_taught_elsewhere_is_a_choice_at_once(room, visitor, taught, model):
    def offered() -> list[str]:
        return [name for _, name in arrive(room, visitor)["task"]["choices"]]

    assert TASK not in offered()
    with pytest.raises(InputError, match="task is 'actions:gestures'; choose what the page offers"):
        change(room, visitor, "task", TASK)
    folder = install_recogniser(taught, "gestures")
    assert offered()[-1] == TASK and ("gestures (your actions)", TASK) in picking.tasks("mini")
    page = change(room, visitor, "task", TASK)
    assert "which of these is done: waving, clapping. It knows" in page["about"]
    assert page["example 0"] == Props(value="What is being done?", visible=True)
    (folder / CONFIG).write_text("labels: 3")
    about = picking.about(TASK, "mini")
    assert about.startswith(f"gestures/{CONFIG}: ") and str(folder.parent) not in about


def test_a_question_is_answered_with_probabilities_and_where_they_rest(
    room, visitor, gestures, film, tmp_path
):
    opened(room, visitor, film)
    change(room, visitor, "task", TASK)
    page = last(asking.ask(room, visitor, "Is it nice at 0:02?"))
    assert re.match(r"waving\n\n(?:100|9\d)% likely", page["chat"][-1]["content"])
    waiting = page["evidence"]
    assert waiting.count("<li") == 2 and waiting.index("waving</span>") < waiting.index("clapping")
    assert "recogniser gestures" in waiting and "base weights" not in waiting
    assert "va-wait" in waiting and "Grad-CAM" not in waiting
    (turn,) = visitor.turns
    last(asking.explain(room, visitor))
    assert turn.live is None and len(turn.told.pictures) == 4
    drawn = cards.evidence(turn)
    assert drawn.count("data:image/jpeg") == 4 and "rests (Grad-CAM)" in drawn
    assert "va-wait" not in drawn and "no text was sent" in cards.inside(turn)
    path = tmp_path / "saved.json"
    path.write_text(as_json(visitor.turns))
    (again,) = read_conversation(path)
    assert "recogniser gestures" in cards.evidence(again) and "waving" in cards.evidence(again)
    assert "*By the recogniser gestures: waving" in as_markdown([again])
    rows = json.loads(path.read_text())
    rows["turns"][0]["found"]["recognised"]["actions"][0]["label"] = ["<b>"]
    path.write_text(json.dumps(rows))
    (again,) = read_conversation(path)
    assert again.told is None


def test_nothing_typed_asks_what_is_done_and_an_unsure_answer_says_so(
    room, visitor, gestures, film
):
    opened(room, visitor, film)
    change(room, visitor, "task", TASK)
    last(asking.ask(room, visitor, "What is done from 0:08.5 to 0:11.5?"))
    assert "gestures is believed from 65% on" in cards.evidence(visitor.turns[-1])
    last(asking.ask(room, visitor, ""))
    assert visitor.turns[-1].question == "What is being done?"
    page = last(asking.ask(room, visitor, "Is it?", YES_NO))
    assert "one of its own labels" in page["hint"] and len(visitor.turns) == 2
    config = gestures / CONFIG
    config.write_text(config.read_text().replace("encoder: ", "encoder: x"))
    page = last(asking.ask(room, visitor, "Is it?"))
    assert "head gestures reads what the encoder x" in page["hint"] and len(visitor.turns) == 2


def test_that_of_the_server_answers_what_asks_for_an_action(model, gestures, film, tmp_path):
    room = Room(Options(head="gestures"), tmp_path / "room")
    visitor = Visitor(room.visitors.root)
    try:
        opened(room, visitor, film)
        last(asking.ask(room, visitor, "What is he doing at 0:06?"))
        assert visitor.turns[-1].answer == "clapping"
        last(asking.ask(room, visitor, "What is he doing from 0:08.5 to 0:11.5?"))
        last(asking.explain(room, visitor))
        told = cards.evidence(visitor.turns[-1])
        assert "Not sure enough to answer: recogniser gestures: " in told and "task chat" in told
        last(asking.ask(room, visitor, "What color is it?"))
        assert "recognised" not in visitor.turns[-1].told.found
    finally:
        visitor.close()
        room.close()


def test_a_program_asks_it_by_the_name_that_the_page_lists(room, gestures, film):
    found = answer_once(room, str(upload(room, film)), "What?", TASK)
    assert found["recognised"]["by"] == "gestures" and set(found["probabilities"]) == {
        "waving",
        "clapping",
    }
    assert (
        "task is 'other'" in answer_once(room, str(upload(room, film)), "What?", "other")["error"]
    )
