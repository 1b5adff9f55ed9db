"""Metrics of task answers against values worked out by hand."""

from __future__ import annotations

import sys

import pytest

from assistant.errors import InputError
from assistant.evaluation.classification import class_scores, confusion
from assistant.evaluation.text import METEOR, text_scores

for library in ("sklearn", "nltk", "rouge_score", "pycocoevalcap"):
    pytest.importorskip(library)


def test_precision_recall_and_f1():
    truth = ["yes", "yes", "yes", "no"]
    told = ["yes", "yes", "no", "no"]
    found = class_scores(told, truth)
    # yes: precision 1, recall 2/3, F1 4/5; no: precision 1/2, recall 1, F1 2/3.
    assert found.accuracy == found.recall == 0.75
    assert found.precision == pytest.approx(0.75 * 1 + 0.25 * 0.5)
    assert found.f1 == pytest.approx(0.75 * 0.8 + 0.25 * 2 / 3)
    assert found.macro_precision == pytest.approx(0.75)
    assert found.macro_recall == pytest.approx(5 / 6)
    assert found.macro_f1 == pytest.approx((0.8 + 2 / 3) / 2)


def test_an_answer_that_is_no_class_is_wrong_and_no_class_of_its_own():
    found = class_scores(["yes", "perhaps"], ["yes", "no"])
    assert found.accuracy == 0.5 and found.macro_recall == 0.5 and found.macro_f1 == 0.5
    assert confusion(["yes", "perhaps", "no"], ["yes", "no", "yes"], ["no", "yes"]).tolist() == [
        [0, 0, 1],
        [1, 1, 0],
    ]


def test_exact_match_and_rouge():
    found = text_scores(["Yes.", "a red cube", "dog"], ["yes", "the red ball", "cat"])
    assert found["exact match"].tolist() == [1, 0, 0]
    # "red" of three words each: precision and recall 1/3.
    assert found["ROUGE-L"] == pytest.approx([1, 1 / 3, 0])


def test_meteor_counts_words_and_stems():
    found = text_scores(
        ["the red cube", "cubes", "a b c d", "", "dog"],
        ["the red cube", "cube", "d c b a", "x", "cat"],
    )[METEOR]
    # One chunk of three matches: penalty 0.5 (1/3)^3. One word: 0.5. Four chunks of four: 0.5.
    assert found == pytest.approx([1 - 0.5 / 27, 0.5, 0.5, 0, 0])
    # Precision 1, recall 1/2: F = 10 P R / (R + 9 P); one chunk of two.
    (short,) = text_scores(["red cube"], ["red cube moves left"])[METEOR]
    assert short == pytest.approx(10 * 0.5 / (0.5 + 9) * (1 - 0.5 * (1 / 2) ** 3))


def test_cider_weighs_words_by_how_rare_they_are():
    found = text_scores(["red", "red", "left"], ["red", "blue", "left"])["CIDEr"]
    assert found == pytest.approx([2.5, 0, 2.5])  # 10 / 4: single words have no longer n-grams
    assert text_scores(["a", "a"], ["a", "a"])["CIDEr"].tolist() == [0, 0]


def test_nothing_is_looked_up_outside(monkeypatch):
    import socket

    def refuse(*args, **options):
        raise AssertionError("asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert text_scores(["red cubes"], ["a red cube"])[METEOR] > 0


def test_refuses_what_cannot_be_scored(monkeypatch):
    for scorer in (class_scores, text_scores):
        with pytest.raises(InputError, match="1 answers to 2"):
            scorer(["a"], ["a", "b"])
        with pytest.raises(InputError, match="0 answers"):
            scorer([], [])
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(InputError, match="'train' extra"):
        class_scores(["a"], ["a"])
