"""The chat's logic without a browser: uploads, the line, answers, evidence, files, privacy."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from assistant.ui import asking, cards, keeping, opening, picking
from assistant.ui.answering import answer_once
from assistant.ui.chat import message_places, messages
from assistant.ui.export import as_corrections, as_json, as_markdown, read_conversation
from assistant.ui.line import Failed, Line, Waiting
from assistant.ui.room import Room, arrive, change, measure
from assistant.ui.settings import CHOICES, YES_NO, Options, Settings
from assistant.ui.timeline import as_svg, draw_routing, place_lines, timeline
from assistant.ui.uploads import Limits, check_clip, safe_name
from assistant.ui.visitor import Asked, Visitor
from clips import X264, ffmpeg, make_clip, picture
from fakes import install
from PIL import Image
from ui_page import PageModel, page_model

from assistant.doctor import Check
from assistant.errors import InputError
from assistant.session import Session
from assistant.subtitles import Line as Said
from assistant.training_data import read_items

SRT = "1\n00:00:00,500 --> 00:00:01,500\nANN: The <b>first</b> line.\n"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seconds; the picture at t seconds carries the number 10 t."""
    return make_clip(tmp_path_factory.mktemp("clips") / "street.mp4", 50, fps=10)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> PageModel:
    model = page_model()
    install(monkeypatch, model)
    return model


@pytest.fixture
def room(model: PageModel, tmp_path: Path) -> Iterator[Room]:
    room = Room(Options(grace=0.0), tmp_path / "room")
    yield room
    room.close()


@pytest.fixture
def visitor(room: Room) -> Visitor:
    return room.visitors.of("page-1")


def upload(room: Room, source: Path, name: str | None = None) -> Path:
    """A copy of ``source`` where the browser's uploads arrive."""
    folder = room.uploads / f"{time.monotonic_ns()}"
    folder.mkdir()
    return Path(shutil.copy(source, folder / (name or source.name)))


def last(changes: Iterator[dict]) -> dict:
    """The page after every change."""
    page: dict = {}
    for change_ in changes:
        page |= change_
    return page


def opened(room: Room, visitor: Visitor, clip: Path, name: str | None = None) -> None:
    page = last(opening.take(room, visitor, [upload(room, clip, name)]))
    assert page["status"] == ""


def test_a_clip_is_opened_asked_and_explained(room, visitor, model, clip):
    opened(room, visitor, clip)
    pages = list(asking.ask(room, visitor, "What is in the video?"))
    shown = [page["chat"][-1]["content"] for page in pages if "chat" in page]
    assert "Thinking" in shown[0] and shown[-1].startswith("A man walks")
    assert pages[0]["question"]["stop_btn"] and pages[-1]["question"]["submit_btn"]
    assert "value" not in pages[-1]["question"]  # what is typed meanwhile stays
    assert "street sign 41%" in pages[-1]["evidence"]
    assert "va-waiting" in pages[-1]["evidence"]  # what each weighs is worked out afterwards
    assert model.occluded == []
    explained = list(asking.explain(room, visitor))
    assert "data:image/jpeg" in explained[0]["evidence"]
    assert "<svg" in explained[-1]["evidence"] and explained[-1]["evidence"].count("data-seek") == 8
    assert len(model.occluded) == 1
    assert "What is in the video?" in explained[-1]["inside"] and "layer" not in visitor.folder.name


def test_a_follow_up_encodes_nothing_again(room, visitor, model, clip):
    opened(room, visitor, clip)
    last(asking.ask(room, visitor, "What is it?"))
    page = last(asking.ask(room, visitor, "And then?"))
    assert len(model.encoded) == 1
    assert page["chat"][-1]["content"] == "A taxi passes; asked before: 1."


def test_settings_hold_from_the_next_question_on(room, visitor, model, clip):
    opened(room, visitor, clip)
    change(room, visitor, "frames", 3)
    change(room, visitor, "attributes", False)
    page = last(asking.ask(room, visitor, "What is it?"))
    assert page["evidence"].count("data-seek") == 3 and "street sign" not in page["evidence"]
    assert change(room, visitor, "task", "motion")["example 0"]["value"].startswith("Which way")
    assert "scripted" in measure(room, visitor)["loaded"]


