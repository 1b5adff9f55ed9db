"""Labelled clips in which only motion tells what is done, for ``assistant finetune actions``.

A line of ``data.jsonl`` is one clip (`assistant.data.segments`)::

    {"video": "clips/enter-train-0-000012.mp4", "split": "train", "segments": [{"label": "enter"}]}

Clips of one number in the files of a pair's two actions show the same objects; the first number is
the seed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from tqdm import tqdm

from assistant.data.scenes.acts import PAIRS, sample_acts
from assistant.data.scenes.dataset import SPLITS, Dataset
from assistant.data.scenes.render import render
from assistant.errors import InputError
from assistant.media.writer import write_clip

FRAME_RATE = 8  # pictures a second
SIZE = 160
STREAM = 13  # keeps actions from repeating the random numbers of other kinds
COUNT = 40  # of an action in train
SHARES = {"train": 1, "dev": 4, "test": 2}  # dev has a quarter as many, test half


def draw_pair(
    pair: tuple[str, str], index: int, seed: int, split: str, size: int = SIZE
) -> Mapping[str, list[np.ndarray]]:
    """Frames (size, size, 3) uint8 RGB of clip ``index`` of both actions of a pair; they depend on
    nothing but these arguments."""
    rng = np.random.default_rng([seed, SPLITS.index(split), index, STREAM, PAIRS.index(pair)])
    first, second = sample_acts(rng, pair, split)
    moments = [(n + 0.5) / FRAME_RATE for n in range(round(first.seconds * FRAME_RATE))]
    frames = [render(first.at(moment), size) for moment in moments]
    if second.backwards:
        others = frames[::-1]
    else:
        others = [render(second.at(moment), size) for moment in moments]
    return {first.label: frames, second.label: others}


def write_actions(
    out: str | Path, count: int = COUNT, seed: int = 0, progress: bool = True
) -> Dataset:
    """Writes ``count`` clips of each action to learn from, a quarter as many to choose by (dev) and
    half as many to test, with ``data.jsonl`` as the last file.

    The same arguments give the same bytes; clips that a stopped run left in ``out`` are kept.
    Raises InputError where ``out`` is taken, or for a seed or count that cannot be.
    """
    out = Path(out)
    if count < 1 or seed < 0:
        raise InputError(f"count is {count} and seed {seed}: ask for at least 1 clip, seed 0 or up")
    tasks = [
        (split, pair, index)
        for split, share in SHARES.items()
        for pair in PAIRS
        for index in range(-(-count // share))
    ]
    try:
        if out.exists() and not (out.is_dir() and {p.name for p in out.iterdir()} <= {"clips"}):
            raise InputError(
                f"{out} exists and is no unfinished set of clips: choose another or remove it"
            )
        (out / "clips").mkdir(parents=True, exist_ok=True)
        lines = []
        for split, pair, index in tqdm(tasks, desc="actions", unit="pair", disable=not progress):
            names = {
                label: f"clips/{label.replace(' ', '_')}-{split}-{seed}-{index:06d}.mp4"
                for label in pair
            }
            if not all((out / name).is_file() for name in names.values()):
                for label, frames in draw_pair(pair, index, seed, split, SIZE).items():
                    _write(out / names[label], frames)
            lines += [
                {"video": name, "split": split, "segments": [{"label": label}]}
                for label, name in names.items()
            ]
        path = out / "data.jsonl"
        part = path.with_name(".data.jsonl")
        part.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        part.replace(path)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"cannot write to {out}: {reason}; choose another folder") from error
    return Dataset(path, len(lines), len(lines))


def _write(path: Path, frames: Iterable[np.ndarray]) -> None:
    """The file is there when it is complete."""
    part = path.with_name(f".{path.name}")
    write_clip(part, frames, FRAME_RATE)
    part.replace(path)
