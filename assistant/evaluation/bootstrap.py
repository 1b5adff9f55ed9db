"""Bootstrap: how far a figure would move with other questions, and whether two systems differ.

A figure is computed from sums over the questions, so that drawing them again is one matrix product:
each question is a row of ``terms`` ``(N, F)``, and ``figure`` makes ``(R,)`` of totals ``(R, F)``.
Questions about one clip are drawn together: ``groups``.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from assistant.errors import InputError

RESAMPLES = 10_000
CHUNK = 4_000_000  # draws at a time: 32 MB
Figure = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Difference:
    """How much more the first of two systems has than the second, on the same questions."""

    value: float
    interval: tuple[float, float]  # 95 %
    p: float  # two-sided: how often the draws deny the sign; at least 1 / draws


def share(totals: np.ndarray) -> np.ndarray:
    """The figure of the terms ``(value, 1)``: their mean."""
    return totals[:, 0] / totals[:, 1]


def bootstrap(
    terms: np.ndarray,
    figure: Figure,
    *,
    groups: Sequence[Hashable] | None = None,
    seed: int = 11,
    resamples: int = RESAMPLES,
) -> np.ndarray:
    """``figure`` of ``resamples`` draws with replacement, ``(R,)``.

    Args:
        terms: ``(N, F)``. groups: of each question; None: each is drawn by itself.
    Raises:
        InputError: no question, or not a group for each.
    """
    units = _summed(np.asarray(terms, float), groups)
    count = len(units)
    rng = np.random.default_rng(seed)
    found = []
    for start in range(0, resamples, size := max(1, CHUNK // count)):
        rows = min(size, resamples - start)
        drawn = rng.integers(count, size=(rows, count)) + count * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)
        found.append(figure(times @ units))
    return np.concatenate(found)


def interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The percentile interval of bootstrapped values (Efron 1979)."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def difference(
    first: np.ndarray,
    second: np.ndarray,
    figure: Figure,
    *,
    groups: Sequence[Hashable] | None = None,
    seed: int = 11,
    resamples: int = RESAMPLES,
) -> Difference:
    """The paired bootstrap of two systems' terms ``(N, F)``, row by row of the same question.

    Raises:
        InputError: the systems have not answered the same number of questions.
    """
    if len(first) != len(second):
        raise InputError(f"{len(first)} answers beside {len(second)}: wanted the same questions")
    width = np.shape(first)[1]

    def apart(totals: np.ndarray) -> np.ndarray:
        return figure(totals[:, :width]) - figure(totals[:, width:])

    both = np.hstack([first, second]).astype(float)
    drawn = bootstrap(both, apart, groups=groups, seed=seed, resamples=resamples)
    denied = min(np.mean(drawn <= 0), np.mean(drawn >= 0))
    p = min(1.0, 2 * max(float(denied), 1 / resamples))
    return Difference(float(apart(both.sum(0, keepdims=True))[0]), interval(drawn), p)


def _summed(terms: np.ndarray, groups: Sequence[Hashable] | None) -> np.ndarray:
    """Terms of what is drawn as one, ``(U, F)``."""
    if not len(terms) or (groups is not None and len(groups) != len(terms)):
        raise InputError(
            f"{len(terms)} answers in {'no' if groups is None else len(groups)} groups: "
            "wanted at least one answer, and a group for each"
        )
    if groups is None:
        return terms
    places: dict[Hashable, int] = {}
    owner = [places.setdefault(group, len(places)) for group in groups]
    units = np.zeros((len(places), terms.shape[1]))
    np.add.at(units, owner, terms)
    return units
