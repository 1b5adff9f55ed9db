"""Several clips compared on the page in a real browser: names, strips, a phone's width."""

from __future__ import annotations

import pytest
from ui_browser import (  # noqa: F401, some are fixtures
    DESK,
    EVIDENCE,
    PHONE,
    answered,
    ask,
    browser,
    expect,
    files,
    give,
    needs_browser,
    served,
    sources,
    visit,
)

pytestmark = needs_browser


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_two_clips_are_compared(visit, files, size):
    page = visit(size)
    give(page, files / "street.mp4", files / "kitchen.mp4")
    expect(page.locator("#va-clips label")).to_have_count(3)  # and all clips
    expect(page.locator("#va-status .va-bar")).to_have_count(0)
    ask(page, "Which is longer?")
    answered(page, "The first (street.mp4), 5.0 s; the second, 3.0 s.")
    strips = page.locator(f"{EVIDENCE} .va-compared")
    expect(strips).to_have_count(2)
    expect(strips.nth(1)).to_contain_text("2. kitchen.mp4 3.0 s")
    expect(strips.nth(1).locator("img")).to_have_count(8)
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    ask(page, "And in the first one?")
    answered(page, "street.mp4 (named in the question; kitchen.mp4 is chosen)")