def test_the_model_is_chosen_among_those_that_are_offered(model, clip, tmp_path, monkeypatch):
    loads = install(monkeypatch, model)
    monkeypatch.setattr(picking, "list_models", lambda: ["mini", "large"])
    own, base = str(tmp_path / "secret" / "trained"), tmp_path / "base"
    room = Room(Options(model=own, base=base), tmp_path / "room")
    visitor = room.visitors.of("page-1")
    page = arrive(room, visitor)
    assert page["model"] == {"choices": ["trained", "mini", "large"], "value": "trained"}
    change(room, visitor, "task", "motion")
    opened(room, visitor, clip)
    last(asking.ask(room, visitor, "What is it?"))
    change(room, visitor, "adapter", "motion")
    assert picking.models(Options(model="/tmp/mini")) == {"mini": "/tmp/mini", "large": "large"}
    page = change(room, visitor, "model", "large")
    assert page["adapter"]["value"] == "auto" and page["task"]["value"] == "motion"
    last(asking.ask(room, visitor, "What is it?"))
    change(room, visitor, "model", str(tmp_path))  # not from the list: the server's own
    last(asking.ask(room, visitor, "What is it?"))
    assert [(load["name"], load["base"]) for load in loads] == [(own, base), ("large", None)]
    room.close()


def test_quick_answers_are_for_one_question_only(room, visitor, model, clip):
    beams: list[int] = []
    model.script = lambda asked: beams.append(model.llm.config.beams) or "Yes."
    model.llm.config = type(model.llm.config)(beams=3)
    opened(room, visitor, clip)
    change(room, visitor, "decoding", "quick")
    last(asking.ask(room, visitor, "What is it?"))
    change(room, visitor, "decoding", "careful")
    last(asking.ask(room, visitor, "What is it?"))
    assert beams == [1, 3]


def test_choices_show_their_probabilities_and_doubt(room, visitor, clip):
    opened(room, visitor, clip)
    page = last(asking.ask(room, visitor, "Is it day?", YES_NO))
    assert "73%" in page["evidence"] and page["chat"][-1]["content"] == "yes"
    page = last(asking.ask(room, visitor, "Which color?", CHOICES, "red, blue"))
    assert "Unsure" in page["evidence"]
    for choices in ("", "red", "red, red"):
        with pytest.raises(InputError, match="two different choices"):
            last(asking.ask(room, visitor, "Which?", CHOICES, choices))


def test_several_clips_are_asked_by_name_or_all(room, visitor, model, clip):
    opened(room, visitor, clip)
    opened(room, visitor, clip, "kitchen.mp4")
    assert visitor.chosen == "kitchen.mp4"
    last(asking.ask(room, visitor, "What is in street.mp4?"))
    assert [turn.clip for turn in visitor.turns] == ["street.mp4"]
    page = last(asking.ask(room, visitor, "What happens in all the clips?"))
    assert [turn.clip for turn in visitor.turns] == ["street.mp4", "street.mp4", "kitchen.mp4"]
    assert [message["role"] for message in page["chat"][2:]] == ["user", "assistant", "assistant"]
    assert page["chat"][-1]["content"].startswith("**kitchen.mp4:** ")
    opening.remove(room, visitor)
    assert list(visitor.clips) == ["street.mp4"] and len(visitor.turns) == 2
    assert len(list(visitor.folder.glob("*.mp4"))) == 1


@pytest.mark.parametrize(
    ("question", "chosen", "asked"),
    [
        ("What is this?", "b.mov", ["b.mov"]),
        ("What is this?", picking.ALL, ["kitchen.mp4", "b.mov"]),
        ("What is in KITCHEN?", "b.mov", ["kitchen.mp4"]),
        ("Is a kitchen.mp4 like b.mov?", "b.mov", ["kitchen.mp4", "b.mov"]),
        ("What happens in both clips?", "b.mov", ["kitchen.mp4", "b.mov"]),
        ("Plan b: kitchens?", "b.mov", ["b.mov"]),
    ],
)
def test_which_clip_is_asked(question: str, chosen: str, asked: list[str]):
    assert picking.asked_clips(question, ["kitchen.mp4", "b.mov"], chosen) == asked


