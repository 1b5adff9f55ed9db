"""8 and 4 bit on the processor: close to the exact model, and gradients that are not zero."""

from __future__ import annotations

import bitsandbytes
import pytest
import torch
from checkpoints import write_checkpoint
from tiny import tiny_llm
from torch import nn

from assistant.errors import ModelError
from assistant.model import quantization
from assistant.model.large.checkpoint import Checkpoint
from assistant.model.large.instructblip import build
from assistant.model.memory import Plan
from assistant.model.quantization import (
    check_quantization,
    let_gradients_through,
    quantizable,
    quantize_network,
    stored_bytes,
)

CPU = torch.device("cpu")
PROMPT, ANSWER = "what is the man doing", "a dog runs"


@pytest.fixture(scope="module", params=["llama", "t5"])
def folder(request, tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp(request.param), request.param)


def load(folder, bits=0, dtype=torch.float32):
    plan = Plan(llm_bits=bits, encoder_bits=8 if bits else 0)
    return build(Checkpoint(folder), "tiny", plan, dtype=dtype, device=CPU)


def loss_of(model, visual):
    llm = model.llm
    (losses,) = llm.answer_losses(visual, [llm.prompt_ids(PROMPT)], [[llm.answer_ids(ANSWER)]])
    return losses[0]


def gradient(model, visual):
    visual = visual.clone().requires_grad_()
    loss_of(model, visual).backward()
    return visual.grad.float()


@pytest.mark.parametrize("bits", [8, 4])
def test_a_quantized_model_is_close_to_the_exact_one(folder, bits):
    exact, small = load(folder), load(folder, bits)
    frames = torch.randint(0, 255, (2, 30, 30, 3), dtype=torch.uint8).numpy()
    seen, seen_small = exact.encoder(frames).patches, small.encoder(frames).patches
    assert torch.cosine_similarity(seen.flatten(), seen_small.flatten(), 0) > 0.99
    visual = torch.randn(1, 4, exact.llm.width)
    with torch.no_grad():
        assert loss_of(small, visual) == pytest.approx(float(loss_of(exact, visual)), rel=0.25)
    kinds = {type(layer).__name__ for layer in small.llm.network.modules()}
    assert ("Linear8bitLt" in kinds, "Linear4bit" in kinds) == (bits == 8, bits == 4)
    assert type(small.llm.network.get_output_embeddings()) is nn.Linear
    assert small.qformer.queries.dtype == torch.float32


def test_gradients_are_those_of_the_weights_that_4_bit_stands_for(folder):
    exact, small = load(folder), load(folder, 4).train()
    for name, layer in small.llm.network.named_modules():
        if isinstance(layer, bitsandbytes.nn.Linear4bit):
            weight = bitsandbytes.functional.dequantize_4bit(layer.weight, layer.weight.quant_state)
            exact.llm.network.get_submodule(name).weight.data.copy_(weight)
    visual = torch.randn(1, 4, exact.llm.width)
    one, other = gradient(exact, visual), gradient(small, visual)
    assert one.abs().max() > 1e-3
    assert torch.allclose(one, other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_answers_and_learns_in_turn(folder, bits, dtype):
    """The trap: an answer packs 4-bit weights for a kernel without gradients, and training after it
    learns nothing, without a word."""
    model = load(folder, bits, dtype)
    visual = torch.randn(1, 4, model.llm.width)
    before = gradient(model.train(), visual)
    let_gradients_through(model.llm.network)
    model.eval()
    assert isinstance(model.llm.complete(visual, [model.llm.prompt_ids(PROMPT)], 4)[0], str)
    model.train()
    after = gradient(model, visual)
    assert after.abs().max() > 0
    assert torch.equal(before, after)


def test_gradients_come_back_after_an_answer_has_packed_the_weights(folder):
    model = load(folder, 4, torch.bfloat16)
    visual = torch.randn(1, 4, model.llm.width)
    before = gradient(model.train(), visual)
    model.eval().llm.complete(visual, [model.llm.prompt_ids(PROMPT)], 2)
    let_gradients_through(model.llm.network)
    after = gradient(model.train(), visual)
    assert torch.cosine_similarity(before.flatten(), after.flatten(), 0) > 0.99


def test_what_is_quantized():
    network = nn.ModuleDict(
        {"wo": nn.Linear(4, 4), "lm_head": nn.Linear(4, 4), "query": nn.Linear(4, 4)}
    )
    assert [name for name, _ in quantizable(network, 4)] == ["wo", "query"]
    assert [name for name, _ in quantizable(network, 8)] == ["query"]


@pytest.mark.parametrize("bits", [4, 8])
def test_a_model_in_memory_is_quantized_in_place(bits):
    """mini's own LLM goes the same way."""
    exact, small = tiny_llm(), tiny_llm()
    quantize_network(small.network, bits, torch.float32, CPU)
    visual = torch.randn(1, 4, 24)
    prompt, words = exact.prompt_ids("which"), [torch.tensor([token]) for token in (5, 9)]
    (one,), (other,) = (llm.answer_losses(visual, [prompt], [words]) for llm in (exact, small))
    assert other.tolist() == pytest.approx(one.tolist(), rel=0.3) and not torch.equal(one, other)


@pytest.mark.parametrize("shape", [(48, 64), (256, 128), (100, 33)])
@pytest.mark.parametrize("bits", [4, 8])
def test_stored_bytes_are_those_of_bitsandbytes(shape, bits):
    layer = quantization.quantized_linear(
        nn.Linear(*reversed(shape), bias=False), bits, torch.float32, CPU
    )
    assert stored_bytes(*shape, bits, 4) == sum(value.nbytes for value in held(layer))
    assert stored_bytes(*shape, 0, 2) == 2 * shape[0] * shape[1]


def held(layer):
    """Every tensor of a quantized layer's weight."""
    state = getattr(layer.weight, "quant_state", None)
    if state is None:
        return [layer.weight, layer.weight.SCB]
    nested = state.state2
    return [layer.weight, state.absmax, state.code, state.offset, nested.absmax, nested.code]


def test_where_bitsandbytes_does_not_work_one_line_says_so(monkeypatch):
    check_quantization(0, torch.device("meta"))
    check_quantization(4, CPU)
    for error, told in (
        (ImportError("no module"), "pip install bitsandbytes"),
        (RuntimeError("no kernel\nfor this"), "use a GPU with CUDA"),
    ):
        monkeypatch.setattr(quantization, "quantized_linear", fails(error))
        with pytest.raises(ModelError, match=told) as caught:
            check_quantization(8, CPU)
        assert "\n" not in str(caught.value)


def fails(error):
    def call(*_, **__):
        raise error

    return call
