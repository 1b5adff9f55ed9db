"""Trained weights load whole or not at all."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import tiny_qformer

from assistant.core.progress import watched
from assistant.errors import InputError, WeightsError
from assistant.model import loading
from assistant.model.llm_weights import _bars_reported
from assistant.model.weight_files import save_weights
from assistant.weights import store as weights_store


@pytest.fixture
def saved(tmp_path):
    model = tiny_qformer(seed=1)
    state = model.state_dict()
    path = tmp_path / "qformer.safetensors"
    save_weights({name: state[name] for name in loading.trained_names(model)}, path)
    return path


def test_round_trip_restores_what_was_trained(saved):
    source, target = tiny_qformer(seed=1), tiny_qformer(seed=2)
    loading.load_trained(target, saved)
    wanted, found = source.state_dict(), target.state_dict()
    for name in loading.trained_names(source):
        assert torch.equal(wanted[name].half().float(), found[name]), name


def test_text_side_is_not_shipped(saved):
    names = set(load_file(saved))
    assert "queries" in names
    assert "projection.weight" in names
    assert any("crossattention" in name for name in names)
    assert any("intermediate_query" in name for name in names)
    assert not any("embeddings" in name or ".intermediate." in name for name in names)


def edited(path, change):
    state = load_file(path)
    change(state)
    save_file(state, path)
    return path


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda state: state.pop("queries"), "lacks"),
        (lambda state: state.update(stranger=torch.zeros(1)), "stranger"),
        (lambda state: state.update(queries=torch.zeros(1, 5, 16)), "queries is"),
        (lambda state: state["queries"][0, 1].fill_(torch.inf), "queries has numbers that are not"),
    ],
)
def test_any_other_set_of_tensors_is_refused(saved, change, told):
    with pytest.raises(WeightsError, match=told):
        loading.load_trained(tiny_qformer(), edited(saved, change))


@pytest.mark.parametrize("wrong", [7e4, torch.nan])
def test_what_fp16_cannot_hold_is_not_written(saved, wrong):
    before = saved.read_bytes()
    with pytest.raises(WeightsError, match="not finite"):
        save_weights({"queries": torch.tensor([1.0, wrong])}, saved)
    assert saved.read_bytes() == before


def test_damaged_or_missing_file_is_one_clear_line(saved, tmp_path):
    saved.write_bytes(saved.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="damaged"):
        loading.load_trained(tiny_qformer(), saved)
    with pytest.raises(WeightsError, match="is not there"):
        loading.load_trained(tiny_qformer(), tmp_path / "none.safetensors")


def test_unknown_model_and_precision_name_the_known_ones():
    with pytest.raises(InputError, match="known are"):
        loading.load_model("maxi")
    with pytest.raises(InputError, match="bf16"):
        loading.choose_precision("fp7")


def test_hub_id_goes_to_the_hub_and_a_name_to_the_lock(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(
        weights_store, "ensure_hub", lambda name: asked.append(("hub", name)) or tmp_path
    )
    monkeypatch.setattr(
        weights_store, "ensure", lambda name, prepare: asked.append(("lock", name)) or tmp_path
    )
    weights_store.ensure_source("owner/name")
    weights_store.ensure_source("name")
    assert asked == [("hub", "owner/name"), ("lock", "name")]


def test_converting_tells_how_far_it_is():
    from transformers import modeling_gguf_pytorch_utils as reader

    told, before = [], reader.tqdm
    with watched(lambda *report: told.append(report)), _bars_reported("Converting llm"):
        assert list(reader.tqdm("abcd", desc="...")) == list("abcd")
    assert told == [("Converting llm", share) for share in (0.0, 0.25, 0.5, 0.75)]
    assert reader.tqdm is before
