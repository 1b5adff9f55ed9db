"""The panel of what is perceived, and boxes on the frames of the evidence."""

from __future__ import annotations

import json
import re

import pytest
from assistant.ui import asking, opening, seeing
from assistant.ui.export import as_json, as_markdown
from assistant.ui.room import change
from assistant.ui.visitor import OpenClip
from clips import picture
from fakes import ScriptedSource, add_source, leave_sources
from PIL import Image
from ui_browser import (  # noqa: F401, some are fixtures
    EVIDENCE,
    SEEN,
    answered,
    ask,
    browser,
    expect,
    files,
    give,
    needs_browser,
    open_clips,
    served,
    visit,
)
from ui_page import last, opened, upload

from assistant.errors import VideoError
from assistant.sources import Perceived

pytest_plugins = ["ui_room"]
BOX, MOVED = (0.1, 0.2, 0.4, 0.6), (0.6, 0.5, 0.9, 0.9)
DOG = Perceived("dog", 0.9, 1.0, 4.0, BOX, track=((1.0, BOX), (4.0, MOVED)))
WET = Perceived("<wet>", 0.5)


@pytest.fixture(autouse=True)
def few_sources(monkeypatch) -> None:
    leave_sources(monkeypatch, "attributes", "read")


@pytest.fixture
def things(monkeypatch) -> ScriptedSource:
    source = ScriptedSource((DOG, WET))
    add_source(monkeypatch, "things", source)
    return source


@pytest.fixture
def costly(monkeypatch) -> ScriptedSource:
    source = ScriptedSource((Perceived("music", 0.7, 2.0, 2.0),), costs=True)
    add_source(monkeypatch, "costly", source)
    return source


@pytest.fixture
def looking(things, costly, room):  # before the visitor comes: their settings name all sources
    return room.visitors.of("page-2")


def test_the_panel_says_what_is_seen_and_when(room, looking, clip, model, things, costly):
    opened(room, looking, clip)
    page = last(seeing.see(room, looking))
    shown = page["seen"]
    assert re.findall(r'<li class="va-seen">(.*?)</li>', shown) == ["Seen: ", "THINGS: "]
    assert "street sign 41%" in shown
    assert 'data-seek="1.000" style="--from:20.0%;--to:80.0%"' in shown
    assert "<span>0:01.0 to 0:04.0</span>" in shown
    assert '<li class="va-item">&lt;wet&gt; 50%</li>' in shown and "<wet>" not in shown
    assert shown.count("va-frame") == 8 and shown.count('<i class="va-box') == 2
    assert 'aria-label="Go to 0:00.9, dog"' in shown
    assert (
        page["see all"]
        == {
            "value": "Also look for text in the picture and costly of the test",
            "visible": True,
        }
        or page["see all"]["value"] == "Also look for costly of the test"
    )  # without the ocr extra
    assert len(model.encoded) == 1 and costly.looks == []
    last(seeing.see(room, looking))
    assert len(things.looks) == 1


def test_what_costs_is_looked_for_when_it_is_asked_for(room, looking, clip, things, costly):
    change(room, looking, "sources", ["attributes", "things", "costly"])
    opened(room, looking, clip)
    last(seeing.see(room, looking))
    pages = list(seeing.see_all(room, looking))
    assert any("Looking for costly of the test" in page.get("seeing", "") for page in pages)
    page = pages[-1]
    assert "music" in page["seen"] and "dog" in page["seen"] and page["seeing"] == ""
    assert page["see all"]["visible"] is False
    assert (len(things.looks), len(costly.looks)) == (1, 1)


def test_what_is_switched_off_is_neither_asked_nor_shown(room, looking, clip, things):
    opened(room, looking, clip)
    last(seeing.see(room, looking))
    change(room, looking, "sources", ["attributes"])
    last(asking.ask(room, looking, "What is it?"))
    page = last(seeing.see(room, looking))
    assert "street sign" in page["seen"] and "dog" not in page["seen"]
    assert page["see all"]["visible"] is False and len(things.looks) == 1


