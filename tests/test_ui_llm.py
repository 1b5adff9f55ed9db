"""The page where a language model of the server's owner answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from assistant.ui import asking, picking
from assistant.ui.app import build
from assistant.ui.export import as_json, read_conversation
from assistant.ui.room import Room, arrive, change, measure
from assistant.ui.serving import launch
from assistant.ui.settings import Options
from assistant.ui.visitor import Visitor
from chat_server import ChatServer, Reply, says, serving
from ui_page import last, opened

from assistant.cli import main as cli
from assistant.cli.main import main

pytest_plugins = ["ui_room"]


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with serving(says("A street ", "sign."), Reply([], 429), says("I cannot tell.")) as server:
        yield server


@pytest.fixture
def room(model, server: ChatServer, tmp_path: Path) -> Iterator[Room]:
    options = Options(
        llm=server.address, llm_name="tiny", llm_label="llm:tiny", notice="Text goes there."
    )
    room = Room(options, tmp_path / "room")
    yield room
    room.close()


def test_it_is_shown_who_answered_and_what_was_sent(room, visitor: Visitor, model, clip, server):
    page = arrive(room, visitor)
    assert "Text goes there." in page["hint"] and page["model"]["value"] == "llm:tiny"
    opened(room, visitor, clip)
    page = last(asking.ask(room, visitor, "What is in the video?"))
    assert page["chat"][-1]["content"] == "A street sign." and model.asked == []
    assert "llm:tiny, from words alone" in page["evidence"]
    explained, *_ = asking.explain(room, visitor)
    assert "data:image/jpeg" in explained["evidence"]
    shown = visitor.shown
    assert shown is not None and shown.told is not None and shown.told.weights is None
    (sent,) = shown.told.sent.items()
    assert sent[0] == "language model (llm:tiny)" and server.last in sent[1]
    assert "street sign" in server.last and "base64" not in json.dumps(server.heard)
    assert "llm:tiny, at 127.0.0.1" in measure(room, visitor)["loaded"]


def test_what_fails_is_told_and_the_conversation_goes_on(room, visitor, clip, server):
    opened(room, visitor, clip)
    last(asking.ask(room, visitor, "What is it?"))
    pages = [*asking.ask(room, visitor, "And then?")]
    assert any("answered 429" in page.get("hint", "") for page in pages)
    page = last(asking.ask(room, visitor, "Who is there?"))
    assert "Unsure: the notes do not tell, says llm:tiny." in page["chat"][-1]["content"]
    assert [turn.question for turn in visitor.turns] == ["What is it?", "Who is there?"]
    asked = [message["content"] for message in server.heard[-1]["messages"]]
    assert asked[1:3] == ["What is it?", "A street sign."]


def test_a_visitor_may_choose_the_model_that_sees(room, visitor, model, clip, server, monkeypatch):
    monkeypatch.setattr(picking, "list_models", lambda: ["mini"])
    assert arrive(room, visitor)["model"]["choices"] == ["llm:tiny", "mini"]
    opened(room, visitor, clip)
    change(room, visitor, "model", "mini")
    page = last(asking.ask(room, visitor, "What is it?"))
    assert server.heard == [] and len(model.asked) == 1
    assert "from words alone" not in page["evidence"]


def test_a_conversation_keeps_who_answered(room, visitor, clip, tmp_path):
    opened(room, visitor, clip)
    last(asking.ask(room, visitor, "What is it?"))
    (path := tmp_path / "saved.json").write_text(as_json(visitor.turns))
    (turn,) = read_conversation(path)
    assert turn.told is not None and turn.told.found["model"] == "llm:tiny"
    assert "street sign" in turn.told.found["notes"]


def test_a_program_is_told_who_answered(room, clip, server):
    from gradio_client import Client, handle_file

    page = build(room)
    try:
        client = Client(launch(page, room), verbose=False)
        asked = {"video": handle_file(str(clip)), "question": "What is it?"}
        found = client.predict(**asked, api_name="/answer")
        assert found["answer"] == "A street sign." and found["model"] == "llm:tiny"
        assert "street sign" in found["notes"] and "evidence" not in found
    finally:
        page.close(verbose=False)


def test_the_command_says_where_the_words_go(tmp_path, monkeypatch, capsys):
    seen: list[Options] = []

    def wait(room: Room) -> None:
        seen.append(room.options)
        raise KeyboardInterrupt

    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path))
    monkeypatch.setattr(Room, "wait", wait)
    monkeypatch.setattr("assistant.weights.store.ensure", lambda *_, **__: tmp_path)
    address = "https://models.example/v1"
    assert main(["ui", "--llm", address, "--llm-name", "tiny"]) == cli.STOPPED
    assert seen[0].llm_label == "llm:tiny" and "models.example" in seen[0].notice
    assert "go as text to the server at models.example" in capsys.readouterr().err
    assert main(["ui", "--llm", "nowhere"]) == cli.MENDABLE
    assert "llm 'nowhere'" in capsys.readouterr().err
