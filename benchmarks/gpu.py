"""A paper-scale model at its real size with random weights: memory, speed, finetuning.

    python benchmarks/gpu.py [--model instructblip-vicuna-7b] [--quantize none 8bit 4bit]
    python benchmarks/gpu.py --device cpu --shrink 24 --tokens 4      # a check without a GPU

Nothing is fetched: weights are drawn, so that answers mean nothing, and every figure is that of the
real checkpoint but the time to read it from disk. ``--shrink N`` leaves a Nth of the layers. Each
precision has a process of its own:

- memory as `assistant doctor` predicts it and as it was measured, seconds to load;
- seconds to encode T frames, to the first token, tokens per second, alone and eight questions on
  one clip at a time, with a growing and with a static KV cache;
- beside it the most tokens per second that the memory's bandwidth allows: every token reads all
  of the LLM's weights;
- seconds of a question with an adapter, and with another adapter than the one before;
- finetuning at batch 2, layers computed twice: samples per second and peak memory.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from assistant.core.config import LoraSettings, TransferConfig
from assistant.model.assistant import VideoAssistant
from assistant.model.large.checkpoint import Checkpoint
from assistant.model.large.instructblip import build, sizes_of_checkpoint
from assistant.model.memory import Plan
from assistant.model.quantization import BITS
from assistant.weights.presets import LLMShape, read_presets

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from checkpoints import write_words  # noqa: E402, tokenizers of a few words

TOGETHER, BATCH = 8, 2  # questions at a time, examples of a step
QUESTION = "what is the man doing in this video"
COPIED = 2**30  # bytes, for the bandwidth
Row = dict[str, float | str]


class DrawnCheckpoint(Checkpoint):
    """A checkpoint of the real shape whose tensors are slices of one that was drawn."""

    def __init__(self, folder: Path, shape: LLMShape, shrink: int) -> None:
        self.folder, self.config = folder, config_of(shape, shrink)
        self._drawn = torch.randn(2**28, dtype=torch.bfloat16) * 0.02

    @property
    def names(self) -> frozenset[str]:
        return frozenset({"language_model.lm_head.weight"})

    def fill(self, network: torch.nn.Module, place: Callable[[str], str], **options: Any) -> None:
        own = network.state_dict().items()
        self._places = {place(name): value.shape for name, value in own}
        super().fill(network, place, **options)

    def tensor(self, name: str) -> Tensor:
        shape = self._places[name]
        if "norm" in name and name.endswith("weight"):
            return torch.ones(shape)
        return self._drawn[: shape.numel()].view(shape)

    def finish(self) -> None:
        """Nothing was listed."""


def config_of(shape: LLMShape, shrink: int) -> dict[str, Any]:
    """As the hub's config.json has it."""
    layers = max(1, shape.layers // shrink)
    text: dict[str, Any] = {"model_type": shape.kind, "vocab_size": shape.vocabulary}
    if shape.kind == "t5":
        text |= {
            "d_model": shape.width,
            "d_kv": shape.head_width,
            "d_ff": shape.feed_forward,
            "num_layers": layers,
            "num_heads": shape.heads,
            "feed_forward_proj": "gated-gelu",
            "tie_word_embeddings": False,
            "decoder_start_token_id": 0,
        }
    else:
        text |= {
            "hidden_size": shape.width,
            "intermediate_size": shape.feed_forward,
            "num_hidden_layers": layers,
            "num_attention_heads": shape.heads,
        }
    vision = {"num_hidden_layers": max(1, 39 // shrink)}
    return {"vision_config": vision, "qformer_config": {}, "text_config": text}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=read_presets().presets, default="instructblip-vicuna-7b")
    parser.add_argument("--quantize", nargs="+", choices=BITS, default=list(BITS))
    parser.add_argument("--frames", nargs="+", type=int, default=[4, 8, 32])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--shrink", type=int, default=1, metavar="N")
    parser.add_argument("--tokens", type=int, default=64, metavar="N", help="of an answer")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        sys.exit("there is no GPU with CUDA; --device cpu --shrink 8 checks the script")
    if args.one:
        print(json.dumps(measure(args)))
        return
    where = torch.cuda.get_device_name() if args.device == "cuda" else "processor"
    print(f"{args.model}, layers / {args.shrink}, {where}, torch {torch.__version__}")
    columns: dict[str, Row] = {}
    for quantize in args.quantize:
        command = [sys.executable, __file__, "--one", quantize, "--model", args.model]
        command += ["--device", args.device, "--shrink", str(args.shrink)]
        command += ["--tokens", str(args.tokens), "--frames", *map(str, args.frames)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        columns[quantize] = json.loads(done.stdout.splitlines()[-1])
    print(f"\n| | {' | '.join(columns)} |\n|---|" + "---|" * len(columns))
    for name in dict.fromkeys(name for column in columns.values() for name in column):
        cells = [column.get(name, "") for column in columns.values()]
        print(f"| {name} | " + " | ".join(map(_shown, cells)) + " |")


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.3g}"


def measure(args: argparse.Namespace) -> Row:
    """Every figure of one precision."""
    torch.manual_seed(0)
    device = torch.device(args.device)
    shape = read_presets().presets[args.model].llm
    bits = BITS[args.one]
    plan = Plan(bits, 8 if bits == 8 else 0, frames=max(args.frames))
    memory = Memory(device)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = DrawnCheckpoint(write_words(Path(folder), shape.kind), shape, args.shrink)
        sizes = sizes_of_checkpoint(checkpoint)
        idle = memory.now()
        began = time.perf_counter()
        model = build(checkpoint, args.model, plan, dtype=torch.bfloat16, device=device)
        memory.wait()
        row: Row = {"load, s (from memory, not from disk)": time.perf_counter() - began}
    row["weights, GB: predicted"] = plan.need(sizes).weights / 1e9
    row["weights, GB: measured"] = (memory.now() - idle) / 1e9
    row["with a question, GB: predicted"] = plan.need(sizes).total / 1e9
    memory.restart()
    row |= asked(model, args.frames, args.tokens, memory)
    row["with a question, GB: measured peak"] = (memory.peak() - idle) / 1e9
    read = sizes.llm.weight_bytes(bits, 2)
    row["tokens/s that the memory's bandwidth allows"] = bandwidth(device, memory) / read
    row |= switched(model, memory)
    row |= finetuned(model, args.frames, memory, idle)
    return row


class Memory:
    """Of the GPU as torch has it, or of this process."""

    def __init__(self, device: torch.device) -> None:
        self.gpu = device.type == "cuda"

    def wait(self) -> None:
        if self.gpu:
            torch.cuda.synchronize()

    def now(self) -> int:
        if self.gpu:
            return torch.cuda.memory_allocated()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize()

    def restart(self) -> None:
        if self.gpu:
            torch.cuda.reset_peak_memory_stats()

    def peak(self) -> int:
        if self.gpu:
            return torch.cuda.max_memory_allocated()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def seconds(self, work: Callable[[], object], rounds: int = 3) -> float:
        """Least of some rounds, after one that does not count."""
        taken = []
        for _ in range(rounds + 1):
            self.wait()
            began = time.perf_counter()
            work()
            self.wait()
            taken.append(time.perf_counter() - began)
        return min(taken[1:])


@torch.inference_mode()
def asked(model: VideoAssistant, frames: list[int], tokens: int, memory: Memory) -> Row:
    """Encoding, the first token, the following ones; one question and several at a time."""
    row: Row = {}
    model.llm.network.generation_config.eos_token_id = None  # says as much as it is asked for
    for count in frames:
        pictures = np.random.default_rng(0).integers(0, 255, (count, 256, 256, 3), dtype=np.uint8)
        encode = memory.seconds(lambda pictures=pictures: model.encoder(pictures), 1)
        row[f"encode {count} frames, s"] = encode
        patches = model.encoder(pictures).patches[None]
        see = memory.seconds(lambda patches=patches: model.visual_tokens(patches, [QUESTION]))
        row[f"visual tokens of {count} frames, s"] = see
    visual = model.visual_tokens(patches, [QUESTION])
    prompt = model.llm.prompt_ids(QUESTION)
    for cache in ("dynamic", "static"):
        model.llm.network.generation_config.cache_implementation = cache
        for together in (1, TOGETHER):
            batch = visual.expand(together, -1, -1), [prompt] * together
            one, many = (
                memory.seconds(lambda n=n, batch=batch: model.llm.complete(*batch, n), 2)
                for n in (1, tokens)
            )
            name = f"{together} at a time, {cache} cache"
            row[f"first token, s: {name}"] = one
            longer = many - one if many > one else math.nan  # noise, of very few tokens
            row[f"tokens/s: {name}"] = together * (tokens - 1) / longer
    model.llm.network.generation_config.cache_implementation = None
    return row


def bandwidth(device: torch.device, memory: Memory) -> float:
    """Bytes per second that one tensor is read with, from copying it."""
    source = torch.empty(COPIED, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * COPIED / memory.seconds(lambda: target.copy_(source))


def switched(model: VideoAssistant, memory: Memory) -> Row:
    """The same adapter again, and another one each time."""
    for name in ("one", "other"):
        model.adapters.add(name, LoraSettings(), TransferConfig(layers=0))
    shape = (1, 8, model.encoder.patch_count, model.encoder.width)
    patches = torch.randn(shape, dtype=torch.float16)

    @torch.inference_mode()
    def see(*names: str) -> None:
        for name in names:
            model.visual_tokens(patches, [QUESTION], name)

    return {
        "visual tokens of 8 frames, adapter in use, s": memory.seconds(lambda: see("one")),
        "visual tokens of 8 frames, another adapter each time, s": memory.seconds(
            lambda: see("one", "other")
        )
        / 2,
    }


def finetuned(model: VideoAssistant, frames: list[int], memory: Memory, idle: int) -> Row:
    """Steps of an adapter of all layers at batch 2, as `assistant finetune` takes them."""
    row: Row = {}
    model.qformer.to(torch.bfloat16)
    model.adapters.add("learned", LoraSettings(), replace(TransferConfig(), layers=0))
    model.llm.let_learn(checkpointing=True)
    learned = model.adapters.trainable("learned")
    model.train()
    optimizer = torch.optim.AdamW(learned.values(), 1e-4)
    ids, mask = model.qformer_ids([QUESTION] * BATCH)
    prompts = [model.llm.prompt_ids(QUESTION)] * BATCH
    answers = [[model.llm.answer_ids("a dog runs on grass")]] * BATCH
    for count in frames:
        shape = (BATCH, count, model.encoder.patch_count, model.encoder.width)
        patches = torch.randn(shape, dtype=torch.bfloat16, device=ids.device)

        def step(patches: Tensor = patches) -> None:
            with torch.autocast(ids.device.type, torch.bfloat16):
                with model.adapters.using("learned") as qformer:
                    visual = qformer(patches, ids, mask)
                loss = torch.cat(model.llm.answer_losses(visual, prompts, answers)).mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        memory.restart()
        row[f"finetune, {count} frames: samples/s"] = BATCH / memory.seconds(step)
        row[f"finetune, {count} frames: peak GB"] = (memory.peak() - idle) / 1e9
    return row


if __name__ == "__main__":
    main()
