"""The page for everybody: axe-core, the keyboard, a finger on a phone."""

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
    needs_browser,
    open_clips,
    served,
    visit,
)

axe = pytest.importorskip("axe_playwright_python.sync_playwright")
pytestmark = needs_browser
BAD = ("serious", "critical")
FINGER = 44  # pixels
HIT = "button, summary, label:has(> input), a"
SMALL = f"""() => [...document.querySelectorAll("{HIT}")].filter((part) => {{
  const box = part.getBoundingClientRect();
  const seen = part.checkVisibility({{ visibilityProperty: true }}) && box.width;
  return seen && (box.width < {FINGER} || box.height < {FINGER});
}}).map((part) => part.outerHTML.slice(0, 120))"""
# The focused part, and whether it, or what it stands in, is drawn otherwise than before.
FOCUSED = """() => {
  const part = document.activeElement;
  const box = part.getBoundingClientRect();
  const parts = [part, part.closest("label"), part.closest("#va-question"), part.closest(".wrap")];
  const shown = parts.some((one) => one && parseFloat(getComputedStyle(one).outlineWidth) > 0
    && getComputedStyle(one).outlineStyle !== "none");
  const there = box.width > 0 && getComputedStyle(part).visibility === "visible";
  return [part.outerHTML.slice(0, 120), shown, there, part.tagName];
}"""


def problems(page) -> list[str]:
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{rule['id']}: {node['target']} {node['html'][:120]}"
        for rule in found
        if rule["impact"] in BAD
        for node in rule["nodes"]
    ]


def states(page, files):
    """The page as it comes to look, state after state."""
    yield "empty"
    open_clips(page, files / "street.mp4", files / "street.srt")
    yield "clip"
    page.get_by_label("yes or no").check()
    ask(page, "Is it day?")
    answered(page, "yes")
    expect(page.locator(f"{EVIDENCE} .va-plot svg")).to_be_visible()
    yield "evidence"
    page.locator("#va-chat button[title='Edit']").last.click()
    yield "correcting"
    page.get_by_text("Inside: how far").click()
    page.get_by_text("Settings").click()
    page.get_by_role("button", name="Check this machine").click()
    expect(page.locator("#va-checks li").first).to_be_attached()
    yield "settings"


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_nothing_on_the_page_keeps_anybody_out(visit, files, size, mode):
    phone = size == PHONE
    page = visit(size, color_scheme=mode, has_touch=phone, is_mobile=phone)
    for state in states(page, files):
        assert problems(page) == [], state
        if phone:
            assert page.evaluate(SMALL) == [], state
            asked = page.locator("#va-question").bounding_box()
            assert asked["y"] >= 0 and asked["y"] + asked["height"] <= PHONE["height"], state
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], state


def test_the_keyboard_reaches_everything_and_one_sees_where_it_is(visit, files):
    page = visit()
    for _ in zip(range(3), states(page, files), strict=False):
        pass
    page.get_by_text("Settings").click()
    page.evaluate("document.activeElement.blur()")
    reached, hidden = [], []
    for _ in range(90):
        page.keyboard.press("Tab")
        part, shown, there, tag = page.evaluate(FOCUSED)
        if tag == "BODY" or part in reached[-1:]:
            continue
        reached.append(part)
        if tag != "VIDEO" and not (shown and there):
            hidden.append(part)
    assert hidden == []
    for known in (
        "va-frame",
        "va-said",
        "Save corrections",
        "Clear",
        "Send",
        "Close clip",
        "<video",
    ):
        assert any(known in part for part in reached), known
    assert any("Go to" in part for part in reached)
