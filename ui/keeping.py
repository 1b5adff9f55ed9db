"""Save a conversation or its corrections to a file of the visitor's, and load it again."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

from assistant.ui import cards
from assistant.ui.export import as_json, as_markdown, read_conversation, write_corrections
from assistant.ui.room import Room
from assistant.ui.view import Parts, shown
from assistant.ui.visitor import Asked, Visitor

from assistant.errors import InputError

WRITERS: dict[str, tuple[Callable[[Sequence[Asked]], str], str]] = {
    "json": (as_json, "conversation.json"),
    "markdown": (as_markdown, "conversation.md"),
}
CORRECTIONS = "corrections"
KINDS = (*WRITERS, CORRECTIONS)


def save(room: Room, visitor: Visitor, kind: str) -> Parts:
    """A file for the browser to write: nothing of it stays on the server, but for a zip of clips,
    which goes with its visitor.

    Args:
        kind: of ``KINDS``.
    """
    try:
        if not visitor.turns:
            raise InputError("There is nothing to save yet: ask something first.")
        if kind == CORRECTIONS:
            return _save_corrections(visitor)
        write, name = WRITERS[kind]
        return {"file": write(visitor.turns), "file name": name, "hint": ""}
    except InputError as error:
        return {"file": "", "file name": "", "hint": cards.note(str(error), "bad")}


def _save_corrections(visitor: Visitor) -> Parts:
    path = visitor.folder / f"{CORRECTIONS}.zip"
    clips = {name: clip.path for name, clip in visitor.clips.items()}
    missing = write_corrections(visitor.turns, clips, path)
    told = f"Unpack {path.name}, then: assistant data check {CORRECTIONS}"
    if missing:
        told = f"Open {', '.join(missing)} and save again for what you corrected there. {told}"
    address = f"gradio_api/file={quote(str(path))}?{time.time_ns()}"  # or the one before is kept
    return {"file": address, "file name": path.name, "hint": cards.note(told, "good")}


def load(room: Room, visitor: Visitor, file: str | Path) -> Parts:
    """Go on with a saved conversation; the upload is removed."""
    path = Path(file)
    try:
        turns = read_conversation(path)
    except InputError as error:
        return {"hint": cards.note(str(error), "bad")}
    finally:
        path.unlink(missing_ok=True)
    visitor.turns = turns
    visitor.shown = turns[-1] if turns else None
    missing = sorted({turn.clip for turn in turns} - set(visitor.clips))
    lacks = f" To go on, open {', '.join(missing)}." if missing else ""
    told = f"{len(turns)} questions and answers are back.{lacks}"
    return {**shown(visitor), "hint": cards.note(told, "good")}