def test_each_clip_has_its_own_panel(room, looking, clip):
    opened(room, looking, clip)
    last(seeing.see(room, looking))
    opened(room, looking, clip, "kitchen.mp4")
    assert opening.choose(room, looking, "kitchen.mp4")["seen"] == ""
    assert "dog" in opening.choose(room, looking, "street.mp4")["seen"]
    page = opening.remove(room, looking)
    assert page["seen"] == "" and page["see all"]["visible"] is False
    looking.clips.clear()
    assert last(seeing.see(room, looking))["seen"] == ""


def test_what_fails_is_one_line(room, looking, clip, things, monkeypatch):
    def perceive(look):
        raise VideoError("the clip is gone")

    monkeypatch.setattr(things, "perceive", perceive, raising=False)
    opened(room, looking, clip)
    page = last(seeing.see(room, looking))
    assert "the clip is gone" in page["hint"] and page["seen"] == ""


def test_a_clip_that_was_closed_meanwhile_is_forgotten(room, looking, clip, things, monkeypatch):
    opened(room, looking, clip)
    gone: list[OpenClip] = []

    def perceive(look):
        gone.append(looking.clips.pop("street.mp4"))
        return (DOG,)

    monkeypatch.setattr(things, "perceive", perceive, raising=False)
    list(seeing.see(room, looking))
    assert gone and gone[0].seen is None


def test_boxes_stand_on_the_frames_of_the_evidence(room, looking, clip):
    opened(room, looking, clip)
    last(asking.ask(room, looking, "What is it?"))
    shown = last(asking.explain(room, looking))["evidence"]
    assert "dog 90% <span>0:01.0 to 0:04.0</span>" in shown
    assert shown.count('<i class="va-box') == 2 and "weight +0.12, dog" in shown
    assert '<span><i class="va-dot" style="--color:#1d6fb8"></i>dog</span>' in shown
    change(room, looking, "frames", 3)
    last(asking.ask(room, looking, "And now?"))
    assert 'class="va-frames va-few"' in last(asking.explain(room, looking))["evidence"]


def test_a_saved_conversation_has_what_was_seen(room, looking, clip):
    opened(room, looking, clip)
    last(asking.ask(room, looking, "What is it?"))
    (turn,) = json.loads(as_json(looking.turns))["turns"]
    assert turn["found"]["things"][0]["box"] == [0.1, 0.2, 0.4, 0.6]
    assert "*THINGS: dog 90% (0:01.0 to 0:04.0), <wet> 50%*" in as_markdown(looking.turns)


def test_a_picture_has_no_time_in_the_panel(room, looking, tmp_path):
    Image.fromarray(picture(7, (32, 16))).save(tmp_path / "still.png")
    last(opening.take(room, looking, [upload(room, tmp_path / "still.png")]))
    shown = last(seeing.see(room, looking))["seen"]
    assert "dog 90%" in shown and "0:0" not in shown


@pytest.fixture(scope="module")
def sources():
    """Of the page in the browser."""
    return {"things": ScriptedSource((DOG, WET))}


@needs_browser
def test_a_click_on_a_thing_goes_there(visit, files):
    page = visit()
    open_clips(page, files / "street.mp4")
    item = page.locator(f"{SEEN} button.va-item")
    expect(item).to_contain_text("dog 90%")
    item.click()
    page.wait_for_function("Math.abs(document.querySelector('video').currentTime - 1) < 0.05")
    expect(page.locator(f"{SEEN} .va-box em").first).to_have_text("dog")
    ask(page, "What is it?")
    answered(page, "cars.")
    expect(page.locator(f"{EVIDENCE} .va-box")).to_have_count(2)


@needs_browser
def test_where_nothing_plays_the_nearest_frame_is_shown(visit, files):
    page = visit()
    give(page, files / "old.avi")
    item = page.locator(f"{SEEN} button.va-item")
    expect(item).to_be_visible()
    expect(page.locator(".va-instead p")).to_be_visible()
    item.click()
    expect(page.locator(".va-instead img")).to_be_visible()
    shown = page.locator(".va-instead img").get_attribute("src")
    frames = page.locator(f"{SEEN} .va-frame").all()
    nearest = min(frames, key=lambda frame: abs(float(frame.get_attribute("data-seek")) - 1.0))
    assert nearest.locator("img").get_attribute("src") == shown
