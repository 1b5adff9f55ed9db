"""Temperature, threshold and calibration error on answers whose odds are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from assistant.errors import InputError
from assistant.training.calibration import (
    Bin,
    fit,
    fit_share,
    fit_temperature,
    fit_threshold,
    reliability,
    reliability_error,
)


def drawn(count, temperature, choices=3, seed=0):
    """Scores, and right choices drawn with the probabilities at ``temperature``."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(count, choices))
    weights = np.exp(scores / temperature)
    shares = weights / weights.sum(1, keepdims=True)
    right = [int(rng.choice(choices, p=share)) for share in shares]
    return scores.tolist(), right


@pytest.mark.parametrize("temperature", [0.2, 1.0, 4.0])
def test_finds_the_temperature_that_made_the_answers(temperature):
    scores, right = drawn(4000, temperature)
    assert fit_temperature(scores, right) == pytest.approx(temperature, rel=0.1)


def test_choices_may_be_more_or_less():
    two, right_of_two = drawn(2000, 0.5, choices=2)
    five, right_of_five = drawn(2000, 0.5, choices=5, seed=1)
    found = fit_temperature([*two, *five], [*right_of_two, *right_of_five])
    assert found == pytest.approx(0.5, rel=0.1)


def test_who_knows_more_has_the_larger_share():
    scores, right = drawn(2000, 0.5)
    noise = np.random.default_rng(3).normal(size=(2000, 3))
    assert fit_share(scores, noise.tolist(), right)[0] < 0.1
    assert fit_share(noise.tolist(), scores, right)[0] > 0.9
    halves = [(np.array(scores) + way * noise).tolist() for way in (1, -1)]
    share, temperature = fit_share(*halves, right)
    assert share == pytest.approx(0.5, abs=0.05) and temperature == pytest.approx(0.5, rel=0.1)


def test_probabilities_hold_on_other_answers():
    fitted = fit(*drawn(2000, 0.3))
    scores, right = drawn(2000, 0.3, seed=9)

    def error(temperature):
        weights = np.exp(np.array(scores) / temperature)
        shares = weights / weights.sum(1, keepdims=True)
        correct = shares.argmax(1) == np.array(right)
        return reliability_error(reliability(shares.max(1), correct))

    assert error(fitted.temperature) < 0.03 < 0.15 < error(1.0)


def test_no_mistake_on_dev_is_no_certainty():
    fitted = fit([[0.0, -1.0]] * 50, [0] * 50)
    sure = 1 / (1 + math.exp(-1 / fitted.temperature))
    assert sure == pytest.approx(51 / 52, abs=0.002)  # Platt's target
    assert (fitted.unsure_below, fitted.answered, fitted.accuracy) == (0.0, 1.0, 1.0)


def test_the_threshold_halves_the_errors_and_keeps_the_most():
    confidence = np.arange(10, 20) / 20  # 0.50 0.55 ... 0.95
    correct = np.array([0, 1, 0, 1, 0, 1, 1, 1, 1, 1], bool)
    # 7 of 10 are right, so 0.85 is wanted: from 0.65 on 6 of 7 are, from 0.60 on 6 of 8.
    assert fit_threshold(confidence, correct) == pytest.approx((0.60 + 0.65) / 2)
    mixed = np.random.default_rng(0).permutation(10)
    assert fit_threshold(confidence[mixed], correct[mixed]) == pytest.approx(0.625)


def test_equal_confidences_are_answered_alike():
    confidence = np.array([0.9, 0.9, 0.9, 0.6, 0.6, 0.6])
    correct = np.array([1, 1, 1, 1, 0, 0], bool)
    assert fit_threshold(confidence, correct) == pytest.approx(0.75)


def test_confidence_that_tells_nothing_makes_no_threshold():
    correct = np.array([1, 0] * 20, bool)
    assert fit_threshold(np.linspace(0.5, 0.9, 40), correct) == 0.0
    # All right at the top, but on too few of them.
    assert fit_threshold(np.linspace(0.9, 0.5, 40), np.arange(40) < 4) == 0.0
    assert fit_threshold(np.array([0.9, 0.8]), np.array([True, True])) == 0.0


def test_fit_says_what_its_threshold_leaves():
    scores, right = drawn(2000, 1.0, choices=2)
    fitted = fit(scores, right)
    everything = np.mean(
        [np.argmax(some) == place for some, place in zip(scores, right, strict=True)]
    )
    assert fitted.examples == 2000
    assert fitted.accuracy >= (1 + everything) / 2 - 0.002
    assert 0.2 <= fitted.answered < 1 and 0.5 < fitted.unsure_below < 1


def test_as_many_are_sure_as_a_recipe_asks():
    scores, right = drawn(2000, 1.0, choices=2)
    fitted = fit(scores, right, answered=0.5)
    assert fitted.answered == pytest.approx(0.5, abs=0.01)
    assert fitted.unsure_below > 0.5 and fitted.accuracy > fit(scores, right, 1.0).accuracy


def test_calibration_error_by_hand():
    confidence = np.array([0.95, 0.91, 0.62, 0.64, 1.0])
    correct = np.array([True, False, True, True, True])
    bins = reliability(confidence, correct)
    assert bins == (
        Bin(pytest.approx(0.63), 1.0, 2),
        Bin(pytest.approx(0.95333, abs=1e-4), pytest.approx(2 / 3), 3),
    )
    assert reliability_error(bins) == pytest.approx((0.37 * 2 + 0.28667 * 3) / 5, abs=1e-4)


def test_needs_a_right_choice_for_each_example():
    for scores, right in (([], []), ([[0.0, 1.0]], [])):
        with pytest.raises(InputError, match="wanted one for each"):
            fit(scores, right)
