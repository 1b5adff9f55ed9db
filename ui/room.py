"""The server's side of the page: its visitors, its engine, its folders, its settings."""

import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from assistant.ui import cards, picking, suggesting
from assistant.ui.engine import Engine
from assistant.ui.line import OUR_FAULT, Failed
from assistant.ui.settings import (
    CHOICES,
    DECODING,
    LONGEST_ANSWER,
    MOST_FRAMES,
    PRECISIONS,
    Options,
    missing_sources,
    training_options,
)
from assistant.ui.view import Parts, Props, ready, shown, tries
from assistant.ui.visitor import Visitor
from assistant.ui.visitors import Visitors

from assistant.core.shortage import shortage_of
from assistant.errors import AssistantError, InputError
from assistant.model.doctor import examine
from assistant.sources import SOURCES
from assistant.training.teaching.runs import Trainer

KEPT = ("precision", "frames", "decoding", "longest", "transcribe")
SWEEP = 30.0  # seconds between two looks for visitors who are gone


class Room:
    """What all visitors share. ``root`` holds their files and is emptied by ``close``."""

    def __init__(self, options: Options, root: Path) -> None:
        self.options = options
        self.uploads = root / "uploads"  # where a file lies until its visitor takes it
        self.uploads.mkdir(parents=True, exist_ok=True)
        self.visitors = Visitors(root / "visitors", grace=options.grace, idle=options.idle)
        self.engine = Engine(options, self.visitors.drop_sessions)
        self.trainer = Trainer(training_options(options), options.model)
        self._closed = threading.Event()

    def wait(self) -> None:
        """Until ``close``; meanwhile the folders are kept clean."""
        while not self._closed.wait(SWEEP):
            self.visitors.sweep()
            self.visitors.sweep_uploads(self.uploads)

    def close(self) -> None:
        """Everybody leaves, and takes their files along."""
        self._closed.set()
        self.trainer.close()
        self.engine.line.close()
        self.visitors.close()


def arrive(room: Room, visitor: Visitor) -> Parts:
    """A page was opened, or loaded again: what there was is there."""
    known = list(picking.models(room.options))
    asked, visitor.unanswered = visitor.unanswered, ""
    visitor.go()
    left = "The page was left before this question was answered." if asked else ""
    return {
        **shown(visitor),
        **{name: getattr(visitor.settings, name) for name in KEPT},
        "sources": [name for name in visitor.settings.sources if name not in missing_sources()],
        "question": ready(asked),
        "hint": cards.note(left or room.options.notice),
        "model": Props(choices=known, value=visitor.settings.model or known[0]),
        **_of_model(room, visitor),
    }


def _of_model(room: Room, visitor: Visitor) -> Parts:
    """What the chosen model can do: its tasks and adapters, and what to ask."""
    model, settings = picking.model_of(room.options, visitor.settings), visitor.settings
    tasks, adapters = picking.tasks(model), picking.adapters(model)
    task, adapter = (
        wanted if wanted in [name for _, name in known] else "auto"
        for wanted, known in ((settings.task, tasks), (settings.adapter, adapters))
    )
    visitor.settings = replace(settings, task=task, adapter=adapter)
    return {
        "task": Props(choices=tasks, value=task),
        "about": cards.quiet(picking.about(task, model)),
        "adapter": Props(choices=adapters, value=adapter),
        **suggest(room, visitor),
    }


def offered(room: Room, visitor: Visitor) -> Parts:
    """The tasks and adapters that there are by now: one may have been taught meanwhile."""
    found = _of_model(room, visitor)
    return {name: found[name] for name in ("task", "about", "adapter")}


def suggest(room: Room, visitor: Visitor) -> Parts:
    """What to ask of the chosen clip, or of all."""
    model, every = picking.model_of(room.options, visitor.settings), visitor.chosen == picking.ALL
    asked = [clip for name, clip in visitor.clips.items() if every or name == visitor.chosen]
    return tries(suggesting.questions(visitor.settings.task, model, asked))


def change(room: Room, visitor: Visitor, name: str, value: Any) -> Parts:
    """Another setting, from the next question on.

    Raises:
        InputError: the page does not offer it.
    """
    model = picking.model_of(room.options, visitor.settings)
    offers: dict[str, Iterable[Any]] = {
        "model": picking.models(room.options),
        "task": [task for _, task in picking.tasks(model)],
        "adapter": [adapter for _, adapter in picking.adapters(model)],
        "precision": PRECISIONS,
        "frames": range(1, MOST_FRAMES + 1),
        "decoding": DECODING,
        "longest": range(LONGEST_ANSWER + 1),
        "sources": SOURCES,
    }
    several = name == "sources"
    chosen = value if several else [value]
    if isinstance(value, list) is not several or any(one not in [*offers[name]] for one in chosen):
        raise InputError(f"{name} is {value!r:.60}; choose what the page offers")
    if several:  # what is not installed stays chosen: an answer that would need it says so
        value = [*value, *(one for one in missing_sources() if one not in value)]
    visitor.settings = replace(visitor.settings, **{name: value})
    return _of_model(room, visitor) if name in ("model", "task") else {}


def changing(name: str) -> Callable[[Room, Visitor, Any], Parts]:
    """The action of :func:`change` for one setting."""
    return lambda room, visitor, value: change(room, visitor, name, value)


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


def failed(visitor: Visitor, failure: Failed) -> str:
    """What a job that failed says, and `doctor`'s advice where memory ran out."""
    text = cards.note(visitor.without_paths(failure.message), "bad")
    if failure.memory:
        text += cards.checks([check for check in examine() if check.status != "ok"])
    return text


def excuse(room: Room, error: Exception) -> Parts:
    """What an action that failed says; only our own faults go to the log."""
    told = str(error) if isinstance(error, AssistantError) else shortage_of(error)
    if told is None:
        traceback.print_exception(error, file=sys.stderr)
        told = OUR_FAULT
    return {"hint": cards.note(told.replace(str(room.uploads.parent), ""), "bad")}
