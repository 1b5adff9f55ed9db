"""The server's side of the page: its visitors, its engine, its folders, its settings."""

from __future__ import annotations

import sys
import threading
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

from assistant.ui import cards, picking
from assistant.ui.engine import Engine
from assistant.ui.line import OUR_FAULT
from assistant.ui.settings import CHOICES, Options
from assistant.ui.view import Parts, Props, shown, tries
from assistant.ui.visitor import Visitor, Visitors

from assistant.doctor import examine
from assistant.errors import AssistantError

__all__ = [
    "Room",
    "arrive",
    "change",
    "check_machine",
    "choose_form",
    "excuse",
    "measure",
]

SWEEP = 30.0  # seconds between two looks for visitors who are gone


class Room:
    """What all visitors share. ``root`` holds their files and is emptied by ``close``."""

    def __init__(self, options: Options, root: Path) -> None:
        self.options = options
        self.uploads = root / "uploads"  # where a file lies until its visitor takes it
        self.uploads.mkdir(parents=True, exist_ok=True)
        self.visitors = Visitors(root / "visitors", grace=options.grace, idle=options.idle)
        self.engine = Engine(options, self.visitors.drop_sessions)
        self._closed = threading.Event()

    def wait(self) -> None:
        """Until ``close``; meanwhile the folders are kept clean."""
        while not self._closed.wait(SWEEP):
            self.visitors.sweep()
            self.visitors.sweep_uploads(self.uploads)

    def close(self) -> None:
        """Everybody leaves, and takes their files along."""
        self._closed.set()
        self.engine.line.close()
        self.visitors.close()


def arrive(room: Room, visitor: Visitor) -> Parts:
    """A page was opened."""
    model = room.options.model
    return {
        **shown(visitor),
        "task": Props(choices=picking.tasks(model), value=visitor.settings.task),
        "adapter": Props(choices=picking.adapters(model), value=visitor.settings.adapter),
        **tries(picking.example_questions(visitor.settings.task, model)),
    }


def change(room: Room, visitor: Visitor, name: str, value: Any) -> Parts:
    """Another setting, from the next question on."""
    visitor.settings = replace(visitor.settings, **{name: value})
    if name != "task":
        return {}
    return tries(picking.example_questions(value, room.options.model))


def choose_form(room: Room, visitor: Visitor, form: str) -> Parts:
    """Show the box for choices where they are asked for."""
    return {"choices": Props(visible=form == CHOICES)}


def measure(room: Room, visitor: Visitor) -> Parts:
    """What lies in memory."""
    import psutil

    used, free = psutil.Process().memory_info().rss, psutil.virtual_memory().available
    return {"loaded": cards.loaded(room.engine.loaded(), used, free)}


def check_machine(room: Room, visitor: Visitor) -> Parts:
    """`assistant doctor`, on the page."""
    return {"checks": cards.checks(examine())}


def excuse(error: Exception) -> Parts:
    """What an action that failed says; only our own faults go to the log."""
    if isinstance(error, AssistantError):
        return {"hint": cards.note(str(error), "bad")}
    traceback.print_exception(error, file=sys.stderr)
    return {"hint": cards.note(OUR_FAULT, "bad")}
