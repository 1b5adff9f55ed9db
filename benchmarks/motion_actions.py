"""Does only motion tell the actions of `assistant scenes OUT --kind actions`? Linear probes.

    python benchmarks/motion_actions.py OUT --features RUN

Of each clip eight frames are looked at, as a recogniser does; a frame is mini's encoder maps,
averaged over each quarter of the picture. A ridge classifier learns from the clips of train, those
of dev choose how much it shrinks, and it is asked about those of test: of the middle frame, of the
mean of all frames, which has no order, and of all frames in their order. Beside it, train alone in
five folds, which holds out no background and no object; the two clips of the same frames are in one
fold. "in pair" chooses between the two actions of a pair.

Printed, as Markdown: accuracy, its 95 % interval (bootstrap over clips).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from fights import told
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from assistant import load
from assistant.data.scenes.acts import ACTIONS, PAIRS
from assistant.data.segments import read_segments
from assistant.training.clips import ClipRef, clip_table

FRAMES, FOLDS = 8, 5
SHRINKING = (1e2, 1e3, 1e4, 1e5, 1e6)
PAIR_OF = {label: number for number, pair in enumerate(PAIRS) for label in pair}
READ: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {  # of (N, T, D)
    "middle frame": lambda seen: seen[:, FRAMES // 2],
    "mean of frames": lambda seen: seen.mean(1),
    "frames in order": lambda seen: seen.reshape(len(seen), -1),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", metavar="OUT", type=Path)
    parser.add_argument("--features", metavar="RUN", type=Path, required=True)
    args = parser.parse_args()
    clips = read_segments(args.data)
    seen = look({ClipRef(clip.video): ClipRef(clip.video).key for clip in clips}, args.features)
    truth = np.array([ACTIONS.index(clip.segments[0].label) for clip in clips])
    split = np.array([clip.split for clip in clips])
    pairs = np.array([PAIR_OF[ACTIONS[label]] for label in truth])
    numbers = [int(clip.video.stem.rpartition("-")[2]) for clip in clips]
    own = [np.flatnonzero(split == name) for name in ("train", "dev", "test")]
    groups = (np.array(numbers) * len(PAIRS) + pairs)[own[0]]
    print(f"| {len(own[0])} clips learned, {len(ACTIONS)} actions | test | in pair | ", end="")
    print("train in folds | in pair |\n|---|---|---|---|---|")
    for name, read in READ.items():
        rows = read(seen)
        shrinking, hits = tested(rows, truth, own)
        folded = [np.zeros((2, 0), bool)]
        for learned, asked in GroupKFold(FOLDS).split(own[0], groups=groups):
            scores = fitted(rows, truth, own[0][learned], shrinking, own[0][asked])
            folded.append(right(scores, truth[own[0][asked]]))
        cells = [told(one, 0) for one in (*hits, *np.concatenate(folded, axis=1))]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    chance = f"{100 / len(ACTIONS):.1f} | 50.0"
    print(f"| chance | {chance} | {chance} |")


def look(clips: dict[ClipRef, str], out: Path) -> np.ndarray:
    """(N, T, D) float32: maps of each frame, the mean over each quarter."""
    table = clip_table(out, load("mini", now=False).sight.encoder, clips, FRAMES)
    rows = []
    for key in clips.values():
        maps = table.clip(key).float().numpy()  # (T, K, Dv)
        side = round(maps.shape[1] ** 0.5)
        half = (side + 1) // 2  # the middle row and column of an odd side are in two quarters
        grid = maps.reshape(len(maps), side, side, -1)
        parts = (slice(0, half), slice(side - half, side))
        quarters = [grid[:, down, across].mean((1, 2)) for down in parts for across in parts]
        rows.append(np.concatenate(quarters, axis=1))
    return np.stack(rows)


def tested(rows: np.ndarray, truth: np.ndarray, own: list[np.ndarray]) -> tuple[float, np.ndarray]:
    """How much dev would shrink, and what of test is right, (2, N)."""
    train, dev, test = own
    best = max(
        SHRINKING,
        key=lambda one: right(fitted(rows, truth, train, one, dev), truth[dev])[0].mean(),
    )
    return best, right(fitted(rows, truth, train, best, test), truth[test])


def fitted(
    rows: np.ndarray, truth: np.ndarray, learned: np.ndarray, shrinking: float, asked: np.ndarray
) -> np.ndarray:
    """Scores (N, C) of the clips that are asked about."""
    probe = make_pipeline(StandardScaler(), RidgeClassifier(alpha=shrinking))
    return probe.fit(rows[learned], truth[learned]).decision_function(rows[asked])


def right(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Whether the action is told, and whether it is told from the other one of its pair, (2, N)."""
    other = truth ^ 1  # pairs are side by side
    each = np.arange(len(truth))
    return np.stack((scores.argmax(1) == truth, scores[each, truth] > scores[each, other]))


if __name__ == "__main__":
    main()
