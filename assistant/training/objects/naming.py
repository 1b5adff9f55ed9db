"""From which probability on the head names what it sees: chosen on dev for precision."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import numpy as np

from assistant.model.objects.config import NamingConfig, ObjectsConfig
from assistant.training.objects.evaluate import Found, matches, truths

FEW = 8  # photos of a class on dev: with fewer it is judged with the others that have few
COLOR_RIGHT = 0.75  # share that is right of the colors that are named
LEAST = 0.5  # no lower threshold, however right it is on dev: clips are no photos
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
    shades = [(float(seen.max()), float(seen.argmax() == color)) for color, seen in found.colors]
    return NamingConfig(
        present={name: value for name, value in present.items() if value < NEVER},
        boxes=boxes,
        color=_from(COLOR_RIGHT, np.array(shades).reshape(-1, 2), least=0.0),
    )


def _joined(parts: Iterable[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros((0, 2)), *parts])


def _ranked(scored: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each threshold that there is, the highest first: itself, how many are above, how many of
    those are right."""
    ordered = scored[np.argsort(-scored[:, 0])]
    last = np.flatnonzero(np.diff(ordered[:, 0], append=-1.0))  # of equal scores
    return ordered[last, 0], last + 1, ordered[:, 1].cumsum()[last]


def _from(precision: float, scored: np.ndarray, least: float = LEAST) -> float:
    """The lowest score above which a share ``precision`` is right, one more wrong one assumed."""
    scores, said, hits = _ranked(scored)
    good = np.flatnonzero(hits / (said + 1) >= precision)
    return NEVER if not len(good) else _rounded(max(least, scores[good[-1]]))


def _best_f(scored: np.ndarray) -> float:
    """The score from which on precision and recall are best together."""
    scores, said, hits = _ranked(scored)
    if not len(scores) or not hits[-1]:
        return NEVER
    return _rounded(scores[int(np.argmax(2 * hits / (said + hits[-1])))])


def _rounded(score: float) -> float:
    return float(np.floor(score * 1e4) / 1e4)
