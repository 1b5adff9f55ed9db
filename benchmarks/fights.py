"""Fights in surveillance clips: a trained head of events beside the labels' texts and 5 examples.

    python benchmarks/fights.py FIGHT300 --out RUNS [--seeds 3] [--space auto]

FIGHT300 holds an archive of frames, eight of 160 x 120 a clip, and labels.tsv (name, label, kind).
They are written as clips of 2 s to RUNS/clips, with data.jsonl as `assistant finetune events` and
`evaluate events` read it. For each seed, five folds, as many fights in each: a head is trained on
four, a fifth of which chooses the epoch, and asked about the clips of the other one; where no epoch
is better than the labels' texts, these answer. Five examples of each label come of the same four.

Printed, as Markdown, for each seed: accuracy over all clips, its 95 % interval (bootstrap over
clips).
"""

from __future__ import annotations

import argparse
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.model_selection import StratifiedKFold, train_test_split

from assistant import load
from assistant.data.items import DATA
from assistant.data.segments import labels_of, read_segments
from assistant.evaluation.branches import WEIGHTS
from assistant.evaluation.segments import figure_with_interval
from assistant.media.writer import write_clip
from assistant.model.space.base import JointSpace
from assistant.timeline.events import EventHead, few_shot, texts_of, zero_shot
from assistant.timeline.head_folder import load_head
from assistant.timeline.ranges import Ranges
from assistant.timeline.saliency import late_fusion
from assistant.training.events.config import EventsConfig
from assistant.training.events.features import Data, Rows, rows_of
from assistant.training.events.run import train

