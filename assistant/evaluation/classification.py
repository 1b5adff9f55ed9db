"""How good answers of few kinds are: precision, recall, F1, and what is taken for what."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from assistant.errors import InputError


@dataclass(frozen=True)
class ClassScores:
    """Shares of 1. Weighted: by how often a class is right, as scikit-learn's reports have it."""

    accuracy: float
    precision: float  # weighted
    recall: float
    f1: float
    macro_precision: float  # every class counts the same
    macro_recall: float
    macro_f1: float


def check_extra() -> None:
    """
    Raises:
        InputError: the ``train`` extra is missing.
    """
    try:
        import nltk  # noqa: F401
        import pycocoevalcap  # noqa: F401
        import rouge_score  # noqa: F401
        import sklearn  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"metrics of a task need the 'train' extra ({error}): "
            "pip install scikit-learn rouge-score pycocoevalcap"
        ) from error


def class_scores(told: Sequence[str], truth: Sequence[str]) -> ClassScores:
    """Figures over the classes of ``truth``; an answer that is none of them is wrong.

    Raises:
        InputError: nothing to score, or the ``train`` extra is missing.
    """
    if not truth or len(told) != len(truth):
        raise InputError(f"{len(told)} answers to {len(truth)} questions: wanted one for each")
    check_extra()
    from sklearn.metrics import precision_recall_fscore_support

    labels = sorted(set(truth))
    weighted, macro = (
        precision_recall_fscore_support(
            list(truth), list(told), labels=labels, average=average, zero_division=0
        )[:3]
        for average in ("weighted", "macro")
    )
    right = np.mean([one == other for one, other in zip(told, truth, strict=True)])
    return ClassScores(float(right), *map(float, weighted), *map(float, macro))


def confusion(told: Sequence[str], truth: Sequence[str], labels: Sequence[str]) -> np.ndarray:
    """How often what is right (rows) was told as what (columns), ``(K, K + 1)``.

    The last column is of answers that are none of ``labels``.
    """
    place = {label: number for number, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels) + 1), int)
    for one, right in zip(told, truth, strict=True):
        counts[place[right], place.get(one, len(labels))] += 1
    return counts


def class_terms(told: Sequence[str], truth: Sequence[str], labels: Sequence[str]) -> np.ndarray:
    """Each question's own confusion as a row, ``(N, K * (K + 1))``: see ``weighted_f1``."""
    rows = [confusion([one], [right], labels) for one, right in zip(told, truth, strict=True)]
    return np.stack(rows).reshape(len(rows), -1)


def weighted_f1(totals: np.ndarray) -> np.ndarray:
    """Weighted F1 ``(R,)`` of sums of ``class_terms`` ``(R, K * (K + 1))``, for the bootstrap."""
    width = round((np.sqrt(1 + 4 * totals.shape[1]) - 1) / 2)
    cells = totals.reshape(-1, width, width + 1)
    hits = np.diagonal(cells, axis1=1, axis2=2)  # (R, K)
    support, told = cells.sum(2), cells[..., :width].sum(1)
    f1 = 2 * hits / np.maximum(support + told, 1)
    return (f1 * support).sum(1) / support.sum(1)
