"""The chat in a real browser with mini behind it: what is on the page is what a session says."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from assistant.ui import samples
from assistant.ui.app import build
from assistant.ui.line import Job
from assistant.ui.room import Room
from assistant.ui.serving import launch
from assistant.ui.settings import Options
from assistant.ui.timeline import clock
from assistant.ui.uploads import Limits
from PIL import Image, ImageDraw, ImageFont
from ui_browser import (  # noqa: F401, some are fixtures
    CHAT,
    EVIDENCE,
    PATIENCE,
    PHONE,
    SRT,
    answered,
    ask,
    browser,
    expect,
    files,
    give,
    needs_browser,
    open_clips,
    opened,
    shoot,
    visit,
)
from ui_page import Served, page_model

from assistant import load
from assistant.data.scenes import example
from assistant.data.scenes.clips import clip_example
from assistant.media.writer import write_clip
from assistant.retrieval import Index
from assistant.vqa.assistants import Assistant
from assistant.weights import store as weights_store

pytestmark = needs_browser


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The page as it is shipped, with uploads of up to 2 MB."""
    folder = tmp_path_factory.mktemp("served")
    options = Options(index=str(folder / "index"), limits=Limits(bytes=2 * 2**20))
    room = Room(options, folder / "room")
    page = build(room)
    yield Served(launch(page, room), room, page_model(), room.visitors.root)
    page.close(verbose=False)
    room.close()


@pytest.fixture(scope="module")
def mini() -> Assistant:
    """What the page is compared with."""
    return load("mini")


@pytest.fixture
def page(visit):
    return visit()


@pytest.fixture
def street(tmp_path: Path) -> Path:
    """The sample clip, which mini was not trained on."""
    sample = next(weights_store.ensure("samples").rglob("bikes.mp4"))
    return Path(shutil.copy(sample, tmp_path / "street.mp4"))


@pytest.fixture
def said(street: Path) -> Path:
    path = street.with_suffix(".srt")
    path.write_text(SRT)
    return path


def timed(page) -> None:
    """Its timeline is there; a later picture has no half of it."""
    expect(page.locator(".va-scene").first).to_be_visible()
    expect(page.locator("#va-scenes-status .va-bar")).to_have_count(0)


PICTURED = """count => [...document.querySelectorAll(".va-still")].filter((still) =>
  getComputedStyle(still).backgroundImage.startsWith('url("data:image')).length === count"""


def told(page, question: str) -> str:
    """The answer, once its evidence is there, too."""
    ask(page, question)
    expect(page.locator(f"{EVIDENCE} h2")).to_have_text(question)
    expect(page.locator("#va-question .submit-button")).to_be_visible()
    return page.locator(f"{CHAT} .bot").last.inner_text().strip()


def test_the_page_says_what_a_session_says(page, mini, street, shoot):
    shoot(page, "start")
    session = mini.open(street)
    open_clips(page, street)
    for question in ("Is there a bike?", "What is in the video?"):
        assert told(page, question).startswith(session.ask(question).text)
    expect(page.locator(f"{EVIDENCE} svg").first).to_be_visible()  # what each moment weighs
    timed(page)
    expect(page.locator(".va-curve")).to_be_visible()
    shoot(page, "chat")


def test_the_page_shows_what_is_written(page, tmp_path):
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


def test_subtitles_and_an_answer_that_is_corrected(page, mini, street, said, shoot):
    session = mini.open(street, dialogue=said)
    open_clips(page, street, said)
    timed(page)
    for question, picture in (("Is there a bike?", "subtitles"), ("What is said?", "")):
        assert told(page, question).startswith(session.ask(question).text)
        expect(page.locator(f"{EVIDENCE} .va-said")).to_have_count(2)
        expect(page.locator(f"{EVIDENCE} .va-plot svg")).to_be_visible()
        if picture:
            shoot(page, picture)
    page.locator(f"{CHAT} button[title='Edit']").last.click()
    page.locator(f"{CHAT} textarea").last.fill("They talk about a bike that was left there.")
    page.locator(f"{CHAT} button[title='Submit']").last.click()
    expect(page.locator(EVIDENCE)).to_contain_text("You corrected this answer")
    expect(page.locator(f"{EVIDENCE} .va-plot svg")).to_be_visible()
    shoot(page, "corrected")


