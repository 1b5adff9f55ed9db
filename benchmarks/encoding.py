"""What encoding costs: a text, a picture, 5 seconds of a clip; and what reading them adds.

    python benchmarks/encoding.py --photos FOLDER --clips FOLDER [--count 20] [--threads 2]

Each thing is encoded as `assistant index add` does, one after the other; the ways of a group take
turns. A window of a clip is 4 frames. Beside: what the paper tells of its own model on an A100
(UniEvent-LVLM, 4.8). CPU is that of all processes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import psutil
import torch

from assistant import load
from assistant.media.files import CLIPS, PICTURES
from assistant.media.reader import Reader
from assistant.media.video import read_clip
from assistant.retrieval.embedding import Embedder, Item
from assistant.retrieval.windows import FRAMES, WINDOW
from assistant.sources import Look
from assistant.sources.bank import bank_of
from assistant.sources.phrases import PERCEIVER, hints, lifted

A100 = {"a text": "35", "a picture": "80", "5 s of a clip": "150"}  # ms
TEXTS = [f"{who} {what}" for who in ("a dog", "two men") for what in ("on a beach", "in the snow")]
BATCH = 64
Way = tuple[str, str, Callable[[Any], object]]  # of what, how, and the work on one


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--count", type=int, default=20, help="of each kind")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    embedder = Embedder(load("mini", now=False).sight)
    reader = Reader()
    side = embedder.side

    def encode(clip: Any) -> None:
        seen = embedder.see(clip.frames, clip.seconds)
        embedder.vectors([Item(seen.frames)])
        embedder.words(seen)

    def window(path: Path) -> Any:
        return read_clip(path, frames=FRAMES, end=WINDOW, max_side=side)

    photos, clips = some(args.photos, PICTURES, args.count), some(args.clips, CLIPS, args.count)
    read = [read_clip(path, frames=FRAMES, max_side=side) for path in photos]
    cut = [window(path) for path in clips]
    texts = list(islice(cycle(TEXTS), args.count))
    print(f"{args.count} of each, {args.threads} threads\n")
    print("| | | ms, median | CPU, ms | the paper's A100, ms |\n|---|---|---|---|---|")
    compare(
        [
            ("a text", "alone", lambda text: embedder.vectors([Item(text=text)])),
            (
                f"{BATCH} texts",
                "at once",
                lambda text: embedder.vectors([Item(text=f"{text} {n}") for n in range(BATCH)]),
            ),
        ],
        texts,
    )
    compare(
        [
            ("a picture", "encoded", lambda n: encode(read[n])),
            ("", "read by a process of its own", lambda n: read_photo(photos[n], side, None)),
            ("", "read by one for many", lambda n: read_photo(photos[n], side, reader)),
        ],
        range(len(photos)),
    )
    compare(
        [
            ("5 s of a clip", "encoded", lambda n: encode(cut[n])),
            ("", "read", lambda n: window(clips[n])),
        ],
        range(len(clips)),
    )
    looks = [look_of(embedder, clip) for clip in cut]
    compare(
        [
            ("phrases of 4 frames", "embedded once", lambda n: PERCEIVER.look_at("", looks[n])),
            ("", "twice, as before", lambda n: looked_twice(looks[n])),
        ],
        range(len(looks)),
    )
    reader.close()


def some(folder: Path, kinds: frozenset[str], count: int) -> list[Path]:
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in kinds)
    return list(islice(cycle(found), count))


def read_photo(path: Path, side: int, reader: Reader | None) -> None:
    ask = None if reader is None else reader.ask
    read_clip(path, frames=FRAMES, max_side=side, ask_reader=ask)


def look_of(embedder: Embedder, clip: Any) -> Look:
    sight = embedder._sight
    found = sight.encoder(clip.frames)
    return Look(
        found.patches,
        found.classes,
        sight.class_names,
        clip.seconds,
        "",
        lambda count, side: (clip.frames, clip.seconds),
        lambda: sight.space,
    )


def looked_twice(look: Look) -> None:
    with torch.inference_mode():
        PERCEIVER.perceive(look)
        bank, frames = bank_of(look.space()), look.space().embed_frames(look)
        hints(bank, frames), lifted(bank, frames)


def compare(ways: Sequence[Way], items: Sequence[Any]) -> None:
    """A row for each; the first item is a warm-up."""
    spans: list[list[float]] = [[] for _ in ways]
    worked = [0.0 for _ in ways]
    for item in [items[0], *items]:
        for place, (_, _, work) in enumerate(ways):
            busy, began = cpu_seconds(), time.perf_counter()
            work(item)
            spans[place].append(1e3 * (time.perf_counter() - began))
            worked[place] += 1e3 * (cpu_seconds() - busy) * (len(spans[place]) > 1)
    for (what, how, _), own, busy in zip(ways, spans, worked, strict=True):
        told = f"{statistics.median(own[1:]):.1f} | {busy / len(items):.1f}"
        print(f"| {what} | {how} | {told} | {A100.get(what, '')} |", flush=True)


def cpu_seconds() -> float:
    """Of this process, of those that have ended, and of the reader for many."""
    alive = psutil.Process().children()
    return sum(os.times()[:4]) + sum(sum(one.cpu_times()[:2]) for one in alive)


if __name__ == "__main__":
    main()
