"""A task is taught in a real browser, by a real training of mini, and asked."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from assistant.ui.app import build
from assistant.ui.room import Room
from assistant.ui.serving import launch
from assistant.ui.settings import Options
from PIL import Image
from test_ui_access import SMALL, problems
from ui_browser import (  # noqa: F401, some are fixtures
    EVIDENCE,
    PATIENCE,
    PHONE,
    answered,
    ask,
    browser,
    expect,
    give,
    needs_browser,
    shoot,
    visit,
)
from ui_page import Served, page_model

pytestmark = needs_browser
LIGHT, DARK = (240, 220, 90), (20, 30, 70)
LESSON, STATUS, DROP = ".va-lesson", "#va-teach-status", "#va-lesson-drop input[type=file]"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The page as its owner has it, with a data folder of its own, and shorter trainings."""
    patch, folder = pytest.MonkeyPatch(), tmp_path_factory.mktemp("served")
    patch.setenv("ASSISTANT_HOME", str(folder / "home"))
    room = Room(Options(teaches=True), folder / "room")
    (folder / "quick.yaml").write_text("least_steps: 30")
    room.trainer.options = ("--config", str(folder / "quick.yaml"), "--without", "motion", "image")
    page = build(room)
    yield Served(launch(page, room), room, page_model(), room.visitors.root)
    page.close(verbose=False)
    room.close()
    patch.undo()


def pictures(folder: Path, name: str, color: tuple[int, int, int], count: int) -> list[Path]:
    """Of one color, each a little other."""
    paths = [folder / f"{name} {number}.png" for number in range(count)]
    for number, path in enumerate(paths):
        Image.new("RGB", (96, 96), tuple(part + 4 * number for part in color)).save(path)
    return paths


def button(page, name: str):
    return page.locator("#va-teach").get_by_role("button", name=name, exact=True)


def test_a_task_is_taught_and_asked(visit, tmp_path, shoot):
    page = visit(PHONE, color_scheme="dark", has_touch=True, is_mobile=True)
    page.get_by_role("tab", name="Teach").click()
    page.get_by_label("Its name").fill("daylight")
    button(page, "Begin").click()
    expect(page.locator(DROP)).to_be_attached()
    *learned, unseen = pictures(tmp_path, "night", DARK, 4)
    for count, label, files in (
        (3, "day", pictures(tmp_path, "day", LIGHT, 3)),
        (6, "night", learned),
    ):
        page.get_by_label("Label", exact=True).fill(label)
        page.set_input_files(DROP, [str(path) for path in files])
        expect(page.locator(LESSON)).to_have_count(count)
    last = page.get_by_label("Label of night 2.png")
    last.fill("nigth")
    last.blur()
    button(page, "Check").click()
    expect(page.locator("#va-teach-checks")).to_contain_text("nigth 1")
    expect(page.locator(STATUS)).to_contain_text("each label wants 3 clips")
    assert problems(page) == [] and page.evaluate(SMALL) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    last.fill("night")
    last.blur()
    expect(page.locator(STATUS)).not_to_contain_text("each label")
    button(page, "Train").click()
    expect(button(page, "Stop")).to_be_visible()
    other = visit()
    other.get_by_role("tab", name="Teach").click()
    expect(other.locator(f"{LESSON} input")).to_have_count(0)  # it sees it, and changes nothing
    expect(button(other, "Stop")).to_be_visible()
    page.reload()
    expect(page.locator("#va-try button").first).to_be_visible()
    page.get_by_role("tab", name="Teach").click()
    expect(page.locator("#va-curve svg")).to_be_visible()
    expect(button(page, "Try it")).to_be_visible(timeout=3 * PATIENCE)
    expect(page.locator(STATUS)).to_contain_text("daylight (your actions)")
    assert problems(page) == []
    shoot(page, "taught")
    with page.expect_download() as download:
        button(page, "Export").click()
    assert "daylight/actions.yaml" in zipfile.ZipFile(download.value.path()).namelist()
    button(page, "Try it").click()
    expect(page.locator("#va-about")).to_contain_text("which of these is done: day, night")
    give(page, unseen)
    expect(page.locator("img.va-player")).to_be_visible()
    ask(page, "Which is it?")
    answered(page, "night")
    expect(page.locator(f"{EVIDENCE} .va-shares li")).to_have_count(2)
