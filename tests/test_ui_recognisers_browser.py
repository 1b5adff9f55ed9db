"""A recogniser of actions as a task of the page, in a real browser."""

from __future__ import annotations

import sys

import pytest
from assistant.ui.app import build
from assistant.ui.room import Room
from assistant.ui.serving import launch
from assistant.ui.settings import Options
from recogniser import teach
from test_index import color_clip
from test_ui_access import problems
from test_ui_scenes import seeing_model
from ui_browser import (  # noqa: F401, some are fixtures
    DESK,
    EVIDENCE,
    PHONE,
    answered,
    ask,
    browser,
    expect,
    needs_browser,
    open_clips,
    shoot,
    visit,
)
from ui_page import Served, loading_of

from assistant.actions.store import install_recogniser

pytestmark = needs_browser
ORDER = {"waving": "red", "clapping hands over the head, slowly": "blue"}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The page, with a model that sees colors, to a recogniser of them."""
    model, patch = seeing_model(tmp_path_factory.mktemp("space")), pytest.MonkeyPatch()
    patch.setenv("ASSISTANT_HOME", str(tmp_path_factory.mktemp("home")))
    patch.setitem(sys.modules, "assistant.model.loading", loading_of(model))
    install_recogniser(teach(tmp_path_factory.mktemp("run") / "head", model, ORDER), "gestures")
    room = Room(Options(), tmp_path_factory.mktemp("room"))
    page = build(room)
    yield Served(launch(page, room), room, model, room.visitors.root)
    page.close(verbose=False)
    room.close()
    patch.undo()


def test_it_is_chosen_by_the_keyboard_and_read_on_a_phone(visit, tmp_path, shoot):
    film = color_clip(tmp_path / "film.mp4", "red", "blue", seconds=2)
    page = visit(DESK)
    open_clips(page, film)
    task = page.get_by_label("Task")
    task.focus()
    task.fill("gestures")
    page.keyboard.press("Enter")
    expect(page.locator("#va-about")).to_contain_text("which of these is done: waving")
    ask(page, "What is she doing at 0:03?")
    answered(page, "clapping hands over the head")
    pictures = page.locator(f"{EVIDENCE} .va-frame img")
    expect(pictures).to_have_count(4)
    expect(page.locator(f"{EVIDENCE} .va-legend", has_text="Grad-CAM")).to_be_visible()
    expect(page.locator(f"{EVIDENCE} .va-shares li")).to_have_count(2)
    expect(page.locator(f"{EVIDENCE} .va-first")).to_contain_text("clapping")
    shoot(page, "recogniser")
    page.set_viewport_size(PHONE)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("document.body.classList.contains('dark')")
    page.wait_for_function("document.getAnimations().every((one) => one.playState !== 'running')")
    assert problems(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
