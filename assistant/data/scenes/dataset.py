"""Scenes as training data: in memory, or as a folder of pictures or clips with ``data.jsonl``.

A line of ``data.jsonl`` is one question::

    {"id": "train-000012-3", "image": "images/train-000012.png", "question": "Is there a red cube?",
     "answer": "yes", "choices": ["yes", "no"], "type": "existence", "held_out": false,
     "split": "train"}

``image`` is relative to the folder; captions (type ``caption``) have no ``choices``. Clips, from
outside, with sound or in the first person, have ``video`` instead: ``clips/train-000012.mp4``.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from assistant.core.scratch import scratch_folder
from assistant.data.scenes.clips import FRAME_RATE, ClipExample, clip_example, sounding_example
from assistant.data.scenes.ego import ego_example
from assistant.data.scenes.layout import sample_scene
from assistant.data.scenes.questions import Question, ask
from assistant.data.scenes.render import render
from assistant.data.scenes.timbres import RATE
from assistant.data.scenes.world import Scene
from assistant.errors import InputError
from assistant.media.writer import write_clip

CLIPS: dict[str, Callable[[int, int, int, str], ClipExample]] = {
    "clips": clip_example,
    "sounding": sounding_example,
    "ego": ego_example,
}
"""What draws clip ``index`` by seed, number of the split and split, for each kind of clips."""

KINDS = ("images", *CLIPS)
SPLITS = ("train", "dev", "test")
SIZE = 224


@dataclass(frozen=True, eq=False)
class SceneExample:
    """One picture with its questions."""

    image: np.ndarray  # (H, W, 3) uint8 RGB
    records: list[dict]  # lines of data.jsonl
    scene: Scene
    questions: tuple[Question, ...]  # what the records say, and which objects it is about


@dataclass(frozen=True)
class Dataset:
    """What was written, and where."""

    path: Path  # the data.jsonl
    media: int  # pictures or clips
    questions: int


def example(index: int, seed: int, split: str = "train", size: int = SIZE) -> SceneExample:
    """Picture ``index`` of a split; it depends on nothing but these arguments."""
    _check(seed, split, index)
    rng = np.random.default_rng([seed, SPLITS.index(split), index])
    scene = sample_scene(rng, split)
    questions = ask(scene, rng, split)
    name = f"{split}-{index:06d}"
    records = _records(questions, name, {"image": f"images/{name}.png"}, split)
    return SceneExample(render(scene, size), records, scene, questions)


def _records(
    questions: Sequence[Question], name: str, media: dict[str, str], split: str
) -> list[dict]:
    """Lines of ``data.jsonl`` about one picture or clip."""
    records = []
    for number, question in enumerate(questions):
        record = {
            "id": f"{name}-{number}",
            **media,
            "question": question.question,
            "answer": question.answer,
            "choices": list(question.choices),
            "type": question.type,
            "held_out": question.held_out,
            "split": split,
        }
        if not question.choices:
            del record["choices"]
        records.append(record)
    return records


def generate(
    count: int, seed: int, split: str = "train", *, start: int = 0, size: int = SIZE
) -> Iterator[SceneExample]:
    """Pictures ``start`` to ``start + count - 1`` of a split, one at a time.

    Raises InputError for an unknown split, a negative seed or a negative count.
    """
    _check(seed, split, start)
    if count < 0:
        raise InputError(f"count is {count}: give 0 or more")
    return (example(index, seed, split, size) for index in range(start, start + count))


def write_dataset(
    out: str | Path,
    kind: str = "images",
    count: int = 1000,
    seed: int = 0,
    split: str = "train",
    progress: bool = True,
) -> Dataset:
    """Writes pictures and ``data.jsonl`` into a new folder, which appears only when complete.

    The same arguments give the same bytes. Raises InputError where ``out`` is taken, or for a kind,
    split, seed or count that cannot be.
    """
    out = Path(out)
    if kind not in KINDS:
        raise InputError(f"unknown kind of scenes {kind!r}: choose {' or '.join(KINDS)}")
    if count < 1:
        raise InputError(f"count is {count}: ask for at least 1 picture")
    _check(seed, split, 0)
    try:
        if out.exists() and not (out.is_dir() and not any(out.iterdir())):
            raise InputError(
                f"{out} exists and is not an empty folder: choose another or remove it"
            )
        out.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder(f".{out.name}-", out.parent) as scratch:
            folder = scratch / "complete"
            folder.mkdir()
            unit = "image" if kind == "images" else "clip"
            numbers = tqdm(range(count), desc=kind, unit=unit, disable=not progress)
            questions = 0
            with (folder / "data.jsonl").open("w", encoding="utf-8", newline="\n") as lines:
                for number in numbers:
                    if kind == "images":
                        records = _write_picture(folder, number, seed, split)
                    else:
                        records = _write_clip(folder, number, seed, split, kind)
                    lines.writelines(json.dumps(record) + "\n" for record in records)
                    questions += len(records)
            folder.replace(out)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"cannot write to {out}: {reason}; choose another folder") from error
    return Dataset(out / "data.jsonl", count, questions)


def _write_picture(folder: Path, index: int, seed: int, split: str) -> list[dict]:
    item = example(index, seed, split)
    path = folder / item.records[0]["image"]
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(item.image).save(path, compress_level=4)
    return item.records


def _write_clip(folder: Path, index: int, seed: int, split: str, kind: str) -> list[dict]:
    item = CLIPS[kind](index, seed, SPLITS.index(split), split)
    name = f"{split}-{index:06d}"
    path = folder / f"clips/{name}.mp4"
    path.parent.mkdir(exist_ok=True)
    write_clip(path, item.frames(SIZE), FRAME_RATE, item.sound(), RATE)
    return _records(item.questions, name, {"video": f"clips/{name}.mp4"}, split)


def _check(seed: int, split: str, index: int) -> None:
    if split not in SPLITS:
        raise InputError(f"unknown split {split!r}: choose {', '.join(SPLITS)}")
    for name, value in (("seed", seed), ("picture", index)):
        if value < 0:
            raise InputError(f"{name} is {value}: give 0 or more")
