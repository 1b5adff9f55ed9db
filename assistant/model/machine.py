"""What this machine can compute with, and how fast: measured in a second, for an estimate."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from assistant.errors import ModelError
from assistant.model.memory import Plan, Sizes, free_memory
from assistant.model.placement import choose_dtype
from assistant.model.quantization import check_quantization, quantized_linear

SIDE, LAYERS = 2048, 6  # of the layers that are timed: too large for a cache, small enough to wait
ROUNDS = 3
PICTURE_ROWS, PROMPT_ROWS = 256, 64  # as many as a picture has patches, as a prompt has tokens
QFORMER_TOKENS = 64  # of a frame: queries and text
ANSWER_TOKENS = 12
PASSES = 3  # of a prompt: the answer, and what it weighs with and without the clip
REST = 1.3  # times that what is no Linear layer makes it (benchmarks/gpu.py, a sixth of Flan-T5-XL)
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


@lru_cache
def measure(device: str, dtype: torch.dtype, bits: int, rows: int) -> Speed:
    """Time some layers of the real kind, those that a model would be made of."""
    where = torch.device(device)
    layers = []
    for _ in range(LAYERS):
        linear = nn.Linear(SIDE, SIDE, bias=False).to(dtype)
        layers.append(quantized_linear(linear, bits, dtype, where) if bits else linear.to(where))
    network = nn.Sequential(*layers).eval()

    def rate(states: Tensor) -> float:
        taken = _least(lambda: network(states), where)
        return len(states) * LAYERS * SIDE * SIDE / taken

    with torch.no_grad():
        states = torch.randn(rows, SIDE, dtype=dtype, device=where)
        return Speed(rate(states), rate(states[:1].clone()))


def _least(work: Callable[[], object], where: torch.device) -> float:
    """Seconds of the fastest of some rounds, after one that does not count."""
    taken = []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        work()
        if where.type == "cuda":
            torch.cuda.synchronize(where)
        taken.append(time.perf_counter() - began)
    return min(taken[1:])


def estimate(sizes: Sizes, plan: Plan, device: str, dtype: torch.dtype, kind: str) -> Estimate:
    """Seconds that a paper-scale model would take here: its multiply-adds by the measured speeds.

    Args:
        kind: of its language model; T5 reads with one half of it and writes with the other.
    """
    pictures = measure(device, dtype, plan.encoder_bits, PICTURE_ROWS)
    exact = measure(device, torch.float32, 0, PICTURE_ROWS)  # the Q-Former
    llm = measure(device, dtype, plan.llm_bits, PROMPT_ROWS)
    share = 0.5 if kind == "t5" else 1.0
    weights = share * sizes.llm.parameters
    clip = sizes.encoder.parameters * plan.frames * sizes.patches / pictures.many
    seen = sizes.qformer.parameters * plan.frames * QFORMER_TOKENS / exact.many
    read = PASSES * weights * PROMPT_ROWS / llm.many
    said = ANSWER_TOKENS * weights / llm.one
    return Estimate(REST * clip, REST * (2 * seen + read + said))  # seen: with and without the clip


def estimate_reader(parameters: int, device: str, precision: str = "auto") -> Estimate:
    """Seconds that a language model would take to answer from notes, mini's own work apart."""
    speed = measure(device, choose_dtype(precision, torch.device(device)), 0, PICTURE_ROWS)
    read, said = NOTES_TOKENS / speed.many, SAID_TOKENS / speed.one
    return Estimate(0.0, REST * parameters * (read + said))


def _rounded(seconds: float) -> str:
    """What an estimate can promise."""
    if seconds < 1:
        return "a second"
    step = 1 if seconds < 10 else 5 if seconds < 60 else 30
    return f"{max(1, round(seconds / step)) * step} s"
