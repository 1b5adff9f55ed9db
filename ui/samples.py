"""Clips to begin with: the sample clip where it was fetched, and generated ones."""

import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from assistant.errors import InputError
from assistant.weights import store as weights_store

LISTENING = "pip install 'video-assistant[speech]'"
MOVING, STILL = "Moving shapes", "Still shapes"
SEED = 4
SIDE = 336  # pixels of a generated clip or picture


def samples() -> dict[str, str]:
    """File name of each clip that can be had without the network, by what the button says."""
    found = {MOVING: "shapes.mp4", STILL: "shapes.png"}
    return {"A street": "bikes.mp4", **found} if weights_store.installed("samples") else found


def can_listen() -> bool:
    """Whether the optional speech recogniser is installed."""
    return find_spec("faster_whisper") is not None


def questions(label: str) -> list[str]:
    """Some that a generated sample is made to answer; none of any other clip."""
    from assistant.data.scenes import example
    from assistant.data.scenes.clips import clip_example

    if label == MOVING:
        asked = clip_example(0, SEED, 1, "dev").questions
    elif label == STILL:
        asked = example(0, SEED, "dev", SIDE).questions
    else:
        return []
    kinds = {question.type: question.question for question in reversed(asked)}  # one of each
    return list(reversed(kinds.values()))


def make_sample(name: str, folder: Path) -> Path:
    """A fresh copy of a sample in ``folder``.

    Raises:
        InputError: there is none of that name.
    """
    makers: dict[str, Callable[[Path], None]] = {
        "bikes.mp4": _street,
        "shapes.mp4": _moving,
        "shapes.png": _still,
    }
    if name not in makers:
        raise InputError(f"There is no example called {name}.")
    path = folder / name
    makers[name](path)
    return path


def _street(path: Path) -> None:
    shutil.copy(next(weights_store.ensure("samples").rglob(path.name)), path)


def _moving(path: Path) -> None:
    from assistant.data.scenes.clips import FRAME_RATE, clip_example
    from assistant.media.writer import write_clip

    write_clip(path, clip_example(0, SEED, 1, "dev").frames(SIDE, 2 * FRAME_RATE), 2 * FRAME_RATE)


def _still(path: Path) -> None:
    from PIL import Image

    from assistant.data.scenes import example

    Image.fromarray(example(0, SEED, "dev", SIDE).image).save(path)
