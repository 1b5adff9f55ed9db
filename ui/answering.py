"""One question from a program: the page's own steps, without a page."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from assistant.ui import picking
from assistant.ui.line import Failed
from assistant.ui.room import Room
from assistant.ui.talk import Done, ask
from assistant.ui.uploads import check_clip, safe_name
from assistant.ui.visitor import Visitor

from assistant.errors import AssistantError, InputError

NO_UPLOAD = (
    "the video is no file that was uploaded here; send the file itself, not a path or a web address"
)


def unreadable(values: Any, wanted: int) -> str:
    """Why a call of one of the page's steps is refused before anything is fetched; or ""."""
    if len(values) < wanted:
        return f"{len(values)} values were sent and {wanted} are wanted; load the page again"
    if any(path.startswith(("http:", "https:")) for path in _paths(values)):
        return "a web address was sent; download the file and upload it here"
    return ""


def _paths(value: Any) -> Iterator[str]:
    """Every ``path`` in what was sent."""
    if isinstance(value, dict):
        yield str(value.get("path", "")).strip().lower()
    for part in value.values() if isinstance(value, dict) else value:
        if isinstance(part, dict | list):
            yield from _paths(part)


def answer_once(
    room: Room, video: Any, question: str, task: str = "auto", choices: Sequence[str] | None = None
) -> dict[str, Any]:
    """The answer as ``assistant ask --json`` prints it, or ``{"error": one line}``.

    ``video`` is an upload to this server; it is removed afterwards, with all that was made of it.
    Nothing that a caller names is opened but that.
    """
    path = _uploaded(room, video)
    if path is None:
        return {"error": NO_UPLOAD}
    visitor = Visitor(room.visitors.root)
    try:
        tasks = [name for _, name in picking.tasks(room.options.model)]
        if task not in tasks:
            raise InputError(f"task is {task!r:.60}; choose one of {', '.join(tasks)}")
        name = safe_name(path.name)
        offer = check_clip(path, name, room.options.limits)
        visitor.settings = replace(visitor.settings, task=task)
        clip = visitor.add(path, name, offer)
        for update in ask(room.engine, visitor, clip, question, choices):
            if isinstance(update, Failed):
                raise InputError(visitor.without_paths(update.message))
            if isinstance(update, Done) and update.turn is not None and update.turn.told:
                return update.turn.told.found
        return {"error": "stopped"}
    except AssistantError as error:
        return {"error": str(error)}
    finally:
        visitor.close()
        path.unlink(missing_ok=True)


def _uploaded(room: Room, video: Any) -> Path | None:
    """The uploaded file that ``video`` stands for, as Gradio or a program writes it."""
    path = video.get("path") if isinstance(video, dict) else getattr(video, "path", video)
    try:
        found = Path(path).resolve()
        return found if found.is_relative_to(room.uploads.resolve()) and found.is_file() else None
    except (TypeError, ValueError, OSError):  # no path at all
        return None
