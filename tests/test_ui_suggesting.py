"""What the page suggests to ask, what it cannot read, and the way back from Clear."""

from __future__ import annotations

import pytest
from assistant.ui import app, asking, cards, opening, samples, suggesting
from assistant.ui.room import arrive, change, suggest
from clips import make_clip, picture
from PIL import Image
from ui_page import last, opened, upload

from assistant.sources import SOURCES, perceiver, read

pytest_plugins = ["ui_room"]
SRT = "1\n00:00:00,500 --> 00:00:01,500\nANN: Hello.\n"


def tried(room, visitor) -> list[str]:
    return [part["value"] for part in suggest(room, visitor).values() if part["visible"]]


def test_a_photo_is_not_asked_about_motion(room, visitor, tmp_path):
    Image.fromarray(picture(7, (32, 16))).save(tmp_path / "still.png")
    last(opening.take(room, visitor, [upload(room, tmp_path / "still.png")]))
    asked = tried(room, visitor)
    assert asked[:2] == ["What is in the picture?", "Is there a street sign?"]
    assert "Describe the picture." in asked and "What is happening?" not in asked
    change(room, visitor, "task", "motion")
    assert tried(room, visitor) == []


def test_what_is_said_is_asked_where_something_is_said(room, visitor, clip, tmp_path):
    opened(room, visitor, clip)
    asked = tried(room, visitor)
    assert asked == ["What is happening?", "Is there a street sign?", "Is there a mountain bike?"]
    change(room, visitor, "task", "sarcasm")
    assert tried(room, visitor) == []
    (tmp_path / "street.srt").write_text(SRT)
    last(opening.take(room, visitor, [upload(room, tmp_path / "street.srt")]))
    assert tried(room, visitor) == ["Is it sarcastic?"]
    change(room, visitor, "task", "auto")
    assert "What is said?" in tried(room, visitor)


def test_a_long_clip_is_asked_about_its_end(room, visitor, tmp_path):
    opened(room, visitor, make_clip(tmp_path / "long.mp4", 24, fps=2))
    assert "What is in the last 5 seconds?" in tried(room, visitor)


def test_a_longer_one_is_asked_when_and_what_in_all(room, visitor, tmp_path):
    opened(room, visitor, make_clip(tmp_path / "film.mp4", 35, fps=1))
    assert tried(room, visitor)[:2] == ["Summarize the video.", "When does the street sign appear?"]


@pytest.mark.parametrize("label", [samples.MOVING, samples.STILL])
def test_generated_shapes_have_questions_of_their_own(room, visitor, label):
    last(opening.take_sample(room, visitor, label))
    assert tried(room, visitor) == samples.questions(label)[: suggesting.MOST]
    opening.remove(room, visitor)
    assert tried(room, visitor) == ["What is happening?", "What color is the car?"]


@pytest.mark.parametrize(
    ("thing", "asked"),
    [("owl", "Is there an owl?"), ("sunglasses", "Are there sunglasses?"), ("pass", "Is there a")],
)
def test_a_thing_is_asked_for_in_good_english(thing, asked):
    assert suggesting._whether(thing).startswith(asked)


def test_dialogue_that_does_not_fit_is_said_before_a_question(room, visitor, model, clip, tmp_path):
    model.room = 3
    text = "\n".join(SRT.replace("Hello", word) for word in ("one", "two", "three"))
    (tmp_path / "street.srt").write_text(text)
    files = [upload(room, clip), upload(room, tmp_path / "street.srt")]
    page = last(opening.take(room, visitor, files))
    assert "3 lines, of which 1 fit beside a question" in page["said"]


def test_clear_keeps_the_conversation_until_it_is_brought_back(room, visitor, clip):
    opened(room, visitor, clip)
    last(asking.ask(room, visitor, "What is it?"))
    assert asking.clear(room, visitor)["undo"]["visible"]
    assert asking.clear(room, visitor)["undo"]["visible"]  # twice: nothing is lost
    last(asking.ask(room, visitor, "And now?"))
    page = asking.restore(room, visitor)
    assert [turn.question for turn in visitor.turns] == ["What is it?", "And now?"]
    assert not page["undo"]["visible"] and "And now?" in page["evidence"]
    asking.clear(room, visitor)
    opening.remove(room, visitor)
    assert asking.restore(room, visitor)["chat"] == []


def test_what_was_cleared_does_not_come_back_into_an_answer(room, visitor, model, clip):
    opened(room, visitor, clip)
    last(asking.ask(room, visitor, "What is it?"))
    asking.clear(room, visitor)
    model.gate.clear()
    asked = asking.ask(room, visitor, "And now?")
    next(asked)
    assert "still being answered" in asking.restore(room, visitor)["hint"]
    asking.stop(room, visitor)
    model.gate.set()
    assert last(asked)["question"]["value"] == "And now?"
    asking.restore(room, visitor)
    assert [turn.question for turn in visitor.turns] == ["What is it?"]


def test_a_source_that_is_not_installed_is_shown_with_its_command(room, visitor, monkeypatch):
    command = "pip install 'video-assistant[ocr]'"
    monkeypatch.setattr(read, "available", lambda: False)
    monkeypatch.setattr(samples, "can_listen", lambda: False)
    shown = {
        part["props"].get("label"): part["props"]
        for part in app.build(room).get_config_file()["components"]
    }
    (written,) = (props for label, props in shown.items() if f"{label}".startswith("Written"))
    assert written["interactive"] is False and command in written["info"]
    assert "video-assistant[speech]" in shown["Listen to the clip"]["info"]
    ticked = shown["What the model reads beside the picture"]
    there = [name for name in SOURCES if not perceiver(name).missing()]
    assert "read" not in there and [name for _, name in ticked["choices"]] == there
    assert arrive(room, visitor)["sources"] == there
    change(room, visitor, "sources", [])
    assert "read" in visitor.settings.sources  # an answer that needs it says what is missing


def test_a_picture_of_each_clip_stands_in_the_list(room, visitor, clip):
    opened(room, visitor, clip)
    page = last(opening.take(room, visitor, [upload(room, clip, "kitchen.mp4")]))
    assert page["thumbnails"].count("data:image/jpeg") == 2 and "<style" not in page["player"]
    assert cards.thumbnails([]) == ""
