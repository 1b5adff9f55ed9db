"""A first look: three questions about the sample clip and one about a generated picture."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from assistant import weights_store

if TYPE_CHECKING:
    from assistant.answer import Answer
    from assistant.session import Assistant

__all__ = ["run_demo"]

CLIP_QUESTIONS = (
    "What is happening?",
    "What are the people riding?",
    "Is it day or night?",
)
SCENE_SEED = 4
SCENE_QUESTION = "count"  # the type of question asked about the generated picture


def run_demo(assistant: Assistant) -> Iterator[tuple[str, Answer]]:
    """What is looked at, and an answer to be streamed, one question after the other.

    Raises:
        WeightsError: the sample clip cannot be fetched.
    """
    clip = next(weights_store.ensure("samples").rglob("bikes.mp4"))
    session = assistant.open(clip)
    for question in CLIP_QUESTIONS:
        yield clip.name, session.ask(question)
    with tempfile.TemporaryDirectory() as folder:
        yield from _ask_generated(assistant, Path(folder))


def _ask_generated(assistant: Assistant, folder: Path) -> Iterator[tuple[str, Answer]]:
    from PIL import Image

    from assistant.scenes import example

    scene = example(0, SCENE_SEED, "test")
    picture = folder / "generated.png"
    Image.fromarray(scene.image).save(picture)
    record = next(record for record in scene.records if record["type"] == SCENE_QUESTION)
    yield picture.name, assistant.open(picture).ask(record["question"])
