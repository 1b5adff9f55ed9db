"""Opening clips: PyAV against decord, and the memory of many opens.

    python benchmarks/decoding.py CLIP [CLIP ...] [--opens 200] [--rounds 5]

The decoders take turns on the same clips, 8 pictures each; the ratio is of medians. Every open runs
in a process of its own, so that what must stay flat is the memory of the process that asks.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import psutil

from assistant.errors import VideoError
from assistant.media.video import read_clip

DECODERS = ("pyav", "decord")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP")
    parser.add_argument("--opens", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    print("| clip | pyav, ms | decord, ms | decord / pyav |\n|---|---|---|---|")
    for clip in args.clips:
        times: dict[str, list[float]] = {decoder: [] for decoder in DECODERS}
        for _ in range(args.rounds):
            for decoder in DECODERS:
                times[decoder].append(seconds(clip, decoder))
        pyav, decord = (1e3 * statistics.median(times[decoder]) for decoder in DECODERS)
        print(f"| {clip.name} | {pyav:.0f} | {decord:.0f} | {decord / pyav:.2f} |", flush=True)
    here = psutil.Process()
    print("\n| opens | resident memory of the asking process, MB |\n|---|---|")
    for number in range(1, args.opens + 1):
        read_clip(args.clips[number % len(args.clips)])
        if number in (10, args.opens // 2, args.opens):
            print(f"| {number} | {here.memory_info().rss / 2**20:.1f} |", flush=True)


def seconds(clip: Path, decoder: str) -> float:
    """Wall seconds of one open; nan where the decoder cannot read the clip."""
    start = time.perf_counter()
    try:
        read_clip(clip, decoder=decoder)
    except VideoError:
        return float("nan")
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
