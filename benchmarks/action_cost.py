"""What naming an action costs beside opening the clip.

    python benchmarks/action_cost.py CLIP... [--head NAME|DIR] [--bank NAME] [--runs 5]

For each clip in turn: opened anew as a conversation does before its first answer (decoded, looked
at, kept), and named anew, each with nothing kept of it; models are loaded before. One thread.

Printed, as Markdown: seconds, the median, and the ratio of naming to opening.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from assistant import load
from assistant.actions.bank import read_bank
from assistant.actions.looking import features_of
from assistant.actions.naming import Namer
from assistant.model.features import FeatureStore


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", metavar="CLIP", type=Path, nargs="+")
    parser.add_argument("--head")
    parser.add_argument("--bank", default="clips_named")
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    sight = load("mini", now=False).sight
    bank = None if args.head else read_bank(args.bank)
    namer = Namer(sight, FeatureStore(), args.head, bank)
    ways: dict[str, Callable[[Path, FeatureStore], object]] = {
        "opened": lambda path, store: features_of(path, sight, store, namer.frames),
        "named": lambda path, store: named(namer, path, store),
    }
    print("| clip | opened, s | named, s | ratio |\n|---|---|---|---|")
    for path in args.clips:
        spent: dict[str, list[float]] = {name: [] for name in ways}
        for run in range(args.runs + 1):  # the first one warms up
            for name, way in ways.items():
                with TemporaryDirectory() as folder:
                    began = time.perf_counter()
                    way(path, FeatureStore(Path(folder)))
                    if run:
                        spent[name].append(time.perf_counter() - began)
        opened, done = (statistics.median(spent[name]) for name in ways)
        print(f"| {path.name} | {opened:.2f} | {done:.2f} | {done / opened:.2f} |", flush=True)


def named(namer: Namer, path: Path, store: FeatureStore) -> None:
    namer.store = store
    namer.name(path)


if __name__ == "__main__":
    main()
