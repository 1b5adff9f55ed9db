"""A real browser, and what a person does in it.

``ASSISTANT_SHOTS=docs`` writes the screenshots there instead of into a temporary folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ui_page import browser_path

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
PATIENCE = 60_000  # milliseconds; a busy machine is slow
DESK, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
ASK, CHAT, EVIDENCE = "#va-question textarea", "#va-chat", "#va-evidence"


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    with playwright.sync_playwright() as started:
        path = browser_path()
        assert path, "no Chromium; .ci/run installs it"
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def shoot(tmp_path: Path) -> Callable:
    folder = Path(os.environ.get("ASSISTANT_SHOTS", tmp_path))

    def shoot(page, name: str) -> None:
        page.screenshot(path=folder / f"ui-{name}.png", full_page=True)

    return shoot


def give(page, *paths: Path) -> None:
    page.set_input_files("#va-drop input[type=file]", [str(path) for path in paths])


def open_clips(page, *paths: Path) -> None:
    give(page, *paths)
    opened(page)


def opened(page) -> None:
    expect(page.locator("#va-said p")).to_be_visible()
    expect(page.locator("#va-status .va-bar")).to_have_count(0)
    expect(page.locator("video.va-player")).to_be_visible()


def ask(page, question: str) -> None:
    page.fill(ASK, question)
    page.press(ASK, "Enter")


def answered(page, text: str) -> None:
    expect(page.locator(f"{CHAT} .bot").last).to_contain_text(text)
    expect(page.locator("#va-question .submit-button")).to_be_visible()
