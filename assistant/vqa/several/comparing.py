"""Which clips show what is looked for, whether all do, how many: from how likely each one does.

Where just one is asked for, most often one does: that none does, or all do, is held for less likely
beforehand (OTHERWISE). The share of a clip is then its odds among those of the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from assistant.vqa.several.asking import ALL, ANY, WHICH

# Of dev pairs (benchmarks/several.py --fit) 85 % reach this chance, and 98 % of these are right.
SURE = 0.75
OTHERWISE = 0.1  # beside a clip's 1: that none shows what one is asked for, or that all do
LARGEST = 50.0  # log-odds


@dataclass(frozen=True)
class Verdict:
    """Which clips show what is looked for."""

    places: tuple[int, ...]  # that show it; where one is asked for and none does: the likeliest
    chance: float  # that this is right
    # Where one is asked for: of each clip, that it alone does; that none does; that all do.
    shares: tuple[float, ...] = ()
    is_none: bool = False
    is_all: bool = False

    @property
    def sure(self) -> bool:
        return self.chance >= SURE


def chance_of(odds: float) -> float:
    """A probability of log-odds."""
    return 1 / (1 + math.exp(-max(-LARGEST, min(LARGEST, odds))))


def judge(
    kind: str, odds: Sequence[float], *, many: bool = False, calibrated: bool = True
) -> Verdict:
    """What log-odds of each clip come to.

    Args:
        kind: of `assistant.vqa.several.asking`. many: not just one is asked for.
        calibrated: False: only differences between clips mean something.
    """
    chances = [chance_of(one) for one in odds]
    if kind == WHICH and not many:
        return _one([max(-LARGEST, min(LARGEST, one)) for one in odds], calibrated)
    shown = tuple(place for place, chance in enumerate(chances) if chance > 0.5)
    if kind == ALL:
        every = math.prod(chances)
        return Verdict(shown, every if len(shown) == len(odds) else 1 - every)
    if kind == ANY:
        none = math.prod(1 - chance for chance in chances)
        return Verdict(shown, 1 - none if shown else none)
    return Verdict(shown, math.prod(max(chance, 1 - chance) for chance in chances))


def _one(odds: Sequence[float], calibrated: bool) -> Verdict:
    highest = max(odds)
    alone = [math.exp(one - highest) for one in odds]
    none = OTHERWISE * math.exp(-highest) if calibrated else 0.0
    every = OTHERWISE * math.exp(sum(odds) - highest) if calibrated else 0.0
    total = sum(alone) + none + every
    shares = tuple(one / total for one in (*alone, none, every))
    best = max(range(len(shares)), key=shares.__getitem__)
    if best == len(odds):
        return Verdict((alone.index(1.0),), shares[best], shares, is_none=True)
    if best > len(odds):
        return Verdict(tuple(range(len(odds))), shares[best], shares, is_all=True)
    return Verdict((best,), shares[best], shares)
