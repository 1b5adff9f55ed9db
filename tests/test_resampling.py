"""The bootstrap against what can be worked out without drawing."""

from __future__ import annotations

import numpy as np
import pytest

from assistant.errors import InputError
from assistant.evaluation.bootstrap import bootstrap, difference, interval, share
from assistant.evaluation.classification import class_terms, weighted_f1


def terms(values):
    return np.column_stack([values, np.ones(len(values))])


def test_the_spread_of_a_mean_is_its_standard_error():
    values = np.array([1.0] * 60 + [0.0] * 40)
    drawn = bootstrap(terms(values), share)
    assert drawn.shape == (10_000,)
    assert drawn.mean() == pytest.approx(0.6, abs=0.002)
    assert drawn.std() == pytest.approx((0.6 * 0.4 / 100) ** 0.5, rel=0.03)
    low, high = interval(drawn)
    assert (low, high) == pytest.approx((0.504, 0.696), abs=0.011)
    assert interval(bootstrap(terms(np.ones(5)), share)) == (1.0, 1.0)


def test_the_same_seed_draws_the_same_whatever_the_chunks(monkeypatch):
    values = terms(np.arange(7.0))
    whole = bootstrap(values, share, seed=3, resamples=50)
    assert np.array_equal(whole, bootstrap(values, share, seed=3, resamples=50))
    assert not np.array_equal(whole, bootstrap(values, share, seed=4, resamples=50))
    monkeypatch.setattr("assistant.evaluation.bootstrap.CHUNK", 21)
    assert np.array_equal(whole, bootstrap(values, share, seed=3, resamples=50))


def test_questions_about_one_clip_are_drawn_together():
    values, clips = np.repeat([1.0, 0.0] * 10, 10), np.repeat(np.arange(20), 10)
    apart = bootstrap(terms(values), share).std()
    together = bootstrap(terms(values), share, groups=clips.tolist()).std()
    assert together == pytest.approx(apart * 10**0.5, rel=0.05)


def test_a_paired_difference():
    first = np.array([1.0] * 80 + [0.0] * 20)
    second = np.array([1.0] * 70 + [0.0] * 30)
    found = difference(terms(first), terms(second), share)
    assert found.value == pytest.approx(0.1)
    # Ten of a hundred pairs differ, all one way: a draw with none of them has chance 0.9^100.
    assert found.interval[0] > 0 and found.p == pytest.approx(2 / 10_000)
    other = difference(terms(second), terms(first), share)
    assert other.value == pytest.approx(-0.1) and other.p == found.p
    same = difference(terms(first), terms(first), share)
    assert (same.value, same.interval, same.p) == (0.0, (0.0, 0.0), 1.0)
    # As many better as worse: no sign to deny.
    even = difference(terms(np.array([1.0, 0.0] * 20)), terms(np.array([0.0, 1.0] * 20)), share)
    assert even.value == 0 and even.p > 0.9


def test_weighted_f1_is_one_product_away():
    told, truth = ["a", "a", "b", "?"], ["a", "b", "b", "b"]
    rows = class_terms(told, truth, ["a", "b"])
    # a: precision 1/2, recall 1; b: precision 1, recall 1/3.
    assert weighted_f1(rows.sum(0)[None]) == pytest.approx((1 / 4) * (2 / 3) + (3 / 4) * (1 / 2))
    drawn = bootstrap(rows, weighted_f1, resamples=500)
    assert np.isfinite(drawn).all() and 0 <= drawn.min() < 0.54 < drawn.max() <= 1


def test_says_what_cannot_be_drawn():
    with pytest.raises(InputError, match="0 answers"):
        bootstrap(terms(np.zeros(0)), share)
    with pytest.raises(InputError, match="3 answers in 2 groups"):
        bootstrap(terms(np.zeros(3)), share, groups=[1, 2])
    with pytest.raises(InputError, match="3 answers beside 2"):
        difference(terms(np.zeros(3)), terms(np.zeros(2)), share)
