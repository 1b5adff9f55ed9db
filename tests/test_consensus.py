import math

import pytest

from assistant.evaluation.metrics import plain_tokens
from assistant.training.pretraining.consensus import END, Consensus

PHOTOS = [
    ["A dog runs on the grass.", "A brown dog is running.", "The dog runs."],
    ["Two children play in the snow.", "Kids playing in snow.", "Two kids in the snow."],
    ["A man rides a bike.", "A man on a bike jumps.", "A cyclist in the air."],
]


def library_scores(captions):
    from pycocoevalcap.cider.cider import Cider

    def words(text):
        return " ".join([*plain_tokens(text), END])

    told = {n: [words(text)] for n, text in enumerate(captions)}
    wanted = {n: [words(text) for text in texts] for n, texts in enumerate(PHOTOS)}
    return Cider().compute_score(wanted, told)[1]


@pytest.mark.parametrize(
    "captions",
    [
        ["A dog runs on the grass.", "Two kids play in snow.", "A man rides a bike."],
        ["A dog dog dog dog.", "A cat.", "A man on a bike jumps in the air over the wide road."],
        ["", "in the in the in the", "Man."],
    ],
)
def test_is_the_librarys_cider_on_its_own_corpus(captions):
    consensus = Consensus(PHOTOS)
    ours = [consensus(caption, texts) for caption, texts in zip(captions, PHOTOS, strict=True)]
    assert ours == pytest.approx(library_scores(captions), abs=1e-9)


def test_a_caption_that_stops_halfway_agrees_less():
    consensus = Consensus(PHOTOS)
    assert consensus("A man on a bike", PHOTOS[2]) > consensus("A man on a", PHOTOS[2])


def test_words_of_every_photo_count_for_nothing():
    consensus = Consensus([["the dog"], ["the cat"]])
    assert math.isclose(consensus("the", ["the dog"]), 0.0)
    assert consensus("dog", ["the dog"]) > 0


def test_what_the_others_say_too_weighs_more():
    told = ["A dog runs on the grass.", "A brown dog runs on grass.", "Look at my cousin's pet."]
    weights = Consensus([*PHOTOS, told]).weights(told)
    assert sum(weights) == pytest.approx(3.0)
    assert weights[0] > 1 > weights[2] > 0


def test_a_single_caption_weighs_one():
    assert Consensus(PHOTOS).weights(["A dog."]) == [1.0]
