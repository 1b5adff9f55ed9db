"""Visual-guided assignment, beside plain NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from assistant.actions.assignment import assign, embed_bank, report, similarity
from assistant.actions.bank import Bank, Described
from assistant.errors import InputError

CLIPS, FRAMES, ACTIONS, TEXTS, WIDTH = 7, 3, 4, 5, 16


@pytest.fixture
def sight() -> SimpleNamespace:
    made = torch.Generator().manual_seed(0)
    return SimpleNamespace(
        frames=torch.randn(CLIPS, FRAMES, WIDTH, generator=made),
        texts=torch.randn(ACTIONS, TEXTS, WIDTH, generator=made),
        labels=torch.randint(ACTIONS, (CLIPS,), generator=made),
        real=torch.arange(TEXTS)[None] < torch.tensor([[5], [1], [3], [2]]),
    )


def plain(sight: SimpleNamespace, positives: int, negatives: int) -> tuple[list, list]:
    """3.3.2, clip by clip."""
    frames, texts = sight.frames.numpy(), sight.texts.numpy()
    drawn, pushed = [], []
    for clip, label in zip(frames, sight.labels.tolist(), strict=True):
        similar = {}
        for c in range(ACTIONS):
            for m in range(TEXTS):
                text = texts[c, m] / np.linalg.norm(texts[c, m])
                each = [frame @ text / np.linalg.norm(frame) for frame in clip]
                if sight.real[c, m]:
                    similar[c, m] = np.mean(each)
        ranked = sorted(similar, key=similar.get)
        own = [c * TEXTS + m for c, m in ranked[::-1] if c == label]
        others = [c * TEXTS + m for c, m in ranked if c != label]
        drawn.append(own[:positives])
        pushed.append(others[:negatives])
    return drawn, pushed


def test_it_is_that_of_the_paper(sight: SimpleNamespace):
    got = assign(sight.frames, sight.texts, sight.labels, 1, 6, sight.real)
    drawn, pushed = plain(sight, 1, 6)
    assert got.positive.tolist() == drawn
    assert got.negative.tolist() == pushed


def test_several_positives_where_every_action_has_them(sight: SimpleNamespace):
    sight.real = torch.ones(ACTIONS, TEXTS, dtype=torch.bool)
    got = assign(sight.frames, sight.texts, sight.labels, positives=3, negatives=15)
    drawn, pushed = plain(sight, 3, 15)
    assert got.positive.tolist() == drawn
    assert got.negative.tolist() == pushed


def test_more_than_there_are_is_less_and_never_a_text_that_fills_up(sight: SimpleNamespace):
    got = assign(sight.frames, sight.texts, sight.labels, 9, 999, sight.real)
    assert got.positive.shape == (CLIPS, 1)  # an action has its name alone
    assert got.negative.shape == (CLIPS, 1 + 3 + 2)  # the others of the one with most
    flat = sight.real.flatten()
    assert flat[got.positive].all() and flat[got.negative].all()
    assert (got.negative // TEXTS != sight.labels[:, None]).all()


def test_one_vector_is_a_clip_of_one_frame(sight: SimpleNamespace):
    one = sight.frames[:, 0]
    torch.testing.assert_close(similarity(one, sight.texts), similarity(one[:, None], sight.texts))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"positives": 0}, "0 positives"),
        ({"negatives": -1}, "-1 negatives"),
        ({"labels": torch.tensor([4] * CLIPS)}, "labels reach 4, and 4 actions"),
        ({"texts": torch.ones(1, 2, WIDTH), "labels": torch.zeros(CLIPS).long()}, "one action"),
    ],
)
def test_what_cannot_be_is_said(sight: SimpleNamespace, change: dict, told: str):
    given = {"frames": sight.frames, "texts": sight.texts, "labels": sight.labels}
    with pytest.raises(InputError, match=told):
        assign(**(given | change))


class LetterSpace:
    """A text is its letters' counts."""

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        return torch.tensor([[float(text.count(letter)) for letter in "abc"] for text in texts])


def test_a_bank_of_uneven_actions_becomes_vectors_and_a_report():
    bank = Bank("own", (Described("a"), Described("b", (), ("bb c", "b a"), "bbb a c")))
    texts, real = embed_bank(LetterSpace(), bank)
    assert texts.shape == (2, 4, 3)
    assert real.tolist() == [[True, False, False, False], [True] * 4]
    torch.testing.assert_close(texts.norm(dim=-1), torch.ones(2, 4))
    frames = torch.tensor([[1.0, 0, 0], [0, 2, 1], [0, 2, 1.1], [1, 1, 0]])
    labels = torch.tensor([0, 1, 1, 1])
    got = assign(frames, texts, labels, real=real)
    assert report(bank, labels.tolist(), got.positive) == {
        "a": {"a": 1},
        "b": {"bb c": 2, "b a": 1},
    }
