"""What T frames cost: our transfer, joint space-time attention, and concatenation, side by side.

    python benchmarks/frames.py [--scale mini|vicuna-7b] [--frames 4 8 16 32 64] [--out PICTURE.png]

Equal random weights, one question, from encoded frames to the LLM's last prompt token, in one run.
*Ours* attends in space, then over frames, and pools: 32 visual tokens. *Joint* lets the queries of
all frames attend to each other at once, and pools. *Concatenation* runs the image Q-Former per
frame and gives the LLM 32 tokens for each, as ``transformers``' InstructBlipVideo does
(tests/test_instructblip.py holds the two to each other).

``--scale mini`` has mini's shape and is measured, each system and T in a process of its own:
seconds (least of three), peak memory above the idle model, FLOPs as torch counts them.
``--scale vicuna-7b`` has InstructBLIP's Q-Former (12 layers, 768 wide, all of them adapted, with
the paper's parts alone) on 257 features of a frame, and Vicuna-7B: too large for most machines, so
that FLOPs alone are counted, on the meta device.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaConfig, LlamaForCausalLM

from assistant.core.config import QFormerConfig, TransferConfig
from assistant.model.qformer import QFormer
from assistant.model.spatiotemporal import SpatioTemporalQFormer, attend, hide

SYSTEMS = ("ours", "joint", "concatenation")
ROUNDS = 3
TEXT, PROMPT = 16, 24  # tokens of the Q-Former's text and of the LLM's prompt
Row = dict[str, float]
COMPARED = {"seconds": "time", "megabytes": "memory", "gflops": "FLOPs"}
SHOWN = (("tokens", 0), ("seconds", 2), ("megabytes", 0), ("gflops", 1))  # digits after the point


@dataclass(frozen=True)
class Scale:
    """Shapes."""

    qformer: QFormerConfig
    patches: int  # K of a frame
    patch_width: int
    transfer: TransferConfig
    llm: dict[str, int]
    measured: bool = True  # False: counted on the meta device


SCALES = {
    "mini": Scale(
        QFormerConfig(),
        patches=49,
        patch_width=1744,
        transfer=TransferConfig(),
        llm={  # SmolLM2-135M
            "hidden_size": 576,
            "intermediate_size": 1536,
            "num_hidden_layers": 30,
            "num_attention_heads": 9,
            "num_key_value_heads": 3,
            "vocab_size": 49152,
        },
    ),
    "vicuna-7b": Scale(
        QFormerConfig(width=768, layers=12, heads=12, intermediate=3072),
        patches=257,
        patch_width=1408,
        transfer=TransferConfig(layers=0, contrast=0),
        llm={
            "hidden_size": 4096,
            "intermediate_size": 11008,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "vocab_size": 32001,
        },
        measured=False,
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", choices=SCALES, default="mini")
    parser.add_argument("--frames", nargs="+", type=int, default=[4, 8, 16, 32, 64])
    parser.add_argument("--out", type=Path, help="draw the figures")
    parser.add_argument("--one", nargs=2, metavar=("SYSTEM", "T"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(SCALES[args.scale], args.one[0], int(args.one[1]))))
        return
    found: dict[str, list[Row]] = {system: [] for system in SYSTEMS}
    print(f"{args.scale}, torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    print("| T | system | visual tokens | seconds | peak MB | GFLOPs |\n|---|---|---|---|---|---|")
    for count in args.frames:
        for system in SYSTEMS:
            row = measure_alone(args.scale, system, count)
            found[system].append(row)
            cells = [f"{row[key]:.{digits}f}" if key in row else "" for key, digits in SHOWN]
            print(f"| {count} | {system} | " + " | ".join(cells) + " |", flush=True)
    print_ratios(args.frames, found)
    print_growth(args.frames, found)
    if args.out:
        draw(args.scale, args.frames, found, args.out)


def measure_alone(scale: str, system: str, count: int) -> Row:
    """In a process of its own, where time and memory are measured."""
    if not SCALES[scale].measured:
        return measure(SCALES[scale], system, count)
    command = [sys.executable, __file__, "--scale", scale, "--one", system, str(count)]
    row: Row = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return row


def print_ratios(frames: list[int], found: dict[str, list[Row]]) -> None:
    """How many times ours the others cost."""
    others = SYSTEMS[1:]
    keys = [key for key in COMPARED if key in found["ours"][0]]
    told = ", ".join(COMPARED[key] for key in keys)
    print("\n| T | " + " | ".join(f"{system} / ours: {told}" for system in others) + " |")
    print("|---|" + "---|" * len(others))
    for place, count in enumerate(frames):
        cells = [
            ", ".join(f"{found[system][place][key] / ours[key]:.1f}" for key in keys)
            for system in others
            for ours in (found["ours"][place],)
        ]
        print(f"| {count} | " + " | ".join(cells) + " |")


def print_growth(frames: list[int], found: dict[str, list[Row]]) -> None:
    """The power of T that a cost grows with, least squares over the larger half of the T."""
    larger = range(len(frames) // 2, len(frames))
    if len(larger) < 2:
        return
    keys = [key for key in ("seconds", "gflops") if key in found["ours"][0]]
    span = f"T = {frames[larger[0]]} to {frames[-1]}"
    print(f"\n| {span}: power of T | " + " | ".join(COMPARED[key] for key in keys) + " |")
    print("|---|" + "---|" * len(keys))
    for system, rows in found.items():
        powers = [
            slope([frames[i] for i in larger], [rows[i][key] for i in larger]) for key in keys
        ]
        print(f"| {system} | " + " | ".join(f"{power:.2f}" for power in powers) + " |")


def slope(x: list[int], y: list[float]) -> float:
    """Of the line through ``log y`` against ``log x``."""
    across, up = [math.log(value) for value in x], [math.log(value) for value in y]
    middle, height = sum(across) / len(across), sum(up) / len(up)
    rise = sum((a - middle) * (u - height) for a, u in zip(across, up, strict=True))
    return rise / sum((a - middle) ** 2 for a in across)


@torch.inference_mode()
def measure(scale: Scale, system: str, count: int) -> Row:
    """Tokens, seconds, megabytes and GFLOPs of one system at T = ``count``."""
    torch.manual_seed(0)
    with torch.device("cpu" if scale.measured else "meta"):
        image = QFormer(scale.qformer, scale.patch_width, scale.llm["hidden_size"]).eval()
        llm = LlamaForCausalLM(LlamaConfig(**scale.llm)).eval()
        see = visual_tokens(system, image, scale.transfer)
        patches = torch.randn(1, count, scale.patches, scale.patch_width)
        ids = torch.randint(1, 1000, (1, TEXT))
        prompt = llm.get_input_embeddings()(torch.randint(1, 1000, (1, PROMPT)))

    def run() -> Tensor:
        visual = see(patches, ids, torch.ones_like(ids))
        llm(inputs_embeds=torch.cat([visual, prompt], dim=1), logits_to_keep=1)
        return visual

    found: Row = {}
    if scale.measured:
        idle = resident()
        seconds = []
        for _ in range(1 + ROUNDS):
            began = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - began)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        found = {"seconds": min(seconds[1:]), "megabytes": max(1.0, peak - idle)}
    # In this kernel attention is matrix products, which are counted.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        visual = run()
    return found | {"tokens": visual.shape[1], "gflops": counter.get_total_flops() / 1e9}


def resident() -> float:
    """Megabytes of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def visual_tokens(
    system: str, image: QFormer, transfer: TransferConfig
) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """From patches ``(1, T, K, Dv)``, text ids and mask to what the LLM reads, ``(1, N, W)``."""
    if system == "ours":
        return SpatioTemporalQFormer(image, transfer).eval()
    if system == "joint":
        return lambda patches, ids, mask: joint(image, patches, ids, mask)
    return lambda patches, ids, mask: concatenation(image, patches, ids, mask)


