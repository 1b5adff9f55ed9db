"""A conversation's turns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from assistant.dialogue.spoken import Range

TALK = "talk"  # the task of an answer that is none about the clip
ASKED_RANGES = ("question", "given")  # of `Basis.range_source`: the turn chose where it looks


@dataclass(frozen=True)
class Turn:
    """One question and its answer."""

    question: str
    answer: str
    asked_as: str = ""  # the question as the model got it, where that differs
    part: Range | None = None  # seconds; None: all that the session looks at
    is_talk: bool = False  # nothing about the clip (`assistant.vqa.talk`)

    @classmethod
    def of(cls, question: str, answer: str, found: dict[str, Any]) -> Turn:
        """The turn of an answer that ``found`` tells of (`Answer.as_dict`, `Basis.as_dict`)."""
        asked = found.get("range_source") in ASKED_RANGES
        return cls(
            question,
            answer,
            asked_as=found.get("asked_as", ""),
            part=(found.get("start"), found.get("end")) if asked else None,
            is_talk=found.get("task") == TALK,
        )

    def as_text(self) -> str:
        """Question and answer on one line."""
        return f"{self.question} {self.answer}".strip()


@dataclass(frozen=True)
class Conversation:
    """What was asked and answered about one clip, oldest first."""

    turns: tuple[Turn, ...] = ()

    @property
    def about_clip(self) -> tuple[Turn, ...]:
        """Those turns that are no talk."""
        return tuple(turn for turn in self.turns if not turn.is_talk)

    def add(self, question: str, answer: str, found: dict[str, Any] | None = None) -> Conversation:
        """The conversation with one more turn; ``found``: see `Turn.of`."""
        return Conversation((*self.turns, Turn.of(question, answer, found or {})))
