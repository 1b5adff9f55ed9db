"""Before and after every request: who asks, how much and how slowly is sent, what is logged."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
import traceback
from dataclasses import dataclass, field
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assistant.serving.keys import Keys
from assistant.serving.limits import Limits
from assistant.serving.metrics import Metrics
from assistant.serving.problems import Problem

LOG = logging.getLogger("assistant.serving")
PORT = re.compile(r":\d*$")  # of a Host header
OPEN = "/health"  # to everybody
COME_AGAIN = 5  # seconds
DRAINED = 4  # times the largest body: read and dropped, so that who sent it hears why


class Left(Exception):
    """Who asked does not take the answer."""


@dataclass
class Held:
    """By all requests that are there."""

    requests: int = 0
    bytes: int = 0  # of their bodies


@dataclass
class Exchange:
    """A request and its response, as they go on."""

    scope: Scope
    id: str = field(default_factory=lambda: f"req_{uuid4().hex}")
    began: float = field(default_factory=time.perf_counter)
    come: int = 0  # bytes
    status: int = 499  # until it is answered
    is_cut: bool = False  # not all of its body was read: the connection is of no use any more

    @property
    def route(self) -> str:
        """Its pattern: no id, and nothing that somebody made up."""
        return getattr(self.scope.get("route"), "path", "none")


class Guard:
    """Middleware around an app; whatever goes wrong in there is told in OpenAI's shape."""

    def __init__(
        self, app: ASGIApp, keys: Keys, hosts: tuple[str, ...], limits: Limits, metrics: Metrics
    ) -> None:
        """``hosts``: names under which the server is asked; (): any."""
        self._app, self._keys, self._hosts = app, keys, hosts
        self._limits, self._metrics = limits, metrics
        self.held = Held()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(scope)
        self.held.requests += 1
        owner: str | None = None
        bounded, told = self._bounded(exchange, receive), self._told(exchange, send)
        try:
            try:
                owner = self._checked(Request(scope))
                scope.setdefault("state", {})["owner"] = owner
                await self._app(scope, bounded, told)
            except Problem as problem:
                await self.refuse(problem)(scope, receive, told)
        except Left:
            pass
        except Exception as error:  # the response is under way, or was sent by the app's handler
            LOG.error(json.dumps({"request": exchange.id, **fault(error)}))
        finally:
            self.held.requests -= 1
            self.held.bytes -= exchange.come
            seconds = time.perf_counter() - exchange.began
            self._metrics.served(exchange.route, exchange.status, seconds)
            LOG.info(
                json.dumps(
                    {
                        "request": exchange.id,
                        "method": scope["method"],
                        "route": exchange.route,
                        "status": exchange.status,
                        "seconds": round(seconds, 3),
                        "bytes": exchange.come,
                        "owner": owner,
                    }
                )
            )

    @staticmethod
    def refuse(problem: Problem) -> JSONResponse:
        return JSONResponse(problem.as_dict(), problem.status, problem.headers)

    def _checked(self, request: Request) -> str:
        """Who asks. Raises Problem: nobody who may, or too many at once."""
        if self.held.requests > self._limits.requests:
            raise come_again("too many requests are there at once")
        host = PORT.sub("", request.headers.get("host", "")).lower()
        origin = request.headers.get("origin")
        if self._hosts and host not in self._hosts:  # a name that was bent to this machine
            raise Problem(403, f"{host[:60]!r} is not this server's name", code="wrong_host")
        if origin is not None and not self._keys:  # a page of another site, in a browser here
            raise Problem(
                403, "pages of other sites may ask only with an API key", code="wrong_origin"
            )
        owner = self._keys.owner(request.headers.get("authorization", ""))
        if owner is None and request.scope["path"] != OPEN:
            raise Problem(
                401,
                "no API key that is known here was given; send Authorization: Bearer KEY",
                code="invalid_api_key",
            )
        return owner or ""

    def _bounded(self, exchange: Exchange, receive: Receive) -> Receive:
        """``receive`` that takes so much in so much time."""
        limits, deadline = self._limits, time.monotonic() + self._limits.body_seconds
        ended = False

        async def bounded() -> Message:
            nonlocal ended
            if ended:  # the client's leaving is all that may come
                return await receive()
            try:
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    message = await receive()
                    come = len(message.get("body", b""))
                    exchange.come += come
                    self.held.bytes += come
                    if problem := self._too_much(exchange):
                        exchange.is_cut = True
                        await _drain(message, receive, DRAINED * limits.bytes)
                        raise problem
            except TimeoutError:
                exchange.is_cut = True
                raise Problem(
                    408,
                    f"the body took longer than {limits.body_seconds:g} s to arrive",
                    code="timeout",
                ) from None
            ended = message["type"] != "http.request" or not message.get("more_body", False)
            return message

        return bounded

    def _too_much(self, exchange: Exchange) -> Problem | None:
        """What is wrong with how much has come so far."""
        if exchange.come > self._limits.bytes:
            return Problem(
                413,
                f"the body has more than {self._limits.bytes >> 20} MB; cut the clip, or look at "
                "less of it",
                code="request_too_large",
            )
        is_full = self.held.bytes > self._limits.held_bytes
        return come_again("too much is being sent at once") if is_full else None

    def _told(self, exchange: Exchange, send: Send) -> Send:
        """``send`` that waits only so long for a client to take what it asked for."""

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                own = [(b"x-request-id", exchange.id.encode()), (b"cache-control", b"no-store")]
                own += [(b"connection", b"close")] if exchange.is_cut else []
                message = {**message, "headers": [*message.get("headers", ()), *own]}
            try:
                async with asyncio.timeout(self._limits.body_seconds):
                    await send(message)
            except TimeoutError:
                raise Left from None

        return told


def come_again(told: str) -> Problem:
    """What there is no room for now."""
    return Problem(
        429, f"{told}; try again later", code="rate_limit_exceeded", retry_after=COME_AGAIN
    )


async def _drain(message: Message, receive: Receive, most: int) -> None:
    """Read a body to its end, or up to ``most`` bytes."""
    come = 0
    while message["type"] == "http.request" and message.get("more_body") and come < most:
        message = await receive()
        come += len(message.get("body", b""))


def fault(error: Exception) -> dict[str, object]:
    """Where it went wrong, without what was sent."""
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "error": type(error).__name__,
        "where": [f"{frame.name}:{frame.lineno}" for frame in frames[-8:]],
    }
