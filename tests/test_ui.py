"""The chat's logic without a browser: settings, questions, answers, corrections, saving."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import pytest
from assistant.ui import asking, keeping, opening, picking
from assistant.ui.chat import messages
from assistant.ui.export import as_json, as_markdown, read_conversation, write_corrections
from assistant.ui.room import Room, arrive, change, measure
from assistant.ui.settings import CHOICES, YES_NO, Options
from assistant.ui.visitor import Asked
from fakes import install
from ui_page import last, opened, upload

from assistant.core.progress import report_bytes
from assistant.data.items import read_items
from assistant.errors import InputError
from assistant.vqa.task_choice import TaskChoice

pytest_plugins = ["ui_room"]


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


def test_long_work_tells_how_far_it_is(room, visitor, model, clip, monkeypatch):
    """A download, whoever asked for it: the model's weights, the router's, the recogniser's."""

    def fetching(name: str) -> None:
        for done in (0, 34e6, 98e6):
            report_bytes(f"Fetching {name}", done, 98e6)

    def load(name: str = "mini", **_: object) -> object:
        fetching("llm")
        return model

    def choose(*_: object, **__: object) -> TaskChoice:
        fetching("router")
        return TaskChoice("chat", math.nan)

    monkeypatch.setitem(sys.modules, "assistant.model.loading", SimpleNamespace(load_model=load))
    monkeypatch.setattr("assistant.vqa.session.choose_task", choose)
    pages = list(opening.take(room, visitor, [upload(room, clip)]))
    told = [page["status"] for page in pages if "va-bar" in page.get("status", "")]
    shares = [re.search(r"width:(\d+)%", text)[1] for text in told if "llm" in text]
    assert shares == ["0", "35", "100"] and "34 of 98 MB, 35%" in "".join(told)
    assert "Reading the frames" in told[-3] and "Looking at the frames" in told[-2]
    pages = list(asking.ask(room, visitor, "What is it?"))
    told = [page["chat"][-1]["content"] for page in pages if "chat" in page]
    assert any("Fetching router: 34 of 98 MB, 35%" in text for text in told)


def test_a_follow_up_encodes_nothing_again(room, visitor, model, clip):
    opened(room, visitor, clip)
    last(asking.ask(room, visitor, "What is it?"))
    page = last(asking.ask(room, visitor, "And now?"))
    assert len(model.encoded) == 1
    assert page["chat"][-1]["content"] == "A taxi passes; asked before: 1."


def test_settings_hold_from_the_next_question_on(room, visitor, model, clip):
    opened(room, visitor, clip)
    change(room, visitor, "frames", 3)
    change(room, visitor, "sources", [])
    page = last(asking.ask(room, visitor, "What is it?"))
    assert page["evidence"].count("data-seek") == 3 and "street sign" not in page["evidence"]
    assert change(room, visitor, "task", "motion")["example 0"]["value"] == "How many objects move?"
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
    visitor.settings = replace(visitor.settings, adapter="motion")  # of another model
    assert picking.models(Options(model="folder/mini")) == {"mini": "folder/mini", "large": "large"}
    page = change(room, visitor, "model", "large")
    assert page["adapter"]["value"] == "auto" and page["task"]["value"] == "motion"
    last(asking.ask(room, visitor, "What is it?"))
    with pytest.raises(InputError, match="what the page offers"):
        change(room, visitor, "model", str(tmp_path))
    last(asking.ask(room, visitor, "What is it?"))
    assert [(load["name"], load["base"]) for load in loads] == [(own, base), ("large", None)]
    room.close()


def test_quick_answers_are_for_one_question_only(room, visitor, model, clip):
    beams: list[int | None] = []
    model.script = lambda asked: beams.append(asked.beams) or "Yes."
    opened(room, visitor, clip)
    change(room, visitor, "decoding", "quick")
    last(asking.ask(room, visitor, "What is it?"))
    change(room, visitor, "decoding", "careful")
    last(asking.ask(room, visitor, "What is it?"))
    assert beams == [1, None]


