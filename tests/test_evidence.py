"""What an answer rests on: each frame's weight, and its picture."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from clips import make_clip, number_of
from fakes import Asked, ScriptedModel, ScriptedSource, add_source, install
from PIL import Image
from tiny import tiny_assistant

from assistant.cli.main import main
from assistant.errors import InputError
from assistant.model.features import FeatureStore
from assistant.sources import Perceived
from assistant.vqa.answer import CANNOT_TELL
from assistant.vqa.assistants import Assistant
from assistant.vqa.evidence import FULL, check_picture_path, draw_evidence, save_evidence


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    make_clip(folder / "a.mp4", 40, fps=10)
    return folder / "a.mp4"


@pytest.fixture
def asked(clip, tmp_path):
    def ask(model: ScriptedModel, **options):
        session = Assistant(model, FeatureStore(tmp_path / "f")).open(clip, frames=4)
        return session, session.ask("What is it?", **options)

    return ask


@pytest.mark.parametrize("count", [1, 2, 5])
@torch.no_grad()
def test_a_frames_weight_is_what_the_answer_loses_without_it(count):
    model = tiny_assistant()
    patches = torch.randn(count, model.encoder.patch_count, model.encoder.width)
    texts = {"qformer_text": "what", "prompt": "what is it"}
    weights = list(model.occlusion(patches, answer="a dog", **texts))

    def score(seen: torch.Tensor | None) -> float:
        visual = model.visual_tokens(None if seen is None else seen[None], ["what"])
        return model.score_batch(visual, ["what is it"], [()], [[("a dog", True)]])[0][0]

    assert len(weights) == count
    for index, weight in enumerate(weights):
        rest = torch.cat([patches[:index], patches[index + 1 :]]) if count > 1 else None
        assert weight == pytest.approx(score(patches) - score(rest), abs=1e-4)
    assert max(map(abs, weights)) > 1e-4


def test_what_is_weighed_is_the_answer_or_what_it_would_have_been(asked):
    model = ScriptedModel(script=lambda asked: "a red ball")
    _, answer = asked(model)
    assert len(answer.evidence()) == 4 and answer.evidence() == answer.evidence()
    assert model.occluded == [("a red ball", True)]  # once
    _, choice = asked(model, choices=["dog", "cat"])
    choice.evidence()
    assert model.occluded[-1] == (choice.text, True)
    unsure = ScriptedModel(script=lambda asked: "one two three four five six seven")
    unsure.blind_scores = {"one two three four five six": 0.0}
    _, answer = asked(unsure)
    assert answer.text == CANNOT_TELL
    answer.evidence()
    assert unsure.occluded == [("one two three four five six", False)]


def test_json_has_the_weights_once_they_were_asked_for(asked):
    _, answer = asked(ScriptedModel())
    assert "evidence" not in answer.as_dict()
    weights = answer.evidence()
    assert answer.as_dict()["evidence"] == [round(weight, 4) for weight in weights]


def test_an_answer_that_no_frame_speaks_for_is_unsure(asked, monkeypatch):
    model = ScriptedModel(script=lambda asked: "a red ball")
    for weights, unsure in ([-0.03, 0.01], False), ([-0.03, -0.4], True):
        monkeypatch.setattr(model, "occlusion", lambda *_, weights=weights, **__: weights)
        for options in {}, {"choices": ["dog", "cat"]}:
            _, answer = asked(model, **options)
            text = answer.text
            assert answer.reason is None
            answer.evidence()
            found = answer.as_dict()
            assert answer.text == text == found["answer"] and ("unsure" in found) == unsure
            assert unsure == (f'no frame speaks for "{text}"' in found.get("reason", ""))


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_json_never_holds_what_is_no_number(asked, clip, tmp_path, monkeypatch, capsys, number):
    model = ScriptedModel(scores={"dog": number}, blind_scores={"cat": number, "one": number})
    model.script = lambda asked: "one"
    monkeypatch.setattr(model, "occlusion", lambda *_, **__: [number] * 4)
    for options in {}, {"choices": ["dog", "cat"]}:
        _, answer = asked(model, **options)
        answer.evidence()
        found = json.loads(json.dumps(answer.as_dict(), allow_nan=False))
        assert found["evidence"] == [None] * 4
    assert found["unsure"] is True and found["answer"] in ("dog", "cat")
    _, answer = asked(ScriptedModel(script=lambda asked: "one two three four five six seven eight"))
    next(answer)
    answer.close()  # there is no time that it took
    json.dumps(answer.as_dict(), allow_nan=False)
    install(monkeypatch, model)
    rows, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    row = {"id": 1, "video": str(clip), "question": "Is it?", "choices": ["dog", "cat"]}
    rows.write_text(json.dumps(row) + "\n")
    assert main(["ask", str(clip), "What is it?", "--choices", "dog", "cat", "--json"]) == 0
    assert main(["batch", str(rows), str(out)]) == 0
    for text in capsys.readouterr().out, out.read_text():
        assert "answer" in json.loads(text, parse_constant=pytest.fail)


@pytest.mark.parametrize("window", [{}, {"start": 1.0, "end": 2.5}])
def test_the_pictures_are_those_that_were_looked_at(asked, window):
    numbers: list[int] = []

    def script(asked: Asked) -> str:
        numbers[:] = asked.numbers
        return "yes"

    session, answer = asked(ScriptedModel(script=script), **window)
    assert answer.text == "yes"
    assert [number_of(picture) for picture in session.pictures(answer)] == numbers


def test_the_drawing_has_every_frame_with_its_time(asked):
    session, answer = asked(ScriptedModel())
    figure = draw_evidence(answer, session.pictures(answer))
    *frames, bars = figure.axes
    assert [axes.get_title() for axes in frames] == ["0:00.5", "0:01.5", "0:02.5", "0:03.5"]
    heights = [bar.get_height() for bar in bars.patches]
    assert heights == pytest.approx(answer.evidence())
    assert bars.get_ylim() == (-FULL, FULL)  # whatever they are
    assert "What is it?" in figure.get_suptitle() and answer.text in figure.get_suptitle()


def test_boxes_stand_on_the_frames_in_which_a_thing_is(asked, monkeypatch):
    box = (0.25, 0.5, 0.75, 1.0)
    dog = Perceived("dog", 0.9, 0.5, 1.5, box, track=((0.5, box), (1.5, box)))
    add_source(monkeypatch, "things", ScriptedSource((dog,)))
    session, answer = asked(ScriptedModel())
    pictures = session.pictures(answer)
    figure = draw_evidence(answer, pictures, session.perceived(answer))
    *frames, _ = figure.axes
    named = [[text.get_text() for text in axes.texts] for axes in frames]
    assert named == [["dog"], ["dog"], [], []]
    (drawn,) = frames[0].patches
    height, width = pictures[0].shape[:2]
    assert drawn.get_xy() == (0.25 * width - 0.5, 0.5 * height - 0.5)
    assert (drawn.get_width(), drawn.get_height()) == (0.5 * width, 0.5 * height)


def test_dollars_in_a_question_are_no_formula(clip, tmp_path):
    session = Assistant(ScriptedModel(), FeatureStore(tmp_path / "f")).open(clip, frames=2)
    answer = session.ask(r"Does it cost $\\foo$ or $5?")
    save_evidence(answer, session.pictures(answer), tmp_path / "why.png")
    assert (tmp_path / "why.png").stat().st_size > 1000


def test_the_command_draws_it(clip, tmp_path, monkeypatch, capsys):
    install(monkeypatch, ScriptedModel())
    out = tmp_path / "why.png"
    assert main(["ask", str(clip), "What is it?", "--evidence", str(out), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["evidence"]) == 8
    with Image.open(out) as picture:
        assert np.asarray(picture.convert("L")).std() > 5


@pytest.mark.parametrize("name", ["why.txt", "why", "nowhere/why.png"])
def test_a_path_that_is_no_picture_is_a_complaint_before_the_model_loads(tmp_path, name):
    with pytest.raises(InputError):
        check_picture_path(tmp_path / name)
