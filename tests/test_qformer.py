"""The image Q-Former against `transformers`' own, and its initialisation."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import bert_folder, official_qformer, tiny_qformer
from transformers import BertModel

from assistant.errors import WeightsError
from assistant.model.qformer import initialise_from_bert


@pytest.mark.parametrize("frames", [1, 3])
def test_equals_transformers_run_per_frame_and_averaged(frames):
    model = tiny_qformer()
    patches = torch.randn(2, frames, 9, 20)
    ids = torch.randint(1, 100, (2, 7))
    mask = torch.ones(2, 7, dtype=torch.long)
    mask[1, 4:] = 0
    visible = torch.cat([torch.ones(2, 4, dtype=torch.long), mask], 1)
    official = official_qformer(model)
    with torch.no_grad():
        ours = model.query_states(patches, ids, mask)
        theirs = [
            official(
                ids,
                attention_mask=visible,
                query_embeds=model.queries.expand(2, -1, -1),
                encoder_hidden_states=patches[:, t],
            ).last_hidden_state[:, :4]
            for t in range(frames)
        ]
    assert ours.std() > 0.1  # the model sees something at all
    assert torch.allclose(ours, torch.stack(theirs).mean(0), atol=1e-5)


def test_padding_of_the_text_changes_nothing():
    model = tiny_qformer()
    patches, ids = torch.randn(1, 2, 9, 20), torch.randint(1, 100, (1, 5))
    padded = torch.cat([ids, torch.randint(1, 100, (1, 3))], 1)
    mask = torch.tensor([[1] * 5 + [0] * 3])
    with torch.no_grad():
        plain = model(patches, ids, torch.ones_like(ids))
        assert torch.allclose(plain, model(patches, padded, mask), atol=1e-5)


def test_text_and_picture_both_reach_the_visual_tokens():
    model = tiny_qformer()
    patches, ids = torch.randn(1, 1, 9, 20), torch.randint(1, 100, (1, 5))
    ones = torch.ones_like(ids)
    with torch.no_grad():
        tokens = model(patches, ids, ones)
        assert tokens.shape == (1, 4, 24)
        assert (tokens - model(patches, ids.flip(1), ones)).abs().max() > 1e-2
        assert (tokens - model(patches + 1, ids, ones)).abs().max() > 1e-2
        assert (tokens - model(None, ids, ones)).abs().max() > 1e-2


def test_text_alone_ignores_the_cross_attention():
    model = tiny_qformer()
    ids = torch.randint(1, 100, (1, 5))
    with torch.no_grad():
        before = model(None, ids, torch.ones_like(ids))
        for name, parameter in model.named_parameters():
            if "crossattention" in name:
                parameter.zero_()
        assert torch.equal(before, model(None, ids, torch.ones_like(ids)))


def test_starts_as_the_text_encoder_it_comes_from(tmp_path):
    folder = bert_folder(tmp_path)
    model = tiny_qformer()
    initialise_from_bert(model, folder, seed=1)
    ids = torch.randint(1, 100, (2, 6))
    with torch.no_grad():
        ours = official_qformer(model)(ids).last_hidden_state  # no queries: a plain text encoder
        theirs = BertModel.from_pretrained(folder, add_pooling_layer=False)(ids).last_hidden_state
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_initialisation_that_lacks_a_tensor_is_refused(tmp_path):
    folder = bert_folder(tmp_path)
    state = load_file(folder / "model.safetensors")
    del state["encoder.layer.1.output.dense.weight"]
    save_file(state, folder / "model.safetensors")
    with pytest.raises(WeightsError, match=r"layer\.1\.output"):
        initialise_from_bert(tiny_qformer(), folder, seed=1)
