"""The timeline under the player in a real browser."""

from __future__ import annotations

import json
import sys

import pytest
from assistant.ui import scenes
from assistant.ui.app import build
from assistant.ui.room import Room
from assistant.ui.serving import launch
from assistant.ui.settings import Options
from test_index import color_clip
from test_ui_access import SMALL, problems
from test_ui_scenes import seeing_model
from ui_browser import (  # noqa: F401, some are fixtures
    CHAT,
    DESK,
    PHONE,
    answered,
    ask,
    browser,
    expect,
    give,
    needs_browser,
    open_clips,
    visit,
)
from ui_page import Served, loading_of

pytestmark = needs_browser
SCENE, WHEN, TOLD = ".va-scene", "#va-when input", ".va-told-scene"
AT = "second => Math.abs(document.querySelector('video').currentTime - second) < 0.05"
INSIDE = """() => [...document.querySelectorAll(".va-named, .va-told-scene")].every((part) => {
  const box = part.getBoundingClientRect();
  return box.left >= 0 && box.right <= innerWidth;
})"""


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    return color_clip(folder / "film.mp4", "red", "blue", "red")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The page, with a model whose joint space tells colors."""
    model, patch = seeing_model(tmp_path_factory.mktemp("space")), pytest.MonkeyPatch()
    patch.setitem(sys.modules, "assistant.model.loading", loading_of(model))
    room = Room(Options(), tmp_path_factory.mktemp("room"))
    page = build(room)
    yield Served(launch(page, room), room, model, room.visitors.root)
    page.close(verbose=False)
    room.close()
    patch.undo()


def find(page, text: str) -> None:
    page.fill(WHEN, text)
    page.press(WHEN, "Enter")
    expect(page.locator(".va-named", has_text=text)).to_be_visible()
    expect(page.locator(WHEN)).to_have_value("")


def test_scenes_stand_under_the_player_and_a_click_goes_there(visit, film):
    page = visit()
    open_clips(page, film)
    band = page.locator(SCENE)
    expect(band).to_have_count(3)
    player, first = page.locator("video").bounding_box(), band.first.bounding_box()
    assert first["y"] >= player["y"] + player["height"]
    expect(page.locator(TOLD)).to_contain_text("0:00.0 to 0:06.0")
    band.nth(2).hover()
    expect(page.locator(TOLD)).to_have_text(band.nth(2).get_attribute("data-told"))
    expect(page.locator(TOLD)).to_contain_text("0:12.0 to 0:18.0")
    page.locator(CHAT).hover()
    expect(page.locator(TOLD)).to_contain_text("0:00.0 to 0:06.0")  # where the player is
    band.nth(1).click()
    page.wait_for_function(AT, arg=6.0)
    expect(band.nth(1)).to_have_attribute("aria-current", "true")
    page.keyboard.press("Tab")
    page.locator(CHAT).hover()
    expect(page.locator(TOLD)).to_contain_text("0:12.0 to 0:18.0")
    page.keyboard.press("Enter")
    page.wait_for_function(AT, arg=12.0)
    assert problems(page) == []


def test_marks_of_what_is_looked_for_and_the_curve_of_the_question(visit, film):
    page = visit()
    open_clips(page, film)
    expect(page.locator(SCENE)).to_have_count(3)
    find(page, "something blue")
    find(page, "a dog")
    expect(page.locator(".va-named", has_text="a dog")).to_contain_text("does not appear")
    mark = page.locator(".va-mark")
    expect(mark).to_have_count(1)
    below, above = mark.bounding_box(), page.locator(SCENE).nth(1).bounding_box()
    assert below["x"] == pytest.approx(above["x"], abs=2) and below["y"] > above["y"]
    mark.hover()
    expect(page.locator(TOLD)).to_contain_text("something blue")
    mark.click()
    page.wait_for_function(AT, arg=6.0)
    ask(page, "Is something green there?")
    answered(page, "cars.")
    expect(page.locator(".va-curve")).to_be_visible()
    expect(page.locator(".va-named", has_text="Is something green there?")).to_be_visible()
    page.locator("#va-keep button:text-is('Clear')").click()
    expect(page.locator(".va-curve")).to_have_count(0)
    expect(mark).to_have_count(1)


def test_the_timeline_is_saved(visit, film, tmp_path):
    page = visit()
    open_clips(page, film)
    expect(page.locator(SCENE)).to_have_count(3)
    saved = {}
    for name in ("Save chapters", "CSV", "JSON"):
        with page.expect_download() as download:
            page.get_by_role("button", name=name, exact=True).click()
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        saved[path.name] = path.read_text()
    assert saved["film.chapters.vtt"].startswith("WEBVTT")
    assert saved["film.events.csv"].count("\nfilm.mp4,scene,") == 3
    assert len(json.loads(saved["film.events.json"])["segments"]) == 3


def test_a_long_clip_is_looked_at_when_it_is_asked_for_and_can_be_stopped(
    visit, film, served, monkeypatch
):
    monkeypatch.setattr(scenes, "SHORT", 1.0)
    page = visit()
    open_clips(page, film)
    button = page.get_by_role("button", name="Find the scenes")
    expect(button).to_be_visible()
    expect(page.locator(SCENE)).to_have_count(0)
    served.model.gate.clear()
    try:
        button.click()
        expect(page.locator("#va-scenes-status .va-bar")).to_be_visible()
        expect(button).to_be_hidden()
        page.locator("#va-scenes-make").get_by_role("button", name="Stop").click()
        expect(button).to_be_visible()
    finally:
        served.model.gate.set()
    button.click()
    expect(page.locator(SCENE)).to_have_count(3)
    expect(button).to_be_hidden()
    give(page, film.with_name("film.mp4"))  # again, as another clip, without a timeline
    expect(page.locator(SCENE)).to_have_count(0)
    page.locator("#va-choice label").first.click()
    expect(page.locator(SCENE)).to_have_count(3)


def test_on_a_phone(visit, film):
    page = visit(PHONE, color_scheme="dark", has_touch=True, is_mobile=True)
    open_clips(page, film)
    expect(page.locator(SCENE)).to_have_count(3)
    find(page, "something blue")
    ask(page, "Is something green there, or anything else that is worth a longer question?")
    answered(page, "cars.")
    expect(page.locator(".va-curve")).to_be_visible()
    page.locator(SCENE).nth(1).tap()
    page.wait_for_function(AT, arg=6.0)
    expect(page.locator(TOLD)).to_contain_text("0:06.0 to 0:12.0")
    page.evaluate("document.querySelector('.va-track').style.minWidth = '3000px'")
    page.evaluate("document.querySelector('video').currentTime = 15")
    expect(page.locator(SCENE).nth(2)).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.evaluate(SMALL) == [] and page.evaluate(INSIDE)
    assert problems(page) == []
