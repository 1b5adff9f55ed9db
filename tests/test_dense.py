"""Dense supervision: queries learn what lies in their cell, and the heads can be fitted."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from tiny import tiny_llm

from assistant.data.scenes import COLORS, MATERIALS, SHAPES, example
from assistant.training.losses.cells import PLACE_WEIGHT, SIZES, SceneCells, scene_objects
from assistant.training.losses.dense import Binding, Contents, Known, Places
from assistant.training.losses.slots import WordSlots

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


@pytest.fixture
def dense():
    """Six layers, four queries (one cell), three tokens of text, three samples."""
    torch.manual_seed(0)
    slots = WordSlots(tiny_llm(), ["ab"], ["xyz"])
    heads = SimpleNamespace(
        contents=Contents(queries=4, width=16, layers=6, slots=slots),
        binding=Binding(queries=4, width=16, layers=6),
        places=Places(width=16, layers=6),
    )
    states = [torch.randn(3, 7, 16, requires_grad=True) for _ in range(5)]
    states.append(torch.randn(3, 4, 16, requires_grad=True))
    return heads, states


def known(**changes):
    nothing = {
        "bags": [()] * 3,
        "scenes": [None] * 3,
        "about": [()] * 3,
        "truths": torch.full((3, 3), -1.0),
    }
    return Known(**nothing | changes)


def touched(states):
    """Layers and samples that a gradient reached."""
    return [
        (layer, row)
        for layer, state in enumerate(states)
        if state.grad is not None
        for row in range(3)
        if state.grad[row].abs().sum() > 0
    ]


def test_contents_are_asked_halfway_and_objects_at_the_end_again(dense):
    heads, states = dense
    bags, scenes = [("xyz",), (), ("xyz",)], [None, SCENES[0], None]
    heads.contents(states, known(bags=bags, scenes=scenes)).backward()
    assert touched(states) == [(2, 0), (2, 1), (2, 2), (5, 1)]


def test_binding_is_asked_where_something_is_known(dense):
    heads, states = dense
    truths = torch.full((3, 3), -1.0)
    truths[2, 1] = 0.0
    about = [(), ((0,), (1,)), ()]
    heads.binding(
        states, known(scenes=[None, SCENES[0], None], about=about, truths=truths)
    ).backward()
    assert touched(states) == [(3, 1), (3, 2)]
    assert states[3].grad[2, 5].abs().sum() > 0 and states[3].grad[2, 4].abs().sum() == 0


def test_nothing_known_costs_nothing(dense):
    heads, states = dense
    assert heads.contents(states, known()) == 0
    assert heads.binding(states, known()) == heads.places(states, known()) == 0


def test_a_phrase_that_names_nothing_wants_no_cell(dense):
    """ "Is there a red cube?" where there is none."""
    heads, states = dense
    with torch.no_grad():
        heads.binding.named.weight.zero_()
        heads.binding.named.bias.fill_(-9.0)
    scenes = [SCENES[0], None, None]
    assert heads.binding(states, known(scenes=scenes, about=[((),), (), ()])) < 1e-3
    assert heads.binding(states, known(scenes=scenes, about=[((0,),), (), ()])) > 9


def test_the_first_query_places_the_only_object_of_a_phrase(dense):
    heads, states = dense
    with torch.no_grad():
        heads.places.placed.weight.zero_()
        heads.places.placed.bias.copy_(torch.logit(torch.tensor([0.1, 0.2, 0.8, 0.9])))
    asked = known(scenes=[SCENES[0], None, None], about=[((0,), (1,)), (), ()])
    turned = known(scenes=[SCENES[0], None, None], about=[((1,), (0,)), (), ()])
    with torch.no_grad():
        assert heads.places(states, asked) == pytest.approx(0.0, abs=1e-5)
        assert heads.places(states, turned) == pytest.approx(PLACE_WEIGHT * 0.7, abs=1e-4)
        many = known(scenes=[SCENES[0], None, None], about=[((0, 1),), (), ()])
        assert heads.places(states, many) == 0
    heads.places(states, asked).backward()
    assert touched(states) == []  # the head's weight is zero: its bias alone answers
