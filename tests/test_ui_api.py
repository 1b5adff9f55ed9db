"""Programs ask through the page's server: over HTTP, over MCP; and only those who may."""

from __future__ import annotations

import ast
import asyncio
import base64
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from assistant.ui.app import build, launch
from assistant.ui.room import Room
from assistant.ui.settings import Options
from clips import make_clip
from ui_page import Served, loading_of, page_model

from assistant.cli import main as cli
from assistant.cli.main import main


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "street.mp4", 20, fps=10)


def serve(folder: Path, **options: object) -> Iterator[Served]:
    patch = pytest.MonkeyPatch()
    model = page_model()
    patch.setitem(sys.modules, "assistant.model.loading", loading_of(model))
    room = Room(Options(), folder)
    page = build(room)
    yield Served(launch(page, room, **options), room, model, room.visitors.root)
    page.close(verbose=False)
    room.close()
    patch.undo()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    yield from serve(tmp_path_factory.mktemp("room"))


def test_a_program_asks_over_http(served, clip):
    from gradio_client import Client, handle_file

    client = Client(served.address, verbose=False)
    found = client.predict(
        video=handle_file(str(clip)),
        question="Is it day?",
        choices=["yes", "no"],
        api_name="/answer",
    )
    assert found["choice"] == "yes" and found["frames"] and found["probabilities"]["yes"] > 0.5
    assert list(served.room.uploads.rglob("*.mp4")) == [] and list(served.folder.iterdir()) == []
    assert client.view_api(return_format="dict")["named_endpoints"].keys() == {"/answer"}


def test_a_program_cannot_name_a_file_of_the_server(served, clip):
    body = {"data": [{"path": str(clip), "meta": {"_type": "gradio.FileData"}}, "What?"]}
    call = httpx.post(f"{served.address}gradio_api/call/answer", json=body).json()
    url = f"{served.address}gradio_api/call/answer/{call['event_id']}"
    text = httpx.get(url, timeout=60).text
    assert '"answer"' not in text and ("no file that was uploaded" in text or "error" in text)
    assert clip.exists()


def test_another_visitors_files_cannot_be_guessed(served, clip):
    for path in (served.folder, served.folder.parent, clip):
        assert httpx.get(f"{served.address}gradio_api/file={path}").status_code >= 400


def test_a_password_is_asked_for(tmp_path):
    for locked in serve(tmp_path, auth=("ada", "secret")):
        assert httpx.get(f"{locked.address}config").status_code == 401
        door = {"data": [None, "What?", "auto", None]}
        assert httpx.post(f"{locked.address}gradio_api/call/answer", json=door).status_code == 401
        client = httpx.Client(base_url=locked.address)
        assert client.post("login", data={"username": "ada", "password": "no"}).status_code == 400
        client.post("login", data={"username": "ada", "password": "secret"})
        assert client.get("config").status_code == 200


def test_another_program_asks_over_mcp(tmp_path, clip):
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    video = "data:video/mp4;base64," + base64.b64encode(clip.read_bytes()).decode()

    async def ask(address: str) -> tuple[list[str], dict]:
        async with (
            streamablehttp_client(f"{address}gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = [tool.name for tool in (await session.list_tools()).tools]
            asked = {"video": video, "question": "What is in the video?"}
            told = await session.call_tool(tools[0], asked)
            return tools, ast.literal_eval(told.content[0].text)  # Gradio writes it as Python does

    for served in serve(tmp_path, mcp=True):
        tools, found = asyncio.run(ask(served.address))
        assert len(tools) == 1 and tools[0].endswith("answer")
        assert found["answer"].startswith("A man walks")


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--share"], "add --auth"),
        (["--auth", "ada"], "USER:PASS"),
        (["--port", "70000"], "65535"),
        (["--max-mb", "0"], "whole number"),
    ],
)
def test_a_wrong_option_is_one_line(options: list[str], line: str, capsys):
    assert main(["ui", *options]) == cli.MENDABLE
    error = capsys.readouterr().err
    assert line in error and error.count("\n") == 1


def test_mcp_without_its_extra_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr("assistant.cli.ui.util.find_spec", lambda name: None)
    assert main(["ui", "--mcp"]) == cli.MENDABLE
    assert "pip install" in capsys.readouterr().err


def test_the_command_serves_until_it_is_stopped(tmp_path, monkeypatch, capsys):
    seen: list[str] = []

    def wait(room: Room) -> None:
        seen.append(capsys.readouterr().err)
        raise KeyboardInterrupt

    monkeypatch.setattr(Room, "wait", wait)
    monkeypatch.setattr("assistant.weights.store.ensure", lambda *_, **__: tmp_path)
    assert main(["ui"]) == cli.STOPPED
    assert "http://127.0.0.1:" in seen[0]
