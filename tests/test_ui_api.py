"""Programs ask through the page's server: over HTTP, over MCP; and only those who may."""

from __future__ import annotations

import ast
import asyncio
import base64
import io
import json
import logging.config
import math
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from assistant.ui.app import build
from assistant.ui.room import Room, change
from assistant.ui.serving import launch
from assistant.ui.settings import Options, Settings
from clips import make_clip
from PIL import Image
from space_checkpoints import write_space
from ui_page import Served, loading_of, page_model

from assistant.cli import main as cli
from assistant.cli.main import main
from assistant.errors import InputError
from assistant.model.features import FeatureStore
from assistant.vqa.assistants import Assistant


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


def said(served: Served, video: object, *rest: object) -> str:
    """What a caller that keeps to no client gets; ``video`` "": a clip that was uploaded."""
    if video == "":
        data = io.BytesIO()
        Image.new("RGB", (64, 48), "red").save(data, "PNG")
        sent = {"files": ("red.png", data.getvalue())}
        (video,) = httpx.post(f"{served.address}gradio_api/upload", files=sent).json()
        video = {"path": video, "meta": {"_type": "gradio.FileData"}}
    values = [video, *rest, *["What?", "auto", None][len(rest) :]]
    door = f"{served.address}gradio_api/call/answer"
    body, kind = json.dumps({"data": values}), {"content-type": "application/json"}
    call = httpx.post(door, content=body, headers=kind).json()
    text = httpx.get(f"{door}/{call['event_id']}", timeout=30).text
    return text.split("data: ", 1)[1].strip()


@pytest.mark.parametrize("meta", [{}, {"meta": {"_type": "gradio.FileData"}}])
def test_a_program_cannot_name_a_file_of_the_server(served, clip, meta):
    os.mkfifo(pipe := clip.with_name(f"pipe{len(meta)}"))
    found = [said(served, {"path": str(path), **meta}) for path in (clip, pipe, clip / "no")]
    told = {text.replace(str(clip / "no"), "X").replace(str(clip), "X") for text in found}
    assert len({text.replace(str(pipe), "X") for text in told}) == 1 and "uploaded" in found[0]
    assert clip.exists()


def test_a_program_names_only_tasks_that_the_page_lists(served, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "secret").write_text("root:x:")
    tasks = [str(tmp_path / name) for name in ("pipe", "secret", "nothing")]
    found = [said(served, "", "What?", task).replace(task, "X") for task in tasks]
    assert len(set(found)) == 1 and "choose one of auto" in found[0]


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ((None,), "no file that was uploaded"),
        (("street.mp4",), "no file that was uploaded"),
        ((5,), "no file that was uploaded"),
        (({},), "no file that was uploaded"),
        (({"path": ["x"]},), "no file that was uploaded"),
        (({"path": "\0"},), "no file that was uploaded"),
        (("", None), "the question is None"),
        (("", 5), "the question is 5"),
        (("", ["What?"]), "the question is ["),
        (("", " "), "the question is empty"),
        (("", "\ud800"), "not valid UTF-8"),
        (("", "a" * 5000), "5000 characters"),
        (("", "What?", None), "task is None"),
        (("", "What?", 5), "task is 5"),
        (("", "What?", ["chat"]), "task is ["),
        (("", "What?", "chat", 5), "choices are 5"),
        (("", "What?", "chat", "yes"), "choices are 'yes'"),
        (("", "What?", "chat", {"yes": "no"}), "choices are {"),
        (("", "What?", "chat", [1, 2]), "a choice is 1"),
        (("", "What?", "chat", ["yes"]), "at least two"),
        (("", "What?", "chat", ["yes", "\ud800"]), "not valid UTF-8"),
        (("", "What?", "chat", ["a" * 3000, "b"]), "3001 characters"),
    ],
)
def test_a_wrong_argument_gets_one_line(served, values, line):
    (found,) = json.loads(said(served, *values))
    assert line in found["error"] and len(found["error"]) < 200 and "\n" not in found["error"]


def test_the_same_file_from_two_people_is_two_files(served):
    sent = {"files": ("a.mp4", b"the same")}
    paths = {
        httpx.post(f"{served.address}gradio_api/upload", files=sent).json()[0] for _ in range(2)
    }
    assert len(paths) == 2 and all(Path(path).read_bytes() == b"the same" for path in paths)
    for path in paths:
        Path(path).unlink()


