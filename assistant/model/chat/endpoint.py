"""An OpenAI-compatible server (``POST .../v1/chat/completions``, streamed): the door to httpx.

What is sent is the text of the messages, the model's name and two numbers; nothing else leaves.
"""

from __future__ import annotations

import ipaddress
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from assistant.errors import InputError, ModelError
from assistant.model.chat.base import ChatModel, Message
from assistant.model.chat.events import ADDRESS_ENDS, model_names, one_line, piece_of, reason_of

KEYS = ("ASSISTANT_LLM_KEY", "OPENAI_API_KEY")  # in the environment; the first that is set
CONNECT = 10.0  # seconds to be let in
PATIENCE = 180.0  # seconds between two pieces: a server may first have to load the model
LONGEST = 1800.0  # seconds of a whole answer
MOST_CHARACTERS = 32_000  # of messages: about 8,000 tokens, which models of today read
PER_TOKEN = 16  # characters of an answer, at most
MOST_BYTES = 4 * 2**20  # of a line, or of a body that is not streamed
ADVICE = {
    400: "mend --llm-name or the options",
    401: "set {} to a key that it takes",
    403: "set {} to a key that it takes",
    404: "check --llm-name, and that the address ends as the server's does (mostly in /v1)",
    413: "ask with a shorter dialogue",
    429: "it is asked too often, or the account has nothing left: wait, then ask again",
}
# A newer model of OpenAI's refuses the one and wants the other, or none.
RENAMED = {"max_tokens": "max_completion_tokens", "temperature": None}


@dataclass(frozen=True)
class Key:
    """What lets us in."""

    name: str  # of the environment variable
    value: str


