"""How much one request, and one key, may take of the server."""

from __future__ import annotations

from dataclasses import dataclass

from assistant.ui.uploads import MEGABYTE


@dataclass(frozen=True)
class Limits:
    """Of everything that others send."""

    bytes: int = 100 * MEGABYTE  # of a request's body, or of a file that is fetched
    held_bytes: int = 400 * MEGABYTE  # of all bodies in memory together
    body_seconds: float = 60.0  # in which a body arrives, or a piece of an answer is taken
    answer_seconds: float = 300.0  # from the end of a request's body to the end of its answer
    stop_seconds: float = 30.0  # that answers in flight have when the server is stopped
    clip_seconds: float = 3600.0  # of a clip
    requests: int = 256  # there at once, those included that list files or send them
    waiting: int = 32  # requests that are answered or wait for it
    files: int = 100  # that a key keeps
    stored_bytes: int = 1024 * MEGABYTE  # of them together
