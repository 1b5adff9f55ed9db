"""What an OpenAI-compatible server sends, read: pieces of an answer, names of models, errors."""

import json
from typing import Any

from assistant.errors import ModelError

ADDRESS_ENDS = "is --llm the address of an OpenAI-compatible server, up to /v1?"


def piece_of(data: str, place: str, name: str) -> tuple[str, bool]:
    """The text in one event, and whether it is the last.

    Args:
        place: the server's address. name: of its model, as answers have it.
    Raises:
        ModelError: it is none, or says that something failed.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        what = one_line(data)[:60]
        raise ModelError(f"{place} sent no JSON ({what}); {ADDRESS_ENDS}") from error
    if isinstance(found, dict) and found.get("error"):
        raise ModelError(f"{place} failed: {reason_of(found)}; ask again")
    try:
        choices = found["choices"]
        first = choices[0] if choices else {}
        said = first.get("delta") or first.get("message") or {}
        text, refusal, end = (
            said.get("content"),
            said.get("refusal"),
            first.get("finish_reason"),
        )
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ModelError(
            f"{place} sent something else than a chat's answer; {ADDRESS_ENDS}"
        ) from error
    if refusal or end == "content_filter":
        why = f": {one_line(refusal)}" if refusal else " (its content filter)"
        raise ModelError(f"{name} refused to answer{why}; ask in other words")
    if not isinstance(text, str | None):
        raise ModelError(f"{place} sent an answer that is no text; take another model")
    return text or "", end is not None


def model_names(body: str) -> list[str]:
    """What a server lists under ``/models``; none where it lists something else."""
    try:
        return [str(model["id"]) for model in json.loads(body)["data"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []


def reason_of(found: Any) -> str:
    """What a server says is wrong, in one line."""
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except (ValueError, RecursionError):
            return ""  # a page for people
    error = found.get("error", found) if isinstance(found, dict) else found
    told = error.get("message", "") if isinstance(error, dict) else error
    return one_line(told)


def one_line(text: object) -> str:
    """The beginning of a foreign text, printable."""
    kept = " ".join(str(text).split())
    return "".join(letter for letter in kept if letter.isprintable())[:200]
