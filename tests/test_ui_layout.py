"""The page in a real browser: files from anywhere, texts of any length, and ways back."""

from __future__ import annotations

from assistant.ui.settings import LONGEST_QUESTION
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

pytestmark = needs_browser
DRAG = """([target, kinds, name, content]) => {
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([new Uint8Array(content)], name));
  const part = document.querySelector(target);
  for (const kind of kinds) {
    part.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer }));
  }
}"""


def drag(page, target: str, path, *kinds: str) -> None:
    content = path.read_bytes()  # zeros are told by their number
    page.evaluate(DRAG, [target, kinds, path.name, list(content) if any(content) else len(content)])


def test_a_file_is_dropped_anywhere_and_the_page_says_where_it_goes(visit, files):
    page = visit()
    said = "getComputedStyle(document.body, '::after').content"
    for target in ("#va-chat", ASK, "body", "#va-drop"):
        drag(page, target, files / "street.mp4", "dragenter", "dragover")
        assert "Let go: it opens here" in page.evaluate(said), target
        drag(page, target, files / "street.mp4", "dragleave")
        assert page.evaluate(said) == "none", target
    drag(page, "#va-chat", files / "street.mp4", "dragover", "drop")
    opened(page)
    assert page.evaluate(said) == "none"
    drag(page, ASK, files / "street.srt", "dragover")
    assert "Subtitles go to street.mp4" in page.evaluate(said)
    drag(page, ASK, files / "street.srt", "drop")
    expect(page.locator("#va-said")).to_contain_text("street.srt, 2 lines")
    drag(page, "body", files / "kitchen.mp4", "drop")
    expect(page.locator("#va-choice")).to_contain_text("kitchen.mp4")
    drag(page, "#va-drop", files / "heavy.mp4", "drop")
    expect(page.get_by_text("up to 2 MB can be opened")).to_be_visible()


def test_clips_stand_in_the_list_with_their_pictures(visit, files):
    page = visit()
    open_clips(page, files / "street.mp4", files / "kitchen.mp4")
    picture = """place => getComputedStyle(
      document.querySelectorAll("#va-choice label")[place], "::before").backgroundImage"""
    first, second, every = (page.evaluate(picture, place) for place in range(3))
    assert first.startswith('url("data:image/jpeg') and second.startswith('url("data:image/jpeg')
    assert first != second and every == "none"


def test_a_text_that_is_too_long_is_neither_cut_nor_sent(visit, files):
    page = visit()
    open_clips(page, files / "street.mp4")
    long = "word " * 500
    assert len(long) > LONGEST_QUESTION
    page.fill(ASK, long)
    refused = page.locator("#va-ask .va-refused")
    expect(refused).to_contain_text("2,500 characters; up to 2,000 are read")
    page.press(ASK, "Enter")
    page.locator("#va-question .submit-button").click()
    expect(page.locator(f"{CHAT} .user")).to_have_count(0)
    expect(page.locator(ASK)).to_have_value(long)
    page.get_by_label("one of these").check()
    page.get_by_label("Choices").fill("red, blue" * 300)
    page.fill(ASK, "Which color is it?")
    expect(refused).to_contain_text("2,700 characters")
    page.get_by_label("Choices").fill("red, blue")
    expect(refused).to_have_count(0)
    page.press(ASK, "Enter")
    answered(page, "red")


def test_a_cleared_conversation_comes_back(visit, files):
    page = visit()
    open_clips(page, files / "street.mp4")
    back = page.get_by_role("button", name="Undo clear")
    for clear in (f"{CHAT} button[title='Clear']", "#va-keep button:text-is('Clear')"):
        expect(back).to_be_hidden()
        ask(page, "What is it?")
        answered(page, "cars.")
        page.locator(clear).click()
        expect(page.locator(f"{CHAT} .bot")).to_have_count(0)
        page.reload()
        back.click()
        answered(page, "cars.")
        expect(page.locator(f"{EVIDENCE} h2")).to_have_text("What is it?")
        page.locator(clear).click()
        expect(page.locator(f"{CHAT} .bot")).to_have_count(0)  # else the old answer is taken for it
        ask(page, "And now?")
        answered(page, "cars.")
        back.click()
        expect(page.locator(f"{CHAT} .bot")).to_have_count(2)
        page.get_by_role("button", name="Close clip").click()
        expect(page.locator(f"{CHAT} .bot")).to_have_count(0)
        open_clips(page, files / "street.mp4")


def test_a_box_that_corrects_holds_the_answer_alone(visit, files):
    page = visit()
    open_clips(page, files / "street.mp4", files / "kitchen.mp4")
    page.get_by_label("one of these").check()
    page.get_by_label("Choices").fill("red, blue")
    ask(page, "Which color is it in both clips?")
    expect(page.locator(CHAT)).to_contain_text("kitchen.mp4:")
    answered(page, "Unsure")
    expect(page.locator(f"{EVIDENCE} .va-plot svg")).to_be_visible()
    shown = page.locator(CHAT).inner_text()
    assert "kitchen.mp4:" in shown and "% likely" in shown
    page.locator(f"{CHAT} button[title='Edit']").last.click()
    boxes = page.locator(f"{CHAT} textarea")
    expect(boxes.first).to_be_visible()
    for box in boxes.all():
        expect(box).to_have_value("red")


def test_on_a_phone_an_answer_is_in_view(visit, files):
    page = visit(PHONE, has_touch=True, is_mobile=True)
    open_clips(page, files / "street.mp4")
    ask(page, "What is in the video?")
    answered(page, "cars.")
    expect(page.locator(f"{CHAT} .bot").last).to_be_in_viewport()
    expect(page.locator(ASK)).to_be_in_viewport()
