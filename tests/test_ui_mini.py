"""The chat in a real browser with mini behind it: what is on the page is what a session says."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from assistant.ui.app import build
from assistant.ui.room import Room
from assistant.ui.serving import launch
from assistant.ui.settings import Options
from PIL import Image, ImageDraw, ImageFont
from ui_browser import (  # noqa: F401, some are fixtures
    CHAT,
    DESK,
    EVIDENCE,
    PATIENCE,
    ask,
    browser,
    expect,
    give,
    needs_browser,
    opened,
    shoot,
)

from assistant import load
from assistant.weights import store as weights_store

pytestmark = needs_browser


@pytest.fixture
def page(browser, tmp_path: Path) -> Iterator[object]:
    room = Room(Options(), tmp_path)
    served = build(room)
    context = browser.new_context(viewport=DESK)
    context.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    page = context.new_page()
    page.goto(launch(served, room))
    expect(page.locator("#va-try button").first).to_be_visible()
    yield page
    context.close()
    served.close(verbose=False)
    room.close()


def told(page, question: str) -> str:
    """The answer, once its evidence is there, too."""
    ask(page, question)
    expect(page.locator(f"{EVIDENCE} h2")).to_have_text(question)
    expect(page.locator("#va-question .submit-button")).to_be_visible()
    return page.locator(f"{CHAT} .bot").last.inner_text().strip()


def test_the_page_says_what_a_session_says(page, shoot, tmp_path):
    clip = tmp_path / "street.mp4"
    shutil.copy(next(weights_store.ensure("samples").rglob("bikes.mp4")), clip)
    session = load("mini").open(clip)
    give(page, clip)
    opened(page)
    for question in ("Is there a bike?", "What is in the video?"):
        assert told(page, question).startswith(session.ask(question).text)
    expect(page.locator(f"{EVIDENCE} svg").first).to_be_visible()  # what each moment weighs
    shoot(page, "chat")


def test_the_page_shows_what_is_written(page, shoot, tmp_path):
    pytest.importorskip("rapidocr", reason="the 'ocr' extra is not installed")
    picture = Image.new("RGB", (640, 360), (120, 150, 190))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((170, 90, 470, 220), fill=(20, 90, 40))
    draw.text((200, 125), "BAKERY", font=ImageFont.load_default(60), fill="white")
    picture.save(tmp_path / "sign.png")
    give(page, tmp_path / "sign.png")
    expect(page.locator("img.va-player")).to_be_visible()
    assert told(page, "What does the sign say?").startswith("BAKERY")
    expect(page.locator(EVIDENCE)).to_contain_text("Written: BAKERY")
    shoot(page, "written")
