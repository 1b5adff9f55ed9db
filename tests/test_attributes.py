"""Semantic attributes: which classes become words, and how they read."""

from __future__ import annotations

import pytest
import torch

from assistant.errors import WeightsError
from assistant.model.encoders.imagenet import read_class_names
from assistant.sources import Perceived
from assistant.sources.seen import FLOOR, MOST, SURE, as_text, likeliest

NAMES = [f"thing {i}" for i in range(20)]


def frame(**shares: float) -> torch.Tensor:
    """Probabilities of one frame: t3=0.5 gives "thing 3" a half, the others share the rest."""
    row = torch.zeros(20)
    for key, share in shares.items():
        row[int(key[1:])] = share
    rest = row == 0
    row[rest] = (1 - row.sum()) / rest.sum()
    return row


def test_the_frames_mean_counts_and_the_likeliest_come_first():
    found = likeliest(torch.stack([frame(t3=0.6), frame(t7=0.9)]), NAMES)
    assert [thing.name for thing in found] == ["thing 7", "thing 3"]
    assert found[0].probability == pytest.approx((0.9 + 0.4 / 19) / 2)


def test_unlikely_things_are_not_named():
    assert likeliest(torch.full((2, 1000), 1e-3), [str(i) for i in range(1000)]) == ()
    crowd = likeliest(torch.full((1, 10), 1 / 10), NAMES)
    assert len(crowd) == MOST and all(thing.probability >= FLOOR for thing in crowd)


def test_without_names_there_are_no_attributes():
    assert likeliest(torch.full((1, 20), 1 / 20), ()) == ()


def test_what_is_not_sure_has_a_question_mark():
    things = (Perceived("cup", SURE), Perceived("plate", SURE - 0.01))
    assert as_text(things) == "cup, plate?"
    assert as_text(()) == ""


def test_names_are_the_first_lemmas_in_class_order(tmp_path):
    (tmp_path / "imagenet_synsets.txt").write_text("n2\nn1\n")
    (tmp_path / "imagenet_synset_to_lemma.txt").write_text("n1\tcab, taxi\nn2\ttench, T.\n")
    assert read_class_names(tmp_path) == ("tench", "cab")
    (tmp_path / "imagenet_synsets.txt").write_text("n2\nn3\n")
    with pytest.raises(WeightsError, match="lacks n3"):
        read_class_names(tmp_path)
