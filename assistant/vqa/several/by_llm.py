"""An answer about several clips by a language model of the person's own: from the notes of all, in
one request, each under its clip's name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from assistant.errors import InputError
from assistant.vqa.by_llm import (
    NO_ROOM,
    Asking,
    instructions,
    messages_of,
    request_of,
    sources_noted,
)
from assistant.vqa.notes import notes_of
from assistant.vqa.request import MAX_TURNS

if TYPE_CHECKING:
    from assistant.dialogue.spoken import Range
    from assistant.model.chat.base import ChatModel
    from assistant.vqa.conversation import Turn
    from assistant.vqa.session import Session
    from assistant.vqa.several.naming import ClipName


def asking_all(
    llm: ChatModel,
    question: str,
    sessions: Mapping[ClipName, Session],
    ranges: Mapping[ClipName, Range],
    turns: Sequence[Turn],
    max_new_tokens: int | None,
) -> Asking:
    """Put it into words; where there is no room, what is said goes first, then earlier turns.

    Raises:
        InputError: there is no room for the question. VideoError: a clip cannot be looked at.
    """
    most = max_new_tokens or instructions().max_new_tokens
    past = turns[-MAX_TURNS:]
    ways = [(True, past), *((False, past[dropped:]) for dropped in range(len(past) + 1))]
    for with_lines, kept in ways:
        notes = "\n\n".join(
            _notes(name, sessions[name], where, question, with_lines)
            for name, where in ranges.items()
        )
        messages = messages_of(notes, question, kept, several=True)
        if llm.fits(messages, most):
            return Asking(llm, messages, notes, request_of(messages, kept, most))
    raise InputError(NO_ROOM.format(name=llm.name, most=most))


def _notes(name: ClipName, session: Session, where: Range, question: str, with_lines: bool) -> str:
    """Of one clip, under its name and how long it is."""
    seen = session.look(*where)
    sources = session.clip.perceive(where, sources_noted(question, session.without))
    lines = session.dialogue.lines if with_lines else ()
    told = notes_of(sources, lines, question=question, span=(seen.start, seen.end))
    return f"{name.title}, {seen.duration:.1f} s:\n{told or instructions().nothing}"