def test_stop_leaves_no_turn_and_the_question_in_the_box(room, visitor, model, clip):
    opened(room, visitor, clip)
    model.gate.clear()
    pages = asking.ask(room, visitor, "What is it?")
    first = next(pages)
    assert asking.stop(room, visitor) == {}
    page = first | last(pages)
    model.gate.set()
    assert visitor.turns == [] and not visitor.is_busy
    assert page["question"]["value"] == "What is it?" and "Stopped" in page["hint"]
    assert page["chat"] == []


def test_one_question_at_a_time(room, visitor, model, clip):
    opened(room, visitor, clip)
    model.gate.clear()
    pages = asking.ask(room, visitor, "What is it?")
    next(pages)
    assert "One question" in last(asking.ask(room, visitor, "And now?"))["hint"]
    model.gate.set()
    assert last(pages)["hint"] == "" and len(visitor.turns) == 1


def test_retry_and_edit_replace_the_answer(room, visitor, model, clip):
    opened(room, visitor, clip)
    last(asking.ask(room, visitor, "What is it?"))
    last(asking.ask(room, visitor, "Who is it?"))
    last(asking.retry(room, visitor, 3))
    assert [turn.question for turn in visitor.turns] == ["What is it?", "Who is it?"]
    last(asking.edit(room, visitor, 2, "Where is it?"))
    assert [turn.question for turn in visitor.turns] == ["What is it?", "Where is it?"]
    model.script = lambda asked: 1 / 0
    page = last(asking.edit(room, visitor, 0, "Why?"))
    assert len(visitor.turns) == 2 and "our side" in page["hint"]
    left = asking.retry(room, visitor, 1)
    next(left)
    left.close()  # the page is left: nothing is lost
    assert len(visitor.turns) == 2
    for gone in (4, 99):  # another tab has shortened the conversation
        last(asking.retry(room, visitor, gone))
        last(asking.edit(room, visitor, gone, "A taxi."))
        asking.select(room, visitor, gone)
    assert len(visitor.turns) == 2 and not any(turn.correction for turn in visitor.turns)


def test_a_correction_is_kept_built_on_and_exported(room, visitor, model, clip, tmp_path):
    opened(room, visitor, clip)
    assert "nothing to save" in keeping.save(room, visitor, "corrections")["hint"]
    last(asking.ask(room, visitor, "What is it between 1 and 3 seconds?"))
    last(asking.ask(room, visitor, "Is it day?", YES_NO))
    assert "pencil" in keeping.save(room, visitor, "corrections")["hint"]
    page = last(asking.edit(room, visitor, 1, "A taxi."))
    assert page["chat"][1]["content"] == "A taxi." and "You corrected" in page["evidence"]
    last(asking.edit(room, visitor, 3, "no"))
    last(asking.ask(room, visitor, "And then?"))
    assert model.asked[-1].history[0][1] == "A taxi."

    saved = keeping.save(room, visitor, "corrections")
    assert saved["file name"] == "corrections.jsonl"
    (tmp_path / "corrections.jsonl").write_text(saved["file"])
    shutil.copy(clip, tmp_path)
    first, second = read_items(tmp_path / "corrections.jsonl")
    assert (first.answer, first.start, first.end) == ("A taxi.", 1.0, 3.0)
    assert (second.answer, second.choices) == ("no", ("yes", "no"))


