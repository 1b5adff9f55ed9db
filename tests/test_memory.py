"""What a model needs, predicted and measured; plans; a step down."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from checkpoints import write_checkpoint
from test_quantization import held

from assistant.core.config import LoraSettings, TransferConfig
from assistant.errors import ModelError
from assistant.model.large.checkpoint import Checkpoint
from assistant.model.large.instructblip import build, sizes_of_checkpoint, sizes_of_preset
from assistant.model.loading import shape_of
from assistant.model.lora import adapter_size
from assistant.model.memory import (
    LEARN_LESS,
    Plan,
    choose_plan,
    each_within_memory,
    part_of,
    step_down,
    within_memory,
)
from assistant.weights.presets import read_presets

PLANS = (Plan(), Plan(8, 8), Plan(4), Plan(4, 8), Plan(dtype_bytes=4))


@pytest.fixture(scope="module", params=["llama", "t5"])
def folder(request, tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def sizes():
    """Of Vicuna-7B's."""
    return sizes_of_preset(read_presets().presets["instructblip-vicuna-7b"].llm)


def measured(model):
    """Bytes of everything that was loaded: quantized weights with their scales, and buffers."""
    quantized = [layer for layer in model.modules() if hasattr(layer, "weight")]
    quantized = [layer for layer in quantized if type(layer).__name__.endswith(("4bit", "8bitLt"))]
    owned = {id(layer.weight) for layer in quantized}
    plain = sum(p.nbytes for p in model.parameters() if id(p) not in owned)
    return plain + sum(value.nbytes for layer in quantized for value in held(layer))


@pytest.mark.parametrize("plan", PLANS)
def test_the_prediction_is_what_the_loaded_weights_take(folder, plan):
    checkpoint = Checkpoint(folder)
    need = plan.need(sizes_of_checkpoint(checkpoint))
    dtype = torch.float32 if plan.dtype_bytes == 4 else torch.bfloat16
    model = build(checkpoint, "tiny", plan, dtype=dtype, device=torch.device("cpu"))
    assert need.weights == measured(model)


@pytest.mark.parametrize(
    ("name", "billions", "nf4"),
    [
        ("instructblip-vicuna-7b", 7.91, 7.6),
        ("instructblip-vicuna-13b", 14.19, 11.5),
        ("instructblip-flan-t5-xl", 4.02, 5.1),
        ("instructblip-flan-t5-xxl", 12.31, 10.3),
    ],
)
def test_real_sizes_on_the_meta_device(name, billions, nf4):
    sizes = sizes_of_preset(read_presets().presets[name].llm)
    assert sizes.parameters / 1e9 == pytest.approx(billions, abs=0.01)
    assert sizes.encoder.parameters == pytest.approx(0.986e9, rel=0.01)
    assert Plan(4).need(sizes).total / 1e9 == pytest.approx(nf4, abs=0.1)


@pytest.mark.parametrize("transfer", [TransferConfig(), TransferConfig(layers=0, contrast=0)])
def test_an_adapter_at_paper_scale_stays_small(transfer):
    shape, patch_width = shape_of("instructblip-vicuna-7b")
    assert (shape.layers, shape.width, patch_width) == (12, 768, 1408)
    assert 100_000 < adapter_size(shape, patch_width, LoraSettings(), transfer) <= 2_500_000


def test_counting_makes_nothing():
    part = part_of(lambda: torch.nn.Linear(10**6, 10**6))  # 4 TB
    assert part.parameters == 10**12 + 10**6


@pytest.mark.parametrize(
    ("free", "found"),
    [
        (80e9, (0, 0)),
        (17e9, (8, 8)),
        (9e9, (4, 0)),
        (7e9, (4, 8)),
    ],
)
def test_auto_takes_the_most_exact_that_fits(sizes, free, found):
    plan = choose_plan(sizes, int(free))
    assert (plan.llm_bits, plan.encoder_bits) == found
    assert plan.need(sizes).total <= free


def test_without_a_gpu_eight_bits_are_not_taken_by_themselves(sizes):
    plan = choose_plan(sizes, int(12e9), on_gpu=False)
    assert (plan.llm_bits, plan.encoder_bits) == (4, 0)


def test_more_frames_and_more_text_need_more(sizes):
    few = Plan(4).need(sizes)
    assert Plan(4, frames=64).need(sizes).total > few.total
    assert Plan(4, context=8192).need(sizes).total > few.total
    tight = few.total
    assert choose_plan(sizes, tight, quantize="4bit").llm_bits == 4
    with pytest.raises(ModelError, match="fewer --frames"):
        choose_plan(sizes, tight, quantize="4bit", frames=64)


def test_what_does_not_fit_is_one_line_with_its_figures(sizes):
    with pytest.raises(ModelError, match=r"needs 17\.. GB .*5\.0 GB are free.*--quantize auto"):
        choose_plan(sizes, int(5e9), quantize="none")
    with pytest.raises(ModelError, match="smaller model"):
        choose_plan(sizes, int(5e9))


def test_one_step_down_at_a_time():
    plan, seen = Plan(), []
    while plan is not None:
        seen.append((plan.llm_bits, plan.encoder_bits))
        plan = step_down(plan, "auto", on_gpu=True)
    assert seen == [(0, 0), (8, 8), (4, 0), (4, 8)]
    assert step_down(Plan(8, 8), "8bit", on_gpu=True) is None
    assert step_down(Plan(frames=4), "auto", on_gpu=False) == replace(Plan(4), frames=4)


def test_a_full_gpu_while_it_answers_is_one_line():
    def pieces():
        yield "a"
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")

    told = each_within_memory(pieces())
    assert next(told) == "a"
    with pytest.raises(ModelError, match="fewer --frames"):
        next(told)
    with pytest.raises(ModelError, match="--quantize 4bit"), within_memory():
        raise torch.OutOfMemoryError
    with pytest.raises(ModelError, match="checkpointing: true"), within_memory(LEARN_LESS):
        raise torch.OutOfMemoryError
