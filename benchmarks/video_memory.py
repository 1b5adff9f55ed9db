"""What a step of training takes of memory with a video encoder of published size: with and without
checkpointing, on this processor. Weights are random and nothing is fetched.

  python benchmarks/video_memory.py
  python benchmarks/video_memory.py --kind timesformer --clips 2
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from assistant.actions.video import CLASSES, VideoRecogniser, empty_video_encoder

LABELS, TEXT_WIDTH = 400, 768  # of Kinetics-400, and of CLIP's ViT-L


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", choices=CLASSES, default="videomae")
    parser.add_argument("--clips", type=int, default=1, help="of a batch")
    parser.add_argument("--step", choices=("whole", "again"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step is not None:
        print(json.dumps(step(args.kind, args.clips, args.step == "again")))
        return
    told = {}
    for name, title in (("whole", "checkpointing: false"), ("again", "checkpointing: true")):
        command = [sys.executable, __file__, "--step", name, "--kind", args.kind]
        done = subprocess.run(
            [*command, "--clips", str(args.clips)], stdout=subprocess.PIPE, check=True
        )
        told[title] = json.loads(done.stdout)
    first = next(iter(told.values()))
    print(f"{args.kind}: {first['parameters'] / 1e6:.0f} M parameters, {args.clips} clips a step")
    for title, own in told.items():
        print(
            f"{title:>20}: {own['more'] / 1e9:.2f} GB beside {own['weights'] / 1e9:.2f} GB of "
            f"weights, gradients and moments; {own['seconds'] / first['seconds']:.2f} of the time"
        )


def step(kind: str, clips: int, again: bool) -> dict[str, float]:
    """Bytes and seconds of one; a process each, whose highest memory is what it says."""
    with TemporaryDirectory() as folder:
        config, _, _ = CLASSES[kind]
        config().save_pretrained(folder)
        (Path(folder) / "preprocessor_config.json").write_text("{}")
        video = empty_video_encoder(Path(folder), "random")
    video.network.to_empty(device="cpu")
    for value in video.network.parameters():
        torch.nn.init.normal_(value, std=0.02)
    network = VideoRecogniser(video, LABELS, TEXT_WIDTH, 0.0).train()
    if again:
        network.checkpoint()
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    for value in network.parameters():
        value.grad = torch.zeros_like(value)
    optimizer.step()  # its moments are there
    before, begun = peak(), time.monotonic()
    raster = video.raster
    shape = (clips, raster.frames, raster.side, raster.side, 3)
    there = torch.ones(clips, raster.times, dtype=torch.long)
    states = network.states(torch.randint(0, 256, shape, dtype=torch.uint8), there)
    network.logits(network.summary(states, there)).logsumexp(1).sum().backward()
    return {
        "parameters": sum(value.numel() for value in network.parameters()),
        "weights": 16 * sum(value.numel() for value in network.parameters()),
        "more": peak() - before,
        "seconds": time.monotonic() - begun,
    }


def peak() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