def test_a_conversation_is_saved_and_loaded(room, visitor, clip, tmp_path):
    opened(room, visitor, clip)
    last(asking.ask(room, visitor, "What is it?"))
    last(asking.explain(room, visitor))
    last(asking.edit(room, visitor, 1, "A taxi."))
    path = tmp_path / "conversation.json"
    path.write_text(keeping.save(room, visitor, "json")["file"])
    assert "A taxi." in keeping.save(room, visitor, "markdown")["file"]

    opened(room, visitor, clip, "kitchen.mp4")
    last(asking.ask(room, visitor, "Who is in both clips?"))
    path.write_text(keeping.save(room, visitor, "json")["file"])
    loaded = keeping.load(room, room.visitors.of("page-3"), path)["chat"]
    assert loaded == messages(visitor.turns)  # the question to both stands there once
    other = room.visitors.of("page-2")
    visitor.turns, visitor.shown = visitor.turns[:1], visitor.turns[0]
    path.write_text(keeping.save(room, visitor, "json")["file"])
    page = keeping.load(room, other, path)
    assert page["chat"] == messages(visitor.turns) and "open street.mp4" in page["hint"]
    assert as_json(other.turns) == as_json(visitor.turns)
    assert "0.31" in page["evidence"] and "va-wait" not in page["evidence"]  # nothing will come
    assert "does not keep this" in page["inside"]
    opened(room, other, clip)
    page = last(asking.ask(room, other, "And then?"))
    assert page["chat"][-1]["content"] == "A taxi passes; asked before: 1."
    assert other.clips["street.mp4"].session.conversation.turns[0].answer == "A taxi."


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "[]",
        '{"format": "assistant conversation 1"}',
        '{"format": "assistant conversation 1", "turns": [1]}',
        '{"format": "assistant conversation 1", "turns": [{"clip": "a"}]}',
        '{"format": "assistant conversation 2", "turns": []}',
        "[" * 100000,
    ],
)
def test_another_file_is_no_conversation(text: str, tmp_path: Path):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(InputError, match="conversation"):
        read_conversation(path)


def test_evidence_from_a_file_is_shown_only_where_it_is_sound(tmp_path):
    turn = {"clip": "a", "question": "b", "answer": "c", "correction": None, "choices": None}
    turn["also"] = False
    path = tmp_path / "a.json"
    for found in ({"frames": ["<script>"]}, {"frames": []}, 7):
        rows = [turn | {"found": found}]
        path.write_text(json.dumps({"format": "assistant conversation 1", "turns": rows}))
        (read,) = read_conversation(path)
        assert read.told is None and cards.evidence(read) == ""


def test_subtitles_are_used_and_shown_at_their_time(room, visitor, clip, tmp_path):
    (tmp_path / "street.en.srt").write_text(SRT)
    files = [upload(room, tmp_path / "street.en.srt"), upload(room, clip)]
    page = last(opening.take(room, visitor, files))
    assert "street.en.srt, 1 line" in page["said"] and "<track" in page["player"]
    page = last(asking.ask(room, visitor, "What is said?"))
    assert "ANN: The first line." in page["chat"][-1]["content"]
    assert 'data-seek="0.500"' in page["evidence"] and "left:10.00%" in page["evidence"]


def test_subtitles_of_a_clip_without_a_suffix_are_taken_and_replaced(
    room, visitor, model, clip, tmp_path
):
    opened(room, visitor, clip, "street")
    for said in ("first", "second"):
        (tmp_path / "words.srt").write_text(SRT.replace("first", said))
        page = last(opening.take(room, visitor, [upload(room, tmp_path / "words.srt")]))
        assert "words.srt, 1 line" in page["said"]
        page = last(asking.ask(room, visitor, "What is said?"))
        assert f"The {said} line." in page["chat"][-1]["content"]


def test_what_a_file_holds_counts_and_not_its_name(room, visitor, clip, tmp_path):
    Image.fromarray(picture(7, (32, 16))).save(tmp_path / "still.png")
    page = last(opening.take(room, visitor, [upload(room, tmp_path / "still.png", "a.mp4")]))
    assert "<img" in page["player"] and '.png"' in page["player"]
    page = last(opening.take(room, visitor, [upload(room, clip, "b.png")]))
    assert "<video" in page["player"] and '.mp4"' in page["player"]


