"""The shipped model on real pictures, through the front door (fetches mini's weights once)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from assistant import load
from assistant.data.scenes import example
from assistant.data.scenes.clips import clip_example
from assistant.data.scenes.ego import ego_example
from assistant.data.scenes.render import render
from assistant.media.writer import write_clip
from assistant.model.motion import QUESTION, fits, load_motion_reader
from assistant.tasks.store import adapter_folders, adapter_prompt, find_adapter
from assistant.weights import store as weights_store


@pytest.fixture(scope="module")
def mini():
    return load("mini")


@pytest.fixture(scope="module")
def street():
    """The sample clip: cars, a taxi, people and bikes in a street."""
    return next(weights_store.ensure("samples").rglob("bikes.mp4"))


CAB = 468  # in ImageNet-1k


def test_encoder_knows_what_the_clip_shows(mini, street):
    """A taxi fills the first seconds; ImageNet's label as published says so."""
    classes = mini.open(street, start=0, end=3).look().classes
    assert CAB in classes.mean(0).topk(5).indices.tolist()


def test_answers_about_the_sample_clip_in_words(mini, street):
    session = mini.open(street)
    told = "".join(session.ask("What is in the video?"))
    assert 1 <= len(told.split()) <= 40
    assert session.conversation.turns[-1].answer == told


def test_same_question_same_answer(mini, street):
    first, second = ("".join(mini.open(street).ask("What happens?")) for _ in range(2))
    assert first == second


def test_colours_of_scenes_never_trained_on(mini, tmp_path):
    """Far from a benchmark: eight pictures, chance is 1 in 8."""
    from PIL import Image

    right = []
    for index in range(40):
        scene = example(index, seed=99, split="dev")
        for record in scene.records:
            if record["type"] == "color" and len(right) < 8:
                picture = tmp_path / f"{index}.png"
                Image.fromarray(scene.image).save(picture)
                answer = mini.open(picture).ask(record["question"], choices=record["choices"])
                right.append(answer.choice == record["answer"])
    assert len(right) == 8
    assert np.mean(right) >= 0.5


def test_every_shipped_adapter_belongs_to_the_shipped_base(mini):
    shipped = [find_adapter(name, "mini") for name in adapter_folders("mini")]
    shipped = [one for one in shipped if one.origin == "shipped"]
    assert shipped
    for one in shipped:
        assert one.recipe.made.base == mini.model.fingerprint, one.name
        assert mini.model.load_adapter(one.folder, one.recipe)
        assert adapter_prompt(one).name == one.name
        assert (one.folder / "CARD.md").is_file()


def test_the_motion_adapter_reads_without_the_language_model(mini, street):
    """What a recogniser of actions begins with is what the whole model sees."""
    reader, stored = load_motion_reader(mini.model.encoder), find_adapter("motion", "mini")
    seen = mini.open(street).look().patches
    assert fits(mini.model.encoder) and reader(seen).shape == (8, 384)
    name = mini.model.load_adapter(stored.folder, stored.recipe)
    with torch.no_grad(), mini.model.using(name) as qformer:
        states = qformer.states(seen[None].float(), *mini.model.qformer_ids([QUESTION]))
    assert torch.allclose(reader(seen), states.framed[0].mean(1), atol=1e-4)


def stays(clip, seconds, index):
    """In the picture, as all that training asks the direction of."""
    place = clip.at(seconds).places[index]
    return place.min() > 0 and place.max() < 1


