"""A text as one of a conversation: small talk gets a sentence, a follow-up its whole question."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from assistant.tasks.recipes import Calibration
from assistant.vqa.answer import Answer
from assistant.vqa.basis import Basis
from assistant.vqa.conversation import TALK, Conversation, Turn
from assistant.vqa.drafts import Query
from assistant.vqa.followups import leans_on_another, resolve
from assistant.vqa.likely_talk import likely_kind
from assistant.vqa.request import Request
from assistant.vqa.talk import QUESTION, SURE, how_sure, kind_of, reply_to, words


@dataclass(frozen=True)
class Heard:
    """What a text comes to."""

    question: str  # as it is to be asked
    turns: tuple[Turn, ...] = ()  # that the model reads with it
    reply: str = ""  # it is no question about the clip, and gets this
    # The same, by what the model of this name learned; "": a question.
    likely: Callable[[str], str] = lambda model: ""


def hear(
    text: str,
    conversation: Conversation,
    *,
    talks: bool,
    about: str,
    is_said: Callable[[], bool],
    duration: Callable[[], float],
    last: Answer | None,
    follows: bool = False,
) -> Heard:
    """What ``text`` means after what was said; nothing is decoded, no model asked.

    Args:
        talks: False: it is a question whatever it says, for choices are given to answer with.
        about: "the clip" or "the dialogue". is_said: whether there is a dialogue.
        duration: of the clip, seconds. last: the last answer about the clip.
        follows: who answers reads all turns and follows them itself.
    """
    kind = kind_of(text, is_said) if talks else QUESTION
    if kind != QUESTION:
        return Heard(text, reply=_reply(kind, conversation, about, last))

    def likely(model: str) -> str:
        if leans_on_another(text):  # whatever it says
            return ""
        kind = likely_kind(model, text, is_said)
        return "" if kind == QUESTION else _reply(kind, conversation, about, last)

    earlier = conversation.about_clip
    if follows:
        return Heard(text, earlier, likely=likely)
    found = resolve(text, earlier, duration)
    if found.lost:
        return Heard(text, reply=words().then[found.lost]) if talks else Heard(text)
    return Heard(found.question, () if found.stands_alone else earlier, likely=likely)


def _reply(kind: str, conversation: Conversation, about: str, last: Answer | None) -> str:
    if kind != SURE:
        return reply_to(kind, about)
    turn = conversation.turns[-1] if conversation.turns else None
    known = last if turn and last and _is_of(turn, last) else None
    return how_sure(turn, known, about)


def _is_of(turn: Turn, answer: Answer) -> bool:
    """Whether it is that turn's, as it was said: nobody corrected it, or took up another talk."""
    same = answer.is_complete and answer.basis.question == turn.question
    return same and answer.text.strip() == turn.answer.strip()


def say(
    sentence: str,
    question: str,
    model: str,
    on_end: Callable[[str, dict[str, Any], str], None],
    *,
    doubt: str = "",
    **rests_on: Any,
) -> Answer:
    """An answer that is no model's; ``doubt``: why it is unsure; ``rests_on``: of `Basis`, nothing
    unless given."""
    query = spoken(lambda: iter((sentence,)), lambda text: doubt or None)
    return answer_with(query, question, model, on_end, **rests_on)


def spoken(
    pieces: Callable[[], Iterator[str]],
    doubt: Callable[[str], str | None],
    shares: Mapping[str, float] | None = None,
) -> Query:
    """What no model is asked; ``doubt`` and ``shares``: of `Query`."""
    request = Request("", "", (), "", "", None, (), 1, None, 0)
    return Query(None, request, None, pieces, doubt=doubt, shares=shares)


def answer_with(
    query: Query,
    question: str,
    model: str,
    on_end: Callable[[str, dict[str, Any], str], None],
    *,
    began: float | None = None,
    **rests_on: Any,
) -> Answer:
    """The answer of what is not this model's; ``began``: of `Answer`, now unless given;
    ``rests_on``: of `Basis`, nothing unless given."""
    nothing: dict[str, Any] = {
        "task": TALK,
        "adapter": None,
        "frames": (),
        "start": None,
        "end": None,
        "window": (None, None),
        "range_source": "none",
        "dialogue_source": "none",
        "sources": (),
        "warnings": (),
    }
    basis = Basis(question=question, model=model, **nothing | rests_on)
    return Answer(
        basis,
        query,
        calibration=Calibration(),
        prior=0.0,
        began=time.perf_counter() if began is None else began,
        on_end=partial(on_end, question, basis.as_dict()),
    )
