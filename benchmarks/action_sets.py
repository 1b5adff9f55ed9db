"""An action recogniser on sets with a split: what each loss is worth, with how many clips.

    python benchmarks/action_sets.py DATA --bank NAME --out RUNS
        [--shots N ...] [--seeds 3] [--only NAME ...] [--half | --unseen]

DATA is JSONL with the splits train, dev and test (as `assistant data scenes --kind actions` writes
it), or the folder of sports22, whose photos become clips of one frame: every tenth, those that the
joint space never saw, are asked about, and one in five of the others chooses the epoch. With
--unseen the photos that are learned and that choose are of those that the space never saw, too.

With --shots, N clips of each label are learned and at most N choose the epoch; else all. "joint
space" is the teacher alone, by the same descriptions; "with it" a recogniser whose answer has a
share of the teacher's, as dev wants it (with --half, a half). With --half, every second label is
learned and the others are named, among themselves, by their descriptions.

Printed, as Markdown, for each N: how many clips of test are told rightly, in per cent, the mean of
the seeds, and its 95 % interval (bootstrap over clips); with --top 5, among five.
"""

from __future__ import annotations

import argparse
import json
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from actions import SYSTEMS, learned_head
from fights import told as figure

from assistant import load
from assistant.actions.bank import Bank, bare_bank, read_bank
from assistant.actions.head import ActionHead, mixed
from assistant.actions.zero_shot import descriptions_of
from assistant.data.items import DATA
from assistant.data.segments import read_segments
from assistant.model.sight import Sight
from assistant.training.actions.features import ActionClips, Data, Example, encode
from assistant.training.clips import ClipRef
from assistant.training.space.photos import DEV_PART, read_labels

