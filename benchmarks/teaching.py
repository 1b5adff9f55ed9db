"""What the page's Teach tab learns from a few clips of each label, and how long that takes.

    python benchmarks/teaching.py FOLDER [--labels A B ...] [--clips 6] [--unseen 20] [--seed 0]

FOLDER holds a folder of clips or pictures for each label. So many of each, drawn by the seed, are
taught as the page does it, with the training in a process of its own; the recogniser then names
others, which it never saw.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

from assistant import load
from assistant.actions.naming import Namer
from assistant.training.teaching.runs import DONE, RUNNING, Trainer, failure
from assistant.training.teaching.sets import LABELS, WHICH, TeachingSet, create_set, installed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--labels", nargs="+", help="default: every folder there")
    parser.add_argument("--clips", type=int, default=6, help="of each label, taught")
    parser.add_argument("--unseen", type=int, default=20, help="of each label, named")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    labels = args.labels or sorted(path.name for path in args.folder.iterdir() if path.is_dir())
    with tempfile.TemporaryDirectory() as home:
        os.environ["ASSISTANT_HOME"] = home
        taught, unseen = create_set("taught", LABELS), {}
        for label in labels:
            files = sorted((args.folder / label).iterdir())
            random.Random(args.seed).shuffle(files)
            for number, path in enumerate(files[: args.clips]):
                copy = Path(home) / path.name
                shutil.copy(path, copy)
                taught.add(copy, f"{label} {number}{path.suffix}", WHICH, label)
            others = files[args.clips : args.clips + args.unseen]
            unseen |= dict.fromkeys(others, label)
        seconds = train(taught)
        right = named_right(taught, unseen)
    counts = Counter(unseen.values())
    told = ", ".join(f"{label} {right[label]} of {counts[label]}" for label in labels)
    print(
        f"{args.clips} clips of each of {len(labels)} labels, seed {args.seed}: {seconds:.0f} s; "
        f"right: {right.total()} of {len(unseen)} ({told})"
    )


def train(taught: TeachingSet) -> float:
    """As the page does; seconds."""
    trainer, begun = Trainer(), time.monotonic()
    trainer.start(taught)
    while trainer.state(taught) == RUNNING:
        time.sleep(0.2)
    if trainer.state(taught) != DONE:
        raise SystemExit(failure(taught))
    return time.monotonic() - begun


def named_right(taught: TeachingSet, unseen: dict[Path, str]) -> Counter[str]:
    """How many clips of each label were given it."""
    looks = load("mini", now=False)
    namer = Namer(looks.sight, looks.store, head=installed(taught))
    return Counter(
        label for path, label in unseen.items() if namer.name(path).actions[0][0] == label
    )


if __name__ == "__main__":
    main()
