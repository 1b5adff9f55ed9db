"""How sure an adapter is of a choice: fitted on the dev examples, checked on others.

Scores are divided by one temperature (Guo et al. 2017, On Calibration of Modern Neural Networks),
the one that makes the right choices likeliest. Choices count as right a little less than always
(Platt 1999), so that an adapter without a mistake on dev does not become certain.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from assistant.errors import InputError
from assistant.tasks.recipes import Calibration
from assistant.vqa.scoring import softmax

TEMPERATURES = np.geomspace(0.02, 50.0, 401)  # tried, 2 % apart
SHARES = tuple(np.linspace(0, 1, 21).round(2).tolist())  # of somebody else's scores, tried
LEAST_ANSWERED = 0.2  # share of the dev examples that a threshold must leave answered
BINS = 10


@dataclass(frozen=True)
class Bin:
    """Answers of about one confidence."""

    confidence: float  # mean
    accuracy: float
    count: int


def fit(
    scores: Sequence[Sequence[float]], right: Sequence[int], answered: float = 0.0
) -> Calibration:
    """From the log-scores of each example's choices, and the places of the right ones.

    ``answered``: share of the examples that is to be sure; 0: as `fit_threshold` finds it.

    Raises:
        InputError: no example, or not one right choice for each.
    """
    temperature = float(f"{fit_temperature(scores, right):.4g}")
    shares = [softmax(some, temperature) for some in scores]
    confidence = np.array([max(some) for some in shares])
    best = np.array([some.index(max(some)) for some in shares])
    correct = best == np.array(right)
    found = np.quantile(confidence, 1 - answered) if answered else None
    least = float(f"{fit_threshold(confidence, correct) if found is None else found:.4f}")
    told = confidence >= least
    return Calibration(
        temperature=temperature,
        unsure_below=least,
        examples=len(scores),
        answered=round(float(told.mean()), 4),
        accuracy=round(float(correct[told].mean()), 4),
    )


def fit_temperature(scores: Sequence[Sequence[float]], right: Sequence[int]) -> float:
    """The temperature of the least cross-entropy on choices, of ``TEMPERATURES``."""
    return _best(scores, right, TEMPERATURES)[1]


def fit_share(
    scores: Sequence[Sequence[float]], others: Sequence[Sequence[float]], right: Sequence[int]
) -> tuple[float, float]:
    """How much of ``others``, scores of the same choices by somebody else, is best mixed in, of
    ``SHARES``, and the mixture's temperature."""
    own, more = np.array(scores), np.array(others)

    def mixture(share: float) -> list[list[float]]:
        return ((1 - share) * own + share * more).tolist()

    best = min(SHARES, key=lambda share: _best(mixture(share), right, TEMPERATURES[::20])[0])
    return best, fit_temperature(mixture(best), right)


def _best(
    scores: Sequence[Sequence[float]], right: Sequence[int], temperatures: np.ndarray
) -> tuple[float, float]:
    """The least cross-entropy, and its temperature."""
    if not scores or len(scores) != len(right):
        raise InputError(f"{len(scores)} scores for {len(right)} answers: wanted one for each")
    count = len(scores)
    table = np.full((count, max(map(len, scores))), -np.inf)  # (N, C)
    for row, some in zip(table, scores, strict=True):
        row[: len(some)] = some
    taken = table[np.arange(count), right]
    others = (np.array([sum(some) for some in scores]) - taken) / np.array(
        [max(1, len(some) - 1) for some in scores]
    )
    hope = (count + 1) / (count + 2)
    wanted = hope * taken + (1 - hope) * others  # (N,)
    losses = []
    for temperature in temperatures:
        highest = table.max(1)
        spread = np.exp((table - highest[:, None]) / temperature).sum(1)
        losses.append(np.mean(np.log(spread) + (highest - wanted) / temperature))
    best = int(np.argmin(losses))
    return float(losses[best]), float(temperatures[best])


def fit_threshold(confidence: np.ndarray, correct: np.ndarray) -> float:
    """The least probability at which half of the errors' share is gone.

    From there on the answers' accuracy is at least half way between that of all and 1. Of the
    thresholds that reach this, the one that leaves the most answered is taken; where none does
    that leaves ``LEAST_ANSWERED`` of them, confidence tells too little and it is 0.

    Args:
        confidence: ``(N,)`` probability of the likeliest choice. correct: ``(N,)`` whether it is.
    """
    order = np.argsort(-confidence, kind="stable")
    sorted_confidence = confidence[order]
    answered = np.arange(1, len(order) + 1)
    accuracy = np.cumsum(correct[order]) / answered
    below = np.append(sorted_confidence[1:], 0.0)  # the next one, which is no longer answered
    reached = accuracy >= (1 + accuracy[-1]) / 2
    usable = reached & (below < sorted_confidence) & (answered >= LEAST_ANSWERED * len(order))
    if not usable.any():
        return 0.0
    last = int(np.flatnonzero(usable)[-1])
    return 0.0 if last == len(order) - 1 else float(sorted_confidence[last] + below[last]) / 2


def reliability(confidence: np.ndarray, correct: np.ndarray, bins: int = BINS) -> tuple[Bin, ...]:
    """Answers in ``bins`` equal ranges of confidence ``(N,)``; empty ones are left out."""
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    return tuple(
        Bin(float(confidence[some].mean()), float(correct[some].mean()), int(some.sum()))
        for number in range(bins)
        if (some := place == number).any()
    )


def reliability_error(bins: Sequence[Bin]) -> float:
    """Expected calibration error: how far accuracy is from confidence, weighted by the count."""
    total = sum(one.count for one in bins)
    return sum(abs(one.confidence - one.accuracy) * one.count for one in bins) / total