FRAMES, RATE = 8, 4  # of a clip; a second
FOLDS, DEV, SHOTS = 5, 0.2, 5
SYSTEMS = ("mean pooling", "video branch", "5 examples", "trained", "trained without texts")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("fights", metavar="FIGHT300", type=Path)
    parser.add_argument("--out", metavar="RUNS", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--space", default="auto")
    args = parser.parse_args()
    rows, names, space = look(args.fights, args.out, args.space)
    truth = rows.truth.argmax(1).numpy()
    print(f"| seed | {' | '.join(SYSTEMS)} | majority |\n|{'---|' * (len(SYSTEMS) + 2)}")
    for seed in range(args.seeds):
        right = accuracies(rows, names, space, args.out / f"seed-{seed}", seed)
        cells = [told(hits, seed) for hits in right.values()]
        majority = 100 * np.bincount(truth).max() / len(truth)
        print(f"| {seed} | {' | '.join(cells)} | {majority:.1f} |", flush=True)


def look(fights: Path, out: Path, space: str) -> tuple[Rows, list[str], JointSpace]:
    """Vectors of all clips, and the labels."""
    clips = read_segments(write_clips(fights, out / "clips"))
    assistant = load("mini", now=False, space=space)
    names = labels_of(clips)
    ranges = Ranges(assistant.sight)
    return rows_of(clips, names, assistant, ranges, out / "features"), names, assistant.sight.space


def write_clips(fights: Path, out: Path) -> Path:
    """The folder of clips, with their labels; written once."""
    if (out / DATA).is_file():
        return out
    out.mkdir(parents=True, exist_ok=True)
    lines = []
    with zipfile.ZipFile(next(fights.glob("*.zip"))) as archive:
        for line in (fights / "labels.tsv").read_text().splitlines():
            name, label, _ = line.split("\t")
            pictures = [
                np.asarray(Image.open(io.BytesIO(archive.read(f"{name}/{n}.jpg"))).convert("RGB"))
                for n in range(FRAMES)
            ]
            write_clip(out / f"{name}.mp4", pictures, RATE)
            lines.append(json.dumps({"video": f"{name}.mp4", "segments": [{"label": label}]}))
    (out / DATA).write_text("\n".join(lines) + "\n")
    return out


def folds(rows: Rows, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Clips to learn from and to ask about."""
    truth = rows.truth.argmax(1).numpy()
    yield from StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(truth, truth)


def accuracies(
    rows: Rows, names: list[str], space: JointSpace, out: Path, seed: int
) -> dict[str, np.ndarray]:
    """Whether each clip is told rightly, by system."""
    start, truth = zero_shot(space, names), rows.truth.argmax(1)
    right = {name: np.zeros(len(truth), bool) for name in SYSTEMS}
    for fold, (learned, asked) in enumerate(folds(rows, seed)):
        rng = np.random.default_rng((seed, fold))
        examples = {
            name: rows.video[rng.choice(learned[truth[learned] == n], SHOTS, replace=False)]
            for n, name in enumerate(names)
        }
        config = EventsConfig(seed=seed)
        head = trained(rows, names, space, learned, out / f"fold-{fold}", config)
        blank = replace(config, texts=False)
        other = trained(rows, names, space, learned, out / f"blank-{fold}", blank)
        for system, own, vectors in zip(
            SYSTEMS,
            (start, start, few_shot(space, examples), head, other),
            (rows.video, rows.event, rows.video, rows.event, rows.event),
            strict=True,
        ):
            right[system][asked] = (best(own, vectors[asked]) == truth[asked]).numpy()
    return right


def trained(
    rows: Rows,
    names: list[str],
    space: JointSpace,
    learned: np.ndarray,
    out: Path,
    config: EventsConfig,
) -> EventHead:
    """A head, or the labels' texts where no epoch is better; what lies in ``out`` is read."""
    start, texts = zero_shot(space, names), texts_of(space, names)
    kept = out / "head"
    if not (out / "curves.png").is_file():
        own, dev = apart(rows, learned, config.seed)
        out.mkdir(parents=True, exist_ok=True)
        parts = (rows.some(torch.from_numpy(np.sort(part))) for part in (own, dev))
        train(config, Data(*parts, start, texts, ""), space.fingerprint, space.scale, out)
    return load_head(kept, space) if kept.is_dir() else start


def apart(rows: Rows, learned: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Clips that weights are learned from, and those that choose the epoch."""
    truth = rows.truth.argmax(1).numpy()[learned]
    own, dev = train_test_split(learned, test_size=DEV, random_state=seed, stratify=truth)
    return own, dev


@dataclass(frozen=True, eq=False)
class Folds:
    """Probabilities of fights, fold by fold."""

    asked: np.ndarray  # (N, L) of each clip, by the head of the fold that asks about it
    dev: list[np.ndarray]  # (N, L) of each fold, of the clips that chose its epoch


def cross(
    rows: Rows,
    names: list[str],
    space: JointSpace,
    out: Path,
    seed: int,
    config: EventsConfig,
) -> Folds:
    """By the heads of one seed."""
    config = replace(config, seed=seed)
    asked_of = np.zeros((len(rows.truth), len(names)))
    dev_of = [np.zeros_like(asked_of) for _ in range(FOLDS)]
    for fold, (learned, asked) in enumerate(folds(rows, seed)):
        place = out / f"seed-{seed}" / f"fold-{fold}"
        head = trained(rows, names, space, learned, place, config)
        dev = apart(rows, learned, seed)[1]
        asked_of[asked] = head.probabilities(rows.event[asked]).numpy()
        dev_of[fold][dev] = head.probabilities(rows.event[dev]).numpy()
    return Folds(asked_of, dev_of)


def fused(video: Folds, attributes: Folds, rows: Rows, seed: int) -> np.ndarray:
    """Late fusion; its weight is chosen, fold by fold, on the clips that choose the epoch."""
    truth, found = rows.truth.argmax(1).numpy(), np.zeros_like(video.asked)
    for fold, (learned, asked) in enumerate(folds(rows, seed)):
        dev = apart(rows, learned, seed)[1]
        known = video.dev[fold][dev], attributes.dev[fold][dev]
        worth = [(late_fusion(*known, w).argmax(1) == truth[dev]).sum() for w in WEIGHTS]
        chosen = [w for w, own in zip(WEIGHTS, worth, strict=True) if own == max(worth)]
        weight = chosen[len(chosen) // 2]
        found[asked] = late_fusion(video.asked[asked], attributes.asked[asked], weight)
    return found


def best(head: EventHead, vectors: torch.Tensor) -> torch.Tensor:
    """``(N,)`` numbers of the likeliest labels, as `labels_of` sorts them."""
    order = [head.names.index(name) for name in sorted(head.names)]
    return head.probabilities(vectors)[:, order].argmax(1)


def told(hits: np.ndarray, seed: int) -> str:
    value = figure_with_interval([(hit, 1) for hit in hits], range(len(hits)), seed)
    return f"{100 * value.value:.1f} ({100 * value.low:.1f}-{100 * value.high:.1f})"


if __name__ == "__main__":
    main()
