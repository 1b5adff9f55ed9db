"""Dense supervision: queries learn what lies in their cell, and the heads can be fitted."""

from __future__ import annotations

import pytest
import torch
from tiny import tiny_llm

from assistant.model.cells import SIZES, SceneCells, scene_objects
from assistant.model.dense import DenseSupervision
from assistant.model.slots import WordSlots
from assistant.scenes import COLORS, MATERIALS, SHAPES, example

SCENES = [[(0.1, 0.2, 3, 1, 0), (0.8, 0.9, 5, 2, 1)], [(0.4, 0.4, 0, 0, 1)]]


def test_objects_are_those_of_the_scene():
    scene = example(3, seed=5).scene
    found = scene_objects(scene)
    assert len(found) == len(scene.objects)
    for (x, y, color, shape, material), thing, place in zip(
        found, scene.objects, scene.places, strict=True
    ):
        assert (x, y) == pytest.approx(tuple(place), abs=1e-4)
        assert list(COLORS)[color] == thing.color
        assert SHAPES[shape] == thing.shape
        assert MATERIALS[material] == thing.material


def test_the_nearer_of_two_objects_in_a_cell_is_asked_for():
    cells = SceneCells(queries=32, width=8)
    rows, where, labels, places = cells._targets([[(0.1, 0.2, 3, 1, 0), (0.2, 0.1, 4, 1, 0)]])
    assert (rows.tolist(), where.tolist(), labels.tolist()) == ([0], [0], [[3, 1, 0]])
    assert places[0].tolist() == pytest.approx([0.4, 0.8])


def test_right_states_lose_less_than_wrong_ones():
    """States that spell the heads' outputs themselves."""
    torch.manual_seed(0)
    width = sum(SIZES)
    cells = SceneCells(queries=32, width=width)
    with torch.no_grad():
        cells.heads.weight.copy_(torch.eye(width))
        cells.heads.bias.zero_()
    rows, where, labels, places = cells._targets(SCENES)
    states = torch.zeros(2, 32, width)
    states[:, 16:, 0] = -9.0
    at = (rows, 16 + where)
    states[(*at, 0)] = 9.0
    starts = (1, 1 + len(COLORS), 1 + len(COLORS) + len(SHAPES))
    for start, label in zip(starts, labels.unbind(1), strict=True):
        states[(*at, start + label)] = 9.0
    states[at[0], at[1], -2:] = torch.logit(places, eps=1e-4)
    assert cells(states, SCENES) < 0.02
    assert cells(states.flip(0), SCENES) > 5


def test_gradients_reach_halfway_and_the_end_and_photos_need_no_scene():
    llm = tiny_llm()
    slots = WordSlots(llm, ["ab"], ["xyz"])
    dense = DenseSupervision(queries=4, width=16, layers=4, slots=slots)
    states = [torch.randn(3, 4, 16, requires_grad=True) for _ in range(4)]
    dense(states, slots, [("xyz",), (), ("xyz",)], [None, SCENES[0], None]).backward()
    moved = [state.grad is not None for state in states]
    assert moved == [False, True, False, True]
    assert states[3].grad[0].abs().sum() == 0  # a photo has no cells
    assert states[1].grad[0].abs().sum() > 0  # but words
    alone = dense([s.detach() for s in states], slots, [("xyz",)] * 3, [None] * 3)
    assert torch.isfinite(alone)
