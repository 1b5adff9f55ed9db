"""Metrics against values worked out by hand."""

from __future__ import annotations

import math
import sys

import pytest

from assistant.errors import InputError
from assistant.evaluation.metrics import (
    accuracy,
    balanced_accuracy,
    caption_scores,
    exact_match,
    most_common_answers,
    normalise_answer,
    noun_precision_recall,
    plain_tokens,
    wilson_interval,
)

DOG = "A dog runs on the grass."
CAT = "Two cats sleep in a box!"


def test_plain_tokens() -> None:
    assert plain_tokens("A man's T-shirt, (red) & 2 dogs.") == [
        "a",
        "mans",
        "t",
        "shirt",
        "red",
        "2",
        "dogs",
    ]
    assert plain_tokens(" ?! ") == []


def test_perfect_captions_score_the_most() -> None:
    pytest.importorskip("pycocoevalcap")
    scores = caption_scores([DOG.upper(), CAT], [[DOG], [CAT]])
    assert list(scores) == ["CIDEr", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L"]
    assert scores["CIDEr"] == pytest.approx(10)
    assert [scores[f"BLEU-{n}"] for n in (1, 2, 3, 4)] == pytest.approx([1] * 4)
    assert scores["ROUGE-L"] == pytest.approx(1)


def test_captions_that_share_nothing_score_nothing() -> None:
    pytest.importorskip("pycocoevalcap")
    scores = caption_scores(["x", "y"], [[DOG], [CAT]])
    assert all(score == pytest.approx(0, abs=1e-6) for score in scores.values())


def test_bleu_and_rouge_by_hand() -> None:
    pytest.importorskip("pycocoevalcap")
    # 5 of 6 words; 3 of 5 pairs; 1 of 4 triples: "a dog runs", the lengths are equal.
    scores = caption_scores(["a dog runs in the grass"], [["a dog runs on the grass"]])
    assert scores["BLEU-1"] == pytest.approx(5 / 6)
    assert scores["BLEU-2"] == pytest.approx(math.sqrt(5 / 6 * 3 / 5))
    assert scores["BLEU-3"] == pytest.approx((5 / 6 * 3 / 5 * 1 / 4) ** (1 / 3))
    assert scores["BLEU-4"] == pytest.approx(0, abs=1e-3)
    assert scores["ROUGE-L"] == pytest.approx(5 / 6)
    # 3 words against 6: every word right, the brevity penalty is exp(1 - 6/3).
    short = caption_scores(["a dog runs"], [["a dog runs on the grass"]])
    assert short["BLEU-1"] == pytest.approx(math.exp(-1))
    # ROUGE-L of precision 1 and recall 1/2, beta 1.2.
    assert short["ROUGE-L"] == pytest.approx((1 + 1.44) * 0.5 / (0.5 + 1.44))


def test_cider_by_hand() -> None:
    pytest.importorskip("pycocoevalcap")
    # One word a caption; "a" is in the references of one photo of two, so its weight is log 2, as
    # is that of "b": the first pair is equal (1 for 1-grams, 0 for longer ones), the second not.
    scores = caption_scores(["a", "c"], [["a"], ["b"]])
    assert scores["CIDEr"] == pytest.approx(10 * (1 / 4 + 0) / 2)
    # A word that every photo has weighs nothing.
    assert caption_scores(["a", "a"], [["a"], ["a"]])["CIDEr"] == 0


def test_caption_scores_refuse_what_cannot_be_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="2 predictions for 1 answers"):
        caption_scores(["a", "b"], [["a"]])
    with pytest.raises(InputError, match="0 predictions"):
        caption_scores([], [])
    monkeypatch.setitem(sys.modules, "pycocoevalcap.bleu.bleu", None)
    with pytest.raises(InputError, match="'train' extra"):
        caption_scores(["a"], [["a"]])


def test_a_photo_without_references_is_named() -> None:
    pytest.importorskip("pycocoevalcap")
    with pytest.raises(InputError, match="photo 1 has no reference"):
        caption_scores(["a", "b"], [["a"], []])


def test_accuracies() -> None:
    truth = ["yes", "yes", "yes", "no"]
    assert accuracy(["yes"] * 4, truth) == 0.75
    assert balanced_accuracy(["yes"] * 4, truth) == 0.5
    assert balanced_accuracy(["yes", "yes", "no", "no"], truth) == pytest.approx((2 / 3 + 1) / 2)
    with pytest.raises(InputError, match="3 predictions for 4"):
        accuracy(truth[:3], truth)


def test_exact_match_normalises() -> None:
    assert normalise_answer("The Two dogs!") == "2 dogs"
    assert exact_match(["Two.", "the man's hat", "a", ""], ["2", "mans hat", "an", ""]) == 0.5


def test_most_common_answers() -> None:
    assert most_common_answers(["a", "b", "a", "c"], 2) == [("a", 2), ("b", 1)]


def test_wilson_interval() -> None:
    low, high = wilson_interval(50, 100)
    assert (low, high) == pytest.approx((0.40383, 0.59617), abs=1e-5)
    assert wilson_interval(0, 10) == pytest.approx((0, 0.27753), abs=1e-5)
    assert wilson_interval(10, 10)[1] == pytest.approx(1)
    for successes, trials in ((0, 0), (-1, 5), (6, 5)):
        with pytest.raises(InputError, match="wanted 0 <= successes <= trials"):
            wilson_interval(successes, trials)


def test_nouns_named_and_found() -> None:
    nouns = {"dog": "dog", "dogs": "dog", "puppy": "dog", "ball": "ball", "tree": "tree"}
    references = [["A puppy and a ball.", "dogs run", "a ball"], ["a tree", "nothing"]]
    # Named: dog, tree | ball. There: dog. Agreed by two: dog, ball | none.
    precision, recall = noun_precision_recall(["dog by a tree", "the ball"], references, nouns)
    assert precision == pytest.approx(1 / 3)
    assert recall == pytest.approx(1 / 2)
    assert noun_precision_recall(["dogs"], [["dog"]], {"dog", "dogs"}) == (0, 0)
    assert noun_precision_recall(["a dog"], [["dog"]], {"dog"}) == (1, 1)
