"""Actions that nobody trained: by the similarity of clips to their descriptions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from assistant.actions.assignment import embed_bank
from assistant.core.config import from_yaml
from assistant.model.space.usual import read_usual

if TYPE_CHECKING:
    from torch import Tensor

    from assistant.actions.bank import Bank
    from assistant.model.space.base import JointSpace


NONE = "none_of_these.yaml"  # beside the space's weights


@dataclass(frozen=True)
class NoneRule:
    """When none of some labels is likely: the nearest is less near than the bound. Of more labels
    the nearest is nearer, whatever is seen (benchmarks/none_of_these.py)."""

    space: str  # fingerprint
    start: float  # of one label
    per_doubling: float  # of their number

    def bound(self, labels: int) -> float:
        return self.start + self.per_doubling * math.log2(labels)


def read_none_rule(space: JointSpace) -> NoneRule | None:
    """That of a space; None: it was not calibrated. Raises ConfigError: the file is damaged."""
    path = None if space.folder is None else space.folder / NONE
    if path is None or not path.is_file():
        return None
    rule = from_yaml(NoneRule, path)
    return rule if rule.space == space.fingerprint else None


@dataclass(frozen=True, eq=False)
class Descriptions:
    """What C actions look like, as texts of a joint space."""

    labels: tuple[str, ...]
    vectors: Tensor  # (C, E), each the direction of an action's texts
    usual: Tensor  # (C,) how near each is to most pictures
    scale: float

    def nearness(self, seen: Tensor) -> Tensor:
        """``(N, E)`` of the joint space's pictures -> ``(N, C)``: cosines, less what is usual of a
        text."""
        return F.normalize(seen, dim=-1) @ self.vectors.T - self.usual

    def logits(self, seen: Tensor) -> Tensor:
        """The same as log-scores."""
        return self.scale * self.nearness(seen)


def descriptions_of(space: JointSpace, bank: Bank) -> Descriptions:
    """A bank's: the name counts as much as all that describes it, as less was worse on clips."""
    texts, real = embed_bank(space, bank)  # (C, M, E), (C, M)
    told = (texts * real[..., None])[:, 1:].sum(1)  # 0 where a name stands alone
    vectors = F.normalize(texts[:, 0] + told / (real.sum(1, keepdim=True) - 1).clamp(min=1), dim=-1)
    return described(space, bank.labels, vectors)


def described(space: JointSpace, labels: tuple[str, ...], vectors: Tensor) -> Descriptions:
    """Of labels whose directions ``(C, E)`` are known."""
    usual = read_usual(space.folder, space.fingerprint, space.width)
    bias = torch.from_numpy(usual.of(vectors.numpy(), text=True))
    return Descriptions(labels, vectors, bias, space.scale)
