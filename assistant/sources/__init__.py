"""What is perceived, as words with times (Cross-modal Knowledge Mining, 3.3): a source a file.

A source is a `Perceiver` called ``PERCEIVER`` in a file of its own. What it says enters the
Q-Former's text and the prompt where those name ``{sources}`` or the source's own name, is shown
under the answer, and is left out by ``--without NAME``. It costs nothing until it is asked.
"""

from __future__ import annotations

import hashlib
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@dataclass(frozen=True)
class Kind:
    """A source, before it has perceived anything."""

    module: str
    label: str  # before its words, for the models and for the person
    thing: str  # that it finds
    about: str  # when and how
    extra: str = ""  # of the package, that it needs
    told: bool = True  # where a prompt names {sources}; else only where it names this one


SOURCES = {
    "attributes": Kind("seen", "Seen", "things", "that the image encoder's classifier names"),
    # No shipped model has learned to read these yet.
    "objects": Kind(
        "objects", "Objects", "objects", "with number, place, color and way", told=False
    ),
    "phrases": Kind(
        "phrases", "Looks like", "scene, activity, weather and things", "by a lexicon", told=False
    ),
    "captions": Kind(
        "captions", "Like", "sentences", "that may fit, each with its chance", told=False
    ),
    "read": Kind("read", "Written", "text in the picture", "where a question asks for it", "ocr"),
    "heard": Kind(
        "heard", "Heard", "sounds", "where a question asks for them", "sound", told=False
    ),
}


WEARER = "person"  # whose color is that of the clothes

Box = tuple[float, float, float, float]
"""Left, top, right, bottom; 0 to 1."""


@dataclass(frozen=True)
class Perceived:
    """One thing that was perceived."""

    name: str
    probability: float
    start: float | None = None  # seconds; None: it holds for the whole range
    end: float | None = None
    box: Box | None = None  # where it is seen best
    count: int | None = None  # how many of its name there are at once
    total: int | None = None  # how many there are in all, where that is more
    color: str = ""  # a person's is that of the clothes
    direction: str = ""  # which way it moves in the picture
    track: tuple[tuple[float, Box], ...] = ()  # its box at each time it is seen, where it may move

    @property
    def told(self) -> str:
        """As a person reads it: ``car (red, moving left)``, ``person (in red)``."""
        color = f"in {self.color}" if self.color and self.name == WEARER else self.color
        way = f"moving {self.direction}" if self.direction else ""
        more = ", ".join(filter(None, (color, way)))
        return f"{self.name} ({more})" if more else self.name

    def as_dict(self) -> dict[str, Any]:
        """For JSON; what is not known is left out."""
        found: dict[str, Any] = {"name": self.name, "probability": round(self.probability, 4)}
        if self.start is not None and self.end is not None:
            found |= {"start": round(self.start, 3), "end": round(self.end, 3)}
        if self.box is not None:
            found["box"] = [round(x, 4) for x in self.box]
        if self.track:
            found["track"] = [
                [round(second, 3), *(round(x, 4) for x in box)] for second, box in self.track
            ]
        more = {
            "count": self.count,
            "total": self.total,
            "color": self.color,
            "direction": self.direction,
        }
        return found | {key: value for key, value in more.items() if value}


@dataclass(frozen=True)
class Source:
    """What one source says of a range of a clip."""

    name: str  # of SOURCES
    items: tuple[Perceived, ...] = ()
    text: str = ""  # as the models read it
    blind_text: str = ""  # in its place where they must not know the clip
    # What stands out, be it said or not: group, name, and how much likelier it is than in most
    # pictures, in log-odds; the most first.
    perhaps: tuple[tuple[str, str, float], ...] = ()
    warning: str = ""  # what the person should know


@dataclass(frozen=True)
class Look:
    """A range of a clip, as sources perceive it."""

    patches: Tensor  # (T, K, Dv) fp16, the encoder's, of the frames that are looked at
    classes: Tensor  # (T, C) probabilities, of the same frames
    class_names: Sequence[str]  # C; none: the encoder is no classifier
    seconds: Sequence[float]  # (T,) their times
    encoder: str  # fingerprint
    # ``pictures(count, longest side)``: frames (N, H, W, 3) uint8 RGB of the range, and their times
    pictures: Callable[[int, int], tuple[np.ndarray, Sequence[float]]]
    # `assistant.model.space.base.JointSpace`, loaded with the first use. Raises InputError: the
    # model has none.
    space: Callable[[], Any]
    sound: Any = None  # `assistant.model.sound_pieces.ClipSound` of the range; None: none is heard


class Perceiver(ABC):
    """How a source perceives; those that are there override some of it."""

    def missing(self) -> str:
        """What is not installed, and how to get it; empty: all is there."""
        return ""

    def wanted(self, question: str) -> bool:
        """Whether a question is worth the time that perceiving takes."""
        return True

    def fingerprint(self, look: Look) -> str:
        """What decides its items beside the frames and their encoder: here, all that its own file
        says. Who depends on more (weights, a package, the joint space) adds that."""
        own = Path(str(sys.modules[type(self).__module__].__file__))
        return hashlib.sha256(own.read_bytes()).hexdigest()[:16]

    @abstractmethod
    def perceive(self, look: Look) -> tuple[Perceived, ...]:
        """What is there."""

    @abstractmethod
    def as_text(self, items: Sequence[Perceived]) -> str:
        """The short line that the models read."""

    def answers(self, question: str) -> bool:
        """Whether a question asks for just what the source names."""
        return False

    def propose(self, items: Sequence[Perceived], question: str) -> tuple[str, ...]:
        """Answers to such a question; the model weighs which one is said. None: unsure."""
        return ()

    def settled(self, items: Sequence[Perceived], question: str) -> str:
        """What of the items settles such a question, for the person."""
        return ""

    def look_at(self, name: str, look: Look) -> Source:
        """What the source called ``name`` says, or why it says nothing."""
        if missing := self.missing():
            return Source(name, warning=missing)
        items = self.perceive(look)
        return Source(name, items, self.as_text(items))


def perceiver(name: str) -> Perceiver:
    """The source ``name`` at work."""
    return import_module(f"{__name__}.{SOURCES[name].module}").PERCEIVER


def lines_of(texts: dict[str, str]) -> str:
    """The texts of sources, by name, a line each, as ``{sources}`` in a prompt stands for them."""
    return "\n".join(f"{SOURCES[name].label}: {text}" for name, text in texts.items() if text)
