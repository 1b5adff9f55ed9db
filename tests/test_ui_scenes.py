"""The timeline under the player: made, looked through, saved, and left alone."""

from __future__ import annotations

import csv
import json
import re
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from assistant.ui import asking, opening, scene_band, scenes
from assistant.ui.view import shown_scenes
from fakes import install, leave_sources
from PIL import Image
from retrieval_sight import RULES, TinySight, tiny_sight
from test_index import color_clip
from ui_page import PageModel, last, opened, talkative, upload

from assistant.errors import InputError
from assistant.sources import Perceived
from assistant.timeline import Heard, Moment, Query, track

pytest_plugins = ["ui_room"]
PARTS = ("scenes", "scenes status", "find scenes", "stop scenes", "scenes form")


@dataclass
class SeeingModel(PageModel):
    """Its joint space tells colors."""

    eyes: TinySight = field(default_factory=tiny_sight)
    looked: int = 0  # frames

    def encoder(self, frames):
        self.gate.wait(20)
        self.looked += len(frames)
        return self.eyes.encoder(frames)

    @property
    def space(self):
        return self.eyes.space

    @property
    def class_names(self):
        return self.eyes.class_names


def seeing_model(folder: Path) -> SeeingModel:
    """``folder``: where the rules of its space lie."""
    model = SeeingModel(script=talkative)
    (folder / "moments.yaml").write_text(RULES)
    model.space.folder = folder
    model.gate.set()
    return model


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Red until 6 s, blue until 12 s, red until 18 s."""
    return color_clip(tmp_path_factory.mktemp("films") / "film.mp4", "red", "blue", "red")


@pytest.fixture
def model(monkeypatch, tmp_path):
    model = seeing_model(tmp_path)
    install(monkeypatch, model)
    return model


@pytest.fixture(autouse=True)
def few_sources(monkeypatch) -> None:
    leave_sources(monkeypatch, "attributes")


@pytest.fixture
def shown(room, visitor, film):
    """The film is open, and its timeline made."""
    opened(room, visitor, film)
    last(scenes.begin(room, visitor))
    return visitor.clips["film.mp4"]


def test_a_short_clip_gets_its_scenes_unasked(room, visitor, film, model):
    opened(room, visitor, film)
    pages = list(scenes.begin(room, visitor))
    assert pages[0]["stop scenes"]["visible"] and not pages[0]["find scenes"]["visible"]
    assert any("Looking at the clip" in page["scenes status"] for page in pages)
    page = pages[-1]
    starts = re.findall(r'class="va-scene[^"]*" data-seek="([\d.]+)"', page["scenes"])
    assert [float(start) for start in starts] == [0.0, pytest.approx(6, abs=0.21), 12.0]
    _, second, _ = visitor.clips["film.mp4"].scenes.timeline.segments
    assert f'aria-label="Scene 2, 0:06.0 to 0:12.0, {second.label} ' in page["scenes"]
    assert page["scenes status"] == "" and page["scenes form"]["visible"]
    assert not page["stop scenes"]["visible"] and not page["find scenes"]["visible"]
    assert model.asked == model.blind == []  # nothing of the language model
    looked = model.looked
    assert last(scenes.begin(room, visitor)) == {key: page[key] for key in PARTS}
    assert opening.choose(room, visitor, "film.mp4")["scenes"] == page["scenes"]
    assert model.looked == looked


def test_a_clip_that_is_too_long_or_too_short_waits_for_the_button(
    room, visitor, film, model, monkeypatch
):
    opened(room, visitor, film)
    looked = model.looked
    for bound, seconds in (("LONG", 19.0), ("SHORT", 17.0)):
        with monkeypatch.context() as patch:
            patch.setattr(scenes, bound, seconds)
            assert list(scenes.begin(room, visitor)) == []
    page = shown_scenes(visitor)
    assert page["scenes"] == "" and page["find scenes"]["visible"]
    assert not page["scenes form"]["visible"] and model.looked == looked
    assert "va-scene" in last(scenes.make(room, visitor))["scenes"]


def test_what_is_stopped_goes_on_where_it_was(room, visitor, film, model, monkeypatch):
    monkeypatch.setattr(track, "BLOCK", 4)
    opened(room, visitor, film)
    before = model.looked
    page: dict = {}
    for change in scenes.make(room, visitor):
        page |= change
        if model.looked > before:
            assert scenes.stop(room, visitor)["find scenes"]["visible"]
    clip = visitor.clips["film.mp4"]
    assert clip.scenes is None and not clip.is_timed
    assert page["find scenes"]["visible"] and page["scenes status"] == ""
    last(scenes.make(room, visitor))
    assert len(clip.scenes.timeline.seconds) == 15
    assert model.looked - before == 15  # none of them twice


def test_a_page_that_was_left_and_a_clip_that_was_closed_stop_it(room, visitor, film, model):
    opened(room, visitor, film)
    for leave in (visitor.go, lambda: visitor.remove("film.mp4")):
        clip, model_gate = visitor.clips["film.mp4"], model.gate
        model_gate.clear()
        making = scenes.make(room, visitor)
        next(making)
        leave()
        model_gate.set()
        list(making)
        assert clip.scenes is None and not clip.is_timed
    assert visitor.clips == {}


def test_moments_are_marks_and_what_is_not_there_is_said(room, visitor, shown):
    page = last(scenes.find(room, visitor, "  something \n blue "))
    assert page["when"] == "" and page["hint"] == "" and page["scenes status"] == ""
    (mark,) = re.findall(r'class="va-mark" data-seek="([\d.]+)".*?style="(.*?)"', page["scenes"])
    assert float(mark[0]) == pytest.approx(6, abs=0.21)
    assert mark[1] == "left:33.333%;width:33.333%"
    assert "<b>something blue</b>: 1 moment, at 0:06.0</p>" in page["scenes"]
    page = last(scenes.find(room, visitor, "<green> grass"))
    assert "<b>&lt;green&gt; grass</b>: does not appear; likeliest at 0:" in page["scenes"]
    assert page["scenes"].count("va-mark") == 2  # the row and its mark, of the first alone
    for text in ("red", "one", "two", "red", "something blue"):
        last(scenes.find(room, visitor, text))
    assert [*shown.scenes.found] == ["one", "two", "red", "something blue"]
    with pytest.raises(InputError, match="Say in words"):
        last(scenes.find(room, visitor, " \n"))


def test_the_curve_is_that_of_the_question_on_the_page(room, visitor, shown):
    assert "va-curve" not in last(scenes.follow(room, visitor))["scenes"]  # nothing was asked
    last(asking.ask(room, visitor, "Is something blue there?"))
    page = last(scenes.follow(room, visitor))
    assert "“Is something blue there?”" in page["scenes"]
    text, query = shown.scenes.asked
    assert text == "Is something blue there?" and sum(query.saliency) == pytest.approx(1, abs=1e-4)
    best = max(zip(query.saliency, shown.scenes.timeline.seconds, strict=True))[1]
    assert 6 < best < 12
    assert '<svg class="va-curve"' in opening.choose(room, visitor, "film.mp4")["scenes"]
    turn = visitor.turns[0]
    asked_as = {**turn.told.found, "asked_as": "Is the red thing there?"}
    visitor.shown = replace(turn, told=replace(turn.told, found=asked_as))
    assert "Is the red thing there?" in last(scenes.follow(room, visitor))["scenes"]
    visitor.shown = replace(turn, told=SimpleNamespace(is_talk=True))
    assert "va-curve" not in last(scenes.follow(room, visitor))["scenes"]
    asking.clear(room, visitor)
    assert "va-curve" not in last(scenes.follow(room, visitor))["scenes"]


def test_an_answer_with_times_marks_its_moments(room, visitor, shown):
    page = last(asking.ask(room, visitor, "When is the blue visible?"))
    assert page["chat"][-1]["content"] == "From 0:06 to 0:12." and "va-moments" in page["evidence"]
    drawn = last(scenes.follow(room, visitor))["scenes"]
    assert "<b>the blue</b>: 1 moment" in drawn and list(shown.scenes.found) == ["the blue"]
    assert "Answered from the clip&#x27;s timeline" in page["inside"]


def test_a_curve_that_says_nothing_does_not_rise(shown):
    def heights(*shares: float) -> list[float]:
        where = Moment(0.0, 1.0, 0.0)
        query = Query("it", (), where, 1.0, 1.0, True, "", shares, ())
        drawn = scene_band.band(replace(shown.scenes.timeline, seconds=(2, 6, 10, 14)), (), query)
        points = re.search(r'<polyline points="(.*?)"', drawn)[1].split()
        return [100 - float(point.split(",")[1]) for point in points[1:-1]]

    assert heights(0.26, 0.25, 0.25, 0.24) == pytest.approx([34.7, 33.3, 33.3, 32], abs=0.1)
    assert heights(0.9, 0.1, 0, 0) == pytest.approx([100, 11.1, 0, 0], abs=0.1)


def test_a_moment_that_is_not_sure_says_perhaps(shown):
    sure, unsure = Moment(1.0, 2.0, 0.9), Moment(4.0, 5.0, 0.6)
    query = Query("it", (sure, unsure), sure, 0.5, 0.8, True, "", (1.0,), (0.9,))
    drawn = scene_band.band(shown.scenes.timeline, [query])
    assert 'aria-label="0:01.0 to 0:02.0, it"' in drawn
    assert (
        drawn.count("va-perhaps") == drawn.count('aria-label="0:04.0 to 0:05.0, perhaps it"') == 1
    )


def test_a_sound_has_a_row_of_its_own(shown):
    sounds = (Heard("dog barking", 1.0, 2.0, 0.9), Heard("dog barking", 5.0, 6.0, 0.8))
    timeline = shown.scenes.timeline
    drawn = scene_band.band(replace(timeline, heard=sounds))
    assert drawn.count("<b>dog barking (heard)</b>") == 1
    assert drawn.count("dog barking (heard)") > scene_band.band(timeline).count("heard") == 0
    assert 'data-seek="1.000"' in drawn and 'data-seek="5.000"' in drawn


def test_a_scene_is_called_by_its_label_where_that_is_sure(shown):
    def names(score: float, description: str) -> list[str]:
        one = replace(shown.scenes.timeline.segments[0], label="<golf>", end=18.0)
        scene = replace(one, score=score, description=description)
        drawn = scene_band.band(replace(shown.scenes.timeline, segments=(scene,)))
        assert f'data-told="0:00.0 to 0:18.0, &lt;golf&gt; {score:.0%}' in drawn
        return re.findall(r"<b>(.*?)</b>", drawn)

    assert names(0.7, "a lawn") == ["&lt;golf&gt;"]
    assert names(0.3, "a lawn") == ["a lawn"]
    assert names(0.3, "") == ["&lt;golf&gt;"]


def test_the_timeline_is_saved(room, visitor, shown):
    last(scenes.find(room, visitor, "something blue"))
    files = {kind: scenes.save(room, visitor, kind) for kind in scenes.KINDS}
    names = [saved["file name"] for saved in files.values()]
    assert names == ["film.chapters.vtt", "film.events.csv", "film.events.json"]
    assert not any(str(visitor.folder) in saved["file"] for saved in files.values())
    chapters = files["chapters"]["file"]
    assert chapters.startswith("WEBVTT\n") and chapters.count(" --> ") == 3
    assert "something blue" not in chapters
    rows = list(csv.DictReader(files["csv"]["file"].splitlines()))
    assert [row["kind"] for row in rows] == ["scene"] * 3 + ["moment"]
    assert {row["video"] for row in rows} == {"film.mp4"}
    told = json.loads(files["events"]["file"])
    assert len(told["segments"]) == 3 and told["queries"][0]["text"] == "something blue"


def test_a_page_that_listens_shows_and_saves_what_is_heard(room, visitor, film, monkeypatch):
    heard = (Perceived("dog barking", 0.9, 1.0, 2.0),)
    monkeypatch.setattr("assistant.timeline.making.heard_in", lambda sound: heard)
    room.engine.options = replace(room.engine.options, listen=True)
    opened(room, visitor, film)
    assert "<b>dog barking (heard)</b>" in last(scenes.begin(room, visitor))["scenes"]
    assert "dog barking" in scenes.save(room, visitor, "csv")["file"]
    assert "dog barking" not in scenes.save(room, visitor, "chapters")["file"]


def test_without_a_timeline_nothing_is_saved_or_found(room, visitor, film):
    assert "find the scenes first" in scenes.save(room, visitor, "csv")["hint"]
    opened(room, visitor, film)
    assert scenes.save(room, visitor, "csv")["file"] == ""
    assert last(scenes.find(room, visitor, "red"))["scenes"] == ""


def test_a_model_that_left_memory_is_let_go_and_looks_again(room, visitor, shown, model):
    looked = model.looked
    room.visitors.drop_sessions(shown.scenes.model)
    assert shown.scenes.maker is None
    assert "1 moment" in last(scenes.find(room, visitor, "something blue"))["scenes"]
    assert model.looked - looked <= 8  # the clip was opened again; its timeline was kept


def test_a_picture_has_no_timeline(room, visitor, tmp_path, capsys):
    Image.new("RGB", (64, 48), (220, 30, 30)).save(tmp_path / "still.png")
    last(opening.take(room, visitor, [upload(room, tmp_path / "still.png")]))
    for action in (scenes.begin, scenes.make):
        page = {**shown_scenes(visitor), **last(action(room, visitor))}
        assert page["scenes"] == page["scenes status"] == ""
        assert not page["find scenes"]["visible"]
    assert capsys.readouterr().err == ""


def test_a_clip_that_cannot_be_read_any_more_gets_one_line(room, visitor, film, capsys):
    opened(room, visitor, film)
    visitor.clips["film.mp4"].path.write_bytes(b"no film")
    quiet = last(scenes.begin(room, visitor))
    assert 'class="va-seen"' in quiet["scenes status"] and "film.mp4" in quiet["scenes status"]
    assert quiet["find scenes"]["visible"] and str(visitor.folder) not in quiet["scenes status"]
    assert list(scenes.begin(room, visitor)) == []  # it is not tried again unasked
    asked = last(scenes.make(room, visitor))
    assert 'role="alert"' in asked["scenes status"]
    assert capsys.readouterr().err == ""


def test_a_model_without_a_joint_space_says_so(room, visitor, film, monkeypatch, capsys):
    monkeypatch.setattr(SeeingModel, "space", PageModel.space)
    opened(room, visitor, film)
    page = last(scenes.begin(room, visitor))
    assert "no joint space" in page["scenes status"] and page["scenes"] == ""
    assert capsys.readouterr().err == ""


def test_a_question_is_answered_while_scenes_are_looked_for(
    room, visitor, film, model, monkeypatch
):
    monkeypatch.setattr(track, "BLOCK", 4)
    opened(room, visitor, film)
    answered = []

    def ask():
        answered.append(last(asking.ask(room, visitor, "What is it?")))

    asker = threading.Thread(target=ask)
    model.gate.clear()
    making = scenes.make(room, visitor)
    next(making)
    asker.start()
    while not room.engine.line._waiting:
        pass
    model.gate.set()
    asker.join(30)
    assert visitor.turns and visitor.clips["film.mp4"].scenes is None
    assert "va-scene" in last(making)["scenes"]
