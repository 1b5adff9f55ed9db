"""Several clips, one conversation: each is a session of its own; a question is about all of them,
about one that it names, or put to each in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assistant.core.checks import check_question
from assistant.core.clip_names import clip_path
from assistant.errors import InputError, VideoError
from assistant.vqa.answer import Answer
from assistant.vqa.conversation import SEVERAL, TALK, Conversation, Turn
from assistant.vqa.hearing import answer_with, hear, say, spoken
from assistant.vqa.several.asking import DIFFERS, MEASURED, SAME, Compares, compared_by
from assistant.vqa.several.by_llm import asking_all
from assistant.vqa.several.found import compare, part_of
from assistant.vqa.several.naming import (
    ClipName,
    Referring,
    called_by,
    check_count,
    names_of,
    put_of,
    referring,
)
from assistant.vqa.several.parts import Part
from assistant.vqa.talk import QUESTION, kind_of

if TYPE_CHECKING:
    import numpy as np

    from assistant.dialogue.spoken import Range
    from assistant.model.chat.base import ChatModel
    from assistant.vqa.assistants import Assistant
    from assistant.vqa.drafts import Query
    from assistant.vqa.session import Session

ABOUT = "the clips"
AUTO = "auto"
ONES_OWN = (
    "a dialogue belongs to one clip, and several are given; leave it out (subtitles beside a clip "
    "or inside it are read), or ask about that clip alone"
)


class SeveralSession:
    """Clips beside each other. Made by ``Assistant.open`` with a list of them."""

    def __init__(
        self,
        assistant: Assistant,
        sessions: Mapping[ClipName, Session],
        lost: Mapping[ClipName, str] | None = None,
    ) -> None:
        """``lost``: clips that cannot be read, and why."""
        self.conversation = Conversation()
        self.sessions, self.lost = dict(sessions), dict(lost or {})
        self._assistant = assistant
        self._last: Answer | None = None
        self._began = 0.0  # the last question, on time.perf_counter()

    @classmethod
    def open(
        cls,
        assistant: Assistant,
        paths: Sequence[str | Path],
        names: Sequence[str] | None = None,
        **options: Any,
    ) -> SeveralSession:
        """
        Args:
            names: what the clips are called; None: as their files.
            options: of `Assistant.open`, for every clip.
        Raises:
            InputError: no clip, too many, or an option that belongs to one. VideoError: none of
                them is there.
        """
        check_count(len(paths))
        if options.get("dialogue") is not None:
            raise InputError(ONES_OWN)
        places = [clip_path(one) if isinstance(one, str) else one for one in paths]
        called = names_of(places) if names is None else called_by(names)
        sessions: dict[ClipName, Session] = {}
        lost: dict[ClipName, str] = {}
        for name, path in zip(called, places, strict=True):
            try:
                sessions[name] = assistant.open(path, **options)
            except VideoError as error:
                failed = error
                lost[name] = _without_path(error, name, path)
        if not sessions:
            raise failed
        return cls(assistant, sessions, lost)

    @property
    def names(self) -> tuple[ClipName, ...]:
        """Of all clips, in their order."""
        return tuple(sorted({**self.sessions, **self.lost}, key=lambda name: name.place))

    @property
    def assistant(self) -> Assistant:
        """What looks and answers."""
        return self._assistant

    @property
    def warnings(self) -> tuple[str, ...]:
        """A line for each clip that cannot be read."""
        return tuple(f"{name} is left out: {why}" for name, why in self.lost.items())

    def check(self, task: str | Path = AUTO, adapter: str | Path = AUTO) -> None:
        """Whether they can be asked for; clips that cannot be looked at are left out from now on.

        Raises:
            InputError, ConfigError: there is no such task. VideoError: no clip can be looked at.
        """
        self._each(lambda session: session.check(task, adapter))

    def clear(self) -> None:
        """Forget the conversation; what was seen stays."""
        self.conversation = Conversation()
        for session in self.sessions.values():
            session.clear()

    def pictures(self, part: Part, max_side: int = 192) -> np.ndarray:
        """The frames that a part of an answer rests on, ``(T, H, W, 3)`` uint8, decoded once more.

        Raises:
            InputError: it looked at none. VideoError: the clip cannot be read any more.
        """
        session = self.sessions[part.clip]
        if part.answer is not None:
            return session.pictures(part.answer, max_side)
        return session.clip.pictures(part.window, max_side)

    def ask(
        self,
        question: str | None = None,
        *,
        task: str | Path = AUTO,
        adapter: str | Path = AUTO,
        choices: Sequence[str] | None = None,
        start: float | None = None,
        end: float | None = None,
        **options: Any,
    ) -> Answer:
        """Ask; iterate the answer for its pieces, or take ``.text``.

        "Which of the two shows a dog?", "Are both outdoors?", "How many of them ...?", "What
        differs?", "Which is louder?" compare the clips. A question that names one ("the second",
        "clip 2", "b.mp4") is put to it; any other, and one with choices, a task or an adapter of
        its own, to each in turn. ``basis.clips`` of the answer holds what each clip has to say.

        Args:
            options: of `Session.ask`, as are the others.
        Raises:
            InputError: an unusable question, range or choices, one that names a clip which is not
                there, or what is compared needs two clips and only one can be read. VideoError: no
                clip can be looked at. And what `Session.ask` raises.
        """
        self._began = time.perf_counter()
        asked = check_question(question) if question else None
        fixed = choices is not None or (task, adapter) != (AUTO, AUTO) or asked is None
        fixed = fixed or options.get("recogniser") is not None
        options |= {
            "task": task,
            "adapter": adapter,
            "choices": choices,
            "start": start,
            "end": end,
        }
        if asked is None:
            return self._ask_each(None, None, list(self.sessions), options)
        refers = referring(asked, self.names)
        if refers.absent:
            raise InputError(
                f"{refers.absent!r} is not there: {len(self.names)} clips are open; ask about "
                f"{self.names[0]} to {self.names[-1]}"
            )
        named = [self.names[place] for place in refers.places]
        if not fixed:
            _, plain = _range_of(next(iter(self.sessions.values())), asked, options)
            asks = compared_by(plain)
            if asks is not None and (len(named) != 1 or asks.kind in (DIFFERS, SAME)):
                return self._compare(asked, asks, named if len(named) > 1 else [], options)
            if not named and kind_of(asked) != QUESTION:
                return self._talk(asked)
            if self._assistant.llm is not None and len(named) != 1:
                ranges = self._ranges(asked, named, options)
                return self._by_llm(self._assistant.llm, asked, ranges, options)
        return self._ask_each(asked, self._put(refers), named or list(self.sessions), options)

    def ask_many(self, questions: Sequence[str], **options: Any) -> list[Answer]:
        """Ask several questions, one after the other; the answers are whole. See `ask`."""
        if isinstance(questions, str):
            raise InputError(f"questions are {questions!r}; give a list of texts")
        answers = []
        for question in questions:
            answers.append(self.ask(question, **options))
            answers[-1].finish()
        return answers

    def take_up(self, conversation: Conversation) -> None:
        """Go on with what was said elsewhere; what is told of a clip there is its own turn."""
        self.conversation = conversation
        for name, session in self.sessions.items():
            turns = [
                Turn(self._put(referring(turn.question, self.names)), line.removeprefix(led))
                for turn in conversation.about_clip
                for line in turn.answer.splitlines()
                if line.startswith(led := f"{name.title}: ")
            ]
            session.conversation = Conversation(tuple(turns))

    def _put(self, refers: Referring) -> str:
        return put_of(refers, self.conversation.about_clip, self.names)

    def _talk(self, asked: str) -> Answer:
        heard = hear(
            asked,
            self.conversation,
            talks=True,
            about=ABOUT,
            is_said=lambda: any(one.dialogue for one in self.sessions.values()),
            duration=lambda: max(one.duration for one in self.sessions.values()),
            last=self._last,
        )
        return say(heard.reply, asked, self._assistant.name, self._remember)

    def _ask_each(
        self,
        asked: str | None,
        put: str | None,
        names: Sequence[ClipName],
        options: dict[str, Any],
    ) -> Answer:
        """``put``: what each is asked; None: the task's own question."""
        self._require(names)
        parts = [
            Part(name, session.path or Path(), answer.basis.window, answer)
            for name, session, answer in self._each(
                lambda session: session.ask(put, **options), names
            )
        ]
        first = parts[0].answer
        assert first is not None
        if first.basis.task == TALK:  # it is the same for all
            self._remember(asked or "", first.basis.as_dict(), first.text)
            return first

        def pieces() -> Iterator[str]:
            for number, part in enumerate(parts):
                assert part.answer is not None
                yield f"{chr(10) if number else ''}{part.clip.title}: "
                yield from part.answer

        def doubt(text: str) -> str | None:
            reasons = [(part.clip, part.answer.reason) for part in parts if part.answer]
            if not all(reason for _, reason in reasons):
                return None
            return "; ".join(f"{clip}: {reason}" for clip, reason in reasons)

        return self._say(spoken(pieces, doubt), asked or first.basis.question, parts)

    def _compare(
        self,
        asked: str,
        asks: Compares,
        named: Sequence[ClipName],
        options: dict[str, Any],
    ) -> Answer:
        ranges = self._ranges(asked, named, options)
        if len(ranges) < 2:
            left = "; ".join(self.warnings) or f"only {next(iter(ranges))} is open"
            raise InputError(f"two clips are wanted to compare, and {left}; give another clip")
        llm = self._assistant.llm
        if llm is not None and asks.kind not in MEASURED:  # which no language model knows better
            return self._by_llm(llm, asked, ranges, options)
        found = compare(
            asks, {name: (self.sessions[name], where) for name, where in ranges.items()}
        )
        if found is None:
            assert asks.sought is not None
            own = {"start": options["start"], "end": options["end"]}
            return self._ask_each(asked, asks.sought.question, list(ranges), own)
        return self._say(found.query, asked, found.parts, warnings=found.warnings)

    def _ranges(
        self, asked: str, named: Sequence[ClipName], options: dict[str, Any]
    ) -> dict[ClipName, Range]:
        """Where each of the clips that are ``named``, or of all, is looked at."""
        self._require(named)

        def look(session: Session) -> Range:
            where, _ = _range_of(session, asked, options)
            session.look(*where)
            return where

        looked = self._each(look, named or list(self.sessions))
        return {name: where for name, _, where in looked}

    def _by_llm(
        self, llm: ChatModel, asked: str, ranges: dict[ClipName, Range], options: dict[str, Any]
    ) -> Answer:
        """The answer of a language model of the person's own, from the notes of all clips."""
        llm.prepare()
        most = options.get("max_new_tokens")
        put = asking_all(llm, asked, self.sessions, ranges, self.conversation.about_clip, most)
        parts = [part_of(name, self.sessions[name], where) for name, where in ranges.items()]
        return self._say(put.query(), asked, parts, model=llm.name, notes=put.notes)

    def _say(
        self,
        query: Query,
        asked: str,
        parts: Sequence[Part],
        *,
        warnings: Sequence[str] = (),
        model: str = "",
        **rests_on: Any,
    ) -> Answer:
        own = [one for part in parts if part.answer for one in part.answer.basis.warnings]
        self._last = answer_with(
            query,
            asked,
            model or self._assistant.name,
            self._remember,
            began=self._began,
            task=SEVERAL,
            clips=tuple(parts),
            warnings=tuple(dict.fromkeys([*self.warnings, *own, *warnings])),
            **rests_on,
        )
        return self._last

    def _require(self, names: Sequence[ClipName]) -> None:
        """Raises InputError: a clip that is named cannot be read."""
        for name in names:
            if name in self.lost:
                raise InputError(f"{name} cannot be asked about: {self.lost[name]}")

    def _each(
        self, work: Callable[[Session], Any], names: Sequence[ClipName] | None = None
    ) -> list[tuple[ClipName, Session, Any]]:
        """What ``work`` makes of each clip; one that cannot be read leaves.

        Raises:
            VideoError: none can.
        """
        found, failed = [], None
        for name in names or list(self.sessions):
            session = self.sessions[name]
            try:
                found.append((name, session, work(session)))
            except VideoError as error:
                failed = error
                self.lost[name] = _without_path(error, name, session.path)
                del self.sessions[name]
        if failed is not None and not found:
            raise failed
        return found

    def _remember(self, question: str, found: dict[str, Any], answer: str) -> None:
        self.conversation = self.conversation.add(question, answer, found)


def _range_of(session: Session, asked: str, options: dict[str, Any]) -> tuple[Range, str]:
    """Where a clip is looked at, and the rest of it. Raises InputError: the clip ends before."""
    try:
        where, _, plain = session.range_asked(asked, options["start"], options["end"])
    except InputError as error:
        raise InputError(f"{session.path}: {error}") from error
    return where, plain


def _without_path(error: VideoError, name: ClipName, path: Path | None) -> str:
    """What went wrong, without where the clip lies."""
    return str(error).replace(str(path), name.name or name.ordinal)
