"""What pretraining asks of the queries and the text beside the answer, on the way up.

A question has one answer; this asks for more at every place, so that binding is learned early:

- halfway: what is there. Each word of the picture is said by some query (photos), each object by
  the query of its cell (generated scenes).
- one layer on: what of it is asked. Cells whose object a phrase of the question names, words of the
  text that are true of the picture.
- another layer on: where it is. The first query places the object that a phrase names.

Linear heads, used in pretraining only.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assistant.training.losses.cells import PLACE_WEIGHT, SceneCells, SceneObjects, cell_of
from assistant.training.losses.slots import WordSlots

PHRASES = 2  # of a question, at most, whose objects are asked for


@dataclass(frozen=True)
class Known:
    """What is known about the B samples of a batch."""

    bags: Sequence[Sequence[str]]  # words of the picture
    scenes: Sequence[SceneObjects | None]
    about: Sequence[Sequence[Sequence[int]]]  # objects of the scene that each phrase names
    truths: Tensor  # (B, Kt): 1 where a word is true of the picture, 0 false, -1 unknown


class Contents(nn.Module):
    """What is in the picture: scalar loss, from the states ``(B, L+Kt, D)`` of every layer (the
    last: queries), as of the others here."""

    def __init__(self, queries: int, width: int, layers: int, slots: WordSlots) -> None:
        super().__init__()
        self.halfway, self.queries, self.slots = halfway(layers), queries, slots
        self.words = nn.Linear(width, slots.table.shape[1])
        self.halfway_cells = SceneCells(queries, width)
        self.final_cells = SceneCells(queries, width)

    def forward(self, states: Sequence[Tensor], known: Known) -> Tensor:
        found = states[self.halfway][:, : self.queries]
        words = self.words(found[:, self.queries // 2 :].float()).to(found.dtype)
        loss = self.slots.described(words, known.bags)
        rows = [row for row, objects in enumerate(known.scenes) if objects]
        if rows:
            shown = [objects for objects in known.scenes if objects]
            loss = loss + self.halfway_cells(found[rows], shown)
            loss = loss + self.final_cells(states[-1][rows], shown)
        return loss


class Binding(nn.Module):
    """What of the picture the text names, and what of the text is true."""

    def __init__(self, queries: int, width: int, layers: int) -> None:
        super().__init__()
        self.asked, self.queries = asked(layers), queries
        self.side = math.isqrt(queries - queries // 2)  # as of SceneCells
        self.named = nn.Linear(width, PHRASES)
        self.true = nn.Linear(width, 1)

    def forward(self, states: Sequence[Tensor], known: Known) -> Tensor:
        asked = states[self.asked].float()
        first = self.queries // 2
        cells = self.named(asked[:, first : first + self.side**2])  # (B, side^2, PHRASES)
        wanted = torch.full_like(cells, -1.0)
        for row, (objects, about) in enumerate(zip(known.scenes, known.about, strict=True)):
            for phrase, indices in enumerate(about):
                wanted[row, :, phrase] = 0.0
                for index in indices:
                    x, y, *_ = (objects or ())[index]
                    wanted[row, cell_of(x, y, self.side)[0], phrase] = 1.0
        words = self.true(asked[:, self.queries :])[..., 0]  # (B, Kt)
        return _known_loss(cells, wanted) + _known_loss(words, known.truths.to(words))


class Places(nn.Module):
    """Where the only object is that a phrase names."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.layer = asked(layers) + 1
        self.placed = nn.Linear(width, 2 * PHRASES)

    def forward(self, states: Sequence[Tensor], known: Known) -> Tensor:
        state = states[self.layer][:, 0].float()  # of the query that begins the answer
        at = [
            (row, phrase, *(known.scenes[row] or ())[indices[0]][:2])
            for row, about in enumerate(known.about)
            for phrase, indices in enumerate(about)
            if len(indices) == 1
        ]
        if not at:
            return state.new_zeros(())
        rows, phrases, x, y = zip(*at, strict=True)
        places = self.placed(state).sigmoid().unflatten(-1, (PHRASES, 2))[list(rows), list(phrases)]
        wanted = torch.tensor([x, y], device=state.device).T
        return PLACE_WEIGHT * (places - wanted).abs().mean()


def halfway(layers: int) -> int:
    """Index of the layer that says what is there."""
    return layers // 2 - 1


def asked(layers: int) -> int:
    """Index of the layer that says what of it is asked."""
    return max(halfway(layers), layers - 3)


def _known_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Binary cross-entropy where ``wanted`` is 0 or 1."""
    known = wanted >= 0
    if not known.any():
        return logits.new_zeros(())
    return F.binary_cross_entropy_with_logits(logits[known], wanted[known])
