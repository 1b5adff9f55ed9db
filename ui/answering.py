"""One question from a program: the page's own steps, without a page."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from assistant.ui.line import Failed
from assistant.ui.room import Room
from assistant.ui.talk import Done, ask
from assistant.ui.uploads import check_clip, safe_name
from assistant.ui.visitor import Visitor

from assistant.core.checks import check_choices
from assistant.errors import AssistantError, InputError
from assistant.tasks.store import find_task


def answer_once(
    room: Room, path: Path, question: str, task: str = "auto", choices: Sequence[str] | None = None
) -> dict[str, Any]:
    """The answer as ``assistant ask --json`` prints it, or ``{"error": one line}``.

    ``path`` is an upload to this server; it is removed afterwards, with all that was made of it.
    """
    if not path.resolve().is_relative_to(room.uploads.resolve()) or not path.is_file():
        return {"error": "the video is no file that was uploaded here"}
    visitor = Visitor(room.visitors.root)
    try:
        find_task(task, room.options.model)
        check_choices(choices)
        name = safe_name(path.name)
        offer = check_clip(path, name, room.options.limits)
        visitor.settings = replace(visitor.settings, task=task)
        clip = visitor.add(path, name, offer)
        for update in ask(room.engine, visitor, clip, question, choices):
            if isinstance(update, Failed):
                raise InputError(update.message.replace(str(clip.path), name))
            if isinstance(update, Done) and update.turn is not None and update.turn.told:
                return update.turn.told.found
        return {"error": "stopped"}
    except AssistantError as error:
        return {"error": str(error)}
    finally:
        visitor.close()
        path.unlink(missing_ok=True)
