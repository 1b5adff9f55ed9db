"""From which probability on the head names what it sees: chosen on dev for precision."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import numpy as np

from assistant.model.objects.config import NamingConfig, ObjectsConfig
from assistant.training.objects.evaluate import Found, matches, truths

FEW = 8  # photos of a class on dev: with fewer it is judged with the others that have few
LEAST = 0.3  # no lower threshold, however right it is on dev
NEVER = 1.0


def choose_naming(
    found: Found, labels: Sequence[np.ndarray], config: ObjectsConfig, precision: float
) -> NamingConfig:
    """The lowest thresholds from which on a share ``precision`` of what is named is right.

    Classes with few photos share one; boxes are drawn from the threshold of the best F-measure.
    """
    known = truths(labels, len(config.classes))
    scored, matched = [], []
    for kind in range(len(config.classes)):
        told = known.told[:, kind]
        scores = found.more[told, kind, 0].numpy()
        scored.append(np.stack([scores, known.there[told, kind].astype(float)], axis=1))
        matched.append(matches(found.boxes, labels, kind))
    rare = known.there.sum(0) < FEW  # (C,)
    rare_present = _from(precision, _joined(itertools.compress(scored, rare)))
    rare_box = _best_f(_joined(itertools.compress(matched, rare)))
    present, boxes = {}, {}
    for name, few, some, hits in zip(config.classes, rare, scored, matched, strict=True):
        present[name] = rare_present if few else _from(precision, some)
        boxes[name] = rare_box if few else _best_f(hits)
    named = {name: value for name, value in present.items() if value < NEVER}
    return NamingConfig(present=named, boxes=boxes)


def _joined(parts: Iterable[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros((0, 2)), *parts])


def _ranked(scored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    ordered = scored[np.argsort(-scored[:, 0])]
    return ordered[:, 0], ordered[:, 1].cumsum()


def _from(precision: float, scored: np.ndarray) -> float:
    """The lowest score above which a share ``precision`` is right, one more wrong one assumed."""
    scores, hits = _ranked(scored)
    good = np.flatnonzero(hits / (np.arange(len(scores)) + 2) >= precision)
    return NEVER if not len(good) else _rounded(max(LEAST, scores[good[-1]]))


def _best_f(scored: np.ndarray) -> float:
    """The score from which on precision and recall are best together."""
    scores, hits = _ranked(scored)
    if not len(scores) or not hits[-1]:
        return NEVER
    f = 2 * hits / (np.arange(len(scores)) + 1 + hits[-1])
    return _rounded(scores[int(np.argmax(f))])


def _rounded(score: float) -> float:
    return float(np.floor(score * 1e4) / 1e4)