def test_uploads_are_taken_one_after_the_other(room, visitor, clip, tmp_path):
    """Subtitles that are dropped while their clip is opened are for that clip."""
    (tmp_path / "words.srt").write_text(SRT)
    opened(room, visitor, clip, "first.mp4")
    second = opening.take(room, visitor, [upload(room, clip, "second.mp4")])
    while "Checking" not in next(second).get("status", ""):
        pass
    words = [upload(room, tmp_path / "words.srt")]
    dropped = threading.Thread(target=lambda: last(opening.take(room, visitor, words)))
    dropped.start()
    time.sleep(0.1)
    last(second)
    dropped.join()
    assert visitor.clips["second.mp4"].dialogue and not visitor.clips["first.mp4"].dialogue


def test_subtitles_alone_need_a_clip(room, visitor, tmp_path):
    (tmp_path / "a.srt").write_text(SRT)
    page = last(opening.take(room, visitor, [upload(room, tmp_path / "a.srt")]))
    assert "choose the clip" in page["status"]
    assert list(room.uploads.rglob("*.srt")) == []


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Uploads that cannot be asked about."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "empty.mp4").touch()
    (folder / "notes.mp4").write_text("These are only notes.\n" * 99)
    still = folder / "still.png"
    Image.fromarray(picture(7, (32, 16))).save(still)
    slow = ("-loop", "1", "-framerate", "1/1800", "-i", still, "-t", "14400", *X264)
    ffmpeg(*slow, folder / "long.mp4")
    huge = ("-loop", "1", "-framerate", "1", "-i", still, "-vf", "scale=7680:4320", "-t", "1")
    ffmpeg(*huge, *X264, folder / "huge.mp4")
    (folder / "words.srt").write_text("no cue in here")
    return {path.stem: path for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("empty", "empty.mp4 is empty"),
        ("notes", "notes.mp4 cannot be read as a video"),
        ("long", "long.mp4 is 4:00:00 long"),
        ("huge", "huge.mp4 has 7680 by 4320 pixels"),
    ],
)
def test_a_wrong_upload_gets_one_friendly_line(room, visitor, bad, name: str, line: str):
    page = last(opening.take(room, visitor, [upload(room, bad[name])]))
    assert line in page["status"] and page["status"].count("va-note") == 1
    assert str(room.uploads) not in page["status"]
    assert visitor.clips == {} and list(room.uploads.rglob("*.mp4")) == []
    assert list(visitor.folder.rglob("*.mp4")) == []


def test_too_large_and_too_many(room, visitor, clip):
    with pytest.raises(InputError, match="can be opened"):
        check_clip(clip, "a.mp4", Limits(bytes=100))
    room.options = Options(limits=Limits(clips=1))
    opened(room, visitor, clip)
    more = [upload(room, clip, "b.mp4"), upload(room, clip, "c.mp4")]
    page = last(opening.take(room, visitor, more))
    assert "1 clip is open, more do not fit. Close one to open b.mp4, c.mp4." in page["status"]
    assert page["status"].count("va-note") == 1 and list(room.uploads.rglob("*.mp4")) == []


def test_a_clip_can_be_closed_while_it_is_opened(room, visitor, model, clip, capsys):
    model.gate.clear()
    pages = opening.take(room, visitor, [upload(room, clip)])
    while "Looking" not in next(pages).get("status", ""):
        pass
    opening.remove(room, visitor)
    model.gate.set()
    page = last(pages)
    assert page["status"] == "" and page["clips"]["choices"] == [] and visitor.clips == {}
    assert "Traceback" not in capsys.readouterr().err
    assert [path.name for path in visitor.folder.iterdir() if path.is_file()] == []


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", "passwd"),
        ("a\x00b\n.mp4", "a b .mp4"),
        (".mp4", "mp4"),
        ("x" * 300 + ".mp4", "x" * 60 + ".mp4"),
        ("a.mp4", "a (2).mp4"),
        ("", "clip"),
    ],
)
def test_names_are_safe_and_unique(name: str, safe: str):
    assert safe_name(name, ("a.mp4",)) == safe


def test_what_people_call_things_is_never_markup(room, visitor, clip):
    opened(room, visitor, clip, "<img onerror=1>.mp4")
    page = last(asking.ask(room, visitor, "<b>What</b> is it?"))
    assert "<img onerror" not in page["evidence"] + cards.player(
        visitor.clips["<img onerror=1>.mp4"]
    )
    assert "<b>What" not in page["evidence"] + page["inside"]