def concatenation(image: QFormer, patches: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """32 tokens of each frame, one after the other."""
    frames = patches[0][:, None]  # (T, 1, K, Dv): every frame a clip of its own
    tokens = image(frames, ids.expand(len(frames), -1), mask.expand(len(frames), -1))
    return tokens.flatten(0, 1)[None]


def joint(image: QFormer, patches: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """All frames' queries and the text in one self-attention; pooled over frames."""
    count, length = patches.shape[1], image.config.queries
    start = image.queries.expand(1, -1, -1).repeat(1, count, 1)  # (1, T*L, D)
    x = image.qformer.embeddings(input_ids=ids, query_embeds=start)
    bias = hide(mask, count * length, x.dtype)
    for layer in image.qformer.encoder.layer:
        x = attend(layer.attention, x, bias, "none", None, None)
        queries, text = x[:, : count * length].contiguous(), x[:, count * length :].contiguous()
        if layer.has_cross_attention:
            own = queries.unflatten(1, (count, length))[0]  # (T, L, D)
            own = layer.crossattention(own, encoder_hidden_states=patches[0])
            queries = own.flatten(0, 1)[None]
        queries = layer.feed_forward_chunk_query(queries)
        x = torch.cat([queries, layer.feed_forward_chunk(text)], dim=1)
    states = x[:, : count * length].unflatten(1, (count, length)).mean(1)
    return image.projection(states)


def draw(scale: str, frames: list[int], found: dict[str, list[Row]], path: Path) -> None:
    """Seconds, memory, FLOPs and visual tokens against T."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.2), layout="constrained")
    titles = {
        "seconds": "seconds a question",
        "megabytes": "peak memory, MB",
        "gflops": "GFLOPs",
        "tokens": "visual tokens into the LLM",
    }
    titles = {key: title for key, title in titles.items() if key in found["ours"][0]}
    for axes, (key, title) in zip(figure.subplots(1, len(titles)), titles.items(), strict=True):
        for system, rows in found.items():
            axes.plot(frames, [row[key] for row in rows], marker="o", ms=3, label=system)
        axes.set(title=title, xlabel="frames T", xscale="log", yscale="log")
        axes.set_xticks(frames, [str(count) for count in frames])
        axes.minorticks_off()
        axes.yaxis.set_major_formatter("{x:g}")
        axes.grid(alpha=0.3)
    figure.axes[0].legend(fontsize=8, title=f"{scale}'s shape", title_fontsize=8)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
