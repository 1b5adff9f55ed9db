"""What T frames cost: our transfer, joint space-time attention, and concatenation, side by side.

    python benchmarks/frames.py [--out PICTURE.png] [--frames 4 8 16 32 64]

Equal random weights of mini's shape, one question, from encoded frames to the LLM's last prompt
token. *Ours* attends in space, then over frames, and pools: 32 visual tokens. *Joint* lets the
queries of all frames attend to each other at once, and pools. *Concatenation* runs the image
Q-Former per frame and gives the LLM 32 tokens for each (``transformers``' InstructBlipVideo).
Each measurement has a process of its own: seconds (least of three), peak memory above the idle
model, FLOPs as torch counts them.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaConfig, LlamaForCausalLM

from assistant.config import QFormerConfig, TransferConfig
from assistant.model.qformer import QFormer
from assistant.model.spatiotemporal import SpatioTemporalQFormer, attend, hide

SYSTEMS = ("ours", "joint", "concatenation")
PATCHES, PATCH_WIDTH, TEXT, PROMPT = 49, 1744, 16, 24
LLM = {  # SmolLM2-135M's shape
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "vocab_size": 49152,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", nargs="+", type=int, default=[4, 8, 16, 32, 64])
    parser.add_argument("--out", type=Path, help="draw the figures")
    parser.add_argument("--one", nargs=2, metavar=("SYSTEM", "T"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.one[0], int(args.one[1]))))
        return
    found: dict[str, list[dict[str, float]]] = {system: [] for system in SYSTEMS}
    print("| T | system | visual tokens | seconds | peak MB | GFLOPs |\n|---|---|---|---|---|---|")
    for count in args.frames:
        for system in SYSTEMS:
            command = [sys.executable, __file__, "--one", system, str(count)]
            row = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
            found[system].append(row)
            print(
                f"| {count} | {system} | {row['tokens']} | {row['seconds']:.2f} | "
                f"{row['megabytes']:.0f} | {row['gflops']:.1f} |",
                flush=True,
            )
    print("\n| T | " + " | ".join(f"{s} / ours: time, FLOPs" for s in SYSTEMS[1:]) + " |")
    print("|---|" + "---|" * len(SYSTEMS[1:]))
    for place, count in enumerate(args.frames):
        ours = found["ours"][place]
        cells = [
            f"{found[s][place]['seconds'] / ours['seconds']:.1f}, "
            f"{found[s][place]['gflops'] / ours['gflops']:.1f}"
            for s in SYSTEMS[1:]
        ]
        print(f"| {count} | " + " | ".join(cells) + " |")
    if args.out:
        draw(args.frames, found, args.out)


@torch.inference_mode()
def measure(system: str, count: int) -> dict[str, float]:
    """Tokens, seconds, megabytes and GFLOPs of one system at T = ``count``."""
    torch.manual_seed(0)
    image = QFormer(QFormerConfig(), PATCH_WIDTH, LLM["hidden_size"], "eager").eval()
    model = SpatioTemporalQFormer(image, TransferConfig()).eval()
    llm = LlamaForCausalLM(LlamaConfig(**LLM)).eval()
    patches = torch.randn(1, count, PATCHES, PATCH_WIDTH)
    ids = torch.randint(1, 1000, (1, TEXT))
    prompt = llm.get_input_embeddings()(torch.randint(1, 1000, (1, PROMPT)))

    def run() -> Tensor:
        visual = visual_tokens(system, model, patches, ids)
        llm(inputs_embeds=torch.cat([visual, prompt], dim=1), logits_to_keep=1)
        return visual

    idle = resident()
    with FlopCounterMode(display=False) as counter:
        visual = run()
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "tokens": visual.shape[1],
        "seconds": min(seconds),
        "megabytes": max(0.0, peak - idle),
        "gflops": counter.get_total_flops() / 1e9,
    }


def resident() -> float:
    """Megabytes of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def visual_tokens(
    system: str, model: SpatioTemporalQFormer, patches: Tensor, ids: Tensor
) -> Tensor:
    """What the LLM reads, ``(1, N, W)``."""
    mask = torch.ones_like(ids)
    if system == "ours":
        return model(patches, ids, mask)
    if system == "joint":
        return joint(model.image, patches, ids, mask)
    frames = patches[0][:, None]  # (T, 1, K, Dv): every frame a clip of its own
    tokens = model.image(frames, ids.expand(len(frames), -1), mask.expand(len(frames), -1))
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


def draw(frames: list[int], found: dict[str, list[dict[str, float]]], path: Path) -> None:
    """Seconds, memory, FLOPs and visual tokens against T."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.2), layout="constrained")
    titles = {
        "seconds": "seconds a question",
        "megabytes": "peak memory, MB",
        "gflops": "GFLOPs",
        "tokens": "visual tokens into the LLM",
    }
    for axes, (key, title) in zip(figure.subplots(1, len(titles)), titles.items(), strict=True):
        for system, rows in found.items():
            axes.plot(frames, [row[key] for row in rows], marker="o", ms=3, label=system)
        axes.set(title=title, xlabel="frames T", xscale="log", yscale="log")
        axes.set_xticks(frames, [str(count) for count in frames], minor=False)
        axes.grid(alpha=0.3)
    figure.axes[0].legend(fontsize=8)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
