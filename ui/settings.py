"""What a visitor can set, and what the server was started with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.ui.uploads import Limits

from assistant.errors import InputError
from assistant.sources import SOURCES, perceiver

if TYPE_CHECKING:
    from assistant.retrieval import Hit

PRECISIONS = ("auto", "bf16", "fp32")
DECODING = {"careful": 0, "quick": 1}  # beams; 0: as the model was shipped
MOST_FRAMES = 32  # what each of T weighs takes T + 1 looks at T - 1; others wait meanwhile
LONGEST_QUESTION = 2000  # characters, and of all choices together
LONGEST_ANSWER = 256  # tokens
MISSING = "Not installed here: {}"
FREE, YES_NO, CHOICES = "in words", "yes or no", "one of these"


@dataclass(frozen=True)
class Options:
    """How the server was started."""

    model: str = "mini"
    base: Path | None = None
    precision: str = "auto"
    quantize: str = "auto"
    device: str = "auto"
    space: str = "auto"
    sounds: str = "auto"  # what names those that are heard, as `load` takes it
    sound_labels: tuple[str, ...] = ()
    llm: str | None = None  # a language model of the server's owner, that answers instead
    llm_name: str | None = None
    llm_label: str = ""  # what the page calls it
    notice: str = ""  # what of a visitor's things goes to which server for it
    head: str | None = None  # a recogniser of actions, by name or folder
    listen: bool = False  # whether timelines tell what is heard, too
    index: str | None = None  # where indexes lie; None: in the user's data folder
    searched: tuple[str, ...] | None = None  # indexes that visitors may search; None: all
    begin: Hit | None = None  # what every page begins with
    teaches: bool = False  # whether visitors may teach tasks
    limits: Limits = field(default_factory=Limits)
    most_waiting: int = 200
    grace: float = 600.0  # seconds that a visitor's things stay after the page was left
    idle: float = 7200.0  # seconds after which an open page without a question is cleared


@dataclass(frozen=True)
class Settings:
    """How one visitor wants to be answered."""

    model: str = ""  # of `picking.models`; "": the one that the server was started with
    task: str = "auto"
    adapter: str = "auto"
    precision: str = "auto"
    frames: int = 8
    decoding: str = "careful"
    longest: int = 0  # tokens of an answer; 0: the task's own
    sources: list[str] = field(default_factory=lambda: list(SOURCES))  # what the model may read
    transcribe: str = "auto"


def training_options(options: Options) -> list[str]:
    """Of `assistant finetune`: the model that the server answers with."""
    given = {
        "--model": options.model,
        "--base": options.base,
        "--precision": options.precision,
        "--quantize": options.quantize,
        "--device": options.device,
        "--space": options.space,
    }
    return [
        part for name, value in given.items() if value is not None for part in (name, str(value))
    ]


def missing_sources() -> dict[str, str]:
    """The command that installs each source that cannot be read here."""
    told = {name: perceiver(name).missing() for name, kind in SOURCES.items() if kind.extra}
    return {name: text.rpartition(": ")[2] for name, text in told.items() if text}


def choices_of(form: str, text: str) -> list[str] | None:
    """The choices of a question whose answer has the ``form``; None: free text.

    Raises:
        InputError: fewer than two, or one of them twice.
    """
    if form == YES_NO:
        return ["yes", "no"]
    if form == CHOICES:
        choices = [part.strip() for part in text.replace("\n", ",").split(",") if part.strip()]
        if len(choices) < 2 or len(set(choices)) < len(choices):
            raise InputError("Give at least two different choices, parted by commas.")
        return choices
    return None
