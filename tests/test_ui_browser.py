"""The chat in a real browser: what a person does, and what they see."""

from __future__ import annotations

import json
import shutil

from ui_browser import (  # noqa: F401, some are fixtures
    ASK,
    CHAT,
    EVIDENCE,
    PHONE,
    answered,
    ask,
    browser,
    expect,
    files,
    give,
    needs_browser,
    open_clips,
    opened,
    served,
    sources,
    visit,
)

from assistant.data.items import read_items
from assistant.sources import SOURCES, perceiver

pytestmark = needs_browser


def test_upload_ask_follow_up_and_the_evidence_moves_the_player(visit, files, served):
    page = visit()
    served.model.gate.clear()
    give(page, files / "street.mp4")
    expect(page.locator("#va-status .va-bar")).to_be_visible()
    served.model.gate.set()
    opened(page)
    served.model.gate.clear()
    ask(page, "What is in the video?")
    expect(page.locator(f"{CHAT} .va-thinking")).to_be_visible()
    bot = page.locator(f"{CHAT} .bot").last
    expect(bot).to_contain_text("A man")  # it streams
    expect(bot).not_to_contain_text("cars")
    served.model.gate.set()
    answered(page, "A man walks past a parked bike in a street with cars.")
    expect(page.locator(f"{EVIDENCE} .va-plot svg")).to_be_visible()
    expect(page.locator(f"{EVIDENCE} .va-frame img")).to_have_count(8)
    ask(page, "And now?")
    answered(page, "A taxi passes; asked before: 1.")
    expect(page.locator(f"{EVIDENCE} .va-plot svg")).to_be_visible()
    page.locator(f"{EVIDENCE} .va-frame").nth(5).focus()
    page.keyboard.press("Enter")
    moment = float(page.locator(f"{EVIDENCE} .va-frame").nth(5).get_attribute("data-seek"))
    page.wait_for_function(
        "moment => Math.abs(document.querySelector('video').currentTime - moment) < 0.05",
        arg=moment,
    )
    assert moment > 3
    page.get_by_text("Inside: how far").click()
    expect(page.locator(".va-routing svg")).to_be_visible()
    expect(page.locator("#va-inside")).to_contain_text("Sent to the LLM")
    page.get_by_text("Settings").click()
    sources = page.locator("#va-sources input[type=checkbox]")
    expect(sources).to_have_count(sum(not perceiver(name).missing() for name in SOURCES))
    for box in sources.all():
        expect(box).to_be_checked()
    page.get_by_role("button", name="What is loaded?").click()
    expect(page.locator("#va-loaded")).to_contain_text("scripted")


def test_times_in_an_answer_move_the_player(visit, files, served, monkeypatch):
    said = "From 0:02 to 0:04, and again at 3.50 pm or 1:99; see 0:03.5."
    monkeypatch.setattr(served.model, "script", lambda asked: said)
    page = visit()
    open_clips(page, files / "street.mp4")
    ask(page, "Where is the bike?")
    answered(page, said)
    times = page.locator(f"{CHAT} .bot .va-time")
    expect(times).to_have_text(["0:02", "0:04", "0:03.5"])
    expect(times.first).to_have_accessible_name("Go to 0:02")
    times.nth(2).focus()
    page.keyboard.press("Enter")
    page.wait_for_function(
        "() => Math.abs(document.querySelector('video').currentTime - 3.5) < .05"
    )


def test_a_task_and_the_form_of_the_answer_are_chosen(visit, files):
    page = visit()
    open_clips(page, files / "street.mp4")
    page.get_by_label("Task").click()
    page.get_by_role("option", name="motion").click()
    expect(page.locator("#va-try button").first).to_contain_text("How many objects move?")
    page.get_by_label("one of these").check()
    page.get_by_label("Choices").fill("red, blue")
    ask(page, "Which color is it?")
    answered(page, "red")
    expect(page.locator(f"{EVIDENCE} .va-chips")).to_contain_text("task motion")
    expect(page.locator(f"{EVIDENCE} .va-shares li")).to_have_count(2)
    notes = page.locator(f"{EVIDENCE} .va-note")
    expect(notes.first).to_contain_text("Unsure")
    expect(notes.last).to_contain_text("no adapter for motion is there")
    expect(page.locator(f"{EVIDENCE} .va-plot svg")).to_be_visible()


def test_subtitles_are_used_and_stand_under_their_frames(visit, files):
    page = visit()
    open_clips(page, files / "street.mp4", files / "street.srt")
    expect(page.locator("#va-said")).to_contain_text("street.srt, 2 lines")
    ask(page, "What is said?")
    answered(page, "ANN: Look, a bike.")
    page.locator(f"{EVIDENCE} .va-said").nth(1).click()
    page.wait_for_function("Math.abs(document.querySelector('video').currentTime - 2.4) < 0.05")
    expect(page.locator(f"{EVIDENCE} .va-plot svg")).to_be_visible()


def test_two_visitors_at_once_are_kept_apart(visit, files, served):
    one, two = visit(), visit()
    open_clips(one, files / "street.mp4")
    open_clips(two, files / "kitchen.mp4")
    served.model.gate.clear()
    try:
        ask(one, "What is in the street?")
        expect(one.locator(f"{CHAT} .bot")).to_contain_text("A man")
        ask(two, "What is in the kitchen?")
        expect(two.locator(CHAT)).to_contain_text("number 2 in line")
    finally:
        served.model.gate.set()
    answered(one, "cars.")
    answered(two, "cars.")
    assert served.model.most_running == 1
    for page, own, other in ((one, "street", "kitchen"), (two, "kitchen", "street")):
        text = page.locator("body").inner_text()
        assert f"{own}.mp4" in text and f"{other}.mp4" not in text
        assert f"What is in the {other}?" not in text


