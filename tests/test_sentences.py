"""The sentence encoder against `transformers`' own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import bert_folder
from transformers import AutoTokenizer, BertModel

from assistant.errors import WeightsError
from assistant.model.encoders.base import weights_digest
from assistant.model.sentences import MOST_TOKENS, SentenceEncoder

TEXTS = ("a dog", "two boys play with a ball", "", "x" * 30)


@torch.no_grad()
def test_vectors_are_those_of_transformers(tmp_path):
    encode = SentenceEncoder(bert_folder(tmp_path))
    theirs = BertModel.from_pretrained(tmp_path, add_pooling_layer=False).eval()
    batch = AutoTokenizer.from_pretrained(tmp_path)(list(TEXTS), padding=True, return_tensors="pt")
    states = theirs(batch["input_ids"], batch["attention_mask"]).last_hidden_state
    there = batch["attention_mask"]
    ours, where = encode.tokens(TEXTS)
    assert torch.equal(where, there.bool())
    assert torch.allclose(ours[where], states[where], atol=1e-5)
    mean = (states * there[..., None]).sum(1) / there.sum(1, keepdim=True)
    wanted = torch.nn.functional.normalize(mean, dim=-1).numpy()
    assert np.allclose(encode(TEXTS), wanted, atol=1e-5)
    assert encode.fingerprint == weights_digest(theirs)  # what was kept under it stays valid


def test_long_sentences_are_cut_and_still_end(tmp_path, monkeypatch):
    encode = SentenceEncoder(bert_folder(tmp_path))
    seen = []
    monkeypatch.setattr(encode, "network", lambda ids, there: seen.append(ids) or ids[..., None])
    encode.tokens(["a" * 300])
    (ids,) = seen[0].tolist()
    whole = encode.tokenizer("a" * 300)["input_ids"]
    assert ids == [*whole[: MOST_TOKENS - 1], whole[-1]]


def test_another_network_is_refused(tmp_path):
    state = load_file(bert_folder(tmp_path) / "model.safetensors")
    state.pop("encoder.layer.1.output.dense.weight")
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match="is no BERT"):
        SentenceEncoder(tmp_path)
