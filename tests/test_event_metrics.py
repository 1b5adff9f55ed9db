"""Figures of segments and their labels, against plain versions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, balanced_accuracy_score

from assistant.evaluation.segments import (
    balanced,
    border_terms,
    borders,
    f1,
    figure_with_interval,
    iou_terms,
    matches,
    mean_average_precision,
    overlap,
    segment_terms,
    top_hits,
)


def most_pairs(able: np.ndarray) -> int:
    """By every way to pair, of few."""
    if len(able) > able.shape[1]:
        able = able.T
    ways = itertools.permutations(range(able.shape[1]), len(able))
    return max(sum(bool(able[n, k]) for n, k in enumerate(way)) for way in ways)


@pytest.mark.parametrize("seed", range(30))
def test_borders_are_paired_as_well_as_can_be(seed):
    rng = np.random.default_rng(seed)
    found, known = (np.sort(rng.uniform(0, 8, rng.integers(1, 6))) for _ in range(2))
    able = np.abs(found[:, None] - known) <= 1
    assert border_terms(found, known) == (most_pairs(able), len(found), len(known))


def test_borders_of_a_clip_are_inside_it():
    assert borders([(0, 3), (3, 5.5), (5.5, 9)]) == [3, 5.5]
    assert borders([(0, 9)]) == []
    assert border_terms([2.0, 3.9], [3.0]) == (1, 2, 1)  # one border is found once
    assert border_terms([1.9], [3.0]) == (0, 1, 1)


def plain_iou(one, other):
    both = max(0, min(one[1], other[1]) - max(one[0], other[0]))
    return both / (one[1] - one[0] + other[1] - other[0] - both)


@pytest.mark.parametrize("seed", range(10))
def test_segments_against_a_plain_version(seed):
    rng = np.random.default_rng(seed)
    found, known = (
        [tuple(np.sort(rng.uniform(0, 6, 2))) for _ in range(rng.integers(1, 6))] for _ in range(2)
    )
    worth = np.array([[plain_iou(one, other) for other in known] for one in found])
    assert overlap(found, known) == pytest.approx(worth)
    for least in (0.3, 0.5, 0.7):
        wanted = (most_pairs(worth >= least), len(found), len(known))
        assert segment_terms(found, known, least) == wanted
    table = worth if len(found) <= len(known) else worth.T
    best = max(
        sum(table[n, k] for n, k in enumerate(way))
        for way in itertools.permutations(range(table.shape[1]), len(table))
    )
    assert iou_terms(found, known) == (pytest.approx(best), len(known))


def test_a_segment_fits_with_its_label_alone():
    spans = [(0, 4), (4, 8)]
    fits = np.array([[False, True], [False, True]])
    assert segment_terms(spans, spans, 0.5) == (2, 2, 2)
    assert segment_terms(spans, spans, 0.5, fits) == (1, 2, 2)


def test_matching_is_not_greedy():
    assert matches(np.array([[0.9, 0.8], [0.8, 0.0]])) == [(0, 1), (1, 0)]


def test_f1_pools_over_clips():
    value = figure_with_interval([(1, 2, 1), (0, 1, 3)], ["a", "b"], 0, f1)
    assert value.value == pytest.approx(2 * 1 / (3 + 4))
    assert value.low == 0 and value.high == pytest.approx(2 / 3)  # one clip drawn twice
    assert f1(np.zeros((1, 3))) == 1


def test_labels_against_plain_versions():
    rng = np.random.default_rng(0)
    labels, scores = list("abcdef"), rng.normal(size=(40, 6))
    truth = [str(label) for label in rng.choice(labels[:5], 40)]
    for k in (1, 5):
        order = [[labels[n] for n in np.argsort(-row)[:k]] for row in scores]
        plain = [own in some for own, some in zip(truth, order, strict=True)]
        assert top_hits(scores, [{own} for own in truth], labels, k).tolist() == plain
    told = [labels[n] for n in scores[:, :5].argmax(1)]
    hits = top_hits(scores[:, :5], [{own} for own in truth], labels[:5], 1)
    assert balanced(hits, truth) == pytest.approx(balanced_accuracy_score(truth, told))
    many = [{own, "b"} for own in truth]
    plain = [
        average_precision_score([label in own for own in many], scores[:, n])
        for n, label in enumerate(labels[:5])  # "f" is nowhere
    ]
    assert mean_average_precision(scores, many, labels) == pytest.approx(np.mean(plain))


def test_a_score_that_tells_nothing_is_worth_nothing():
    truth = [{"a"}, {"b"}, {"c"}]
    assert not top_hits(np.zeros((3, 6)), truth, list("abcdef"), 5).any()
