"""Adapters: identity at the start, exact switching, strict loading, nothing else learns."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import tiny_qformer

from assistant.core.config import LoraSettings, TransferConfig
from assistant.errors import WeightsError
from assistant.model.lora import Adapters
from assistant.model.spatiotemporal import SpatioTemporalQFormer
from assistant.tasks.store import ADAPTER_WEIGHTS

LORA = LoraSettings(rank=2)
TRANSFER = TransferConfig(frames=4)
OTHER = TransferConfig(frames=3, routing="mixture", pooling="learned")


@pytest.fixture
def seen():
    torch.manual_seed(1)
    ids = torch.randint(1, 120, (2, 6))
    return torch.randn(2, 4, 5, 20), ids, torch.ones_like(ids)


@pytest.fixture
def adapters():
    return Adapters(SpatioTemporalQFormer(tiny_qformer()))


def tokens(adapters, name, seen):
    with torch.no_grad(), adapters.using(name) as qformer:
        return qformer(*seen)


def taught(adapters, name, seed):
    """The adapter moved away from its start."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in adapters.trainable(name).values():
            parameter.add_(torch.randn_like(parameter) * 0.2)
            parameter.copy_(parameter.half())  # as it will lie on disk


def test_fresh_loras_and_a_closed_gate_change_nothing(adapters, seen):
    image = tokens(adapters, None, seen)
    adapters.add("motion", LORA, TransferConfig(frames=4, gate=0.0))
    assert torch.allclose(tokens(adapters, "motion", seen), image, atol=1e-5)


def test_adapters_of_different_shape_switch_exactly(adapters, seen):
    image = tokens(adapters, None, seen)
    adapters.add("motion", LORA, TRANSFER)
    adapters.add("humor", LORA, OTHER)
    taught(adapters, "motion", 1)
    taught(adapters, "humor", 2)
    motion, humor = tokens(adapters, "motion", seen), tokens(adapters, "humor", seen)
    assert not torch.allclose(motion, humor, atol=1e-2)
    assert torch.equal(tokens(adapters, "motion", seen), motion)
    assert torch.equal(tokens(adapters, None, seen), image)
    assert torch.equal(tokens(adapters, "humor", seen), humor)


def test_space_and_time_have_their_own_loras_over_the_same_weights(adapters):
    adapters.add("motion", LORA, TRANSFER)
    learned = adapters.trainable("motion")
    for place in ("temporal.1.attention", "image.qformer.encoder.layer.1.attention.attention"):
        for projection in ("query", "value"):
            assert f"{place}.{projection}.lora_A.motion.weight" in learned
    assert not any("base_layer" in name or ".key." in name for name in learned)
    names = adapters.qformer.get_submodule("image.qformer.encoder.layer.1.attention.attention")
    other = adapters.qformer.get_submodule("temporal.1.attention")
    assert names.query.base_layer.weight is other.query.base_layer.weight


@pytest.mark.parametrize(
    ("lora", "added"),
    [
        (
            LoraSettings(rank=2, output=True),
            {"encoder.layer.2.attention.output.dense", "temporal.2.output.dense"},
        ),
        (
            LoraSettings(rank=2, feed_forward=True),
            {"encoder.layer.2.intermediate_query.dense", "encoder.layer.2.output_query.dense"},
        ),
    ],
)
def test_wider_settings_adapt_more_and_still_begin_as_the_image_model(adapters, seen, lora, added):
    image = tokens(adapters, None, seen)
    transfer = TransferConfig(frames=4, gate=0.0, layers=1)
    adapters.add("plain", LORA, transfer)
    adapters.add("wide", lora, transfer)
    plain, wide = (
        {k.partition(".lora_")[0].removeprefix("image.qformer.") for k in found if "lora_" in k}
        for found in (adapters.trainable("plain"), adapters.trainable("wide"))
    )
    assert wide - plain == added
    assert torch.allclose(tokens(adapters, "wide", seen), image, atol=1e-5)


def test_each_rereading_has_its_own_loras(adapters, seen):
    adapters.add("plain", LORA, TRANSFER)
    adapters.add("again", LORA, replace(TRANSFER, rereads=2))
    plain, again = (
        {name.partition(".lora_")[0] for name in adapters.trainable(key) if "lora_" in name}
        for key in ("plain", "again")
    )
    layer = ("attention.attention.query", "attention.attention.key", "attention.attention.value")
    layer += ("intermediate_query.dense", "output_query.dense")
    assert again - plain == {f"rereads.{n}.{part}" for n in (0, 1) for part in layer}
    one = adapters.qformer.get_submodule(f"rereads.0.{layer[0]}").base_layer.weight
    assert one is adapters.qformer.get_submodule(f"rereads.1.{layer[0]}").base_layer.weight
    with adapters.using("again") as qformer:
        adapters.trainable("again")
        qformer(*seen).square().sum().backward()
    learned = adapters.trainable("again")
    assert all(p.grad is not None for n, p in learned.items() if "reread" in n)


