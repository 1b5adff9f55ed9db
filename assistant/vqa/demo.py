"""A first look: questions about a clip, one of which it cannot answer. What is asked is data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assistant.core.config import from_yaml
from assistant.core.resources import demo_file
from assistant.errors import ConfigError
from assistant.weights import store as weights_store

if TYPE_CHECKING:
    from assistant.sources import Perceived
    from assistant.vqa.answer import Answer
    from assistant.vqa.assistants import Assistant


@dataclass(frozen=True)
class Demo:
    """What is asked, about which clip."""

    weights: str  # name in the weights lock
    clip: str  # a file of it
    questions: tuple[str, ...]
    beyond: tuple[str, ...]  # that the clip does not answer


@dataclass(frozen=True)
class Asked:
    """One question of the demo, its answer to be streamed."""

    clip: str
    answer: Answer
    perceived: tuple[Perceived, ...]  # in the frames that were looked at
    beyond: bool


def read_demo() -> Demo:
    """Raises ConfigError where the file is not usable."""
    demo = from_yaml(Demo, demo_file())
    if not demo.questions:
        raise ConfigError(f"{demo_file()}: has no questions; name some")
    return demo


def ask_demo(assistant: Assistant, demo: Demo) -> Iterator[Asked]:
    """Each question in turn, none of which knows of the others.

    Raises:
        WeightsError: the clip cannot be fetched. ConfigError: it is not among the files.
    """
    folder = weights_store.ensure(demo.weights)
    clip = folder / demo.clip
    if not clip.is_file():
        found = ", ".join(sorted(path.name for path in folder.iterdir()))
        raise ConfigError(f"{demo.weights} holds no {demo.clip}; choose among {found}")
    for question in (*demo.questions, *demo.beyond):
        session = assistant.open(clip)
        answer = session.ask(question)
        yield Asked(clip.name, answer, session.perceived(answer), question in demo.beyond)
