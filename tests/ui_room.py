"""A room without a page, behind it a scripted model: fixtures of the tests of the chat."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
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
