"""The object head at work: frames in, the things in each out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from assistant.model.objects.config import StoredConfig
from assistant.model.objects.decoding import Boxes, decode, numbers
from assistant.model.objects.loading import load_objects
from assistant.model.objects.network import Maps, ObjectNet, at_least

AT_ONCE = 32  # frames
NEVER = float("inf")  # a probability is 1 where its logit is large


@dataclass(frozen=True)
class Thing:
    """One thing in one frame."""

    frame: int
    name: str
    box: tuple[float, float, float, float]  # left, top, right, bottom; 0 to 1
    score: float
    colors: tuple[float, ...]  # probabilities


@dataclass(frozen=True)
class Found:
    """What there is in T frames."""

    things: list[Thing]
    more: Tensor  # (T, C, levels) P(n >= k)
    counts: Tensor  # (T, C) of the classes that are likely enough to be named; else 0


class ObjectHead:
    """A network, and from which probability on it names what it sees."""

    def __init__(self, net: ObjectNet, stored: StoredConfig) -> None:
        self.net, self.config, self.naming = net, stored.model, stored.naming
        self.names = list(stored.model.classes)
        self.present = self._thresholds(stored.naming.present)  # (C,)
        self.boxes = self._thresholds(stored.naming.boxes)

    @classmethod
    def load(cls, folder: Path) -> ObjectHead:
        """Raises ConfigError, WeightsError: see :func:`load_objects`."""
        return cls(*load_objects(folder))

    def _thresholds(self, known: dict[str, float]) -> Tensor:
        return torch.tensor([known.get(name, NEVER) for name in self.names])

    @torch.inference_mode()
    def find(self, patches: Tensor) -> Found:
        """What there is in frames ``(T, K, Dv)``.

        A class that is likely in a frame has as many boxes there as it has members, the best in
        any case and others where they are sure.
        """
        things: list[Thing] = []
        more, counts = [], []
        for first in range(0, len(patches), AT_ONCE):
            maps = self.net(patches[first : first + AT_ONCE].float())
            boxes = decode(maps)
            more.append(at_least(maps.counts))
            likely = more[-1][..., 0] >= self.present
            counts.append(numbers(more[-1], boxes).clamp(min=1) * likely)
            for i, (some, wanted) in enumerate(zip(boxes, counts[-1], strict=True)):
                things += self._things(first + i, maps, i, some, self._kept(some, wanted))
        return Found(things, torch.cat(more), torch.cat(counts))

    def _kept(self, boxes: Boxes, counts: Tensor) -> list[int]:
        taken = [0] * len(self.names)
        kept = []
        for j, (kind, score) in enumerate(
            zip(boxes.classes.tolist(), boxes.scores.tolist(), strict=True)
        ):
            sure = not taken[kind] or score >= self.boxes[kind]
            if sure and taken[kind] < counts[kind]:
                taken[kind] += 1
                kept.append(j)
        return kept

    def _things(
        self, frame: int, maps: Maps, at: int, boxes: Boxes, kept: list[int]
    ) -> list[Thing]:
        corners, kinds = boxes.corners[kept], boxes.classes[kept]
        colors = self.net.colors(maps.cells[at].expand(len(kept), -1, -1), corners, kinds)
        found = zip(
            kinds.tolist(),
            corners.tolist(),
            boxes.scores[kept].tolist(),
            colors.tolist(),
            strict=True,
        )
        return [
            Thing(frame, self.names[kind], tuple(box), score, tuple(shades))
            for kind, box, score, shades in found
        ]
