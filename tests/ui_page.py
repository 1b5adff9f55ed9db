"""A served page with a scripted model behind it, a browser to look at it, and a visitor's ways."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from assistant.ui import opening
from assistant.ui.room import Room
from assistant.ui.visitor import Visitor
from fakes import Asked, ScriptedModel

from assistant.sources import Perceived
from assistant.vqa.drafts import HELD_BACK

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WEIGHTS = (0.03, 0.12, 0.31, 0.22, -0.04, 0.06, 0.18, -0.02)
ROUTES = [{"space": [0.6, 0.4], "time": [0.2, 0.3, 0.5]}, {"space": [0.3, 0.3, 0.4], "time": [1.0]}]


def browser_path() -> str | None:
    """The system's own Chromium."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def in_ci() -> bool:
    return bool(os.environ.get("CI"))


def talkative(asked: Asked) -> str:
    """Answers that show what the model was given."""
    if "dialogue" in asked.prompt.lower() or "Subtitles" in asked.prompt:
        return f"Somebody says: {asked.prompt.splitlines()[1]}"
    if asked.history:
        return f"A taxi passes; asked before: {len(asked.history)}."
    return "A man walks past a parked bike in a street with cars."


@dataclass
class PageModel(ScriptedModel):
    """A scripted model that takes its time and says how far it looked."""

    pause: float = 0.0  # seconds before each word
    # Closed: a clip stays half opened, and an answer half said.
    gate: threading.Event = field(default_factory=threading.Event)
    running: int = 0
    most_running: int = 0  # answers made at the same moment

    def encoder(self, frames: Any) -> SimpleNamespace:
        self.gate.wait(20)
        return super().encoder(frames)

    def _words(self, asked: Any) -> Iterator[str]:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            for number, word in enumerate(super()._words(asked)):
                time.sleep(self.pause)
                while number > HELD_BACK and not self.gate.wait(0.1):
                    pass
                yield word
        finally:
            self.running -= 1

    def occlusion(self, patches: Any, *, answer: str, **options: Any) -> list[float]:
        self.occluded.append((answer, True))
        return [WEIGHTS[index % len(WEIGHTS)] for index in range(len(patches))]

    def routing(self, patches: Any, **options: Any) -> list:
        return ROUTES


def page_model(pause: float = 0.0) -> PageModel:
    model = PageModel(
        script=talkative,
        pause=pause,
        found=(Perceived("street sign", 0.41), Perceived("mountain bike", 0.22)),
        scores={"yes": -0.4, "no": -1.4, "red": -1.0, "blue": -1.1},
        blind_scores={"red": -3.0, "blue": -3.0},
    )
    model.gate.set()
    return model


def loading_of(model: PageModel) -> SimpleNamespace:
    """What takes the place of ``assistant.model.loading``."""
    return SimpleNamespace(load_model=lambda name="mini", **options: model)


@dataclass(frozen=True)
class Served:
    """A page at its address."""

    address: str
    room: Any
    model: PageModel
    folder: Path


def upload(room: Room, source: Path, name: str | None = None) -> Path:
    """A copy of ``source`` where the browser's uploads arrive."""
    folder = room.uploads / f"{time.monotonic_ns()}"
    folder.mkdir()
    return Path(shutil.copy(source, folder / (name or source.name)))


def last(changes: Iterator[dict]) -> dict:
    """The page after every change."""
    page: dict = {}
    for change_ in changes:
        page |= change_
    return page


def opened(room: Room, visitor: Visitor, clip: Path, name: str | None = None) -> None:
    page = last(opening.take(room, visitor, [upload(room, clip, name)]))
    assert page["status"] == ""