def test_choices_and_what_is_inside(page, mini, shoot, tmp_path):
    page.get_by_role("button", name=samples.MOVING).click()
    opened(page)
    page.get_by_label("Task").click()
    page.get_by_role("option", name="motion").click()
    page.get_by_label("one of these").check()
    page.get_by_label("Choices").fill("left, right")
    question = samples.questions(samples.MOVING)[0]
    clip = samples.make_sample("shapes.mp4", tmp_path)
    answer = mini.open(clip).ask(question, task="motion", choices=["left", "right"])
    assert told(page, question).startswith(answer.text)
    expect(page.locator(f"{EVIDENCE} .va-shares li")).to_have_count(2)
    expect(page.locator(f"{EVIDENCE} .va-plot svg")).to_be_visible()
    shoot(page, "choices")
    page.get_by_text("Inside: how far").click()
    expect(page.locator(".va-routing svg")).to_be_visible()
    page.get_by_text("Settings").click()
    page.get_by_role("button", name="What is loaded?").click()
    expect(page.locator("#va-loaded")).to_contain_text("adapters")
    shoot(page, "inside")


def test_a_wrong_upload_and_a_place_in_line(page, street, served, files, shoot):
    give(page, files / "notes.mp4", street)
    opened(page)
    expect(page.locator("#va-status .va-note")).to_have_count(1)
    timed(page)
    shoot(page, "upload")
    free = threading.Event()

    def somebody_else(job: Job) -> None:
        free.wait(PATIENCE / 1000)

    served.room.engine.line.join(somebody_else)
    try:
        ask(page, "Is there a bike?")
        expect(page.locator(CHAT)).to_contain_text("number 2 in line")
        shoot(page, "line")
    finally:
        free.set()
    answered(page, "yes")


def test_a_phone_in_the_dark(visit, street, said, shoot):
    page = visit(PHONE, color_scheme="dark", has_touch=True, is_mobile=True)
    open_clips(page, street, said)
    assert told(page, "Is there a bike?").startswith("yes")
    timed(page)
    expect(page.locator(f"{EVIDENCE} .va-plot svg")).to_be_visible()
    shoot(page, "phone")


def test_the_page_finds_the_moment(page, served, mini, street, shoot, tmp_path):
    """Among a street, generated scenes and a text; what opens is asked about at its moment."""
    files = tmp_path / "files"
    files.mkdir()
    street = street.rename(files / street.name)
    for number in range(4):
        frames = clip_example(number, 3, 4, "dev").frames(256, 8)
        write_clip(files / f"shapes {number}.mp4", frames, 8)
        Image.fromarray(example(number, 5, "dev", 256).image).save(files / f"still {number}.png")
    (files / "note.txt").write_text("The old tram passes the street market, where bicycles stand.")
    index = Index(uri=served.room.options.index, assistant=mini)
    assert index.add([files]).failed == ()
    query = "bicycles in a street"
    best = next(hit for hit in index.search(query) if hit.kind == "clip")
    assert best.file == str(street)
    page.get_by_role("tab", name="Search").click()
    page.fill("#va-words input", query)
    page.press("#va-words input", "Enter")
    expect(page.locator(".va-results")).to_contain_text(query)
    card = page.locator("button.va-hit", has_text="street.mp4").first
    expect(card).to_contain_text(best.told_score)
    page.get_by_label("Results").click()
    page.get_by_role("option", name="6", exact=True).click()
    expect(page.locator(".va-hits > li")).to_have_count(6)
    page.wait_for_function(PICTURED, arg=5)  # the text has none
    card.hover()
    page.wait_for_function("document.querySelector('.va-still video')?.currentTime > 0.2")
    shoot(page, "search")
    card.click()
    expect(page.locator("#va-moment")).to_contain_text(clock(best.start))
    opened(page)
    session = mini.open(street, start=best.start, end=best.end)
    assert told(page, "Is there a bike?").startswith(session.ask("Is there a bike?").text)