def test_every_wrong_upload_gets_one_line(visit, files):
    page = visit()
    for name, line in (
        ("empty.mp4", "is empty"),
        ("notes.mp4", "cannot be read as a video"),
        ("heavy.mp4", "2 MB"),
    ):
        give(page, files / name)
        expect(page.get_by_text(line).first).to_be_visible()
    give(page, files / "notes.mp4", files / "street.mp4")  # the good one goes on
    expect(page.locator("video.va-player")).to_be_visible()
    expect(page.locator("#va-status .va-note")).to_have_count(1)


def test_correct_save_and_load(visit, files, tmp_path):
    page = visit()
    open_clips(page, files / "street.mp4")
    ask(page, "What is it?")
    answered(page, "cars.")
    expect(page.locator(f"{EVIDENCE} .va-plot svg")).to_be_visible()  # nothing more will come
    page.locator(f"{CHAT} .bot ~ * button[title='Edit'], {CHAT} button[title='Edit']").last.click()
    page.locator(f"{CHAT} textarea").last.fill("A taxi passes.")
    page.locator(f"{CHAT} button[title='Submit']").last.click()
    expect(page.locator("#va-hint")).to_contain_text("Corrected")
    expect(page.locator(EVIDENCE)).to_contain_text("You corrected this answer")
    expect(page.locator(f"{EVIDENCE} .va-plot svg")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save corrections").click()
    download.value.save_as(tmp_path / "corrections.zip")
    shutil.unpack_archive(tmp_path / "corrections.zip", tmp_path)
    (item,) = read_items(tmp_path / "corrections")
    assert item.answer == "A taxi passes." and item.video is not None
    with page.expect_download() as download:
        page.get_by_role("button", name="Save", exact=True).click()
    download.value.save_as(tmp_path / "conversation.json")
    assert json.loads((tmp_path / "conversation.json").read_text())["turns"]

    other = visit()
    other.set_input_files("input[type=file] >> nth=-1", str(tmp_path / "conversation.json"))
    expect(other.locator(f"{CHAT} .bot")).to_contain_text("A taxi passes.")
    expect(other.locator("#va-hint")).to_contain_text("open street.mp4")
    open_clips(other, files / "street.mp4")
    ask(other, "And now?")
    answered(other, "asked before: 1")


def test_a_format_that_the_browser_cannot_play_shows_its_frames(visit, files):
    page = visit()
    give(page, files / "old.avi")
    expect(page.get_by_text("cannot play this format")).to_be_visible()
    expect(page.locator("#va-said p")).to_be_visible()
    ask(page, "What is it?")
    answered(page, "cars.")
    expect(page.locator(f"{EVIDENCE} .va-plot svg")).to_be_visible()
    page.locator(f"{EVIDENCE} .va-frame").nth(2).click()
    shown = page.locator(".va-instead img")
    expect(shown).to_be_visible()
    frame = page.locator(f"{EVIDENCE} .va-frame img").nth(2)
    assert shown.get_attribute("src") == frame.get_attribute("src")


def test_a_page_that_is_loaded_again_goes_on(visit, files, served):
    page = visit()
    open_clips(page, files / "street.mp4")
    served.model.gate.clear()
    try:
        ask(page, "What is it?")
        expect(page.locator(f"{CHAT} .bot")).to_contain_text("A man")
        page.reload()
        expect(page.locator("#va-hint")).to_contain_text("left before this question was answered")
    finally:
        served.model.gate.set()
    expect(page.locator("video.va-player")).to_be_visible()
    expect(page.locator(ASK)).to_have_value("What is it?")
    served.model.gate.clear()
    try:
        page.get_by_role("button", name="Send").click()
        expect(page.locator(f"{CHAT} .bot")).to_contain_text("A man")
        page.fill(ASK, "a draft")  # while it is answered
    finally:
        served.model.gate.set()
    answered(page, "cars.")
    expect(page.locator(ASK)).to_have_value("a draft")


def test_stop_and_retry(visit, files, served):
    page = visit()
    open_clips(page, files / "street.mp4")
    served.model.gate.clear()
    try:
        ask(page, "What is it?")
        expect(page.locator(f"{CHAT} .bot")).to_contain_text("A man")
        page.keyboard.press("Escape")
        expect(page.locator("#va-hint")).to_contain_text("Stopped")
    finally:
        served.model.gate.set()
    expect(page.locator(ASK)).to_have_value("What is it?")
    page.press(ASK, "Enter")
    answered(page, "cars.")
    expect(page.locator(f"{EVIDENCE} .va-frame img")).to_have_count(8)  # all is done
    served.model.gate.clear()
    try:
        page.locator(f"{CHAT} button[title='Retry']").last.click()
        expect(page.locator("#va-question .stop-button")).to_be_visible()
    finally:
        served.model.gate.set()
    answered(page, "cars.")
    expect(page.locator(f"{CHAT} .bot")).to_have_count(1)


def test_a_phone_in_the_dark(visit, files):
    page = visit(PHONE, color_scheme="dark", has_touch=True, is_mobile=True)
    open_clips(page, files / "street.mp4", files / "street.srt")
    ask(page, "What is in the video?")
    answered(page, "ANN")
    expect(page.locator(f"{EVIDENCE} .va-plot svg")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert "dark" in page.evaluate("document.body.className")