@pytest.mark.parametrize(
    "staying",
    [
        True,
        pytest.param(
            False,
            marks=pytest.mark.xfail(strict=True, reason="training asks of objects that stay alone"),
        ),
    ],
)
def test_the_motion_adapter_tells_left_from_right(mini, tmp_path, staying):
    """One clip, and the same clip backwards."""
    clip = next(
        item.clip
        for item in (clip_example(index, 21, 0, "train") for index in range(40))
        if len(item.clip.moves) == 1
        and item.clip.moves[0].direction in ("left", "right")
        and staying
        == all(stays(item.clip, at, item.clip.moves[0].index) for at in (0.0, item.clip.seconds))
    )
    (move,) = clip.moves
    told = []
    for name, seconds in (("there", range(16)), ("back", range(15, -1, -1))):
        path = tmp_path / f"{name}.mp4"
        write_clip(path, (render(clip.at(number / 4), 224) for number in seconds), 4)
        answer = mini.open(path).ask(
            "Which way does the moving object move?", task="motion", choices=["left", "right"]
        )
        told.append(answer.probabilities[move.direction])
    assert told[0] > told[1]


def film(walk, path, backwards=False):
    moments = [number / 4 for number in range(round(walk.seconds * 4))]
    moments = reversed(moments) if backwards else moments
    write_clip(path, (render(walk.at(moment), 224) for moment in moments), 4)
    return path


def walk_with(kind):
    """The first walk of a seed that no training used, with a question of that type."""
    for index in range(60):
        walk = ego_example(index, 33, 0, "train")
        for question in walk.questions:
            if question.type == kind:
                return walk.clip, question
    raise AssertionError(kind)


def test_the_egoqa_adapter_tells_what_was_picked_up_before(mini, tmp_path):
    """One walk, and the same walk backwards, in which pick-ups change places."""
    walk, question = walk_with("order")
    there, back = (
        mini.open(film(walk, tmp_path / f"{name}.mp4", name == "back")).ask(
            question.question, task="egoqa", choices=["before", "after"]
        )
        for name in ("there", "back")
    )
    assert there.probabilities[question.answer] > back.probabilities[question.answer]
    assert there.text == question.answer


@pytest.mark.parametrize(
    "kind",
    ["touched", "existence", "last_seen", "first_seen", "first", "picked", "beside", "count"],
)
def test_the_egoqa_adapter_remembers(mini, tmp_path, kind):
    walk, question = walk_with(kind)
    told = mini.open(film(walk, tmp_path / "walk.mp4")).ask(
        question.question, task="egoqa", choices=list(question.choices)
    )
    assert told.text == question.answer
    assert not any("no adapter" in warning for warning in told.warnings)


JOKE = "Why did the spoon leave the party? It was tired of being stirred up."


@pytest.mark.parametrize(
    "news",
    [
        "City council approves new bike lanes after two years of debate",
        "The county will vote next Tuesday on a new budget for its libraries.",
    ],
)
def test_the_humor_adapter_tells_a_joke_from_the_news(mini, street, news):
    told, other = (
        mini.open(street).ask("Is it humorous?", task="humor", dialogue=line)
        for line in (JOKE, news)
    )
    assert told.probabilities["yes"] > 0.5 > other.probabilities["yes"]
    assert any("does not see the pictures" in warning for warning in told.warnings)


@pytest.mark.parametrize(
    "meant",
    [
        "ANN: My dog is sick.\nBEN: I'm so sorry to hear that. Is there anything I can do?",
        pytest.param(
            "RAJ: Is he at home?\nHOWARD: I do not know where he is. We should call his mother.",
            marks=pytest.mark.xfail(strict=True, reason="plain talk is no sitcom"),
        ),
        pytest.param(
            "LEONARD: How was the train?\nSHELDON: It left at nine and it was on time.",
            marks=pytest.mark.xfail(strict=True, reason="plain talk is no sitcom"),
        ),
    ],
)
def test_the_sarcasm_adapter_tells_a_mocking_line_from_one_that_is_meant(mini, street, meant):
    mocking = "ANN: Let us go.\nCHANDLER: Oh, that is a great idea."
    told, other = (
        mini.open(street).ask(task="sarcasm", dialogue=talk) for talk in (mocking, meant)
    )
    assert told.probabilities["yes"] > 0.5 > other.probabilities["yes"]
    assert any("does not see the pictures" in warning for warning in told.warnings)
    assert not any("no adapter" in warning for warning in told.warnings)
