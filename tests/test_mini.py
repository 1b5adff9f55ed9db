"""The shipped model on real pictures, through the front door (fetches mini's weights once)."""

from __future__ import annotations

import numpy as np
import pytest

from assistant import load, weights_store
from assistant.scenes import example


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
