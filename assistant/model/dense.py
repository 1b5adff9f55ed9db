"""What pretraining asks of the queries beside the answer, halfway and at the end.

Halfway, so that the layers above can reason with what is found: which word belongs to which query
is free (photos), which object to which cell is not (generated scenes).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from assistant.model.cells import SceneCells, SceneObjects
from assistant.model.slots import WordSlots

__all__ = ["DenseSupervision"]


class DenseSupervision(nn.Module):
    """Linear heads over query states ``(B, L, D)``; used in pretraining only."""

    def __init__(self, queries: int, width: int, layers: int, slots: WordSlots) -> None:
        super().__init__()
        self.halfway = layers // 2 - 1  # index of the layer
        self.first = queries // 2
        self.words = nn.Linear(width, slots.table.shape[1])
        self.halfway_cells = SceneCells(queries, width)
        self.final_cells = SceneCells(queries, width)

    def forward(
        self,
        states: Sequence[Tensor],
        slots: WordSlots,
        bags: Sequence[Sequence[str]],
        scenes: Sequence[SceneObjects | None],
    ) -> Tensor:
        """Scalar loss; ``states`` of every layer, one bag and one scene (or None) per row."""
        halfway = states[self.halfway]
        words = self.words(halfway[:, self.first :].float()).to(halfway.dtype)
        loss = slots.described(words, bags)
        rows = [row for row, objects in enumerate(scenes) if objects]
        if rows:
            shown = [objects for objects in scenes if objects]
            loss = loss + self.halfway_cells(halfway[rows], shown)
            loss = loss + self.final_cells(states[-1][rows], shown)
        return loss
