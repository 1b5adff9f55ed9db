"""Dense supervision of motion: what the cells and the named objects are asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from assistant.model.spatiotemporal import States
from assistant.training.generated import generated_items
from assistant.training.losses.base import Seen
from assistant.training.losses.motion import MotionSupervision, Moved, moved_of

STILL, RIGHT = [(0.1, 0.1)] * 3, [(0.3, 0.8), (0.6, 0.8), (0.9, 0.8)]
PLACES = [list(pair) for pair in zip(STILL, RIGHT, strict=True)]  # T x M
STARTS = (1.0, 0.2)


def loss(head, states, pooled, moved):
    """``states`` ``(1, T, L, D)``, ``pooled`` ``(1, L, D)``."""
    frames = range(states.shape[1])
    seen = Seen(States([states], [pooled], []), pooled, [frames])
    return head(seen, [moved]).item()


def test_a_path_is_from_the_first_frame_to_the_last():
    moved = Moved(PLACES, ((1,),), STARTS)
    assert moved.path(0) == (0.0, 0.0)
    assert moved.path(1) == pytest.approx((0.6, 0.0))


def test_queries_that_say_it_have_no_loss_and_others_do():
    torch.manual_seed(0)
    head = MotionSupervision(queries=8, width=6)  # four cells, queries 4 to 7
    with torch.no_grad():
        for linear in (head.cells, head.named):
            linear.weight.zero_()
            linear.bias.zero_()
        head.cells.weight[:, 0] = 50.0
        head.named.weight[0, 1] = 1.0
        head.named.weight[2, 2] = 1.0
    states, pooled = torch.zeros(1, 3, 8, 6), torch.zeros(1, 8, 6)
    states[..., 0] = -1.0  # nothing moves
    for frame, query in enumerate((6, 7, 7)):  # lower left, then lower right
        states[0, frame, query, 0] = 1.0
    pooled[0, 0, 1], pooled[0, 0, 2] = 0.6, 0.2
    known = Moved(PLACES, ((1,),), STARTS)
    assert loss(head, states, pooled, known) == pytest.approx(0.0, abs=1e-4)
    assert loss(head, states, pooled, Moved(PLACES, ((0,),), STARTS)) > 1.0  # the other one
    assert loss(head, states.flip(2), pooled, known) > 1.0
    assert loss(head, states, -pooled, known) > 1.0


def test_objects_outside_the_picture_and_groups_are_not_asked_for():
    head = MotionSupervision(queries=8, width=6)
    gone = Moved([[(-0.5, 0.5)], [(1.5, 0.5)]], ((0, 0), ()), (0.0,))
    states, pooled = torch.randn(1, 2, 8, 6), torch.randn(1, 8, 6)
    assert loss(head, states, pooled, gone) == loss(head, states, pooled, None) == 0.0


def test_generated_clips_tell_what_their_questions_are_about():
    items = [item for item in generated_items(6, 3, "train") if item.type == "direction"]
    assert items
    for item in items:
        moved = moved_of(item.video, 8)[item.question]
        assert len(moved.places) == 8
        ((index,),) = moved.about
        across, down = moved.path(index)
        told = {"left": -across, "right": across, "away": -down, "closer": down}
        assert told[item.answer] > 0
        assert 0 <= moved.starts[index] < 0.6
        assert np.isfinite(moved.places).all()


def test_starts_tell_the_answer_about_order():
    items = [item for item in generated_items(20, 3, "train") if item.type == "order"]
    assert items
    for item in items:
        moved = moved_of(item.video, 8)[item.question]
        starts = [moved.starts[index] for (index,) in moved.about]
        named = sorted(item.choices, key=lambda name: f"the {name} or" not in item.question)
        told = min(starts) if "first" in item.question else max(starts)
        assert named[starts.index(told)] == item.answer