def test_choices_show_their_probabilities_and_doubt(room, visitor, clip):
    opened(room, visitor, clip)
    page = last(asking.ask(room, visitor, "Is it day?", YES_NO))
    assert "73%" in page["evidence"] and page["chat"][-1]["content"] == "yes\n\n73% likely"
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
        ("What is in KITCHEN.mp4?", "b.mov", ["kitchen.mp4"]),
        ('What is in "Kitchen"?', "b.mov", ["kitchen.mp4"]),
        ("What is in “kitchen.mp4”?", "b.mov", ["kitchen.mp4"]),
        ("What is in 'b'?", "kitchen.mp4", ["b.mov"]),
        ("Is there a kitchen?", "b.mov", ["b.mov"]),
        ("Is it a kitchen.mp45 or a b.move?", "b.mov", ["b.mov"]),
        ("Is a kitchen.mp4 like b.mov?", "b.mov", ["kitchen.mp4", "b.mov"]),
        ("What happens in both clips?", "b.mov", ["kitchen.mp4", "b.mov"]),
        ("Plan b: kitchens?", "b.mov", ["b.mov"]),
    ],
)
def test_which_clip_is_asked(question: str, chosen: str, asked: list[str]):
    assert picking.asked_clips(question, ["kitchen.mp4", "b.mov"], chosen) == asked


def test_a_clip_without_an_ending_is_named_in_quotes_alone():
    names = ["clip", "street.mp4"]
    assert picking.asked_clips("What is in the clip?", names, "street.mp4") == ["street.mp4"]
    assert picking.asked_clips("What is in 'clip'?", names, "street.mp4") == ["clip"]


def test_a_name_within_another_one_is_not_named():
    names = ["1.mp4", "clip-1.mp4"]
    assert picking.asked_clips("What is in clip-1.mp4?", names, "1.mp4") == ["clip-1.mp4"]
    assert picking.asked_clips("Is clip-1.mp4 like 1.mp4?", names, "1.mp4") == names


def test_that_another_clip_was_asked_than_the_chosen_one_is_said(room, visitor, clip):
    opened(room, visitor, clip)
    opened(room, visitor, clip, "dog.mp4")
    opening.choose(room, visitor, "street.mp4")
    page = last(asking.ask(room, visitor, "Is there a dog?"))
    assert visitor.turns[-1].clip == "street.mp4" and "names" not in page["evidence"]
    page = last(asking.ask(room, visitor, "What is in dog.mp4?"))
    assert "The question names dog.mp4" in page["evidence"]
    said = page["chat"][-1]["content"]
    assert said.startswith("**dog.mp4** (named in the question; street.mp4 is chosen)")
    page = last(asking.explain(room, visitor))
    assert "The question names dog.mp4" in page["evidence"]
    last(asking.edit(room, visitor, 3, said.replace("man", "woman")))
    assert visitor.turns[-1].correction == "A woman walks past a parked bike in a street with cars."


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
    last(asking.ask(room, visitor, "Who is there?"))
    last(asking.retry(room, visitor, 3))
    assert [turn.question for turn in visitor.turns] == ["What is it?", "Who is there?"]
    last(asking.edit(room, visitor, 2, "Where is it?"))
    assert [turn.question for turn in visitor.turns] == ["What is it?", "Where is it?"]
    model.script = lambda asked: 1 / 0
    page = last(asking.edit(room, visitor, 0, "Where?"))
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
    last(asking.ask(room, visitor, "And now?"))
    assert model.asked[-1].history[0][1] == "A taxi."

    saved = keeping.save(room, visitor, "corrections")
    assert saved["file name"] == "corrections.zip" and "data check" in saved["hint"]
    path = Path(unquote(urlsplit(saved["file"]).path.partition("=")[2]))
    assert path.is_relative_to(visitor.folder)  # goes with them
    shutil.unpack_archive(path, tmp_path)
    first, second = read_items(tmp_path / "corrections")
    assert (first.answer, first.start, first.end) == ("A taxi.", 1.0, 3.0)
    assert (second.answer, second.choices) == ("no", ("yes", "no"))
    assert first.video is not None and first.video.read_bytes() == clip.read_bytes()
    visitor.turns = [*visitor.turns, Asked("gone.mp4", "Who?", "A man.", "A woman.")]  # loaded
    assert "Open gone.mp4" in keeping.save(room, visitor, "corrections")["hint"]
    shutil.unpack_archive(path, tmp_path)
    assert len(read_items(tmp_path / "corrections")) == 2
    visitor.turns = visitor.turns[-1:]
    assert "gone.mp4" in keeping.save(room, visitor, "corrections")["hint"]


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
    page = last(asking.ask(room, other, "And now?"))
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


def test_an_untouched_conversation_reads_as_markdown():
    turns = [Asked("a.mp4", "Who?", "A man."), Asked("a.mp4", "Where?", "There.", "Here.")]
    text = as_markdown(turns)
    assert text.count("## a.mp4") == 1 and "Here." in text and "the answer was: There." in text
    with pytest.raises(InputError):
        write_corrections(turns[:1], {}, Path("none.zip"))


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
    assert done.stdout.splitlines()[-1] == "Page set()"
