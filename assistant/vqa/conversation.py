"""A conversation's turns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from assistant.dialogue.spoken import Range

HEARD = "heard"  # of one about sound
TALK = "talk"  # the task of an answer that is none about the clip
ACTIONS = "actions"  # of one that a recogniser of actions gives
SEVERAL = "several"  # of one about several clips (`assistant.vqa.several`)
TIMELINE = "timeline"  # of one that names moments; as `Basis.range_source`, of one about a moment
# Of `Basis.range_source`: the turn chose where it looks.
ASKED_RANGES = ("question", "given", TIMELINE)


@dataclass(frozen=True)
class Turn:
    """One question and its answer."""

    question: str
    answer: str
    asked_as: str = ""  # the question as the model got it, where that differs
    part: Range | None = None  # seconds; None: all that the session looks at
    is_talk: bool = False  # nothing about the clip (`assistant.vqa.talk`)
    names_times: bool = False  # the answer is moments (`assistant.vqa.by_timeline`)

    @classmethod
    def of(cls, question: str, answer: str, found: dict[str, Any]) -> Turn:
        """The turn of an answer that ``found`` tells of (`Answer.as_dict`, `Basis.as_dict`)."""
        moments = found.get("moments", ())
        part = moments[0] if len(moments) == 1 else found
        asked = len(moments) == 1 or found.get("range_source") in ASKED_RANGES
        return cls(
            question,
            answer,
            asked_as=found.get("asked_as", ""),
            part=(part.get("start"), part.get("end")) if asked else None,
            is_talk=found.get("task") == TALK,
            names_times=found.get("task") == TIMELINE,
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
