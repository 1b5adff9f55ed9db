"""The whole model: shapes, choices, truncation of the Q-Former's text."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny import tiny_assistant


@pytest.fixture(scope="module")
def model():
    return tiny_assistant()


@pytest.fixture(scope="module")
def patches(model):
    frames = np.random.default_rng(0).integers(0, 255, (3, 48, 80, 3), dtype=np.uint8)
    return model.encoder(frames).patches


def test_encodes_frames_of_any_size(model, patches):
    assert patches.shape == (3, model.encoder.patch_count, model.encoder.width)
    assert patches.dtype == torch.float16


def test_classes_are_probabilities(model):
    classes = model.encoder(np.zeros((2, 30, 30, 3), np.uint8)).classes
    assert classes.shape == (2, 1000)
    assert torch.allclose(classes.sum(1), torch.ones(2), atol=1e-4)


def test_long_clips_are_encoded_in_chunks_with_the_same_result(model):
    frames = np.random.default_rng(1).integers(0, 255, (18, 40, 40, 3), dtype=np.uint8)
    together = model.encoder(frames).patches
    alone = torch.cat([model.encoder(frame[None]).patches for frame in frames])
    assert torch.allclose(together.float(), alone.float(), atol=2e-2)


def test_visual_tokens_do_not_grow_with_frames(model, patches):
    few = model.visual_tokens(patches[None, :1], ["what"])
    many = model.visual_tokens(patches[None], ["what"])
    assert few.shape == many.shape == (1, 4, 24)


def test_streams_an_answer(model, patches):
    visual = model.visual_tokens(patches[None], ["what"])
    (pieces,) = model.generate_batch(visual, ["what"], [()])
    assert "".join(pieces).strip()


def scores(model, patches, *answers: tuple[str, bool]) -> list[float]:
    visual = model.visual_tokens(None if patches is None else patches[None], ["is it"])
    return model.score_batch(visual, ["is it"], [()], [answers])[0]


def test_scores_are_log_probabilities_and_depend_on_the_picture(model, patches):
    answers = (("yes", True), ("no", True))
    seen = scores(model, patches, *answers)
    assert all(score < 0 for score in seen)
    assert seen != scores(model, None, *answers)


def test_a_beginning_is_scored_without_its_end(model, patches):
    whole, begun = scores(model, patches, ("yes", True), ("yes", False))
    assert whole != begun


def test_fusion_text_drops_the_last_parts_first(model):
    text, dropped = model.fit_qformer_text(["question", "recent", "x" * 30])
    assert (text, dropped) == ("question\nrecent", 1)
    ids, mask = model.qformer_ids([text, "y" * 90])
    assert ids.shape == mask.shape == (2, 40)
