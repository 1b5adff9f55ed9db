"""The page for everybody: axe-core, the keyboard, a finger on a phone."""

from __future__ import annotations

from itertools import islice

import pytest
from fakes import ScriptedSource
from ui_browser import (  # noqa: F401, some are fixtures
    DESK,
    EVIDENCE,
    PHONE,
    SEEN,
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

from assistant.sources import Perceived

BOX = (0.1, 0.3, 0.4, 0.8)
THINGS = (
    Perceived("dog", 0.9, 0.5, 3.0, BOX, track=((0.5, BOX), (1.5, (0.7, 0.1, 0.9, 0.5)))),
    Perceived("a busy street full of people who cross it", 0.6, 1.0, 1.0),
    Perceived("snow", 0.5),
)
axe = pytest.importorskip("axe_playwright_python.sync_playwright")
pytestmark = needs_browser
LOOKS = ((DESK, "dark"), (PHONE, "light"))  # each size and each mode once
BAD = ("serious", "critical")
FINGER = 44  # pixels
MOST_STOPS = 120  # of the keyboard
HIT = "button, summary, label:has(> input), a"
SMALL = f"""() => [...document.querySelectorAll("{HIT}")].filter((part) => {{
  const box = part.getBoundingClientRect();
  const seen = part.checkVisibility({{ visibilityProperty: true }}) && box.width;
  return seen && (box.width < {FINGER} || box.height < {FINGER});
}}).map((part) => part.outerHTML.slice(0, 120))"""
# The name of the focused part, and whether it is drawn as such.
FOCUSED = """() => {
  const part = document.activeElement;
  const label = part.closest("label");
  const shown = [part, label, part.closest("#va-question"), part.closest(".wrap")].some((one) =>
    one && getComputedStyle(one).outlineStyle !== "none"
    && parseFloat(getComputedStyle(one).outlineWidth) > 0);
  const name = part.ariaLabel || part.title || label?.textContent || part.textContent;
  return [name, shown && part.getBoundingClientRect().width > 0, part.tagName];
}"""


@pytest.fixture(scope="module")
def sources():
    """What the panel of perceived things has of everything: boxes, times, neither, a button."""
    return {"things": ScriptedSource(THINGS), "costly": ScriptedSource(costs=True)}


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
    expect(page.locator(f"{SEEN} .va-box em").first).to_be_visible()
    expect(page.locator("#va-see-all")).to_contain_text("Also look for")
    yield "clip"
    page.get_by_label("yes or no").check()
    ask(page, "Is it day?")
    answered(page, "yes")
    expect(page.locator(f"{EVIDENCE} .va-plot svg")).to_be_visible()
    expect(page.locator(f"{EVIDENCE} .va-box").first).to_be_visible()
    yield "evidence"
    page.locator("#va-chat button[title='Edit']").last.click()
    yield "correcting"
    page.get_by_text("Inside: how far").click()
    page.get_by_text("Settings").click()
    page.get_by_role("button", name="Check this machine").click()
    expect(page.locator("#va-checks li").first).to_be_attached()
    yield "settings"


@pytest.mark.parametrize(("size", "mode"), LOOKS, ids=["desk", "phone"])
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
    for _ in islice(states(page, files), 3):
        pass
    page.get_by_text("Settings").click()
    reached, unseen = [], []
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        part, shown, tag = page.evaluate(FOCUSED)
        reached.append(part)
        if not shown and tag not in ("BODY", "VIDEO"):  # at the page's end; it draws its own
            unseen.append(part)
    assert unseen == []
    for known in (
        *("Close clip", "Still shapes", "Adapter", "quick", "Check this machine", "Question"),
        *("What is said?", "Task", "yes or no", "Go to 0:", "BOB: ", "Inside: ", "Clear"),
        *("dog 90%", "Also look for"),
    ):
        assert any(known in part for part in reached), (known, reached)
