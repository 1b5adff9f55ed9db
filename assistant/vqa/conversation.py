"""A conversation's turns, kept as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from assistant.errors import InputError
from assistant.vqa.time_ranges import TimeRange, time_range, without_time
from assistant.vqa.time_words import format_time

__all__ = ["Conversation", "TimeRange", "Turn", "format_time", "time_range", "without_time"]

WANTED = 'wanted [{"question": "What is it?", "answer": "A dog."}]'


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

    def as_json(self) -> str:
        """``[{"question": ..., "answer": ...}, ...]``."""
        return json.dumps([asdict(turn) for turn in self.turns], ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Conversation:
        """What ``as_json`` wrote. Raises ``InputError`` for anything else, naming the turn."""
        try:
            turns = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"a conversation is not valid JSON ({error}): {WANTED}") from error
        if not isinstance(turns, list):
            raise InputError(f"a conversation is a JSON {type(turns).__name__}: {WANTED}")
        for number, turn in enumerate(turns, 1):
            good = isinstance(turn, dict) and turn.keys() == {"question", "answer"}
            if not good or not all(isinstance(value, str) for value in turn.values()):
                raise InputError(f"turn {number} of a conversation is {turn!r:.60}: {WANTED}")
        return cls(tuple(Turn(**turn) for turn in turns))
