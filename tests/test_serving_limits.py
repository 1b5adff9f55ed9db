"""Who may ask, how much and how fast, what is answered together, and what anything at all gets."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from clips import make_clip
from fakes import ScriptedModel, leave_sources
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from serving_room import Served, about, data_url, error_of, serving

from assistant.cli.main import main
from assistant.serving.guard import LOG, Guard
from assistant.serving.keys import Keys
from assistant.serving.limits import Limits
from assistant.serving.metrics import Metrics

SEEN = "I see 0 1 2 3 4 5 6 7"
KEYS = ("key-of-ann-1", "key-of-bob-2")
EXAMPLES = int(os.environ.get("ASSISTANT_TEST_EXAMPLES", "200"))  # of fuzzed JSON


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", 8, fps=4)


@pytest.fixture(autouse=True, scope="module")
def no_sources() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        leave_sources(patch)
        yield


class Gate:
    """A model that waits for the test."""

    def __init__(self) -> None:
        self.reached, self.open = threading.Event(), threading.Event()

    def __call__(self, asked: object) -> str:
        self.reached.set()
        assert self.open.wait(20)
        return "done " * 20


@pytest.fixture
def gate() -> Iterator[Gate]:
    found = Gate()
    yield found
    found.open.set()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(ScriptedModel(), tmp_path_factory.mktemp("serving")) as found:
        yield found


# Keys


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(ScriptedModel(), tmp_path_factory.mktemp("keyed"), keys=KEYS, hosts=()) as found:
        yield found


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer key-of-ann", "Bearer key-of-ann-12", "Basic key-of-ann-1"],
)
@pytest.mark.parametrize("path", ["/v1/models", "/metrics", "/nothing", "/v1/files"])
def test_without_a_key_nothing_is_told(keyed, header, path):
    told = keyed.get(path, headers={"Authorization": header})
    assert told.status_code == 401 and told.headers["www-authenticate"] == "Bearer"
    assert error_of(told)["code"] == "invalid_api_key" and "key-of" not in told.text


def test_health_is_open(keyed):
    assert keyed.get("/health").status_code == 200


def test_each_key_has_its_own_files(keyed, clip):
    ann, bob = ({"Authorization": f"Bearer {key}"} for key in KEYS)
    url = f"{keyed.address}/v1/files"
    form = {"files": {"file": ("a.mp4", clip.read_bytes())}, "data": {"purpose": "user_data"}}
    kept = httpx.post(url, headers=ann, **form).json()["id"]
    assert [one["id"] for one in httpx.get(url, headers=ann).json()["data"]] == [kept]
    assert httpx.get(url, headers=bob).json()["data"] == []
    for method, path in (("GET", kept), ("DELETE", kept)):
        assert httpx.request(method, f"{url}/{path}", headers=bob).status_code == 404
    body = {"model": "scripted", "messages": [about(kept)]}
    chat = f"{keyed.address}/v1/chat/completions"
    assert httpx.post(chat, headers=bob, json=body).status_code == 404
    assert httpx.post(chat, headers=ann, json=body).status_code == 200


def test_a_page_of_another_site_is_refused(served, keyed):
    for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
        assert served.get("/v1/models", headers=headers).status_code == 403
    headers = {"Authorization": f"Bearer {KEYS[0]}", "Origin": "https://own.example"}
    assert keyed.get("/v1/models", headers=headers).status_code == 200
    plain = served.post("/v1/chat/completions", content=b"{}")
    assert plain.status_code == 415


# Size and time


def test_a_body_that_is_too_large(tmp_path, clip):
    with serving(ScriptedModel(), tmp_path, limits=Limits(bytes=1 << 20)) as served:
        for size in (1 << 20) + 1, 3 << 20:
            told = served.post(
                "/v1/chat/completions",
                content=b" " * size,
                headers={"Content-Type": "application/json"},
            )
            assert told.status_code == 413 and error_of(told)["code"] == "request_too_large"
        form = {"files": {"file": ("a.mp4", b"x" * (2 << 20))}, "data": {"purpose": "user_data"}}
        assert served.post("/v1/files", **form).status_code == 413
        assert served.ask(about(data_url(clip))).status_code == 200
        wait_for(lambda: served.guard.held.bytes == 0)


def test_many_bodies_at_once_are_told_to_come_again(tmp_path, clip):
    limits = Limits(held_bytes=1000)
    with serving(ScriptedModel(), tmp_path, limits=limits) as served:
        told = served.ask(about(data_url(clip)))
        assert told.status_code == 429 and told.headers["retry-after"] == "5"
        assert served.get("/v1/models").status_code == 200


def test_many_requests_at_once_are_told_to_come_again(tmp_path):
    with serving(ScriptedModel(), tmp_path, limits=Limits(requests=1)) as served:
        with socket.create_connection(("127.0.0.1", served.port)) as first:
            first.sendall(
                b"POST /v1/files HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n"
                b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
            )
            wait_for(lambda: served.guard.held.requests == 1)
            told = served.get("/v1/models")
            assert told.status_code == 429 and told.headers["retry-after"] == "5"
        wait_for(lambda: served.guard.held.requests == 0)
        assert served.get("/v1/models").status_code == 200


def test_a_key_keeps_so_much(tmp_path, clip):
    with serving(ScriptedModel(), tmp_path, limits=Limits(files=1)) as served:
        form = {"files": {"file": ("a.mp4", clip.read_bytes())}, "data": {"purpose": "vision"}}
        assert served.post("/v1/files", **form).status_code == 200
        assert error_of(served.post("/v1/files", **form))["code"] == "too_much_stored"


def test_a_slow_client_is_let_go(tmp_path):
    with serving(ScriptedModel(), tmp_path, limits=Limits(body_seconds=0.3)) as served:
        with socket.create_connection(("127.0.0.1", served.port)) as slow:
            slow.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
            )
            slow.settimeout(5)
            told = slow.makefile("rb").read()  # to the connection's end
        assert told.startswith(b"HTTP/1.1 408") and b'"code":"timeout"' in told


def test_an_answer_that_takes_too_long(tmp_path, clip, gate):
    limits = Limits(answer_seconds=0.1)
    with serving(ScriptedModel(gate), tmp_path, limits=limits) as served:
        told = served.ask(about(data_url(clip)))
        gate.open.set()
        assert told.status_code == 408 and int(told.headers["retry-after"]) >= 1


def test_who_waits_too_many_is_told_when_to_come_again(tmp_path, clip, gate):
    message = about(data_url(clip))
    with (
        serving(ScriptedModel(gate), tmp_path, limits=Limits(waiting=2)) as served,
        ThreadPoolExecutor(2) as pool,
    ):
        asking = [pool.submit(served.ask, message) for _ in range(2)]
        wait_for(lambda: served.service._waiting == 2)
        told = served.ask(message)
        assert told.status_code == 429 and int(told.headers["retry-after"]) >= 1
        assert error_of(told)["type"] == "rate_limit_error"
        gate.open.set()
        assert [one.result().status_code for one in asking] == [200, 200]
        assert served.ask(message).status_code == 200


def test_who_leaves_makes_room(tmp_path, clip, gate):
    body = json.dumps({"model": "scripted", "messages": [about(data_url(clip))]}).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with serving(ScriptedModel(gate), tmp_path, limits=Limits(waiting=1)) as served:
        with socket.create_connection(("127.0.0.1", served.port)) as client:
            client.sendall(head.encode() + body)
            assert gate.reached.wait(20)
        wait_for(lambda: served.service._waiting == 0)
        gate.open.set()
        assert served.ask(about(data_url(clip))).status_code == 200


# Together


def test_questions_about_one_clip_share_the_looking_and_a_pass(tmp_path, clip):
    first, goes_on = threading.Event(), threading.Event()

    def script(asked) -> str:
        if asked.prompt == "What is first?":
            first.set()
            goes_on.wait(20)
        return f"{asked.prompt} {asked.numbers[0]}"

    model = ScriptedModel(script)
    other = make_clip(tmp_path / "other.mp4", range(50, 58), fps=4)
    with serving(model, tmp_path) as served, ThreadPoolExecutor(8) as pool:
        before = pool.submit(served.ask, about(data_url(clip), "What is first?"))
        assert first.wait(20)
        texts = [f"What is the color of thing {place}?" for place in range(6)]
        clips = [clip, other, clip, other, clip, other]
        asking = [
            pool.submit(served.ask, about(data_url(path), text))
            for text, path in zip(texts, clips, strict=True)
        ]
        wait_for(lambda: len(served.service._engine._waiting) == 6)
        model.together.clear()
        goes_on.set()
        assert before.result().status_code == 200
        said = [one.result().json()["choices"][0]["message"]["content"] for one in asking]
    numbers = [50 if path is other else 0 for path in clips]
    assert said == [f"{text} {one}" for text, one in zip(texts, numbers, strict=True)]
    assert len(model.encoded) == 2  # each clip was looked at once
    assert max(model.together) == 6


def test_one_that_fails_among_others_fails_alone(tmp_path, clip, gate):
    def script(asked) -> str:
        if "bad" in asked.prompt:
            raise RuntimeError("a secret of the model")
        return gate(asked) if "first" in asked.prompt else "fine"

    with serving(ScriptedModel(script), tmp_path) as served, ThreadPoolExecutor(4) as pool:
        pool.submit(served.ask, about(data_url(clip), "What is first?"))
        assert gate.reached.wait(20)
        texts = ("What is good?", "What is bad?", "What is better?")
        asking = [pool.submit(served.ask, about(data_url(clip), text)) for text in texts]
        wait_for(lambda: len(served.service._engine._waiting) == 3)
        gate.open.set()
        told = [one.result() for one in asking]
    assert [one.status_code for one in told] == [200, 500, 200]
    assert error_of(told[1])["type"] == "server_error" and "secret" not in told[1].text


ADAPTERS = ("left", "right")


class Adapted(ScriptedModel):
    """It says which of its adapters answers."""

    def load_adapter(self, folder: Path, recipe: object) -> str:
        return folder.name

    def generate_batch(
        self, visual, prompts, histories, max_new_tokens=None, beams=None, adapter=None
    ):
        return [iter([f"{adapter} answers {prompt}"]) for prompt in prompts]


def test_each_request_has_its_own_adapter(tmp_path, clip, monkeypatch):
    recipe = Path(__file__).parents[1] / "adapters/mini/motion/recipe.yaml"
    for name in ADAPTERS:
        folder = tmp_path / "home/adapters/scripted" / name
        folder.mkdir(parents=True)
        (folder / "recipe.yaml").write_bytes(recipe.read_bytes())
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))
    message = about(data_url(clip), "Which way?")
    with serving(Adapted(), tmp_path) as served, ThreadPoolExecutor(6) as pool:
        names = [one["id"] for one in served.get("/v1/models").json()["data"]]
        assert names == ["scripted", "scripted:none", "scripted:left", "scripted:right"]
        asked = [*names[2:], names[1]] * 4
        told = list(pool.map(lambda name: served.ask(message, model=name).json(), asked))
        assert served.ask(message, model="scripted:../left").status_code == 404
    for name, one in zip(asked, told, strict=True):
        own = name.removeprefix("scripted:") if name != "scripted:none" else None
        assert one["choices"][0]["message"]["content"] == f"{own} answers Which way?"
        assert one["evidence"]["adapter"] == own and one["model"] == name


def test_a_stream_that_breaks_ends_with_the_error(tmp_path, clip):
    class Breaks(ScriptedModel):
        def _words(self, asked) -> Iterator[str]:
            yield from ("one", *(" more" for _ in range(30)))
            raise RuntimeError("a secret of the model")

    with serving(Breaks(), tmp_path) as served:
        told = served.ask(about(data_url(clip)), stream=True)
    events = told.text.strip().split("\n\n")
    assert told.status_code == 200 and "one" in events[1] and "[DONE]" not in told.text
    assert json.loads(events[-1].removeprefix("data: "))["error"]["type"] == "server_error"
    assert "secret" not in told.text


def test_a_fault_before_the_model_is_logged_and_not_told(tmp_path, clip, monkeypatch, caplog):
    def breaks(*_: object, **__: object) -> None:
        raise RuntimeError("a secret of the house")

    monkeypatch.setattr("assistant.vqa.assistants.Assistant.open", breaks)
    with serving(ScriptedModel(), tmp_path) as served:
        told = served.ask(about(data_url(clip)))
    assert told.status_code == 500 and "secret" not in told.text + caplog.text
    assert error_of(told)["code"] == "internal_error" and '"RuntimeError"' in caplog.text


async def take_slowly(limits: Limits) -> list[str]:
    """What a client gets that takes nothing after the first piece."""
    taken: list[str] = []

    async def app(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})

    async def send(message) -> None:
        taken.append(message["type"])
        if message["type"] == "http.response.body":
            await asyncio.sleep(60)

    guard = Guard(app, Keys(), (), limits, Metrics())
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
    await asyncio.wait_for(guard(scope, send, send), 5)
    assert guard.held.requests == 0
    return taken


def test_who_takes_nothing_is_let_go():
    taken = asyncio.run(take_slowly(Limits(body_seconds=0.1)))
    assert taken == ["http.response.start", "http.response.body"]


# Logs, and the end


def test_logs_tell_of_requests_and_nothing_of_what_is_in_them(served, clip):
    records: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    try:
        served.ask(about(data_url(clip), "Is the secret told?"))
        served.get("/v1/models/secret?secret=1")
        told = served.get("/secret", headers={"X-Secret": "1"})
        wait_for(lambda: len(records) == 3)
    finally:
        LOG.removeHandler(handler)
    lines = [json.loads(record) for record in records]
    assert [line["route"] for line in lines] == [
        "/v1/chat/completions",
        "/v1/models/{model:path}",
        "none",
    ]
    assert [line["status"] for line in lines] == [200, 404, 404]
    assert lines[0]["bytes"] > 1000 and lines[2]["request"] == told.headers["x-request-id"]
    assert not any(word in record for record in records for word in ("secret", "base64", "see"))


SCRIPT = """
import sys, time
sys.path.insert(0, {tests!r})
import fakes, assistant.model.sight_loading
from types import SimpleNamespace
def script(asked):
    print("ASKED", flush=True)
    time.sleep(1.0)
    return "still answered"