def test_visitors_are_kept_apart_and_leave_nothing(room, visitor, clip):
    opened(room, visitor, clip)
    last(asking.ask(room, visitor, "What is it?"))
    other = room.visitors.of("page-2")
    page = arrive(room, other)
    assert page["chat"] == [] and page["clips"]["choices"] == []
    assert visitor.folder != other.folder and visitor.store.folder != other.store.folder
    assert list((visitor.folder / "features").glob("*.safetensors"))
    room.visitors.leave("page-1")
    assert room.visitors.sweep() == 1 and not visitor.folder.exists()
    assert room.visitors.of("page-2") is other and len(room.visitors) == 1


def test_a_visitor_who_comes_back_in_time_finds_everything(room, visitor):
    room.visitors.grace = 60.0
    room.visitors.leave("page-1")
    assert room.visitors.sweep() == 0
    assert room.visitors.of("page-1") is visitor and visitor.left is None


def test_a_page_that_is_loaded_again_finds_its_conversation(room, model, clip):
    token = "0123456789abcdef" * 2
    visitor = room.visitors.join("page-1", token)
    opened(room, visitor, clip)
    change(room, visitor, "frames", 3)
    last(asking.ask(room, visitor, "What is it?"))
    model.gate.clear()
    left = asking.ask(room, visitor, "And then?")
    next(left)
    left.close()
    again = room.visitors.join("page-2", token)
    room.visitors.leave("page-1")
    assert again is visitor and visitor.left is None
    page = arrive(room, again)
    model.gate.set()
    assert page["chat"][-1]["content"].startswith("A man") and page["frames"] == 3
    assert page["question"]["value"] == "And then?" and "left before" in page["hint"]
    assert page["clips"]["value"] == "street.mp4"
    assert arrive(room, again)["question"]["value"] == ""
    for token in ("", "guess", "../.."):  # no token of ours: a visitor of their own
        assert room.visitors.join(f"page {token}", token) is not visitor
    room.visitors.leave("page-2")
    room.visitors.sweep()
    assert not visitor.folder.exists()


def test_uploads_that_nobody_took_are_removed(room, clip):
    path = upload(room, clip)
    room.visitors.sweep_uploads(room.uploads)
    assert not path.exists() and list(room.uploads.iterdir()) == []


def test_the_line_serves_in_order_and_tells_the_place():
    line, free, done = Line(), threading.Event(), []
    first = line.join(lambda job: free.wait(5))
    time.sleep(0.05)
    later = line.join(lambda job: done.append("evidence"), urgent=False)
    jobs = [line.join(lambda job, n=n: done.append(n)) for n in range(3)]
    assert [line.ahead_of(job) for job in jobs] == [1, 2, 3]
    assert line.ahead_of(later) == 4 and line.ahead_of(first) == 0
    update = next(iter(jobs[2]))  # this reader leaves: its work is not done
    assert isinstance(update, Waiting) and update.ahead == 3
    jobs[2].stop.set()
    free.set()
    assert list(jobs[1]) == [] and list(later) == []
    assert done == [0, 1, "evidence"]


def test_twenty_visitors_ask_at_once(room, visitor, model, clip, monkeypatch):
    """One after the other on the model; who waits is told their place."""
    opened(room, visitor, clip)
    seen = visitor.clips["street.mp4"].session.look()
    monkeypatch.setattr(Session, "look", lambda session, *where: seen)  # decoding is not the point
    model.script = lambda asked: "A man walks past a row of parked cars."
    words = room.uploads / "words.txt"
    words.write_text("ANN: Look.")  # nor is the search for subtitles
    visitors = [room.visitors.of(f"page-{number + 1}") for number in range(20)]
    for who in visitors[1:]:
        who.add(upload(room, clip), "a.mp4", visitor.clips["street.mp4"].offer).dialogue = words
    model.gate.clear()
    told: list[str] = [""] * len(visitors)

    def ask(number: int) -> None:
        for page in asking.ask(room, visitors[number], f"What is it, {number}?"):
            if "chat" in page:
                told[number] += page["chat"][-1]["content"]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    while sum("in line" in text for text in told) < 19:
        time.sleep(0.05)
    model.gate.set()
    for thread in threads:
        thread.join()
    assert all(text.endswith("cars.") for text in told)
    assert model.most_running == 1
    assert [[turn.question for turn in who.turns] for who in visitors] == [
        [f"What is it, {number}?"] for number in range(20)
    ]


