"""A first look: three questions about the sample clip and one about a generated picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.core.scratch import scratch_folder
from assistant.weights import store as weights_store

if TYPE_CHECKING:
    from assistant.vqa.answer import Answer
    from assistant.vqa.session import Assistant

CLIP_QUESTIONS = (
    "What happens in the last 4 seconds?",
    "What is in the video?",
    "Who is in the video?",
)
SCENE_SEED = 4
SCENE_QUESTION = "color"  # the type of question asked about the generated picture


def run_demo(assistant: Assistant) -> Iterator[tuple[str, Answer, str | None]]:
    """What is looked at, an answer to be streamed, and what is true where that is known.

    Raises:
        WeightsError: the sample clip cannot be fetched.
    """
    clip = next(weights_store.ensure("samples").rglob("bikes.mp4"))
    session = assistant.open(clip)
    for question in CLIP_QUESTIONS:
        yield clip.name, session.ask(question), None
    with scratch_folder("assistant-demo-") as folder:
        yield from _ask_generated(assistant, folder)


def _ask_generated(assistant: Assistant, folder: Path) -> Iterator[tuple[str, Answer, str | None]]:
    from PIL import Image

    from assistant.data.scenes import example

    scene = example(0, SCENE_SEED, "dev")
    picture = folder / "generated.png"
    Image.fromarray(scene.image).save(picture)
    record = next(record for record in scene.records if record["type"] == SCENE_QUESTION)
    yield picture.name, assistant.open(picture).ask(record["question"]), record["answer"]
