"""Dense supervision of queries on generated scenes: a grid of cells, each says what is in it.

A scene's questions say little about it each; its objects are known. So the second half of the
queries is laid over the picture as a grid, and linear heads, used in pretraining only, read from
each query whether an object's center lies in its cell, and its color, shape, material and place.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assistant.data.scenes import COLORS, MATERIALS, SHAPES, Scene

SceneObjects = Sequence[tuple[float, float, int, int, int]]  # x, y (shares), color, shape, material
SIZES = (1, len(COLORS), len(SHAPES), len(MATERIALS), 2)  # of the heads: present, ..., place
PLACE_WEIGHT = 4.0


def scene_objects(scene: Scene) -> SceneObjects:
    """What :class:`SceneCells` has to find in ``scene``."""
    colors = list(COLORS)
    return [
        (
            round(float(x), 4),
            round(float(y), 4),
            colors.index(thing.color),
            SHAPES.index(thing.shape),
            MATERIALS.index(thing.material),
        )
        for thing, (x, y) in zip(scene.objects, scene.places, strict=True)
    ]


class SceneCells(nn.Module):
    """Loss of the second half of the queries ``(B, L, D)`` against the objects of B scenes."""

    def __init__(self, queries: int, width: int) -> None:
        super().__init__()
        self.first = queries // 2
        self.side = math.isqrt(queries - self.first)
        self.heads = nn.Linear(width, sum(SIZES))

    def forward(self, states: Tensor, scenes: Sequence[SceneObjects]) -> Tensor:
        """Scalar loss; ``states`` ``(B, L, D)``, one list of objects per row."""
        grid = states[:, self.first : self.first + self.side**2].float()
        present, color, shape, material, place = self.heads(grid).split(SIZES, dim=-1)
        rows, cells, labels, offsets = self._targets(scenes)
        wanted = torch.zeros_like(present[..., 0])
        wanted[rows, cells] = 1.0
        loss = F.binary_cross_entropy_with_logits(present[..., 0], wanted)
        for head, label in zip((color, shape, material), labels.unbind(1), strict=True):
            loss = loss + F.cross_entropy(head[rows, cells], label)
        return loss + PLACE_WEIGHT * (place[rows, cells].sigmoid() - offsets).abs().mean()

    def _targets(self, scenes: Sequence[SceneObjects]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Row, cell, labels ``(N, 3)`` and place in the cell ``(N, 2)`` of each object.

        Of two objects in one cell the nearer one, lower in the picture, is asked for.
        """
        found: dict[tuple[int, int], tuple[list[int], list[float]]] = {}
        for row, objects in enumerate(scenes):
            for x, y, *labels in sorted(objects, key=lambda thing: thing[1]):
                cell, place = cell_of(x, y, self.side)
                found[row, cell] = (labels, place)
        device = self.heads.weight.device
        where = torch.tensor(list(found), device=device)
        labels = torch.tensor([label for label, _ in found.values()], device=device)
        offsets = torch.tensor([place for _, place in found.values()], device=device)
        return where[:, 0], where[:, 1], labels, offsets


def cell_of(x: float, y: float, side: int) -> tuple[int, list[float]]:
    """Which cell of a ``side x side`` grid a place of the picture lies in, and where in it."""
    across, down = (min(max(v, 0.0), 0.9999) * side for v in (x, y))
    return int(down) * side + int(across), [across % 1.0, down % 1.0]


def in_view(place: tuple[float, float]) -> bool:
    """Whether a place, x and y as shares of the picture, lies in it."""
    x, y = place
    return 0.0 <= x < 1.0 and 0.0 <= y < 1.0


def in_cells(places: Sequence[tuple[float, float]], side: int) -> dict[int, int]:
    """By cell of a ``side x side`` grid the object in it; of two the nearer, lower in the picture.

    ``places``: of each object, shares of the picture; those outside are in no cell.
    """
    found: dict[int, int] = {}
    for index in sorted(range(len(places)), key=lambda index: places[index][1]):
        if in_view(places[index]):
            found[cell_of(*places[index], side)[0]] = index
    return found