def test_the_task_that_a_question_chose_is_told(room, visitor, clip):
    opened(room, visitor, clip)
    page = last(asking.ask(room, visitor, "What is it?"))
    assert "task chat</span>" in page["evidence"]  # there was nothing to choose from
    turn = visitor.turns[0]
    turn.told.found.update(task="sarcasm", task_score=0.714)
    assert "task sarcasm, chosen from the question (0.71)" in cards.evidence(turn)
    turn.told.found.update(unsure=True, reason="nothing is said")
    assert "Unsure: nothing is said." in cards.evidence(turn)


def test_a_full_line_says_so():
    line, free = Line(most=1), threading.Event()
    line.join(lambda job: free.wait(5))
    time.sleep(0.05)
    line.join(lambda job: None)
    with pytest.raises(InputError, match="Too many"):
        line.join(lambda job: None)
    free.set()


def test_a_closed_line_ends_its_thread():
    before, line = set(threading.enumerate()), Line()
    running = line.join(lambda job: job.stop.wait(5))
    time.sleep(0.05)
    waiting = line.join(lambda job: None)
    line.close()
    assert running.ended.is_set() and not waiting.ended.is_set() and list(waiting) == []
    assert set(threading.enumerate()) <= before


def test_what_goes_wrong_in_the_line_is_one_line(capsys):
    def fail(job: object) -> None:
        raise MemoryError("model")

    (failure,) = list(Line().join(fail))
    assert isinstance(failure, Failed) and failure.memory


def test_memory_running_out_brings_the_doctors_advice(room, visitor, model, clip, monkeypatch):
    def full(asked: object) -> str:
        raise MemoryError

    monkeypatch.setattr(
        "assistant.ui.room.examine", lambda: [Check("memory", "warn", "0.1 GB free", "close it")]
    )
    opened(room, visitor, clip)
    model.script = full
    page = last(asking.ask(room, visitor, "What is it?"))
    assert "close it" in page["hint"]


def test_memory_running_out_while_a_clip_is_opened_brings_advice(room, visitor, clip, monkeypatch):
    def load(*_: object, **__: object) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

    checks = [Check("memory", "warn", "0.1 GB free", "close it"), Check("disk", "ok", "much", "")]
    monkeypatch.setattr("assistant.ui.room.examine", lambda: checks)
    monkeypatch.setattr("assistant.load", load)
    page = last(opening.take(room, visitor, [upload(room, clip)]))
    assert "not enough memory" in page["status"] and "close it" in page["status"]
    assert "disk" not in page["status"] and visitor.clips == {}
    assert "1 check is fine" in cards.checks(checks)


def test_programs_ask_through_the_same_steps(room, clip):
    found = answer_once(room, upload(room, clip), "Is it day?", choices=["yes", "no"])
    assert found["choice"] == "yes" and found["task"] == "chat"
    assert "no file that was uploaded" in answer_once(room, clip, "What?")["error"]
    assert "called" in answer_once(room, upload(room, clip), "What?", task="nonsense")["error"]
    assert list(room.uploads.rglob("*.mp4")) == [] and list(room.visitors.root.iterdir()) == []
    assert clip.exists()


def test_a_model_that_leaves_memory_is_let_go_by_all(room, visitor, clip):
    opened(room, visitor, clip)
    last(asking.ask(room, visitor, "What is it?"))
    room.visitors.drop_sessions(visitor.clips["street.mp4"].model)
    assert visitor.clips["street.mp4"].session is None and visitor.turns[0].live is None
    assert last(asking.ask(room, visitor, "And then?"))["chat"][-1]["content"].startswith("A taxi")