UPLOAD = {"meta": {"_type": "gradio.FileData"}}


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([], "no file that was uploaded"),
        ([None], "no file that was uploaded"),
        ([{"path": "street.mp4", **UPLOAD}, "What?"], "no file that was uploaded"),
        ([{"path": "../street.mp4", **UPLOAD}, "What?", "auto", None], "no file that was uploaded"),
        ([{"path": "http://127.0.0.1:1/a.mp4", **UPLOAD}, "What?"], "not a path or a web address"),
        ([{"path": "\0", **UPLOAD}, "What?", "auto", None], "no file that was uploaded"),
        ([[{"path": "a", **UPLOAD}] * 3, "What?", "auto", None], "no file that was uploaded"),
        ([1] * 9, "no file that was uploaded"),
    ],
)
def test_what_gradio_would_refuse_gets_one_line_too(served, values, line, capfd):
    door = f"{served.address}gradio_api/call/answer"
    call = httpx.post(door, json={"data": values}).json()
    text = httpx.get(f"{door}/{call['event_id']}", timeout=30).text
    (found,) = json.loads(text.split("data: ", 1)[1])
    assert line in found["error"] and "\n" not in found["error"]
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("door", "body", "line"),
    [
        ("call/nothing", {"data": []}, "nothing of that name"),
        ("call/v2/nothing", {}, "nothing of that name"),
        ("call/v2/answer", {"question": "What?"}, "video"),
        ("call/v2/answer", {"bogus": 1}, "bogus"),
        ("run/nothing", {"data": []}, "nothing of that name"),
        ("queue/join", {"fn_index": 9999, "data": [], "session_hash": "a"}, "nothing of that name"),
    ],
)
def test_a_call_of_what_is_not_there_gets_one_line(served, door, body, line, capfd):
    told = httpx.post(f"{served.address}gradio_api/{door}", json=body)
    assert told.status_code == 400 and line in told.json()["error"]
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    "values",
    [
        [],
        ["/etc/passwd"],
        [[{"path": "/etc/passwd", **UPLOAD}]],
        [{"path": "HTTP://a/b", **UPLOAD}],
    ],
)
def test_what_no_page_sends_gets_one_line(served, values, capfd):
    """Also where a page's own steps are called by hand: here the upload of clips."""
    page = httpx.get(f"{served.address}config").json()
    (drop,) = (
        part["id"] for part in page["components"] if part["props"].get("elem_id") == "va-drop"
    )
    (step,) = (step["id"] for step in page["dependencies"] if [drop, "upload"] in step["targets"])
    body = {"fn_index": step, "data": values, "session_hash": "by-hand"}
    httpx.post(f"{served.address}gradio_api/queue/join", json=body)
    address = f"{served.address}gradio_api/queue/data?session_hash=by-hand"
    with httpx.stream("GET", address, timeout=30) as stream:
        told = next(line for line in stream.iter_lines() if "process_completed" in line)
    error = json.loads(told.removeprefix("data: "))["output"]["error"]
    assert error and "\n" not in error and len(error) < 200 and "passwd" not in error
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("adapter", "/etc"),
        ("task", "/etc/shadow"),
        ("model", "/etc"),
        ("precision", ["bf16"]),
        ("frames", 9_000_000),
        ("frames", math.nan),
        ("longest", -8),
        ("decoding", {}),
        ("sources", ["read", "/etc"]),
        ("sources", "read"),
    ],
)
def test_a_setting_is_one_that_the_page_offers(served, name, value):
    visitor = served.room.visitors.of("page")
    before = visitor.settings
    with pytest.raises(InputError, match="choose what the page offers"):
        change(served.room, visitor, name, value)
    assert visitor.settings == before
    served.room.visitors.leave("page")


def test_another_visitors_files_cannot_be_guessed(served, clip):
    for path in (served.folder, served.folder.parent, clip):
        assert httpx.get(f"{served.address}gradio_api/file={path}").status_code >= 400


def test_what_a_page_has_shown_goes_with_its_visitor(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "assistant.model.loading", loading_of(page_model()))
    room = Room(Options(grace=0.0), tmp_path)
    page = build(room)
    address = launch(page, room)
    kept = page.state_holder
    try:
        body = {"fn_index": 0, "data": [""], "session_hash": "here"}  # the page is opened
        httpx.post(f"{address}gradio_api/queue/join", json=body).raise_for_status()
        while not len(room.visitors) or "here" not in kept.session_data:
            time.sleep(0.05)
        room.visitors.leave("here")
        assert room.visitors.sweep() == 1 and "here" not in kept.session_data
    finally:
        page.close(verbose=False)
        room.close()


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
        (["--max-mb", "0"], "choose 1 to 1000000"),
        (["--model", "nonsense"], "is unknown"),
        (["--base", "nowhere"], "nowhere: holds no model.yaml"),
        (["--space", "nowhere"], "space 'nowhere'"),
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


def test_a_server_that_sets_logging_up_closes_no_stream_of_the_tests():
    absl = pytest.importorskip("absl.logging")  # comes with rouge-score; see conftest.py
    assert absl.get_absl_handler().python_handler.stream is sys.__stderr__
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})  # as uvicorn does
    assert not sys.__stderr__.closed


def test_the_joint_space_is_that_of_every_model(tmp_path, monkeypatch):
    loads: list[dict] = []

    def load(_: str, **options: object) -> Assistant:
        loads.append(options)
        return Assistant(page_model())

    def wait(room: Room) -> None:
        room.engine.assistant(Settings(), FeatureStore(tmp_path))
        raise KeyboardInterrupt

    monkeypatch.setattr(Room, "wait", wait)
    monkeypatch.setattr("assistant.weights.store.ensure", lambda *_, **__: tmp_path)
    monkeypatch.setattr("assistant.load", load)
    folder = write_space(tmp_path / "clip", "clip")
    assert main(["ui", "--space", str(folder)]) == cli.STOPPED
    assert [options["space"] for options in loads] == [str(folder)]