def test_an_adapter_grows_rereadings_and_nothing_else(adapters, seen, tmp_path):
    adapters.add("motion", LORA, TRANSFER)
    taught(adapters, "motion", 1)
    before = tokens(adapters, "motion", seen)
    adapters.save("motion", tmp_path)
    adapters.add("again", LORA, replace(TRANSFER, rereads=1))
    with pytest.raises(WeightsError, match="lacks"):
        adapters.fill("again", tmp_path)
    adapters.fill("again", tmp_path, grow=True)
    with torch.no_grad(), adapters.using("again") as qformer:
        qformer.parts.reread_gates.zero_()
    assert torch.allclose(tokens(adapters, "again", seen), before, atol=1e-3)  # fp16
    adapters.add("other", LORA, replace(TRANSFER, contrast=3))
    with pytest.raises(WeightsError, match="lacks"):
        adapters.fill("other", tmp_path, grow=True)


def test_after_the_last_adapter_is_gone_another_one_may_come(adapters, seen, tmp_path):
    image = tokens(adapters, None, seen)
    adapters.add("motion", LORA, TRANSFER)
    taught(adapters, "motion", 1)
    before = tokens(adapters, "motion", seen)
    adapters.save("motion", tmp_path)
    adapters.remove("motion")
    assert adapters.names == () and torch.equal(tokens(adapters, None, seen), image)
    with pytest.raises(WeightsError, match="is not there"):
        adapters.load("gone", tmp_path / "gone", LORA, TRANSFER)
    adapters.load("motion", tmp_path, LORA, TRANSFER)
    assert torch.allclose(tokens(adapters, "motion", seen), before, atol=1e-3)  # fp16


def test_training_moves_the_named_adapter_only(adapters, seen):
    adapters.add("motion", LORA, TRANSFER)
    adapters.add("humor", LORA, OTHER)
    humor = tokens(adapters, "humor", seen)
    learned = adapters.trainable("motion")
    with adapters.using("motion") as qformer:
        adapters.trainable("motion")
        qformer(*seen).square().sum().backward()
    optimizer = torch.optim.SGD(learned.values(), 0.1)
    optimizer.step()
    assert torch.equal(tokens(adapters, "humor", seen), humor)


def test_without_lora_only_the_other_parts_learn(adapters):
    adapters.add("motion", LORA, TRANSFER)
    learned = adapters.trainable("motion", lora=False)
    assert learned and not any("lora_" in name for name in learned)


def test_saved_and_loaded_it_says_the_same(adapters, seen, tmp_path):
    adapters.add("motion", LORA, TRANSFER)
    taught(adapters, "motion", 1)
    adapters.save("motion", tmp_path)
    assert all(v.dtype == torch.float16 for v in load_file(tmp_path / ADAPTER_WEIGHTS).values())
    again = Adapters(SpatioTemporalQFormer(tiny_qformer()))
    again.load("mine", tmp_path, LORA, TRANSFER)
    before, after = tokens(adapters, "motion", seen), tokens(again, "mine", seen)
    assert torch.allclose(before, after, atol=1e-5)
    again.save("mine", tmp_path / "again")
    first, second = (load_file(f / ADAPTER_WEIGHTS) for f in (tmp_path, tmp_path / "again"))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_attention_that_begins_anew_loads_beside_another_adapter(adapters, seen, tmp_path):
    anew = TransferConfig(frames=4, reuse=False)
    adapters.add("motion", LORA, anew)
    taught(adapters, "motion", 1)
    adapters.save("motion", tmp_path)
    adapters.load("again", tmp_path, LORA, anew)
    said = tokens(adapters, "motion", seen)
    assert torch.allclose(tokens(adapters, "again", seen), said, atol=1e-2)


def test_a_key_too_many_or_too_few_is_refused(adapters, seen, tmp_path):
    adapters.add("motion", LORA, TRANSFER)
    adapters.save("motion", tmp_path)
    path = tmp_path / ADAPTER_WEIGHTS
    state = load_file(path)
    missing = next(iter(state))
    save_file({k: v for k, v in state.items() if k != missing} | {"odd": state[missing]}, path)
    with pytest.raises(WeightsError, match="odd"):
        adapters.load("other", tmp_path, LORA, TRANSFER)
    assert adapters.names == ("motion",)
    tokens(adapters, "motion", seen)
    save_file(state | {missing: torch.full_like(state[missing], torch.nan)}, path)
    with pytest.raises(WeightsError, match="not finite"):
        adapters.load("other", tmp_path, LORA, TRANSFER)
    path.write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="damaged"):
        adapters.load("other", tmp_path, LORA, TRANSFER)
    path.unlink()
    with pytest.raises(WeightsError, match="not there"):
        adapters.load("other", tmp_path, LORA, TRANSFER)


def test_an_adapter_that_is_not_there_is_named(adapters):
    with pytest.raises(WeightsError, match="'motion'"), adapters.using("motion"):
        pass


def test_an_adapter_added_to_a_model_at_work_does_not_drop_anything_out(adapters, seen):
    adapters.qformer.image.eval()
    adapters.add("motion", LoraSettings(rank=2, dropout=0.5), TRANSFER)
    taught(adapters, "motion", 1)
    assert torch.equal(tokens(adapters, "motion", seen), tokens(adapters, "motion", seen))


def test_importing_says_nothing():
    done = subprocess.run(
        [sys.executable, "-c", "import assistant.model.lora"], capture_output=True, text=True
    )
    assert done.stderr == ""
