"""How much memory a paper-scale model needs, and in which precision it fits.

Sizes are counted on the meta device: modules of the real shape that hold no numbers.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from assistant.errors import ModelError
from assistant.model.quantization import BITS, quantizable, stored_bytes

T = TypeVar("T")
AUTO = "auto"
CONTEXT = 1024  # tokens of the LLM: visual tokens, prompt, dialogue and answer
HEADROOM = 0.05  # of the need, for what an allocator cannot use
ASK_LESS = "ask with fewer --frames or a shorter dialogue, or load with --quantize 4bit"
LEARN_LESS = (
    "in the recipe take checkpointing: true, a smaller batch with a larger accumulate, or fewer "
    "frames, or load with --quantize 4bit; then --resume"
)


@dataclass(frozen=True)
class Part:
    """Weights of one part of a model: of the layers that can be quantized, and of the rest."""

    linears: tuple[tuple[int, int], ...]  # rows and columns of those that 4 bit takes
    kept: tuple[tuple[int, int], ...]  # of those among them that 8 bit leaves alone
    rest: int  # numbers in everything else

    @property
    def parameters(self) -> int:
        return sum(rows * columns for rows, columns in self.linears) + self.rest

    def weight_bytes(self, bits: int, plain: int) -> int:
        """Once loaded in ``bits`` (0: not quantized), all else in ``plain`` bytes a number."""
        total = self.rest * plain
        kept = list(self.kept) if bits == 8 else []
        for shape in self.linears:
            small = bits
            if shape in kept:
                kept.remove(shape)
                small = 0
            total += stored_bytes(*shape, small, plain)
        return total


@dataclass(frozen=True)
class Sizes:
    """What decides the memory of a model, precision apart."""

    encoder: Part
    qformer: Part
    llm: Part
    patches: int  # K, features of a frame
    patch_width: int
    encoder_inner: int  # width of the encoder's feed-forward
    qformer_width: int
    llm_width: int
    llm_inner: int
    cache_width: int  # numbers that the LLM keeps of a token: keys and values of every layer

    @property
    def parameters(self) -> int:
        return self.encoder.parameters + self.qformer.parameters + self.llm.parameters


@dataclass(frozen=True)
class Need:
    """Bytes that a plan takes."""

    weights: int
    work: int  # activations and caches

    @property
    def total(self) -> int:
        return round((self.weights + self.work) * (1.0 + HEADROOM))


@dataclass(frozen=True)
class Plan:
    """Precision of each part, and for how long a clip and text there is room."""

    llm_bits: int = 0  # 0: not quantized
    encoder_bits: int = 0
    dtype_bytes: int = 2  # of what is not quantized; the Q-Former has fp32
    frames: int = 8
    context: int = CONTEXT
    chunk: int = 16  # frames encoded at once

    @property
    def precision(self) -> str:
        plain = f"{8 * self.dtype_bytes} bit"
        llm = f"{self.llm_bits} bit" if self.llm_bits else plain
        encoder = f"{self.encoder_bits} bit" if self.encoder_bits else plain
        return f"LLM {llm}, image encoder {encoder}"

    def need(self, sizes: Sizes) -> Need:
        """Memory for ``sizes`` under this plan."""
        weights = (
            sizes.encoder.weight_bytes(self.encoder_bits, self.dtype_bytes)
            + sizes.qformer.weight_bytes(0, 4)
            + sizes.llm.weight_bytes(self.llm_bits, self.dtype_bytes)
        )
        seen = self.frames * sizes.patches * sizes.patch_width  # numbers
        chunk = min(self.chunk, self.frames) * sizes.patches
        encoding = chunk * (8 * sizes.patch_width + 2 * sizes.encoder_inner) * self.dtype_bytes
        asking = seen * 4 + 2 * self.frames * sizes.patches * sizes.qformer_width * 4
        cache = self.context * sizes.cache_width * self.dtype_bytes
        layer = self.context * (8 * sizes.llm_width + 3 * sizes.llm_inner) * self.dtype_bytes
        return Need(weights, seen * 2 + cache + max(encoding, asking, layer))

    def as_text(self, sizes: Sizes, free: int) -> str:
        """One line for a person."""
        need = self.need(sizes)
        return (
            f"{self.precision}: needs {gigabytes(need.total)} ({gigabytes(need.weights)} of "
            f"weights, {gigabytes(need.work)} for {self.frames} frames and {self.context} tokens), "
            f"{gigabytes(free)} are free"
        )


def steps(plan: Plan, quantize: str, on_gpu: bool) -> Iterator[Plan]:
    """The plans that ``quantize`` allows, the most exact first.

    8 bit is left out on a processor, where 4 bit is both smaller and faster.
    """
    if quantize != AUTO:
        bits = BITS[quantize]
        yield replace(plan, llm_bits=bits, encoder_bits=8 if bits == 8 else 0)
        return
    yield plan
    if on_gpu:
        yield replace(plan, llm_bits=8, encoder_bits=8)
    yield replace(plan, llm_bits=4)
    yield replace(plan, llm_bits=4, encoder_bits=8)


def choose_plan(
    sizes: Sizes,
    free: int,
    *,
    quantize: str = AUTO,
    dtype_bytes: int = 2,
    frames: int = 8,
    context: int = CONTEXT,
    on_gpu: bool = True,
) -> Plan:
    """The most exact plan that fits into ``free`` bytes.

    Raises:
        ModelError: none does; what the smallest one needs is named.
    """
    asked = Plan(dtype_bytes=dtype_bytes, frames=frames, context=context)
    plans = list(steps(asked, quantize, on_gpu))
    for plan in plans:
        if plan.need(sizes).total <= free:
            return plan
    more = "" if quantize in (AUTO, "4bit") else ", or choose --quantize auto"
    raise ModelError(
        f"not enough memory: {plans[-1].as_text(sizes, free)}; "
        f"close something, take a smaller model or fewer --frames{more}"
    )


def step_down(plan: Plan, quantize: str, on_gpu: bool) -> Plan | None:
    """The next plan after one that did not fit after all; None: there is none."""
    rest = [
        other
        for other in steps(replace(plan, llm_bits=0, encoder_bits=0), quantize, on_gpu)
        if (other.llm_bits or 99, other.encoder_bits or 99)
        < (plan.llm_bits or 99, plan.encoder_bits or 99)
    ]
    return rest[0] if rest else None


def free_memory(device: torch.device) -> int:
    """Bytes that a model may take there."""
    if device.type == "cuda":
        return round(torch.cuda.mem_get_info(device)[0])
    import psutil

    return psutil.virtual_memory().available


def part_of(build: Callable[[], nn.Module]) -> Part:
    """Count what ``build`` makes, without making it; tied parameters count once."""
    with torch.device("meta"):
        network = build()
    four = {name: tuple(layer.weight.shape) for name, layer in quantizable(network, 4)}
    eight = {name for name, _ in quantizable(network, 8)}
    total = sum(parameter.numel() for parameter in network.parameters())
    return Part(
        linears=tuple(four.values()),
        kept=tuple(shape for name, shape in four.items() if name not in eight),
        rest=total - sum(rows * columns for rows, columns in four.values()),
    )


def gigabytes(count: float) -> str:
    """Bytes for a person."""
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


@contextmanager
def within_memory(advice: str = ASK_LESS) -> Iterator[None]:
    """A GPU that is full in one line. Raises ModelError."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        torch.cuda.empty_cache()
        raise ModelError(f"the GPU's memory is full; {advice}") from error


def in_chunks(
    encode: Callable[[Any], T], items: Sequence[Any] | np.ndarray, size: int, thing: str
) -> tuple[list[T], int]:
    """``encode`` of ``size`` items at a time, fewer where the GPU's memory ends.

    Args:
        thing: what one item is called.
    Returns:
        The parts, and how many items fit at once.
    Raises:
        ModelError: one does not.
    """
    parts: list[T] = []
    done = 0
    while done < len(items):
        try:
            parts.append(encode(items[done : done + size]))
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            if size == 1:
                raise ModelError(
                    f"one {thing} is too many for the GPU's free memory; close what else uses it"
                ) from error
            size //= 2
            continue
        done += size
    return parts, size


def each_within_memory(pieces: Iterator[str]) -> Iterator[str]:
    """The pieces; where making one fills the GPU, one line says so. Raises ModelError."""
    with within_memory():
        yield from pieces
