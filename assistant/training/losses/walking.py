"""Dense supervision of first-person walks: what is before the camera, and what of it is asked.

A question's answer says little about the frames it rests on; where the camera, the hand and the
objects are is known. After each of the last two adapted layers the queries that are laid over the
picture as a grid (``cells``) say of the object in their cell its color and shape and those of what
is beside it, whether the question names it, whether the hand holds it and whether it is the answer;
the query that begins the answer says before which surface the frame was taken, which named objects
are in view and in the hand, and the color and shape of what the hand holds. Pooled over frames, it
says those of what was picked up first and last, where each named object was at first and in the
end, and when it was lifted, and how many of them stood on each surface. Between the rereadings,
where what is asked for meets what was seen, it says the answer: its place, number, color or shape.
Linear heads, used in training only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assistant.data.items import Item
from assistant.data.scenes.world import COLORS, SHAPES
from assistant.training.generated import is_generated
from assistant.training.losses.base import Loss, Seen, Setting
from assistant.training.losses.cells import PLACE_WEIGHT, in_cells, in_view
from assistant.training.losses.walked import KINDS, SIDES, UNTOLD, Walked, walked_of

PHRASES = 2  # of a question, at most, whose objects are asked for
LAYERS = 2  # adapted ones, the last, that are asked
NUMBERS = 5  # of counts: 0 to 4
LOOKS = (len(COLORS), len(SHAPES))
CELL = (3, *LOOKS * (1 + SIDES))  # asked, held, right; its looks; those of what is beside it
NOW = (KINDS + 1, 2 * PHRASES, *LOOKS)  # surface; in view, held; looks of what is held
ENDS = 2  # what was picked up first, and last
ANSWERS = (KINDS, NUMBERS, *LOOKS)  # classes of each part of an answer
ANSWER_WEIGHT, LOOKS_WEIGHT = 3.0, 0.5


class WalkSupervision(Loss):
    """Loss of the queries."""

    def __init__(self, queries: int, width: int) -> None:
        super().__init__()
        self.first = queries // 2
        self.side = math.isqrt(queries - self.first)
        self.cells = nn.ModuleList(nn.Linear(width, sum(CELL)) for _ in range(LAYERS))
        self.now = nn.ModuleList(nn.Linear(width, sum(NOW)) for _ in range(LAYERS))
        self.stood = nn.Linear(width, PHRASES * 2 * KINDS)
        self.lifted = nn.Linear(width, PHRASES)
        self.counted = nn.Linear(width, KINDS)
        self.handled = nn.Linear(width, ENDS * sum(LOOKS))
        self.answer = nn.Linear(width, sum(ANSWERS))

    @classmethod
    def build(cls, setting: Setting) -> WalkSupervision:
        shape = setting.model.qformer.config
        return cls(shape.queries, shape.width)

    @classmethod
    def known(cls, item: Item, frames: int) -> Walked | None:
        if item.video is None or not is_generated(item.video):
            return None
        return walked_of(item.video, frames).get(item.question)

    def forward(self, seen: Seen, known: Sequence[Walked | None]) -> Tensor:
        told = {row: w.at(seen.frames[row]) for row, w in enumerate(known) if w is not None}
        states = seen.states
        if not told:
            return states.pooled.new_zeros((), dtype=torch.float32)
        rows, walked = list(told), list(told.values())
        loss = self._of_clip(states.steps[0][rows, 0].float(), walked)
        compared = states.steps[max(0, len(states.steps) - 2)]
        loss = loss + ANSWER_WEIGHT * self._of_answer(compared[rows, 0].float(), walked)
        layers = [framed[rows].float() for framed in states.layers[-LAYERS:]]
        for framed, cells, now in zip(layers, self.cells, self.now, strict=True):
            loss = loss + self._of_cells(cells, framed, walked) + self._of_now(now, framed, walked)
        return loss

    def _of_cells(self, head: nn.Module, framed: Tensor, known: Sequence[Walked]) -> Tensor:
        where: list[tuple[int, int, int]] = []
        wanted: list[tuple[bool, bool, bool]] = []
        told: list[bool] = []  # whether the answer names an object
        shown: list[tuple[Walked, int, int]] = []  # walk, frame, object
        for row, walked in enumerate(known):
            asked = {index for indices in walked.about for index in indices}
            for frame, places in enumerate(walked.places):
                found = in_cells(places, self.side)
                where += [(row, frame, self.first + cell) for cell in found]
                shown += [(walked, frame, index) for index in found.values()]
                wanted += [
                    (index in asked, walked.held[frame][index], index in walked.right)
                    for index in found.values()
                ]
                told += [bool(walked.right)] * len(found)
        if not where:
            return framed.new_zeros(())
        rows, frames, queries = torch.tensor(where, device=framed.device).T
        scores, *looks = head(framed[rows, frames, queries]).split(CELL, dim=-1)
        truth = torch.tensor(wanted).to(scores)
        loss = F.binary_cross_entropy_with_logits(scores[:, :2], truth[:, :2])
        if any(told):
            loss = loss + F.binary_cross_entropy_with_logits(scores[told, 2], truth[told, 2])
        return loss + LOOKS_WEIGHT * _of_shown(looks, shown)

    def _of_now(self, head: nn.Module, framed: Tensor, known: Sequence[Walked]) -> Tensor:
        surface, seen, *seen_as = head(framed[:, :, 0]).split(NOW, dim=-1)
        before = torch.tensor([walked.before for walked in known], device=framed.device)
        loss = F.cross_entropy(surface.flatten(0, 1), before.flatten())
        seen = seen.unflatten(-1, (PHRASES, 2))  # (B, T, PHRASES, 2): in view, held
        for phrase in range(PHRASES):
            rows = [row for row, walked in enumerate(known) if len(walked.about) > phrase]
            if rows:
                truth = torch.tensor([seen_of(known[row], phrase) for row in rows])
                scores = seen[rows, :, phrase]
                loss = loss + F.binary_cross_entropy_with_logits(scores, truth.to(scores))
        holding = {
            (row, frame): walked.looks[index]
            for row, walked in enumerate(known)
            for frame, places in enumerate(walked.places)
            for index in range(len(places))
            if walked.held[frame][index] and in_view(places[index])
        }
        return loss + LOOKS_WEIGHT * _of_looks(seen_as, holding)

    def _of_clip(self, answer: Tensor, known: Sequence[Walked]) -> Tensor:
        """``answer`` ``(B, D)``."""
        loss = answer.new_zeros(())
        stood = self.stood(answer).unflatten(-1, (PHRASES, 2, KINDS))
        lifted = self.lifted(answer)
        for phrase in range(PHRASES):
            one = {
                row: walked.about[phrase][0]
                for row, walked in enumerate(known)
                if len(walked.about) > phrase and len(walked.about[phrase]) == 1
            }
            if one:
                surfaces = torch.tensor([known[row].stood[index] for row, index in one.items()])
                when = torch.tensor([known[row].lifted[index] for row, index in one.items()])
                rows = list(one)
                told = lifted[rows, phrase]
                places = stood[rows, phrase].flatten(0, 1)
                loss = loss + F.cross_entropy(places, surfaces.flatten().to(places.device))
                loss = loss + PLACE_WEIGHT * (told - when.to(told)).abs().mean()
        ends = {
            (row, end): walked.looks[walked.handled[end - 1]]  # end 1: first, end 0: last
            for row, walked in enumerate(known)
            for end in range(ENDS)
            if walked.handled
        }
        handled = self.handled(answer).unflatten(-1, (ENDS, -1)).split(LOOKS, dim=-1)
        loss = loss + _of_looks(handled, ends)
        groups = [row for row, walked in enumerate(known) if len(walked.about) == 1]
        if groups:
            counts = torch.zeros(len(groups), KINDS)
            for place, row in enumerate(groups):
                for index in known[row].about[0]:
                    counts[place, known[row].stood[index][0]] += 1.0
            told = self.counted(answer[groups])
            loss = loss + PLACE_WEIGHT * F.smooth_l1_loss(told, counts.to(told))
        return loss

    def _of_answer(self, state: Tensor, known: Sequence[Walked]) -> Tensor:
        """``state`` ``(B, D)``."""
        wanted = torch.tensor([list(walked.answer) for walked in known], device=state.device)
        loss = state.new_zeros(())
        for scores, truth in zip(self.answer(state).split(ANSWERS, -1), wanted.T, strict=True):
            if bool((truth != UNTOLD).any()):
                loss = loss + F.cross_entropy(scores, truth, ignore_index=UNTOLD)
        return loss


def _of_looks(scores: Sequence[Tensor], looks: Mapping[tuple[int, int], tuple[int, int]]) -> Tensor:
    """``scores`` of colors ``(B, N, C)`` and shapes ``(B, N, S)``; ``looks``: by row and place."""
    if not looks:
        return scores[0].new_zeros(())
    rows, places = torch.tensor(list(looks)).T
    truth = torch.tensor(list(looks.values()), device=scores[0].device).T
    told = [some[rows, places] for some in scores]
    return F.cross_entropy(told[0], truth[0]) + F.cross_entropy(told[1], truth[1])


def _of_shown(scores: Sequence[Tensor], shown: Sequence[tuple[Walked, int, int]]) -> Tensor:
    """Of each object its own looks and, where it is in view, of what is on each side of it."""
    own = {(row, 0): walked.looks[index] for row, (walked, _, index) in enumerate(shown)}
    loss = _of_looks([some[:, None] for some in scores[:2]], own)
    others = {
        (row, side): walked.looks[other]
        for row, (walked, frame, index) in enumerate(shown)
        for side, other in enumerate(walked.beside[index])
        if other is not None and in_view(walked.places[frame][other])
    }
    colors, shapes = (torch.stack(scores[2 + kind :: 2], dim=1) for kind in range(len(LOOKS)))
    return loss + _of_looks((colors, shapes), others)


def seen_of(walked: Walked, phrase: int) -> list[tuple[float, float]]:
    """Per frame whether an object that the phrase names is in view, and whether one is held."""
    indices = walked.about[phrase]
    return [
        (
            float(any(in_view(places[index]) for index in indices)),
            float(any(held[index] for index in indices)),
        )
        for places, held in zip(walked.places, walked.held, strict=True)
    ]
