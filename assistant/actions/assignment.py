"""Which texts each clip is drawn to and pushed from: visual-guided assignment
(cross-modal collaborative knowledge transfer, 3.3.2).

Of the own action's texts, its name among them, the most similar to the frames; of all others', the
least similar: these are surely not what the clip shows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from assistant.actions.bank import Bank
from assistant.errors import InputError

if TYPE_CHECKING:
    from assistant.model.space.base import JointSpace


@dataclass(frozen=True, eq=False)
class Assigned:
    """Places in the flattened ``C * M`` texts."""

    positive: Tensor  # (N, P), most similar first
    negative: Tensor  # (N, K), least similar first


def embed_bank(space: JointSpace, bank: Bank) -> tuple[Tensor, Tensor]:
    """``(C, M, E)`` unit vectors of all texts, and ``(C, M)``: True where an action has one;
    elsewhere, its name again."""
    most = max(len(action.texts) for action in bank.actions)
    padded = [
        [*action.texts, *[action.label] * (most - len(action.texts))] for action in bank.actions
    ]
    with torch.inference_mode():
        flat = space.embed_texts([text for texts in padded for text in texts]).float()
    real = torch.tensor([[m < len(a.texts) for m in range(most)] for a in bank.actions])
    return F.normalize(flat, dim=-1).reshape(*real.shape, -1).clone(), real


def assign(
    frames: Tensor,
    texts: Tensor,
    labels: Tensor,
    positives: int = 1,
    negatives: int = 64,
    real: Tensor | None = None,
) -> Assigned:
    """Texts for each clip.

    Args:
        frames: ``(N, E)``, or ``(N, T, E)``: a clip is as similar to a text as its frames are on
            average. texts: ``(C, M, E)``. labels: ``(N,)``, places of actions. positives: P; less
            where an action has fewer texts. negatives: K; less where the other actions have fewer.
        real: ``(C, M)``: False where a text only fills up; None: all are.
    Raises:
        InputError: a number or a label is out of its bounds, or there is one action alone.
    """
    classes, most, _ = texts.shape
    if positives < 1 or negatives < 1:
        raise InputError(f"{positives} positives, {negatives} negatives; give 1 or more of each")
    if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise InputError(f"labels reach {int(labels.max())}, and {classes} actions are described")
    known = torch.ones(classes, most, dtype=torch.bool) if real is None else real
    known = known.to(texts.device)
    totals = known.sum(1)  # (C,)
    if classes < 2:
        raise InputError("one action alone has no negatives; give two or more")
    similar = similarity(frames, texts)  # (N, C, M)
    own = F.one_hot(labels, classes).bool()[:, :, None]  # (N, C, 1)
    drawn = similar.masked_fill(~(own & known), -torch.inf).flatten(1)
    pushed = similar.masked_fill(own | ~known, torch.inf).flatten(1)
    positives = min(positives, int(totals.min()))
    negatives = min(negatives, int(totals.sum() - totals.max()))
    return Assigned(
        drawn.topk(positives, dim=1).indices, pushed.topk(negatives, dim=1, largest=False).indices
    )


def similarity(frames: Tensor, texts: Tensor) -> Tensor:
    """``(N, E)`` or ``(N, T, E)``, and ``(C, M, E)`` -> ``(N, C, M)``: cosine, the frames' mean."""
    seen = F.normalize(frames, dim=-1)
    if seen.ndim == 3:
        seen = seen.mean(1)
    return torch.einsum("ne,cme->ncm", seen, F.normalize(texts, dim=-1))


def report(bank: Bank, labels: Sequence[int], positive: Tensor) -> dict[str, dict[str, int]]:
    """How many clips of each action chose which of its texts, the most chosen first; actions
    without clips are left out.

    Args:
        labels: N. positive: ``(N, P)``, as `assign` has it of this bank's texts.
    """
    most = max(len(action.texts) for action in bank.actions)
    chosen: dict[str, Counter[str]] = {}
    for label, places in zip(labels, positive.tolist(), strict=True):
        action = bank.actions[label]
        counts = chosen.setdefault(action.label, Counter())
        counts.update(action.texts[place - label * most] for place in places)
    return {label: dict(counts.most_common()) for label, counts in sorted(chosen.items())}
