"""How well found segments are those that are known, and how well labels are ranked.

Sums over clips first, so that a figure's interval comes from drawing whole clips (`bootstrap`).
Matching is one to one and the best there is (Hungarian), never greedy.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence

import numpy as np

from assistant.evaluation.bootstrap import bootstrap, interval, share
from assistant.evaluation.ranks import Value

Span = tuple[float, float]  # s
TOLERANCE = 1.0  # s, of a border
OVERLAPS = (0.3, 0.5, 0.7)  # least IoU of a segment that is found


def borders(spans: Sequence[Span]) -> list[float]:
    """Where one segment ends and another begins; the clip's own ends are none."""
    starts = sorted({start for start, _ in spans} | {end for _, end in spans})
    return starts[1:-1]


def border_terms(
    found: Sequence[float], known: Sequence[float], tolerance: float = TOLERANCE
) -> tuple[int, int, int]:
    """Borders of one clip that are found within ``tolerance`` seconds, one to one; and how many
    there are of each.

    On a line a border's nearest free partner, from the left, gives the most pairs.
    """
    hits, place, ahead = 0, 0, sorted(found)
    for border in sorted(known):
        while place < len(ahead) and ahead[place] < border - tolerance:
            place += 1
        if place < len(ahead) and ahead[place] <= border + tolerance:
            hits, place = hits + 1, place + 1
    return hits, len(found), len(known)


def overlap(found: Sequence[Span], known: Sequence[Span]) -> np.ndarray:
    """Temporal IoU, ``(F, K)``."""
    one, other = np.reshape(found, (-1, 1, 2)), np.reshape(known, (1, -1, 2))
    both = np.minimum(one[..., 1], other[..., 1]) - np.maximum(one[..., 0], other[..., 0])
    both = both.clip(0)
    either = (one[..., 1] - one[..., 0]) + (other[..., 1] - other[..., 0]) - both
    return both / np.where(either > 0, either, 1.0)


def matches(worth: np.ndarray) -> list[tuple[int, int]]:
    """Pairs, one to one, whose sum of ``worth`` ``(F, K)``, 0 or more, is greatest; none of 0."""
    from scipy.optimize import linear_sum_assignment  # of the train extra, as scikit-learn has it

    pairs = zip(*linear_sum_assignment(-worth), strict=True)
    return [(int(f), int(k)) for f, k in pairs if worth[f, k] > 0]


def segment_terms(
    found: Sequence[Span],
    known: Sequence[Span],
    least: float,
    fits: np.ndarray | None = None,
) -> tuple[int, int, int]:
    """Segments of one clip that are found with an IoU of ``least`` or more; and how many there are.

    Args:
        fits: ``(F, K)`` bool, whether a found segment bears a known one's label; None: any does.
    """
    able = overlap(found, known) >= least
    if fits is not None:
        able &= fits
    return len(matches(able.astype(float))), len(found), len(known)


def iou_terms(found: Sequence[Span], known: Sequence[Span]) -> tuple[float, int]:
    """Sum of the IoU of the known segments of one clip, each with its own found one; their
    number."""
    worth = overlap(found, known)
    return float(sum(worth[pair] for pair in matches(worth))), len(known)


def f1(totals: np.ndarray) -> np.ndarray:
    """Of hits, found and known, ``(R, 3)``: their F1; 1 where there is nothing to be found."""
    both = totals[:, 1] + totals[:, 2]
    return np.where(both > 0, 2 * totals[:, 0] / np.where(both > 0, both, 1), 1.0)


def figure_with_interval(
    terms: Sequence[Sequence[float]],
    groups: Sequence[Hashable],
    seed: int,
    figure: Callable[[np.ndarray], np.ndarray] = share,
) -> Value:
    """A figure of sums, with the interval of a bootstrap over ``groups``, the clips."""
    rows = np.asarray(terms, float)
    drawn = bootstrap(rows, figure, groups=groups, seed=seed)
    return Value(float(figure(rows.sum(0, keepdims=True))[0]), *interval(drawn))


def top_hits(
    scores: np.ndarray, truth: Sequence[Collection[str]], labels: Sequence[str], k: int
) -> np.ndarray:
    """``(N,)`` bool: whether one of the ``k`` best labels of ``scores`` ``(N, L)`` is true. Of
    equal scores, those that are right come last."""
    right = membership(truth, labels)
    order = np.lexsort((right, -scores))
    return np.any(np.take_along_axis(right, order, 1)[:, :k], axis=1)


def balanced(hits: np.ndarray, truth: Sequence[Hashable]) -> float:
    """The mean over classes of each one's share of hits."""
    own: dict[Hashable, list[bool]] = {}
    for hit, label in zip(hits, truth, strict=True):
        own.setdefault(label, []).append(bool(hit))
    return float(np.mean([np.mean(some) for some in own.values()]))


def mean_average_precision(
    scores: np.ndarray, truth: Sequence[Collection[str]], labels: Sequence[str]
) -> float:
    """The mean over the classes that are true somewhere of each one's average precision, over the
    segments ``(N, L)``; as Charades counts it."""
    from sklearn.metrics import average_precision_score

    right = membership(truth, labels)
    there = right.any(0)
    return float(
        np.mean([average_precision_score(right[:, k], scores[:, k]) for k in np.nonzero(there)[0]])
    )


def membership(truth: Sequence[Collection[str]], labels: Sequence[str]) -> np.ndarray:
    """``(N, L)`` bool."""
    return np.array([[label in own for label in labels] for own in truth], bool)
