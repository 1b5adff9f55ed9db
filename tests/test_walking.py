"""Dense supervision of walks: what frames, cells and named objects are asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from assistant.data.scenes import ego_questions
from assistant.data.scenes.furniture import SURFACES
from assistant.data.scenes.world import COLORS, SHAPES
from assistant.model.spatiotemporal import States
from assistant.training.generated import generated_items
from assistant.training.losses.base import Seen
from assistant.training.losses.walked import BETWEEN, KINDS, SIDES, UNTOLD, Walked, walked_of
from assistant.training.losses.walking import WalkSupervision

WALKED = Walked(
    places=(((0.1, 0.1), (1.4, 0.6)), ((0.3, 0.8), (0.9, 0.8))),  # two frames, two objects
    held=((False, False), (True, False)),
    looks=((3, 1), (0, 2)),
    beside=((None, 1), (0, None)),
    handled=(0,),
    before=(2, BETWEEN),
    stood=((2, 1), (0, 0)),
    lifted=(0.4, 1.0),
    about=((0,),),
    right=(1,),
    answer=(2, UNTOLD, 0, UNTOLD),
)
QUERIES, WIDTH = 8, 24  # four cells, queries 4 to 7


def states(layers: int = 3) -> States:
    torch.manual_seed(0)
    framed = [torch.randn(1, 2, QUERIES, WIDTH, requires_grad=True) for _ in range(layers)]
    return States(framed, [torch.randn(1, QUERIES, WIDTH, requires_grad=True)], [])


def loss(head: WalkSupervision, told: States, walked: Walked) -> torch.Tensor:
    return head(Seen(told, told.pooled, [range(2)]), [walked])


def learned(walked: Walked) -> tuple[WalkSupervision, States]:
    """Heads and queries that have learned it."""
    head, told = WalkSupervision(QUERIES, WIDTH), states()
    everything = [*head.parameters(), *told.layers, *told.steps]
    for rate in (0.1, 0.01, 0.001):
        optimizer = torch.optim.Adam(everything, lr=rate)
        for _ in range(100):
            optimizer.zero_grad()
            loss(head, told, walked).backward()
            optimizer.step()
    return head.requires_grad_(False), told


def test_kinds_and_sides_are_those_of_walks():
    assert len(SURFACES) == KINDS
    assert len(ego_questions.SIDES) == SIDES


@pytest.fixture(scope="module")
def fitted() -> tuple[WalkSupervision, States]:
    return learned(WALKED)


def test_queries_that_say_it_have_no_loss(fitted):
    head, told = fitted
    assert loss(head, told, WALKED).item() < 0.2


@pytest.mark.parametrize(
    "other",
    [
        {"held": ((False, False), (False, False))},
        {"looks": ((5, 1), (0, 2))},
        {"looks": ((3, 4), (0, 2))},
        {"looks": ((3, 1), (0, 0))},
        {"beside": ((1, None), (None, 0))},
        {"handled": (1,)},
        {"before": (1, BETWEEN)},
        {"before": (2, 0)},
        {"stood": ((1, 1), (0, 0))},
        {"stood": ((2, 3), (0, 0))},
        {"lifted": (0.9, 1.0)},
        {"about": ((1,),)},
        {"right": (0,)},
        {"answer": (1, UNTOLD, 0, UNTOLD)},
        {"answer": (2, UNTOLD, 3, UNTOLD)},
        {"places": (((0.9, 0.1), (1.4, 0.6)), ((0.3, 0.8), (0.9, 0.8)))},
    ],
    ids=lambda other: next(iter(other)),
)
def test_queries_that_say_something_else_do(fitted, other):
    head, told = fitted
    assert loss(head, told, replace(WALKED, **other)).item() > 0.4


def test_queries_of_the_first_adapted_layers_are_left_alone():
    head, told = WalkSupervision(QUERIES, WIDTH), states(3)
    loss(head, told, WALKED).backward()
    assert told.layers[0].grad is None
    assert all(layer.grad is not None for layer in told.layers[1:])


def test_what_no_phrase_names_and_no_hand_holds_is_not_asked_for():
    head, told = WalkSupervision(QUERIES, WIDTH), states()
    unnamed = replace(WALKED, about=(), handled=(), right=(), answer=(UNTOLD,) * 4)
    loss(head, told, unnamed).backward()
    assert told.steps[0].grad is None or not told.steps[0].grad.any()


def test_some_frames_alone():
    last = WALKED.at([1])
    assert (list(last.places), list(last.held)) == ([WALKED.places[1]], [WALKED.held[1]])
    assert list(last.before) == [BETWEEN]
    assert last.stood == WALKED.stood


def test_generated_walks_tell_the_answers_of_their_questions():
    names = list(SURFACES)
    met = set()
    for item in generated_items(30, 3, "train", kind="ego"):
        walked = walked_of(item.video, 16)[item.question]
        assert len(walked.places) == len(walked.held) == len(walked.before) == 16
        if item.type in ("last_seen", "first_seen"):
            ((index,),) = walked.about
            stood = walked.stood[index][item.type == "last_seen"]
            assert item.answer == f"on the {names[stood]}"
            assert walked.answer == (stood, UNTOLD, UNTOLD, UNTOLD)
        elif item.type == "count":
            assert item.answer == str(len(walked.about[0]))
            assert walked.answer == (UNTOLD, int(item.answer), UNTOLD, UNTOLD)
        elif item.type == "existence":
            assert (item.answer == "yes") == bool(walked.about[0])
        elif item.type == "touched":
            ((index,),) = walked.about
            assert (item.answer == "yes") == (walked.lifted[index] < 1.0)
            assert (item.answer == "yes") == any(held[index] for held in walked.held)
        elif item.type == "order":
            one, two = (walked.lifted[index] for (index,) in walked.about)
            assert item.answer == ("before" if one < two else "after")
        elif item.type in ("beside", "picked", "first"):
            assert len(walked.right) == 1
            if item.type != "first":
                color, shape = walked.answer[2:]
                assert walked.looks[walked.right[0]] == (color, shape)
                assert item.answer == f"{list(COLORS)[color]} {SHAPES[shape]}"
            if item.type == "picked":
                assert walked.right[0] == walked.handled[-1 if "last" in item.question else 0]
            if item.type == "beside":
                ((index,),) = walked.about
                assert walked.right[0] == walked.beside[index]["right" in item.question]
        else:
            continue
        met.add(item.type)
    assert len(met) == 9


def test_the_surface_before_the_camera_is_where_its_objects_are_in_view():
    for item in generated_items(4, 5, "train", kind="ego"):
        walked = walked_of(item.video, 16)[item.question]
        still = [i for i, lifted in enumerate(walked.lifted) if lifted == 1.0]
        for places, before in zip(walked.places, walked.before, strict=True):
            here = [i for i in still if 0.05 < places[i][0] < 0.95]
            if before != BETWEEN:
                assert {walked.stood[i][0] for i in here} <= {before}
