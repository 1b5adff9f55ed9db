"""How many examples of an event should weigh as much as its label's text (`EXAMPLES_HALF`)?

    python benchmarks/example_weight.py FILMS [--draws 20] [--seed 11]

FILMS are joined clips with known segments (`assistant data join`), of which labels have several
sources. Of each label that has one source more than there are examples, examples are drawn, and all
other segments of these labels are asked about.

Printed, as Markdown: top-1 in per cent, classes alike, in the mean of the draws.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from assistant import load
from assistant.data.segments import read_segments
from assistant.evaluation.event_clips import look_at
from assistant.evaluation.segments import balanced
from assistant.timeline import events
from assistant.timeline.events import EventHead, few_shot, zero_shot
from assistant.timeline.saliency import video_vector

SHOTS = (1, 2, 3, 5)
HALVES = (0.5, 1.0, 2.0, 4.0, 6.0, 8.0, 12.0, 16.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("films", metavar="FILMS", type=Path)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--seed", type=int, default=11)
    args = parser.parse_args()
    assistant = load("mini", now=False)
    space = assistant.sight.space
    asked: list[tuple[str, str, Tensor]] = []  # label, source, z_v
    for clip in read_segments(args.films):
        looked = look_at(assistant, clip)
        for segment, span in zip(clip.segments, looked.spans, strict=True):
            asked.append((segment.label, segment.source, video_vector(looked.seen(span).frames)))
    pool: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for label, source, vector in asked:
        pool[label].setdefault(source, vector)
    told = " | ".join(f"{half:g}" for half in HALVES)
    print(f"| examples | labels | text alone | {told} |\n|{'---|' * (len(HALVES) + 3)}")
    for count in SHOTS:
        names = [label for label, own in sorted(pool.items()) if len(own) > count]
        rng = np.random.default_rng(args.seed)
        found: list[list[float]] = []
        for _ in range(args.draws):
            drawn = {
                name: [sorted(pool[name])[n] for n in rng.permutation(len(pool[name]))[:count]]
                for name in names
            }
            examples = {
                name: torch.stack([pool[name][source] for source in own])
                for name, own in drawn.items()
            }
            rest = [one for one in asked if one[0] in names and one[1] not in drawn[one[0]]]
            heads = [zero_shot(space, names)]
            for half in HALVES:
                events.EXAMPLES_HALF = half
                heads.append(few_shot(space, examples))
            found.append([right(head, rest) for head in heads])
        cells = " | ".join(f"{100 * value:.1f}" for value in np.mean(found, axis=0))
        print(f"| {count} | {len(names)} | {cells} |", flush=True)


def right(head: EventHead, asked: list[tuple[str, str, Tensor]]) -> float:
    """Top-1, the mean over classes."""
    best = head.probabilities(torch.stack([vector for *_, vector in asked])).argmax(1)
    truth = [label for label, *_ in asked]
    hits = [head.names[n] == label for n, label in zip(best.tolist(), truth, strict=True)]
    return balanced(np.array(hits), truth)


if __name__ == "__main__":
    main()
