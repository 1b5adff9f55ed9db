"""What this machine can compute with, and how fast: measured in seconds, for an estimate."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from assistant.errors import ModelError
from assistant.model.memory import Plan, Sizes, free_memory
from assistant.model.placement import choose_dtype
from assistant.model.quantization import check_quantization, quantized_linear
from assistant.weights.presets import read_presets

SIDE, LAYERS = 1024, 24  # of the layers that are timed in turn: together too large for a cache
ROUNDS = 2
ROWS = 64  # at a time: tokens of a prompt; a picture has 257 patches, which are as quick
QFORMER_TOKENS = 64  # of a frame: queries and text
ANSWER_TOKENS = 12
PASSES = 3  # of a prompt: the answer, and what it weighs with and without the clip
REST = 1.2  # times that what is no Linear layer makes it (benchmarks/gpu.py, a sixth of Flan-T5-XL)
SERVER_SECONDS = 0.3  # that a port of this machine has to answer
NOTES_TOKENS, SAID_TOKENS = 400, 40  # that a language model reads of a clip, and answers


@dataclass(frozen=True)
class Speed:
    """Of Linear layers in one precision."""

    many: float  # multiply-adds a second, of many rows at a time: pictures, a prompt
    one: float  # of one row: each token of an answer, for which every weight is read


@dataclass(frozen=True)
class Place:
    """Where a model may compute."""

    device: str  # "cuda" or "cpu"
    free: int  # bytes
    quantizes: bool  # to 4 bit


@dataclass(frozen=True)
class Estimate:
    """Seconds."""

    clip: float  # to encode its frames, once
    question: float

    @property
    def first(self) -> float:
        return self.clip + self.question

    def as_text(self) -> str:
        """For a person."""
        if self.first - self.question < 1:
            return f"about {_rounded(self.question)} a question"
        return f"about {_rounded(self.first)} for a clip's first question, then " + (
            _rounded(self.question)
        )


def places(device: str) -> tuple[Place, ...]:
    """Where a model may compute as ``device`` ("auto", "cpu", "cuda") has it, the fastest first."""
    there = torch.cuda.is_available()
    wanted = [d for d in ("cuda", "cpu") if device in (d, "auto") and (there or d == "cpu")]
    return tuple(_place(name) for name in wanted)


def _place(device: str) -> Place:
    where = torch.device(device)
    try:
        check_quantization(4, where)
    except ModelError:
        return Place(device, free_memory(where), False)
    return Place(device, free_memory(where), True)


def local_servers() -> Iterator[tuple[str, str]]:
    """Address and first model of each OpenAI-compatible server that answers on this machine, where
    such programs listen unless told otherwise."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for port in read_presets().server_ports:
        address = f"http://localhost:{port}/v1"
        try:
            with opener.open(f"{address}/models", timeout=SERVER_SECONDS) as answer:
                listed = json.load(answer)["data"]
            names = [str(model["id"]) for model in listed]
        except (OSError, ValueError, KeyError, TypeError):
            continue  # nobody is there, or something else
        talking = [name for name in names if "embed" not in name.lower()]
        if talking:
            yield address, talking[0]


@lru_cache
def measure(device: str, dtype: torch.dtype, bits: int) -> Speed:
    """Time layers of the kind that a model would be made of, one by one: the quickest call counts,
    short enough to be left in peace on a busy machine."""
    where = torch.device(device)
    layers = []
    for _ in range(LAYERS):
        linear = nn.Linear(SIDE, SIDE, bias=False).to(dtype)
        layers.append(quantized_linear(linear, bits, dtype, where) if bits else linear.to(where))
        layers[-1].eval()

    def rate(states: Tensor) -> float:
        for layer in layers:
            layer(states)  # the first call packs weights
        taken = [_seconds(layer, states) for _ in range(ROUNDS) for layer in layers]
        return len(states) * SIDE * SIDE / min(taken)

    with torch.no_grad():
        states = torch.randn(ROWS, SIDE, dtype=dtype, device=where)
        return Speed(rate(states), rate(states[:1].clone()))


def _seconds(layer: nn.Module, states: Tensor) -> float:
    began = time.perf_counter()
    layer(states)
    if states.is_cuda:
        torch.cuda.synchronize(states.device)
    return time.perf_counter() - began


def estimate(sizes: Sizes, plan: Plan, device: str, dtype: torch.dtype, kind: str) -> Estimate:
    """Seconds that a paper-scale model would take here: its multiply-adds by the measured speeds.

    Args:
        kind: of its language model; T5 reads with one half of it and writes with the other.
    """
    pictures = measure(device, dtype, plan.encoder_bits)
    exact = measure(device, torch.float32, 0)  # the Q-Former
    llm = measure(device, dtype, plan.llm_bits)
    share = 0.5 if kind == "t5" else 1.0
    weights = share * sizes.llm.parameters
    clip = sizes.encoder.parameters * plan.frames * sizes.patches / pictures.many
    seen = sizes.qformer.parameters * plan.frames * QFORMER_TOKENS / exact.many
    read = PASSES * weights * ROWS / llm.many
    said = ANSWER_TOKENS * weights / llm.one
    return Estimate(REST * clip, REST * (2 * seen + read + said))  # seen: with and without the clip


def estimate_reader(parameters: int, device: str, precision: str = "auto") -> Estimate:
    """Seconds that a language model would take to answer from notes, mini's own work apart."""
    speed = measure(device, choose_dtype(precision, torch.device(device)), 0)
    read, said = NOTES_TOKENS / speed.many, SAID_TOKENS / speed.one
    return Estimate(0.0, REST * parameters * (read + said))


def _rounded(seconds: float) -> str:
    """What an estimate can promise."""
    if seconds < 1:
        return "a second"
    step = 1 if seconds < 10 else 5 if seconds < 60 else 30
    return f"{max(1, round(seconds / step)) * step} s"
