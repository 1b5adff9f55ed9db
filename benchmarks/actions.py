"""What each loss of an action recogniser is worth: fights in surveillance clips, five folds.

    python benchmarks/actions.py FIGHT300 --out RUNS [--shots N] [--seeds 1] [--only NAME ...]

The clips and the folds are those of fights.py: for each seed, five folds, as many fights in each. A
recogniser is trained on four, a fifth of which chooses the epoch, and asked about the clips of the
other one. "joint space" is the teacher alone, by the same descriptions, which learns nothing.

With --shots, N clips of each label are learned and N choose the epoch, in as many steps.

Printed, as Markdown, for each seed: accuracy over all clips, its 95 % interval (bootstrap over
clips).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from fights import DEV, FOLDS, told, write_clips
from sklearn.model_selection import StratifiedKFold, train_test_split

from assistant import load
from assistant.actions.assignment import assign, embed_bank
from assistant.actions.bank import Bank, read_bank
from assistant.actions.head import ActionHead, load_head
from assistant.model.sight import Sight
from assistant.training.actions.config import ActionsConfig
from assistant.training.actions.features import (
    ActionClips,
    Data,
    Taught,
    encode,
    read_clips,
)
from assistant.training.actions.run import begun, train

BANK = "fight300"  # of the shipped ones
ALL = ActionsConfig()
SYSTEMS: Mapping[str, ActionsConfig] = {
    "L_ce": replace(ALL, losses=("ce",)),
    "+ L_text": replace(ALL, losses=("ce", "text")),
    "+ L_image": replace(ALL, losses=("ce", "image")),
    "all": ALL,
    "all, identity gate": replace(ALL, gate="identity"),
    "all, cross gate": replace(ALL, gate="cross"),
    "all, alpha 10": replace(ALL, alpha=10.0),
    "L_ce, no motion": replace(ALL, losses=("ce",), motion=False),
    "all, no motion": replace(ALL, motion=False),
    "L_text": replace(ALL, losses=("text",)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("fights", metavar="FIGHT300", type=Path)
    parser.add_argument("--out", metavar="RUNS", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--shots", type=int)
    parser.add_argument("--bank", default=BANK)
    parser.add_argument("--only", nargs="+", choices=SYSTEMS, default=list(SYSTEMS)[:4])
    args = parser.parse_args()
    sight = load("mini", now=False).sight
    clips = read_clips(write_clips(args.fights, args.out / "clips"))
    bank = read_bank(args.bank).of(clips.labels)
    print(f"| seed | joint space | {' | '.join(args.only)} |\n|{'---|' * (len(args.only) + 2)}")
    for seed in range(args.seeds):
        cells = []
        for name in args.only:
            config = replace(SYSTEMS[name], seed=seed)
            if args.shots:
                name = f"{name}-{args.shots}"
            right, bare = crossed(config, sight, clips, bank, args.out, name, args.shots)
            cells.append(told(right, seed))
        print(f"| {seed} | {told(bare, seed)} | {' | '.join(cells)} |", flush=True)


def crossed(
    config: ActionsConfig,
    sight: Sight,
    clips: ActionClips,
    bank: Bank,
    out: Path,
    name: str,
    shots: int | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Whether each clip is told rightly, by the recogniser and by the joint space."""
    whole = encode(clips, bank, config, sight, out / "features")
    truth = whole.truth.numpy()
    bare = whole.described.logits(whole.taught.frames).argmax(1).numpy() == truth
    right = np.zeros(len(truth), bool)
    splits = StratifiedKFold(FOLDS, shuffle=True, random_state=config.seed).split(truth, truth)
    for fold, (learned, asked) in enumerate(splits):
        own, dev = train_test_split(
            learned, test_size=DEV, random_state=config.seed, stratify=truth[learned]
        )
        if shots:
            own, dev = (
                np.concatenate([part[truth[part] == n][:shots] for n in np.unique(truth)])
                for part in (own, dev)
            )
        folder = out / f"{name.replace(' ', '-')}-{config.seed}-{fold}"
        head = learned_head(config, sight, clips, whole, bank, own, dev, folder)
        for row in asked:
            seen = whole.table.clip(whole.keys[row])
            shares = head.probabilities(seen, whole.taught.frames[row])
            right[row] = int(shares.argmax()) == truth[row]
    return right, bare


def learned_head(
    config: ActionsConfig,
    sight: Sight,
    clips: ActionClips,
    whole: Data,
    bank: Bank,
    own: np.ndarray,
    dev: np.ndarray,
    folder: Path,
) -> ActionHead:
    """Of some rows of ``whole``; trained where ``folder`` holds no finished run."""
    if not (folder / "curves.png").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        data = some(whole, own, dev)
        if "text" in config.losses:
            texts, real = embed_bank(sight.space, bank)
            counts = config.positives, config.negatives
            frames, labels = data.taught.frames[: len(own)], data.truth[: len(own)]
            data = replace(data, assigned=assign(frames, texts, labels, *counts, real=real))
        train(config, data, begun(config, clips, sight), folder)
    return load_head(folder / "head", sight)


def some(whole: Data, own: np.ndarray, dev: np.ndarray) -> Data:
    """Some clips to learn from, and some to choose the epoch by."""
    rows = np.concatenate([own, dev])
    taught, places = whole.taught, torch.from_numpy(rows)
    return replace(
        whole,
        keys=tuple(whole.keys[row] for row in rows),
        truth=whole.truth[places],
        learned=len(own),
        assigned=None,
        motion=None
        if whole.motion is None
        else replace(whole.motion, rows=whole.motion.rows[places]),
        taught=Taught(
            taught.frames[places],
            None if taught.cells is None else taught.cells[rows],
            None if taught.mask is None else taught.mask[places],
        ),
    )


if __name__ == "__main__":
    main()