class Endpoint(ChatModel):
    """A server that speaks."""

    def __init__(self, address: str, model: str | None = None, patience: float = PATIENCE) -> None:
        """``address``: up to ``/v1``. ``model``: its name there; None: the only one there is.

        Raises:
            InputError: ``address`` is none, or holds a password.
        """
        self.url = _url(address)
        self.model, self.patience = model, patience
        self.key = key_for(self.url)
        self.is_here = is_here(self.url.host)

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"llm:{self.model or self.url.host}"

    @property
    def place(self) -> str:  # type: ignore[override]
        return self.url.netloc.decode()

    def notice(self) -> str:
        where = f"{self.place}, on this machine" if self.is_here else self.place
        key = f", with the key in {self.key.name}" if self.key else ""
        return (
            "Your questions, what was perceived in a clip and what is said in it go as text to the "
            f"server at {where}{key}; no picture and no sound does"
        )

    def prepare(self) -> None:
        """Ask for the model's name, where none was given. Raises ModelError, InputError."""
        if self.model is not None:
            return
        with self._told(), self._client() as client:
            response = client.get(self._at("models"))
            self._check(response, response.text)
            names = model_names(response.text)
        if len(names) != 1:
            known = ", ".join(names[:8]) or "none that it names"
            raise InputError(f"--llm-name is wanted; {self.place} has {known}")
        self.model = names[0]

    def fits(self, messages: Sequence[Message], max_tokens: int) -> bool:
        return sum(len(message.text) for message in messages) <= MOST_CHARACTERS

    def pieces(self, messages: Sequence[Message], max_tokens: int) -> Iterator[str]:
        self.prepare()
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [message.as_dict() for message in messages],
            "stream": True,
            "max_tokens": max_tokens,
            "temperature": 0,
        }
        with self._told(), self._client() as client:
            for _ in range(len(RENAMED) + 1):
                with client.stream("POST", self._at("chat/completions"), json=body) as response:
                    if response.status_code == 200:
                        yield from self._spoken(response, max_tokens)
                        return
                    told = b"".join(_bounded(response)).decode(errors="replace")
                    if response.status_code != 400 or not _renamed(body, told):
                        break
            self._check(response, told)

    def _spoken(self, response: httpx.Response, max_tokens: int) -> Iterator[str]:
        """What is said in a stream of events, or in one body."""
        kind = response.headers.get("content-type", "").partition(";")[0].strip()
        if kind == "application/json":
            told = b"".join(_bounded(response)).decode(errors="replace")
            yield piece_of(told, self.place, self.name)[0]
            return
        if kind != "text/event-stream":
            raise ModelError(f"{self.place} sent {kind or 'nothing'}, no answer; {ADDRESS_ENDS}")
        left, ended = PER_TOKEN * max_tokens, False
        for line in self._lines(response):
            field, _, data = line.partition(":")
            if field != "data" or not data.strip():
                continue
            if data.strip() == "[DONE]":
                return
            text, finished = piece_of(data, self.place, self.name)
            ended = ended or finished
            left -= max(1, len(text))  # an event without text is no progress for ever
            if left < 0:
                raise ModelError(
                    f"{self.name} did not end after {PER_TOKEN * max_tokens} characters, though "
                    f"{max_tokens} tokens were asked for; it was stopped"
                )
            yield text
        if not ended:
            raise ModelError(f"{self.place} broke off in the middle of an answer; ask again")

    def _lines(self, response: httpx.Response) -> Iterator[str]:
        """Lines as they come. A server that only keeps the line open is not waited for for ever."""
        held, began = b"", time.monotonic()
        heard = began  # when a line with data came last
        for chunk in response.iter_bytes():
            *lines, held = (held + chunk).split(b"\n")
            for line in lines:
                heard = time.monotonic() if line.startswith(b"data:") else heard
                yield line.decode(errors="replace").rstrip("\r")
            now = time.monotonic()
            if now - heard > self.patience or now - began > LONGEST or len(held) > MOST_BYTES:
                raise ModelError(f"{self.place} does not come to an end; it was stopped: ask again")
        yield held.decode(errors="replace")

    def _check(self, response: httpx.Response, told: str) -> None:
        """Raises ModelError: the server says no."""
        status = response.status_code
        if status == 200:
            return
        where = response.headers.get("location")
        if where and response.is_redirect:
            raise ModelError(f"{self.place} has moved to {one_line(where)}; give that with --llm")
        advice = ADVICE.get(status, "look at the server, or ask again later")
        unsent = (
            ""
            if self.key or not os.environ.get(KEYS[1])
            else f" ({KEYS[1]} was not sent: {UNSAFE})"
        )
        reason = reason_of(told)
        raise ModelError(
            f"{self.place} answered {status}{f' ({reason})' if reason else ''}; "
            f"{advice.format(KEYS[0])}{unsent if status in (401, 403) else ''}"
        )

    def _client(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.key.value}"} if self.key else {}
        return httpx.Client(
            headers=headers,
            timeout=httpx.Timeout(self.patience, connect=CONNECT),
            trust_env=not self.is_here,  # this machine is reached without a proxy
        )

    def _at(self, part: str) -> httpx.URL:
        return self.url.copy_with(path=f"{self.url.path.rstrip('/')}/{part}")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What goes wrong on the way, in one line. Raises ModelError."""
        try:
            yield
        except httpx.ConnectTimeout as error:
            raise ModelError(
                f"{self.place} does not let us in within {CONNECT:.0f} s; check --llm and the "
                "network"
            ) from error
        except (httpx.ConnectError, httpx.ProxyError) as error:
            raise ModelError(
                f"{self.place} cannot be reached ({one_line(error)}); start the server, or mend "
                "--llm"
            ) from error
        except httpx.TimeoutException as error:
            raise ModelError(
                f"{self.place} said nothing for {self.patience:g} s; ask again, or take a "
                "smaller model"
            ) from error
        except httpx.HTTPError as error:
            raise ModelError(
                f"{self.place} broke off in the middle of an answer ({type(error).__name__}); ask "
                "again"
            ) from error
        except ImportError as error:  # of httpx, at a SOCKS proxy
            raise ModelError(
                f"{self.place} cannot be reached ({one_line(error)}); mend ALL_PROXY or https_proxy"
            ) from error


UNSAFE = "it goes to https or this machine alone"


def key_for(url: httpx.URL) -> Key | None:
    """The key for a server; OpenAI's does not go in the clear to other machines."""
    own, theirs = KEYS
    for name in KEYS:  # not told: it is a secret
        if not (key := os.environ.get(name, "").strip()).isascii() or not key.isprintable():
            raise InputError(
                f"{name} holds what no key has (an accent, a line's end); set it again"
            )
    if value := os.environ.get(own, "").strip():
        return Key(own, value)
    value = os.environ.get(theirs, "").strip()
    return Key(theirs, value) if value and (url.scheme == "https" or is_here(url.host)) else None


def is_here(host: str) -> bool:
    """Whether it is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _url(address: str) -> httpx.URL:
    wanted = "give http(s)://HOST:PORT/v1"
    try:
        url = httpx.URL(address.strip())
    except (httpx.InvalidURL, ValueError) as error:
        raise InputError(f"llm {address!r:.60} is no address ({error}); {wanted}") from error
    if url.userinfo:
        raise InputError(f"llm: the address holds a password; {wanted}, and the key in {KEYS[0]}")
    if url.scheme not in ("http", "https") or not url.host:
        raise InputError(f"llm {address!r:.60} is no address; {wanted}")
    return url.copy_with(path=url.path.rstrip("/").removesuffix("/chat/completions"), fragment=None)


def _renamed(body: dict[str, Any], told: str) -> bool:
    """Mend a parameter that was refused; False: something else was."""
    for name, other in RENAMED.items():
        if name in body and f"'{name}'" in told:
            value = body.pop(name)
            body |= {other: value} if other else {}
            return True
    return False


def _bounded(response: httpx.Response) -> Iterator[bytes]:
    """A body, or the beginning of one that is far too long."""
    come = 0
    for chunk in response.iter_bytes():
        yield chunk
        come += len(chunk)
        if come > MOST_BYTES:
            return
