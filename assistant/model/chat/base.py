"""What a language model of the person's own is, wherever it runs: chat messages in, text out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assistant.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

THINK, THOUGHT = "<think>", "</think>"  # around what some models think before they answer


@dataclass(frozen=True)
class Message:
    """A turn of a chat."""

    role: str  # "system", "user" or "assistant"
    text: str

    def as_dict(self) -> dict[str, str]:
        """As chat templates and endpoints take it."""
        return {"role": self.role, "content": self.text}


class ChatModel(ABC):
    """It reads words alone: nothing here takes a picture or a sound."""

    name: str  # as answers name it: "llm:NAME"
    place: str  # where it runs, for a person

    @abstractmethod
    def prepare(self) -> None:
        """Load what an answer needs, once.

        Raises:
            WeightsError: its weights cannot be had or used. ModelError: no memory, or no server.
        """

    @abstractmethod
    def fits(self, messages: Sequence[Message], max_tokens: int) -> bool:
        """Whether there is room for ``messages`` and an answer of ``max_tokens``."""

    @abstractmethod
    def pieces(self, messages: Sequence[Message], max_tokens: int) -> Iterator[str]:
        """Its answer as it is made, thoughts included. Leaving early stops the work."""

    def notice(self) -> str:
        """What leaves this machine, for who uses it first; "": nothing does."""
        return ""

    def parameters(self) -> Iterable[Tensor]:
        """Those that lie in this machine's memory."""
        return ()

    def reply(self, messages: Sequence[Message], max_tokens: int) -> Iterator[str]:
        """Pieces of its answer to the last of ``messages``: printable text, without thoughts.

        Raises:
            ModelError: the server or the memory fails, or it says nothing.
        """
        said = False
        for piece in without_thoughts(self.pieces(messages, max_tokens)):
            text = "".join(letter for letter in piece if letter.isprintable() or letter in "\n\t")
            said = said or bool(text.strip())
            if said and text:
                yield text
        if not said:
            raise ModelError(
                f"{self.name} gave an empty answer; ask again, or with a larger --max-tokens than "
                f"{max_tokens}, which thoughts may have used up"
            )


def without_thoughts(pieces: Iterable[str]) -> Iterator[str]:
    """What is said after ``<think>...</think>``, where a text begins with that."""
    held, said = "", False
    for piece in pieces:
        if said:
            yield piece
            continue
        held = (held + piece).lstrip()
        if held.startswith(THINK):
            _, _, held_after = held.partition(THOUGHT)
            if not held_after.strip():
                continue
            held = held_after.lstrip()
        elif THINK.startswith(held):
            continue  # too short to tell
        said = True
        yield held
    if not said and not held.startswith(THINK):
        yield held
