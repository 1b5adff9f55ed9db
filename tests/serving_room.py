"""A server of ours on a loopback port, in a thread, with a scripted model."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from assistant.model.features import FeatureStore
from assistant.serving.app import build
from assistant.serving.guard import Guard
from assistant.serving.keys import Keys
from assistant.serving.limits import Limits
from assistant.serving.running import listen, server_of
from assistant.serving.service import Service
from assistant.vqa.assistants import Assistant

LIMITS = Limits()


@dataclass
class Served:
    """A running server."""

    port: int
    service: Service
    server: Any
    model: Any
    guard: Guard

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def post(self, path: str, **options: Any) -> httpx.Response:
        return httpx.post(f"{self.address}{path}", timeout=20, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return httpx.get(f"{self.address}{path}", timeout=20, **options)

    def ask(self, *messages: Any, **more: Any) -> httpx.Response:
        body = {"model": "scripted", "messages": list(messages), **more}
        return self.post("/v1/chat/completions", json=body)


@contextmanager
def serving(
    model: Any,
    folder: Path,
    *,
    keys: tuple[str, ...] = (),
    hosts: tuple[str, ...] = ("127.0.0.1",),
    limits: Limits = LIMITS,
    **options: Any,
) -> Iterator[Served]:
    """A server that is there for as long as this lasts."""
    own = folder / "served"
    own.mkdir(exist_ok=True)
    service = Service(
        Assistant(model, FeatureStore(own / "features")), own, limits=limits, **options
    )
    door = listen("127.0.0.1", 0)
    guard = build(service, Keys(keys), hosts)
    server = server_of(guard, limits)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [door]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield Served(door.getsockname()[1], service, server, model, guard)
    finally:
        server.should_exit = True
        thread.join()
        service.close()


def data_url(path: Path, kind: str = "video/mp4") -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def about(url: str, text: str = "What is it?", kind: str = "video_url") -> dict[str, Any]:
    """A user's message about a clip."""
    return {
        "role": "user",
        "content": [{"type": "text", "text": text}, {"type": kind, kind: {"url": url}}],
    }


def error_of(response: httpx.Response) -> dict[str, Any]:
    """The error in OpenAI's shape, which it has, all of it."""
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"] and "\n" not in error["message"]
    return error
