"""A conversation's turns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Turn:
    """One question and its answer."""

    question: str
    answer: str

    def as_text(self) -> str:
        """Question and answer on one line."""
        return f"{self.question} {self.answer}".strip()


@dataclass(frozen=True)
class Conversation:
    """What was asked and answered about one clip, oldest first."""

    turns: tuple[Turn, ...] = ()

    def add(self, question: str, answer: str) -> Conversation:
        """The conversation with one more turn."""
        return Conversation((*self.turns, Turn(question, answer)))
