import numpy as np
import pytest

from assistant.training.pretraining.examples import PretrainExample
from assistant.training.pretraining.names import DOG, renamed

NAMES = tuple(f"breed{n}" if 151 <= n < 269 else f"class{n}" for n in range(1000))


def sample(kind, answer, also=()):
    return PretrainExample(picture="p", question="?", answer=answer, type=kind, also=tuple(also))


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("caption", "told"),
    [
        ("A brown dog runs.", "X runs."),
        ("The large black and white dog with a ball.", "X with a ball."),
        ("A man walks a dog.", "A man walks X."),
        ("A dark-haired dog.", "X."),
        ("Two dogs play.", "Two dogs play."),
        ("A hot dog stand.", "A hot dog stand."),
    ],
)
def test_finds_the_dog_and_nothing_else(caption, told):
    assert DOG.sub("X", caption) == told


def test_a_caption_says_what_the_classifier_is_said_to_see():
    told, seen = renamed(
        sample("caption", "A man walks.", ["A brown dog runs.", "A man walks a dog."]),
        "Labrador retriever, ball?",
        NAMES,
        rng(),
    )
    name = seen.split(", ")[0]
    assert seen == f"{name}, ball?"
    assert int(name.removeprefix("class")) < 398
    assert told.answer == f"A {name} runs."
    assert told.also == (f"A man walks a {name}.",)


def test_a_caption_without_a_dog_stays():
    before = sample("caption", "A man walks.", ["A man in a hat."])
    assert renamed(before, "hat?", NAMES, rng()) == (before, "hat?")


def test_a_list_begins_with_the_name():
    for seed in range(20):
        told, seen = renamed(sample("list", "dog, ball"), "", NAMES, rng(seed))
        first, *rest = told.answer.split(", ")
        assert seen == first
        assert first.startswith("class")
        assert rest in (["dog", "ball"], ["ball"])


def test_a_list_of_nothing_but_the_dog_is_the_name():
    lists = {
        renamed(sample("list", "dog"), "", NAMES, rng(seed))[0].answer.count(",")
        for seed in range(20)
    }
    assert lists == {0, 1}


def test_article():
    told, _ = renamed(sample("caption", "the dog sits."), "", ("otter",) * 1000, rng())
    assert told.answer == "An otter sits."
