"""Figures of retrieval, from scores of queries against a collection.

A query finds its event again: every item of it is right. Ties count against the system, so that a
score that tells nothing is worth nothing.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from assistant.evaluation.bootstrap import bootstrap, interval, share
from assistant.evaluation.metrics import wilson_interval

RANKS = (1, 5, 10)
PERCENT = "1%"  # R@1 %: among the best hundredth of the collection, at least one
MOST = 100  # places of a curve
CHUNK = 256  # queries ranked at once


@dataclass(frozen=True)
class Value:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Figures:
    """One system in one direction; shares of 1."""

    recall: dict[str, Value]  # by "1", "5", "10", "1%"
    ap: Value  # mean average precision
    f1: float  # macro, of the event of the nearest item as the query's
    curve: list[float]  # recall at 1, 2, ... to `MOST`


@dataclass(frozen=True, eq=False)
class Ranked:
    """Each query's outcome."""

    best: np.ndarray  # (Q,) place of the first right item, from 0
    precision: np.ndarray  # (Q,) average precision
    nearest: np.ndarray  # (Q,) number of the first item


def rank_all(scores: np.ndarray, right: np.ndarray, left_out: np.ndarray | None = None) -> Ranked:
    """
    Args:
        scores: ``(Q, N)``. right: ``(Q, N)`` bool, at least one a row. left_out: ``(Q, N)`` bool,
            items that a query does not look among, itself.
    """
    parts = [
        _ranked(
            scores[k : k + CHUNK],
            right[k : k + CHUNK],
            None if left_out is None else left_out[k : k + CHUNK],
        )
        for k in range(0, len(scores), CHUNK)
    ]
    return Ranked(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _ranked(
    scores: np.ndarray, right: np.ndarray, left_out: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if left_out is not None:
        scores = np.where(left_out, -np.inf, scores)
    order = np.lexsort((right, -scores))  # of equal scores, those that are right come last
    hits = np.take_along_axis(right, order, 1)
    places = np.arange(1, hits.shape[1] + 1)
    precision = (hits * hits.cumsum(1) / places).sum(1) / hits.sum(1)
    return hits.argmax(1), precision, order[:, 0]


def figures_of(
    ranked: Ranked, events: Sequence[Hashable], found: Sequence[Hashable], size: int, seed: int
) -> Figures:
    """
    Args:
        events: of the queries. found: of the collection. size: items that a query looks among.
    """
    among = {**{str(k): k for k in RANKS}, PERCENT: percent(size)}
    told = [found[place] for place in ranked.nearest]
    return Figures(
        recall={name: _share(ranked.best < k, events, seed) for name, k in among.items()},
        ap=_mean(ranked.precision, events, seed),
        f1=macro_f1(told, events),
        curve=[float(value) for value in _curve(ranked.best, size)],
    )


def percent(size: int) -> int:
    """How many the best hundredth of a collection are."""
    return max(1, math.ceil(size / 100))


def macro_f1(told: Sequence[Hashable], truth: Sequence[Hashable]) -> float:
    """F1 of each event that is told or true, in the mean."""
    scores = []
    pairs = list(zip(told, truth, strict=True))
    hits: dict[Hashable, int] = {}
    both: dict[Hashable, int] = {}  # how often it is told, and is true
    for one, other in pairs:
        hits[one] = hits.get(one, 0) + (one == other)
        both[one] = both.get(one, 0) + 1
        both[other] = both.get(other, 0) + 1
    scores = [2 * hits.get(event, 0) / count for event, count in both.items()]
    return float(np.mean(scores))


def chance(right: np.ndarray, size: int) -> tuple[dict[str, float], float]:
    """Recall and average precision of a random order, exactly.

    Args:
        right: ``(Q,)`` how many right items each query has, among ``size``.
    """
    among = {**{str(k): k for k in RANKS}, PERCENT: percent(size)}
    counts, times = np.unique(right, return_counts=True)
    weights = times / times.sum()
    recall = {
        name: float(
            sum(w * (1 - _none(size, int(m), k)) for m, w in zip(counts, weights, strict=True))
        )
        for name, k in among.items()
    }
    places = np.arange(1, size + 1)
    ap = sum(
        w * np.mean((1 + (places - 1) * (m - 1) / max(1, size - 1)) / places)
        for m, w in zip(counts, weights, strict=True)
    )
    return recall, float(ap)


def _none(size: int, right: int, k: int) -> float:
    """Chance that none of ``right`` is among ``k`` drawn of ``size``."""
    return math.comb(size - right, min(k, size)) / math.comb(size, min(k, size))


def _curve(best: np.ndarray, size: int) -> np.ndarray:
    return (np.bincount(best, minlength=size).cumsum() / len(best))[:MOST]


def _share(hits: np.ndarray, events: Sequence[Hashable], seed: int) -> Value:
    """Wilson's interval where each query is an event of its own, else by `_mean`."""
    if len(set(events)) < len(events):
        return _mean(hits, events, seed)
    return Value(float(hits.mean()), *wilson_interval(int(hits.sum()), len(hits)))


def _mean(values: np.ndarray, events: Sequence[Hashable], seed: int) -> Value:
    """A bootstrap that draws whole events."""
    terms = np.stack([values.astype(float), np.ones(len(values))], 1)
    drawn = bootstrap(terms, share, groups=events, seed=seed)
    return Value(float(values.mean()), *interval(drawn))
