"""An answer by a language model of the person's own: from notes of what was perceived and said."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from assistant.core.config import from_yaml
from assistant.core.resources import prompts_dir
from assistant.dialogue.subtitles import Line
from assistant.errors import InputError
from assistant.model.chat.base import ChatModel, Message
from assistant.sources import SOURCES, Source, perceiver
from assistant.tasks.prompts import TaskPrompt
from assistant.tasks.recipes import Calibration
from assistant.vqa.answer import CANNOT_TELL, Answer
from assistant.vqa.conversation import Turn
from assistant.vqa.drafts import Query
from assistant.vqa.notes import notes_of
from assistant.vqa.request import MAX_TURNS, NO_TARGET, Request

if TYPE_CHECKING:
    from assistant.dialogue.subtitles import Dialogue
    from assistant.model.features import ClipFeatures
    from assistant.vqa.asked import Asked

CANNOT = re.compile(r"\W*(?:sorry\W+(?:but )?)?(?:i|we) (?:cannot|can not|can\W?t) tell\b", re.I)
LABEL = r"\W*(?:(?:the )?(?:answer|choice|option|number|letter)(?: is)?\W+)?({})(?:[.):\]*]|\W*$)"
NUMBERED = re.compile(r"\d")
NO_ROOM = (
    "{name} has no room for the question and {most} tokens of an answer; shorten it, or ask with a "
    "smaller --max-tokens"
)


@dataclass(frozen=True)
class Instructions:
    """What it is told; the texts are data."""

    system: str
    notes: str  # the last turn, of {notes} and {question}
    nothing: str  # in place of empty notes
    several: str  # after ``system``, where there is more than one clip
    choices: str  # after a question, of {choices} and {label}
    max_new_tokens: int


@lru_cache(maxsize=1)
def instructions() -> Instructions:
    """Those that are shipped. Raises ConfigError: the file is damaged."""
    return from_yaml(Instructions, prompts_dir() / "llm" / "answer.yaml")


def sources_noted(question: str, without: Collection[str]) -> list[str]:
    """Names of the sources that are noted: all, but for those that cost seconds each time (they
    need an extra) where a question does not want them."""
    return [
        name
        for name, kind in SOURCES.items()
        if name not in without and (not kind.extra or perceiver(name).wanted(question))
    ]


@dataclass(frozen=True)
class Asking:
    """A question to a language model that reads notes."""

    llm: ChatModel
    messages: tuple[Message, ...]
    notes: str
    request: Request

    def query(self) -> Query:
        """As `Answer` takes it."""
        return Query(
            None,
            self.request,
            None,
            spoken=self._spoken,
            messages=self.messages,
            doubt=self._doubt,
        )

    def _spoken(self) -> Iterator[str]:
        pieces = self.llm.reply(self.messages, self.request.max_new_tokens)
        if self.request.choices is None:
            return pieces
        return self._chosen(pieces)

    def _chosen(self, pieces: Iterator[str]) -> Iterator[str]:
        said = "".join(pieces)
        chosen = choice_in(said, self.request.choices or ())
        yield CANNOT_TELL if chosen is None else chosen

    def _doubt(self, text: str) -> str | None:
        """Why an answer is unsure."""
        choices = self.request.choices
        if choices is not None and text not in choices:
            return f"{self.llm.name} chose none of {', '.join(choices)}"
        if choices is None and CANNOT.match(text):
            return f"the notes do not tell, says {self.llm.name}"
        return None


def asking(
    llm: ChatModel,
    prompt: TaskPrompt,
    question: str,
    *,
    lines: Sequence[Line],
    sources: Sequence[Source],
    turns: Sequence[Turn],
    span: tuple[float, float] | None,
    asked: str,
    choices: Sequence[str] | None,
    max_new_tokens: int | None,
    scenes: Sequence[str] = (),
    done: str = "",
) -> Asking:
    """Put it into words; where there is no room, the oldest lines of the dialogue go first.

    Args:
        question: less the time that chose the range. asked: as it was asked.
        span: the range looked at, seconds. choices: checked.
        scenes: of a long clip, a line each; they go before earlier turns do.
        done: what a recogniser of actions thinks.
    Raises:
        InputError: there is no room for the question itself.
    """
    told = instructions()
    most = max_new_tokens or told.max_new_tokens
    nothing = dict.fromkeys(("dialogue", "context", "previous", "choices", "sources", *SOURCES), "")
    target = lines[-1].as_text() if lines else NO_TARGET
    wanted = prompt.render_prompt(**nothing, question=question, target=target)
    if choices:
        labels = labels_of(choices)
        listed = [f"{label}. {choice}" for label, choice in zip(labels, choices, strict=True)]
        label = "number" if NUMBERED.match(labels[0]) else "letter"
        wanted += "\n" + told.choices.format(choices="\n".join(listed), label=label).strip()

    def composed(
        dropped_lines: int, dropped_turns: int, scenes: Sequence[str]
    ) -> tuple[str, tuple[Message, ...]]:
        told_lines = lines[dropped_lines:]
        notes = notes_of(sources, told_lines, question=asked, span=span, scenes=scenes, done=done)
        return notes, messages_of(notes, wanted, turns[-MAX_TURNS:][dropped_turns:])

    lines_left, turns_left = len(lines), min(len(turns), MAX_TURNS)
    ways = [(step, 0, scenes) for step in _steps(lines_left)]
    ways += [(lines_left, step, ()) for step in range(turns_left + 1)]
    for dropped_lines, dropped_turns, kept in ways:
        notes, messages = composed(dropped_lines, dropped_turns, kept)
        if llm.fits(messages, most):
            break
    else:
        raise InputError(NO_ROOM.format(name=llm.name, most=most))
    return Asking(llm, messages, notes, request_of(messages, turns, most, choices, dropped_lines))


def messages_of(
    notes: str, question: str, turns: Sequence[Turn], *, several: bool = False
) -> tuple[Message, ...]:
    """What it is told; ``several``: the notes are of more than one clip."""
    told = instructions()
    spoken = [
        message
        for turn in turns
        for message in (Message("user", turn.question), Message("assistant", turn.answer))
    ]
    system = f"{told.system} {told.several if several else ''}"
    last = told.notes.format(notes=notes or told.nothing, question=question)
    return (
        Message("system", " ".join(system.split())),
        *spoken,
        Message("user", last.strip()),
    )


def request_of(
    messages: Sequence[Message],
    turns: Sequence[Turn],
    most: int,
    choices: Sequence[str] | None = None,
    dropped_lines: int = 0,
) -> Request:
    """The same, as `Answer` takes it."""
    return Request(
        qformer_text="",
        prompt=messages[-1].text,
        history=tuple((turn.question, turn.answer) for turn in turns[-MAX_TURNS:]),
        blind_qformer_text="",
        blind_prompt="",
        choices=None if choices is None else tuple(choices),
        proposals=(),
        max_new_tokens=most,
        beams=None,
        dropped_lines=dropped_lines,
    )


def answer_by(
    llm: ChatModel,
    asked: Asked,
    prompt: TaskPrompt,
    *,
    said: Dialogue,
    clip: ClipFeatures | None,
    sources: Sequence[Source],
    notes: Sequence[str],
    scenes: Sequence[str] = (),
    began: float,
    on_end: Callable[[dict[str, Any], str], None],
) -> Answer:
    """The answer to a question, to be streamed.

    Args:
        said: in the range that is asked about. sources: what is perceived in it.
        scenes: see `asking`. notes: for the person.
        began: of `Answer`. on_end: gets what it rests on, and its text.
    Raises:
        InputError: there is no room for the question.
    """
    told = asking(
        llm,
        prompt,
        asked.plain,
        lines=said.lines,
        sources=sources,
        turns=asked.turns,
        span=(clip.start, clip.end) if clip else None,
        asked=asked.question,
        choices=asked.choices or prompt.choices,
        max_new_tokens=asked.max_new_tokens,
        scenes=scenes,
        done=asked.recognised.told if asked.recognised else "",
    )
    basis = asked.basis(
        prompt,
        llm.name,
        clip=clip,
        said=said,
        about_clip=notes,
        warnings=[source.warning for source in sources if source.warning],
        dropped_lines=told.request.dropped_lines,
        adapter=None,
        sources=tuple(sources),
        notes=told.notes,
    )
    return Answer(
        basis,
        told.query(),
        calibration=Calibration(),
        prior=0.0,
        began=began,
        on_end=partial(on_end, basis.as_dict()),
    )


def _steps(count: int) -> list[int]:
    """How many of ``count`` lines are dropped, tried in turn: none, then an eighth more each."""
    step = max(1, count // 8)
    return [*range(0, count, step), *([count] if count else [])] or [0]


def labels_of(choices: Sequence[str]) -> list[str]:
    """Numbers; letters where a choice begins with a number, so that "2" is one thing."""
    if any(NUMBERED.match(choice) for choice in choices) and len(choices) <= 26:
        return [chr(ord("A") + place) for place in range(len(choices))]
    return [str(place) for place in range(1, len(choices) + 1)]


def choice_in(said: str, choices: Sequence[str]) -> str | None:
    """The one choice that an answer names, by its label or in its words; None: none, or several."""
    if CANNOT.match(said):
        return None
    plain = _plain(said)
    for choice in choices:
        if plain == _plain(choice):
            return choice
    labels = labels_of(choices)
    either = "|".join(map(re.escape, sorted(labels, key=len, reverse=True)))
    if found := re.match(LABEL.format(either), said, re.IGNORECASE):
        return choices[labels.index(found[1].upper())]
    named = [choice for choice in choices if _names(plain, _plain(choice))]
    longest = [
        one
        for one in named
        if not any(one != other and _names(_plain(other), _plain(one)) for other in named)
    ]
    return longest[0] if len(longest) == 1 else None


def _plain(text: str) -> str:
    return " ".join(re.findall(r"[^\W_]+", text.casefold()))


def _names(text: str, words: str) -> bool:
    return bool(words) and f" {words} " in f" {text} "
