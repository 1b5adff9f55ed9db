"""Supervision of questions that name their choices."""

from __future__ import annotations

import pytest
import torch

from assistant.model.spatiotemporal import States
from assistant.training.losses.base import Seen
from assistant.training.losses.naming import NamedChoice, named_place

ORDER = "Which moves first, the gray rubber cube or the green cube?"


@pytest.mark.parametrize(
    ("question", "choices", "answer", "place"),
    [
        (ORDER, ("green cube", "gray rubber cube"), "green cube", 1),
        (ORDER, ("green cube", "gray rubber cube"), "gray rubber cube", 0),
        ("Is it Red  or blue?", ("blue", "red"), "red", 0),
        ("Does it move left, right, away or closer?", ("left", "right", "away"), "left", None),
        ("Does it move?", ("yes", "no"), "yes", None),
        ("Is this redder or blue?", ("red", "blue"), "red", None),
        ("What is red?", (), "the cube", None),
    ],
)
def test_a_place_is_told_of_two_choices_that_the_question_names(question, choices, answer, place):
    assert named_place(question, choices, answer) == place


def test_a_batch_that_it_does_not_concern_has_a_gradient_of_zero():
    head = NamedChoice(4)
    states = torch.randn(3, 2, 4, requires_grad=True)
    loss = head(Seen(States([], [states], []), states, []), [None] * 3)
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert states.grad is not None and not states.grad.any()


@torch.no_grad()
def test_a_query_that_tells_the_place_has_no_loss():
    head = NamedChoice(4)
    head.second.weight.copy_(torch.tensor([[50.0, 0.0, 0.0, 0.0]]))
    head.second.bias.zero_()
    states = torch.zeros(3, 2, 4)
    states[:, 0, 0] = torch.tensor([1.0, -1.0, 1.0])
    seen = Seen(States([], [states], []), states, [])
    assert float(head(seen, [1, 0, None])) == pytest.approx(0.0, abs=1e-4)
    assert float(head(seen, [0, 0, None])) > 1.0
    assert float(head(seen, [None] * 3)) == 0.0
