"""A server that speaks as OpenAI's does, and says what the test scripts: in a thread, on port 0."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DONE = "data: [DONE]\n\n"


def event(text: str | None = None, **more: Any) -> str:
    """One piece of an answer, as it is streamed."""
    delta = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": delta | more.pop("delta", {}), "finish_reason": None} | more
    return f"data: {json.dumps({'choices': [choice]})}\n\n"


def says(*pieces: str) -> list[str]:
    """A whole stream."""
    return [*map(event, pieces), event(finish_reason="stop"), DONE]


@dataclass
class Reply:
    """What the server does with one question."""

    parts: list[str] = field(default_factory=list)  # of the body, each sent by itself
    status: int = 200
    kind: str = "text/event-stream"
    pause: float = 0.0  # seconds before each part but the first
    length: int | None = None  # promised; more than is sent: the connection breaks
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class ChatServer:
    """It answers with the replies in turn, the last one again and again."""

    replies: list[Reply]
    models: tuple[str, ...] = ("tiny",)
    heard: list[dict[str, Any]] = field(default_factory=list)  # bodies
    headers: list[dict[str, str]] = field(default_factory=list)
    port: int = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def last(self) -> str:
        """The last message of the last question."""
        return self.heard[-1]["messages"][-1]["content"]


@contextmanager
def serving(
    *replies: Reply | list[str], models: tuple[str, ...] = ("tiny",)
) -> Iterator[ChatServer]:
    """A server that is there for as long as this lasts."""
    wanted = [reply if isinstance(reply, Reply) else Reply(reply) for reply in replies]
    script = ChatServer(wanted, models)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

        def do_GET(self) -> None:
            known = {"data": [{"id": name} for name in script.models]}
            self.send(Reply([json.dumps(known)], kind="application/json"))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            script.heard.append(json.loads(body))
            script.headers.append({name.lower(): value for name, value in self.headers.items()})
            if self.path != "/v1/chat/completions":
                self.send(Reply(["not here"], 404, "text/plain"))
                return
            self.send(script.replies[min(len(script.heard), len(script.replies)) - 1])

        def send(self, reply: Reply) -> None:
            self.close_connection = True
            self.send_response(reply.status)
            self.send_header("content-type", reply.kind)
            self.send_header("connection", "close")
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.length is not None:
                self.send_header("content-length", str(reply.length))
            self.end_headers()
            try:
                for place, part in enumerate(reply.parts):
                    time.sleep(reply.pause if place else 0.0)
                    self.wfile.write(part.encode())
                    self.wfile.flush()
            except OSError:  # the reader has left
                return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    script.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
