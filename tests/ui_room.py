"""A room without a page, behind it a scripted model: fixtures of the tests of the chat."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from assistant.ui import opening
from assistant.ui.room import Room
from assistant.ui.settings import Options
from assistant.ui.visitor import Visitor
from clips import make_clip
from fakes import install
from ui_page import PageModel, page_model


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seconds; the picture at t seconds carries the number 10 t."""
    return make_clip(tmp_path_factory.mktemp("clips") / "street.mp4", 50, fps=10)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> PageModel:
    model = page_model()
    install(monkeypatch, model)
    return model


@pytest.fixture
def room(model: PageModel, tmp_path: Path) -> Iterator[Room]:
    room = Room(Options(grace=0.0), tmp_path / "room")
    yield room
    room.close()


@pytest.fixture
def visitor(room: Room) -> Visitor:
    return room.visitors.of("page-1")


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
