"""What an object head knows of held-out photos: boxes, what is there, how many, which color.

A label whose score is below `targets.SURE` may be right or wrong: finding it counts as nothing,
and a photo where all labels of a class are so tells nothing of whether the class is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from assistant.model.objects.decoding import Boxes, decode, iou, numbers
from assistant.model.objects.network import ObjectNet, at_least
from assistant.training.features import FeatureTable
from assistant.training.objects.colors import ColoredThing
from assistant.training.objects.targets import SURE

AT_ONCE = 64  # photos
MATCH = 0.5  # IoU
LEAST = 20  # photos or boxes of a class, for it to count in a mean


@dataclass(frozen=True)
class Found:
    """What the head sees in N photos."""

    boxes: list[Boxes]
    more: Tensor  # (N, C, levels) P(n >= k)
    colors: list[tuple[int, Tensor]]  # of each thing asked for: its color, and (colors,) seen

    @property
    def counts(self) -> Tensor:
        """``(N, C)``, where there is one at least."""
        return numbers(self.more, self.boxes).clamp(min=1)


@torch.inference_mode()
def predict(
    net: ObjectNet, table: FeatureTable, keys: Sequence[str], things: Sequence[ColoredThing] = ()
) -> Found:
    """In the photos ``keys``, with ``net`` in eval mode; the colors of those ``things`` that
    questions ask for, each in the surest box of its class."""
    device = next(net.parameters()).device
    asked: dict[str, list[ColoredThing]] = {}
    for thing in things:
        if thing.asked:
            asked.setdefault(thing.key, []).append(thing)
    boxes: list[Boxes] = []
    more, colors = [], []
    for start in range(0, len(keys), AT_ONCE):
        some = keys[start : start + AT_ONCE]
        maps = net(table.stills(some)[:, 0].to(device, torch.float32))
        more.append(at_least(maps.counts).cpu())
        for key, found, cells in zip(some, decode(maps), maps.cells, strict=True):
            boxes.append(Boxes(*(part.cpu() for part in vars(found).values())))
            for thing in asked.get(key, ()):
                own = (found.classes == thing.kind).nonzero()[:1, 0]  # none: no color
                seen = net.colors(
                    cells.expand(len(own), -1, -1), found.corners[own], own * 0 + thing.kind
                )
                colors.append((thing.color, seen.sum(0).cpu()))
    return Found(boxes, torch.cat(more), colors)


@dataclass(frozen=True)
class Truths:
    """What the labels say of N photos."""

    sure: np.ndarray  # (N, C) labels that are sure
    all: np.ndarray  # (N, C) and those that may be

    @property
    def there(self) -> np.ndarray:
        return self.sure > 0

    @property
    def told(self) -> np.ndarray:
        """Where it is known whether the class is there."""
        return self.there | (self.all == 0)


def truths(labels: Sequence[np.ndarray], classes: int) -> Truths:
    """Of each photo's ``(M, 6)`` labels."""
    kinds = [found[:, 0].astype(int) for found in labels]
    every = np.stack([np.bincount(kind, minlength=classes) for kind in kinds])
    sure = [
        np.bincount(kind[found[:, 1] >= SURE], minlength=classes)
        for kind, found in zip(kinds, labels, strict=True)
    ]
    return Truths(np.stack(sure), every)


@dataclass(frozen=True)
class Figures:
    """By class; a class without truths is left out."""

    ap50: dict[int, float]
    labelled: dict[int, int]  # sure boxes
    existence: dict[int, float]  # balanced accuracy at the class's threshold
    thresholds: dict[int, float]  # the best ones here
    within_one: dict[int, float]  # of the photos where it is, those whose number is so near
    exact: dict[int, float]
    photos: dict[int, int]  # where it is
    color: float  # share of colors asked for that are right, where the thing is found
    asked: int

    def frequent(self, of: dict[int, float], by: dict[int, int]) -> list[float]:
        """Of the classes that are often there."""
        return [value for kind, value in of.items() if by[kind] >= LEAST]

    def summary(self) -> dict[str, float]:
        """Means over the frequent classes; class 0 by itself."""
        existence = self.frequent(self.existence, self.photos)
        means = {
            "boxes: AP50": self.frequent(self.ap50, self.labelled),
            "existence: mean": existence,
            "count: within one": self.frequent(self.within_one, self.photos),
        }
        found = {name: float(np.mean(values)) for name, values in means.items() if values}
        found |= {"count: first class": self.within_one.get(0, 0.0), "color: asked": self.color}
        return {name: round(value, 4) for name, value in found.items()}