def test_the_clip_of_a_clicked_answer_is_played(room, visitor, clip):
    opened(room, visitor, clip)
    opened(room, visitor, clip, "kitchen.mp4")
    last(asking.ask(room, visitor, "What is in street?"))
    last(asking.ask(room, visitor, "What is in kitchen?"))
    assert message_places(visitor.turns)[1] == ("assistant", 0)
    page = asking.select(room, visitor, 1)
    assert "What is in street?" in page["evidence"] and visitor.chosen == "street.mp4"


def test_lines_stand_at_their_times_and_part_where_they_overlap():
    lines = [Said("a", None, 0.0, 5.0), Said("b", None, 1.0, 2.0), Said("c", None, 6.0, 9.0)]
    placed = [
        (lane, round(left, 2), round(width, 2))
        for lane, left, width, _ in place_lines([*lines, Said("untimed")], (0.0, 10.0))
    ]
    assert placed == [(0, 0.0, 0.5), (1, 0.1, 0.1), (0, 0.6, 0.3)]


def test_the_routing_is_drawn_in_the_pages_colour():
    drawn = as_svg(draw_routing([{"space": [0.7, 0.3], "time": [0.5, 0.5]}, {"space": [1.0]}]))
    assert drawn.startswith("<svg") and "currentColor" in drawn


def test_only_a_moment_that_speaks_for_the_answer_is_marked():
    assert "va-best" in timeline((), (1.0, 2.0), (0.1, -0.2), (0.0, 3.0))
    assert "va-best" not in timeline((), (1.0, 2.0), (-0.1, -0.2), (0.0, 3.0))
    assert "va-waiting" in timeline((), (1.0, 2.0), None, (0.0, 3.0), waiting=True)
    assert "va-wait" not in timeline((), (1.0, 2.0), None, (0.0, 3.0))
    assert timeline((), (1.0, 2.0), (0.001, -0.001), (0.0, 3.0)).count("<b>0.00</b>") == 2


def test_an_adapter_that_reads_text_alone_shows_what_it_read(room, visitor, clip, tmp_path):
    (tmp_path / "street.srt").write_text(SRT)
    opened(room, visitor, clip)
    last(opening.take(room, visitor, [upload(room, tmp_path / "street.srt")]))
    page = change(room, visitor, "task", "humor")
    assert "does not look at the pictures" in page["about"]
    last(asking.ask(room, visitor, "What is it?"))
    turn = visitor.turns[0]
    turn.told = replace(turn.told, sees=False)
    shown = cards.evidence(turn)
    assert "ANN: The first line." in shown and "dialogue: street.srt" in shown
    assert "va-frame" not in shown and "8 frames" not in shown


def test_a_picture_has_a_weight_but_no_time(room, visitor, tmp_path):
    Image.fromarray(picture(7, (32, 16))).save(tmp_path / "still.png")
    opened(room, visitor, tmp_path / "still.png")
    last(asking.ask(room, visitor, "What is it?"))
    shown = last(asking.explain(room, visitor))["evidence"]
    assert "1 picture" in shown and "+0.03" in shown
    assert "0:00" not in shown and "<svg" not in shown


def test_an_untouched_conversation_reads_as_markdown():
    turns = [Asked("a.mp4", "Who?", "A man."), Asked("a.mp4", "Where?", "There.", "Here.")]
    text = as_markdown(turns)
    assert text.count("## a.mp4") == 1 and "Here." in text and "the answer was: There." in text
    with pytest.raises(InputError):
        as_corrections(turns[:1])


def test_the_page_loads_no_model():
    script = (
        "import sys, tempfile, pathlib\n"
        "from assistant.ui.app import build\nfrom assistant.ui.room import Room\n"
        "from assistant.ui.settings import Options\n"
        "page = build(Room(Options(), pathlib.Path(tempfile.mkdtemp())))\n"
        "print(type(page).__name__, {'torch', 'transformers'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "Blocks set()"


def test_settings_are_a_visitors_own(room, visitor):
    change(room, visitor, "frames", 4)
    assert room.visitors.of("page-2").settings == Settings()
