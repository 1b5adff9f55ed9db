"""How much one request, and one key, may take of the server."""

from __future__ import annotations

from dataclasses import dataclass

from assistant.ui.uploads import MEGABYTE


@dataclass(frozen=True)
class Limits:
    """Of everything that others send."""

    bytes: int = 100 * MEGABYTE  # of a request's body, or of a file that is fetched
    body_seconds: float = 60.0  # in which a body arrives, or a file is fetched
    answer_seconds: float = 300.0  # from a request's arrival to the end of its answer
    clip_seconds: float = 3600.0  # of a clip
    waiting: int = 32  # requests that are answered or wait for it
    files: int = 100  # that a key keeps
    stored_bytes: int = 1024 * MEGABYTE  # of them together