def measure(
    found: Found,
    labels: Sequence[np.ndarray],
    thresholds: dict[int, float] | None = None,
) -> Figures:
    """``thresholds``: of existence, by class, chosen elsewhere; None: the best ones here."""
    classes = found.more.shape[1]
    known = truths(labels, classes)
    present, counts = found.more[..., 0].numpy(), found.counts.numpy()
    existence, chosen, within, exact = {}, {}, {}, {}
    for kind in np.flatnonzero(known.there.any(0)).tolist():
        told, there = known.told[:, kind], known.there[:, kind]
        scores, truth = present[told, kind], there[told]
        if thresholds is None:
            chosen[kind] = _best_threshold(scores, truth)
        elif kind in thresholds:
            chosen[kind] = thresholds[kind]
        if kind in chosen:
            existence[kind] = _balanced(scores >= chosen[kind], truth)
        away = np.abs(counts[there, kind] - known.sure[there, kind])
        within[kind], exact[kind] = float((away <= 1).mean()), float((away == 0).mean())
    ap50 = {kind: average_precision(found.boxes, labels, kind) for kind in within}
    right = [bool(seen.any()) and int(seen.argmax()) == color for color, seen in found.colors]
    return Figures(
        ap50=ap50,
        labelled={kind: int(known.sure[:, kind].sum()) for kind in ap50},
        existence=existence,
        thresholds=chosen,
        within_one=within,
        exact=exact,
        photos={kind: int(known.there[:, kind].sum()) for kind in within},
        color=float(np.mean(right)) if right else 0.0,
        asked=len(right),
    )


def matches(boxes: Sequence[Boxes], labels: Sequence[np.ndarray], kind: int) -> np.ndarray:
    """``(M, 2)`` of all boxes of a class, the surest first: score, and 1 for a sure label, 0 for
    none; those of labels that may be are left out."""
    rows: list[tuple[float, int]] = []
    for found, wanted in zip(boxes, labels, strict=True):
        own = np.flatnonzero(found.classes.numpy() == kind)
        if not len(own):
            continue
        wanted = wanted[wanted[:, 0] == kind]
        overlap = iou(found.corners[own], torch.from_numpy(wanted[:, 2:])).numpy()
        free = np.ones(len(wanted), bool)
        for score, near in zip(found.scores[own].tolist(), overlap, strict=True):
            hits = np.flatnonzero((near >= MATCH) & free)
            best = max(hits, key=lambda hit: (wanted[hit, 1] >= SURE, near[hit]), default=None)
            if best is None:
                rows.append((score, 0))
                continue
            free[best] = False
            if wanted[best, 1] >= SURE:
                rows.append((score, 1))
    return np.array(sorted(rows, reverse=True), dtype=np.float64).reshape(-1, 2)


def average_precision(boxes: Sequence[Boxes], labels: Sequence[np.ndarray], kind: int) -> float:
    """Area under the precision-recall curve of a class, with all points."""
    right = matches(boxes, labels, kind)[:, 1]
    wanted = sum(int(((one[:, 0] == kind) & (one[:, 1] >= SURE)).sum()) for one in labels)
    if not len(right) or not wanted:
        return 0.0
    hits = right.cumsum()
    precision = np.maximum.accumulate((hits / np.arange(1, len(right) + 1))[::-1])[::-1]
    return float((precision * right).sum() / wanted)


def _best_threshold(scores: np.ndarray, truth: np.ndarray) -> float:
    """Of balanced accuracy."""
    order = np.argsort(-scores)
    ranked = truth[order]
    gain = ranked.cumsum() / max(1, ranked.sum()) - (~ranked).cumsum() / max(1, (~ranked).sum())
    return float(scores[order][int(np.argmax(gain))])


def _balanced(said: np.ndarray, truth: np.ndarray) -> float:
    hits = said[truth].mean() if truth.any() else 1.0
    rest = (~said[~truth]).mean() if (~truth).any() else 1.0
    return float((hits + rest) / 2)