model = fakes.ScriptedModel(script, name="mini")
assistant.model.sight_loading.load_sight = lambda name, **options: model
sys.modules["assistant.model.loading"] = SimpleNamespace(load_model=lambda *a, **k: model)
for name in list(fakes.SOURCES):
    del fakes.SOURCES[name]
from assistant.cli.main import main
sys.exit(main(["serve", "--port", "{port}"]))
"""


def test_on_sigterm_answers_in_flight_are_made_and_nothing_is_left(tmp_path, clip):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = SCRIPT.format(tests=str(Path(__file__).parent), port=port)
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    address = f"http://127.0.0.1:{port}"
    wait_for(lambda: answers(address), 30)
    body = {"model": "mini", "messages": [about(data_url(clip))], "task": "chat"}
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(
            httpx.post, f"{address}/v1/chat/completions", json={**body, "model": "mini:none"}
        )
        assert process.stdout is not None and process.stdout.readline() == "ASKED\n"
        process.send_signal(signal.SIGTERM)
        assert asking.result().json()["choices"][0]["message"]["content"] == "still answered"
    _, log = process.communicate(timeout=20)
    assert process.returncode == 143 and "Traceback" not in log
    assert [*tmp_path.glob("assistant-serve-*")] == []
    assert all(json.loads(line) for line in log.splitlines() if line.startswith("{"))


def answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health").status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--host", "0.0.0.0"], "--api-keys"),
        (["--api-key", "short"], "8 characters"),
        (["--api-keys", "missing.txt"], "missing.txt"),
        (["--allow-files", "missing"], "missing"),
        (["--port", "70000"], "70000"),
        (["--host", "no.such.host.invalid", "--api-key", KEYS[0]], "no.such.host"),
        (["--max-mb", "0"], "out of range"),
    ],
)
def test_a_wrong_option_gets_one_line(words, told, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["serve", *words]) == 2
    line = capsys.readouterr().err
    assert told in line and line.count("\n") == 1


# Whatever is sent

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=9,
)
KEPT = "file-kept"  # stands for the id of one that is there


def mostly(*good: object) -> st.SearchStrategy:
    """Some of what is right, now and then anything."""
    right = [one if isinstance(one, st.SearchStrategy) else st.just(one) for one in good]
    return st.integers(0, 24).flatmap(lambda dice: JSON if dice == 13 else st.one_of(right))


def having(optional: dict | None = None, **keys: st.SearchStrategy) -> st.SearchStrategy:
    return st.fixed_dictionaries(keys, optional=optional)


URLS = mostly(*[KEPT] * 6, "file-1", "file:///etc/passwd", "http://127.0.0.1/", "data:;base64,AAAA")
TEXT = having(type=st.just("text"), text=mostly(st.text(max_size=30), "What is it?"))
SEEN_PART = st.sampled_from(["video_url", "image_url"]).flatmap(
    lambda kind: st.fixed_dictionaries(
        {"type": st.just(kind), kind: mostly(having(url=URLS))}, optional={"detail": mostly("auto")}
    )
)
SOUND = having(data=mostly("AAAA", "%"), format=mostly("wav"))
HEARD_PART = having(type=st.just("input_audio"), input_audio=mostly(SOUND))
USER = having(
    role=st.just("user"),
    content=mostly(
        st.tuples(TEXT, SEEN_PART).map(list),
        st.tuples(TEXT, SEEN_PART).map(list),
        st.lists(st.one_of(TEXT, SEEN_PART, HEARD_PART), max_size=3),
    ),
)
OTHER = having(
    role=mostly("assistant", "system", "developer", "user", "tool"),
    content=mostly(st.text(max_size=40)),
)
CHATS = having(
    model=mostly("scripted"),
    messages=mostly(
        st.tuples(USER).map(list),
        st.tuples(OTHER, USER).map(list),
        st.tuples(USER, OTHER, USER).map(list),
    ),
    optional={
        "stream": mostly(st.booleans()),
        "stream_options": mostly(None, {"include_usage": True}),
        "max_tokens": mostly(st.integers(1, 20)),
        "logprobs": mostly(None, False),
        "top_logprobs": mostly(None),
        "choices": mostly(None, st.lists(st.sampled_from("abcd"), max_size=4)),
        "task": mostly("chat", "describe"),
        "dialogue": mostly(None, st.text(max_size=40), "ANN: I am Ann.\nBOB: Hello."),
        "start": mostly(None, st.floats(0, 1)),
        "end": mostly(None, st.floats(0, 3)),
        "evidence": mostly(st.booleans()),
        "temperature": mostly(0, 1, None),
        "response_format": mostly(None, {"type": "text"}),
        "user": mostly("ann"),
    },
)
VECTORS = having(
    model=mostly("scripted"),
    input=mostly(st.text(max_size=30), st.lists(st.text(max_size=9) | TEXT | SEEN_PART)),
    optional={"dimensions": mostly(None), "encoding_format": mostly("float", "base64")},
)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    st.tuples(st.just("/v1/chat/completions"), CHATS)
    | st.tuples(st.just("/v1/chat/completions"), CHATS)
    | st.tuples(st.just("/v1/embeddings"), VECTORS)
    | st.tuples(st.sampled_from(["/v1/chat/completions", "/v1/embeddings"]), JSON)
    | st.tuples(st.just("/v1/chat/completions"), st.binary(max_size=60)),
)
def test_whatever_is_sent_is_answered_in_openais_shape(pooled, kept, sent):
    path, content = sent
    body = (
        content if isinstance(content, bytes) else json.dumps(content).replace(KEPT, kept).encode()
    )
    told = pooled.post(path, content=body, headers={"Content-Type": "application/json"})
    event(str(told.status_code))
    assert told.status_code in (200, 400, 404, 413), told.text
    if told.status_code == 200:
        assert "error" not in told.text
    else:
        error_of(told)


@pytest.fixture(scope="module")
def pooled(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.address, timeout=20) as found:
        yield found


@pytest.fixture(scope="module")
def kept(served: Served, clip: Path) -> str:
    """An uploaded clip."""
    form = {"files": {"file": ("a.mp4", clip.read_bytes())}, "data": {"purpose": "user_data"}}
    return served.post("/v1/files", **form).json()["id"]


def test_json_that_is_deep_or_huge_in_number(served):
    for body in (
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"1" * 100_000,
        b'{"model":"\\ud800"}',
        b"\xff",
    ):
        told = served.post(
            "/v1/chat/completions", content=body, headers={"Content-Type": "application/json"}
        )
        assert told.status_code == 400
        error_of(told)


def wait_for(is_so: Callable[[], object], seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.02)