SPLITS = ("train", "dev", "test")
DEV = 5  # of sports22: one photo in so many of those that are learned
ORDER = ("train", "test", "dev", "test")  # of a label's photos, with --unseen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", metavar="DATA", type=Path)
    parser.add_argument("--bank")
    parser.add_argument("--out", metavar="RUNS", type=Path, required=True)
    parser.add_argument("--shots", type=int, nargs="+", default=[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--half", action="store_true")
    parser.add_argument("--unseen", action="store_true")
    parser.add_argument("--top", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=SYSTEMS, default=list(SYSTEMS)[:4])
    args = parser.parse_args()
    data = args.data
    out = args.out / "unseen" if args.unseen else args.out
    if (data / "labels.tsv").is_file():
        data = write_photos(data, out / "clips", args.unseen)
    elif args.unseen:
        parser.error("--unseen is for sports22")
    clips, places = read_splits(data)
    sight = load("mini", now=False).sight
    bank = bare_bank(clips.labels) if args.bank is None else read_bank(args.bank).of(clips.labels)
    print(f"| clips of a label | joint space | {' | with it | '.join(args.only)} | with it |")
    print(f"|{'---|' * (2 * len(args.only) + 2)}", flush=True)
    for shots in args.shots:
        bare, cells = None, []
        for name in args.only:
            found = [
                asked(name, seed, shots, args.half, sight, clips, places, bank, out)
                for seed in range(args.seeds)
            ]
            bare = among(found[0].bare, found[0].truth, args.top)
            for scores in ("own", "together"):
                right = [among(getattr(one, scores), one.truth, args.top) for one in found]
                cells.append(told(np.mean(right, axis=0)))
        print(f"| {shots or 'all'} | {told(bare)} | {' | '.join(cells)} |", flush=True)


@dataclass(frozen=True, eq=False)
class Asked:
    """Scores ``(N, C)`` of the clips of test, and ``(N,)`` what they show."""

    truth: np.ndarray
    bare: torch.Tensor  # of the joint space alone
    own: torch.Tensor  # of a recogniser alone
    together: torch.Tensor


def asked(
    name: str,
    seed: int,
    shots: int,
    half: bool,
    sight: Sight,
    clips: ActionClips,
    places: dict[str, np.ndarray],
    bank: Bank,
    out: Path,
) -> Asked:
    """Of a recogniser that learns, and of its teacher."""
    config = replace(SYSTEMS[name], seed=seed)
    whole = encode(clips, bank, config, sight, out / "features")
    truth = whole.truth.numpy()
    rows = dict(places)
    if half:
        learned = [n for n in range(len(clips.labels)) if n % 2 == 0]
        others = [n for n in range(len(clips.labels)) if n % 2]
        rows["train"], rows["dev"] = (
            rows[s][np.isin(truth[rows[s]], learned)] for s in ("train", "dev")
        )
        rows["test"] = rows["test"][np.isin(truth[rows["test"]], others)]
    own, dev = (few(rows[s], truth, shots, seed) for s in ("train", "dev"))
    folder = out / f"{name}-{shots or 'all'}{'-half' * half}-{seed}".replace(" ", "-")
    asked_rows, right = rows["test"], truth[rows["test"]]
    frames = whole.taught.frames[torch.from_numpy(asked_rows)]
    if not half:
        head = learned_head(config, sight, clips, whole, bank, own, dev, folder)
        bare = whole.described.logits(frames)
        alone = scores_of(head, whole, asked_rows)
        return Asked(right, bare, alone, mixed(alone, bare, head.config.teacher))
    labels = tuple(clips.labels[n] for n in learned)
    part = replace(clips, labels=labels)
    seen = replace(whole, truth=torch.from_numpy(np.searchsorted(learned, truth)))
    known_bank, named = bank.of(labels), bank.of([clips.labels[n] for n in others])
    texts = encode_texts(seen, sight, known_bank)
    head = learned_head(config, sight, part, texts, known_bank, own, dev, folder)
    described = descriptions_of(sight.space, named)
    bare = described.logits(frames)
    alone = torch.full_like(bare, torch.nan)
    if "text" in config.losses:
        alone = scores_of(head, whole, asked_rows, described.vectors)
    return Asked(np.searchsorted(others, right), bare, alone, mixed(alone, bare, 0.5))


def scores_of(
    head: ActionHead, whole: Data, rows: np.ndarray, texts: torch.Tensor | None = None
) -> torch.Tensor:
    """``(N, C)`` log-scores of a recogniser alone."""
    seen = (whole.table.clip(whole.keys[row]) for row in rows)
    return torch.stack([head.scores(one, texts) for one in seen])


def encode_texts(data: Data, sight: Sight, bank: Bank) -> Data:
    """With the texts of some labels alone."""
    from assistant.actions.assignment import embed_bank

    texts, _ = embed_bank(sight.space, bank)
    return replace(data, texts=texts.flatten(0, 1), described=descriptions_of(sight.space, bank))


def among(scores: torch.Tensor, truth: np.ndarray, top: int) -> np.ndarray:
    """``(N,)`` whether the right one is among the likeliest; nan where there are no scores."""
    if scores.isnan().any():
        return np.full(len(truth), np.nan)
    order = scores.argsort(1, descending=True).numpy()
    return (order[:, :top] == truth[:, None]).any(1).astype(float)


def told(right: np.ndarray) -> str:
    return "-" if np.isnan(right).any() else figure(right, 0)


def few(rows: np.ndarray, truth: np.ndarray, shots: int, seed: int) -> np.ndarray:
    """Some of each label, others with each seed; 0: all."""
    if not shots:
        return rows
    mixed = np.random.default_rng(seed).permutation(rows)
    return np.concatenate([mixed[truth[mixed] == n][:shots] for n in np.unique(truth[rows])])


def read_splits(path: Path) -> tuple[ActionClips, dict[str, np.ndarray]]:
    """All clips, as if to be learned, and which are of which split."""
    rows = [
        (clip.split, Example(ClipRef(clip.video, one.start, one.end), one.label))
        for clip in read_segments(path)
        for one in clip.segments
    ]
    labels = tuple(sorted({example.label for _, example in rows}))
    examples = tuple(example for _, example in rows)
    places = {s: np.array([n for n, (split, _) in enumerate(rows) if split == s]) for s in SPLITS}
    return ActionClips(examples, (), labels, "all"), places


def write_photos(folder: Path, out: Path, unseen: bool) -> Path:
    """sports22 as clips of one frame; ``unseen``: those alone that the joint space never saw."""
    if (out / DATA).is_file():
        return out
    out.mkdir(parents=True, exist_ok=True)
    labels = read_labels(folder / "labels.tsv")
    lines = []
    with zipfile.ZipFile(next(folder.glob("*.zip"))) as archive:
        names = {Path(name).name: name for name in archive.namelist()}
        rank: Counter[str] = Counter()
        for photo, label in sorted(labels.items(), key=lambda one: zlib.crc32(one[0].encode())):
            kind = zlib.crc32(photo.encode())
            new = kind % DEV_PART == 0
            if unseen and not new:
                continue
            rank[label] += 1
            (out / photo).write_bytes(archive.read(names[photo]))
            split = "test" if new else "dev" if kind // 10 % DEV == 0 else "train"
            split = ORDER[(rank[label] - 1) % len(ORDER)] if unseen else split
            segments = [{"label": label}]
            lines.append(json.dumps({"video": photo, "split": split, "segments": segments}))
    (out / DATA).write_text("\n".join(lines) + "\n")
    return out


if __name__ == "__main__":
    main()
