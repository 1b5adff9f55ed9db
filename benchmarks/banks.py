"""Do descriptions help to name what was never learned? Labels' names beside them with a bank.

    python benchmarks/banks.py DATA=BANK ... [--space auto] [--plain]

DATA is JSONL or a folder as `assistant evaluate events` reads it, BANK a shipped bank or a file. A
segment is its frames' mean; an action is its name's vector, or made of all its texts': their mean
direction, that of the descriptions beside the name in equal parts, or the nearest one. From each
similarity what is usual of the text is taken off, as `assistant events` does (`--plain`: it is
not). Nothing is chosen on the data.

Printed, as Markdown: top-1 and top-5, and how much more than the names that is, with the 95 %
interval of a paired bootstrap over the clips that segments were cut from.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from assistant import load
from assistant.actions.assignment import assign, embed_bank, report
from assistant.actions.bank import Bank, read_bank
from assistant.data.segments import labels_of, read_segments
from assistant.evaluation.bootstrap import difference, share
from assistant.evaluation.event_clips import look_at
from assistant.evaluation.segments import top_hits
from assistant.model.space.base import JointSpace
from assistant.model.space.usual import Usual, read_usual
from assistant.timeline.saliency import video_vector

NAMES = "names"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", metavar="DATA=BANK", nargs="+")
    parser.add_argument("--space", default="auto")
    parser.add_argument("--plain", action="store_true")
    args = parser.parse_args()
    assistant = load("mini", now=False, space=args.space)
    space = assistant.sight.space
    usual = Usual() if args.plain else read_usual(space.folder, space.fingerprint, space.width)
    print("| data | action by | top-1 | more than names | top-5 | more than names |")
    print("|---|---|---|---|---|---|")
    notes = []
    for named in args.sets:
        data, _, bank_name = named.rpartition("=")
        seen, truth, groups, labels = looked_at(assistant, Path(data))
        bank = read_bank(bank_name).of(labels)
        rows = scores_of(space, bank, seen, usual)
        for how in rows:
            cells = []
            for k in (1, 5):
                hits, base = (hits_of(rows[one], truth, labels, k) for one in (how, NAMES))
                cells += [
                    f"{100 * hits.mean():.1f}",
                    "" if how == NAMES else told(hits, base, groups),
                ]
            if len(labels) <= 5:
                cells[2:] = ["", ""]
            print(f"| {bank_name} ({len(seen)}) | {how} | {' | '.join(cells)} |", flush=True)
        notes.append(chosen(space, bank, seen, truth, labels))
    print("\n" + "\n".join(notes))


def looked_at(
    assistant: object, data: Path
) -> tuple[Tensor, list[frozenset[str]], list[str], list[str]]:
    """Segments ``(N, E)``, what is true of each, what each was cut from, and the labels."""
    clips = read_segments(data)
    seen, truth, groups = [], [], []
    for clip in clips:
        one = look_at(assistant, clip)
        for segment, span, true in zip(clip.segments, one.spans, one.truth, strict=True):
            seen.append(F.normalize(video_vector(one.seen(span).frames).float(), dim=0))
            truth.append(true)
            groups.append(segment.source or str(clip.video))
    return torch.stack(seen), truth, groups, sorted(labels_of(clips))


def scores_of(space: JointSpace, bank: Bank, seen: Tensor, usual: Usual) -> dict[str, np.ndarray]:
    """``(N, C)`` by what an action's vector is made of."""
    texts, real = embed_bank(space, bank)
    names = texts[:, 0]
    described = F.normalize((texts * real[..., None])[:, 1:].sum(1), dim=-1)
    every = F.normalize((texts * real[..., None]).sum(1), dim=-1)

    def similar(vectors: Tensor) -> Tensor:
        flat = vectors.reshape(-1, vectors.shape[-1])
        bias = torch.from_numpy(usual.of(flat.numpy(), text=True))
        return (seen @ flat.T - bias).reshape(len(seen), *vectors.shape[:-1])

    best = similar(texts).masked_fill(~real, -torch.inf).amax(2)
    return {
        NAMES: similar(names).numpy(),
        "mean of all texts": similar(every).numpy(),
        "name and descriptions, half each": similar(F.normalize(names + described, dim=-1)).numpy(),
        "descriptions alone": similar(described).numpy(),
        "best text": best.numpy(),
    }


def hits_of(
    scores: np.ndarray, truth: list[frozenset[str]], labels: list[str], k: int
) -> np.ndarray:
    return top_hits(scores, truth, labels, min(k, len(labels)))


def told(hits: np.ndarray, base: np.ndarray, groups: list[str]) -> str:
    """A difference with its interval, in points."""
    one, two = (np.stack([np.asarray(h, float), np.ones(len(h))], 1) for h in (hits, base))
    found = difference(one, two, share, groups=groups)
    low, high = found.interval
    return f"{100 * found.value:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


def chosen(
    space: JointSpace,
    bank: Bank,
    seen: Tensor,
    truth: list[frozenset[str]],
    labels: list[str],
) -> str:
    """How often the name, a sentence or the long text is a segment's positive."""
    texts, real = embed_bank(space, bank)
    place = [labels.index(sorted(one)[0]) for one in truth]
    assigned = assign(seen, texts, torch.tensor(place), real=real)
    counts = dict.fromkeys(("name", "sentence", "long"), 0)
    for label, own in report(bank, place, assigned.positive).items():
        action = bank.of([label]).actions[0]
        for text, count in own.items():
            kind = {action.label: "name", action.long: "long"}.get(text, "sentence")
            counts[kind] += count
    parts = ", ".join(f"{kind} {100 * n / len(seen):.0f} %" for kind, n in counts.items())
    return f"{bank.name}: nearest of the own texts: {parts}"


if __name__ == "__main__":
    main()
