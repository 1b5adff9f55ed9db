"""Several clips, one conversation: each is a session of its own; a question is about all of them,
about one that it names, or put to each in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assistant.core.checks import check_question
from assistant.errors import InputError, VideoError
from assistant.vqa.answer import Answer
from assistant.vqa.conversation import SEVERAL, TALK, Conversation
from assistant.vqa.hearing import hear, say, say_pieces
from assistant.vqa.several.asking import (
    DIFFERS,
    MEASURED,
    SAME,
    WHICH,
    Compares,
    compared_by,
    put_to_one,
)
from assistant.vqa.several.comparing import chance_of, judge
from assistant.vqa.several.differing import differences
from assistant.vqa.several.judging import judge_clip
from assistant.vqa.several.measuring import measure, told
from assistant.vqa.several.naming import MOST, ClipName, names_of, referring
from assistant.vqa.several.parts import Part
from assistant.vqa.several.shown import UNCALIBRATED
from assistant.vqa.several.telling import shares_of, tell_differences, tell_values, tell_verdict
from assistant.vqa.talk import QUESTION, kind_of

if TYPE_CHECKING:
    import numpy as np

    from assistant.dialogue.spoken import Range
    from assistant.vqa.assistants import Assistant
    from assistant.vqa.session import Session

ABOUT = "the clips"
LONGER = 1.2  # times another's length, from which on it is told as a difference
AUTO = "auto"
NOT_ONES = "{name} belongs to one clip, and {count} are open; leave it out, or open that clip alone"


class SeveralSession:
    """Clips beside each other. Made by ``Assistant.open`` with a list."""

    def __init__(self, assistant: Assistant, paths: Sequence[str | Path], **options: Any) -> None:
        """
        Args:
            options: of `Assistant.open`, for every clip.
        Raises:
            InputError: no clip, too many, or an option that belongs to one. VideoError: none of
                them is there.
        """
        if not 1 <= len(paths) <= MOST:
            raise InputError(
                f"{len(paths)} clips are given; 1 to {MOST} can be asked about at once"
            )
        if options.get("dialogue") is not None:
            raise InputError(NOT_ONES.format(name="a dialogue", count=len(paths)))
        from assistant.core.clip_names import clip_path

        places = [clip_path(one) if isinstance(one, str) else one for one in paths]
        self.names = names_of(places)
        self.conversation = Conversation()
        self.lost: dict[ClipName, str] = {}  # clips that cannot be read, and why
        self._assistant, self._last = assistant, None
        self._put = ""  # the last question, as it was put to one clip
        self.sessions: dict[ClipName, Session] = {}
        failed: VideoError | None = None
        for name, path in zip(self.names, places, strict=True):
            try:
                self.sessions[name] = assistant.open(path, **options)
            except VideoError as error:
                failed = error
                self.lost[name] = str(error)
        if failed is not None and not self.sessions:
            raise failed

    _last: Answer | None

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
        self.conversation, self._put = Conversation(), ""
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
            InputError: an unusable question, range or choices, or what is compared needs two clips
                and only one can be read. VideoError: no clip can be looked at. And what
                `Session.ask` raises.
        """
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
        named = [self.names[place] for place in refers.places]
        if not fixed:
            _, _, plain = next(iter(self.sessions.values())).range_asked(asked, start, end)
            asks = compared_by(plain)
            if asks is not None and (len(named) != 1 or asks.kind in (DIFFERS, SAME)):
                return self._compare(asked, asks, named if len(named) > 1 else [], start, end)
            if not named and kind_of(asked) != QUESTION:
                return self._talk(asked)
        if refers.again and self._put:
            put = self._put
        else:
            put = refers.question if named else put_to_one(asked)
        return self._ask_each(asked, put, named or list(self.sessions), options)

    def ask_many(self, questions: Sequence[str], **options: Any) -> list[Answer]:
        """Ask several questions, one after the other; the answers are whole. See `ask`."""
        if isinstance(questions, str):
            raise InputError(f"questions are {questions!r}; give a list of texts")
        answers = []
        for question in questions:
            answers.append(self.ask(question, **options))
            answers[-1].finish()
        return answers

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
        self._put = put or ""

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

        return self._say(pieces, asked or first.basis.question, parts, doubt)

    def _compare(
        self,
        asked: str,
        asks: Compares,
        named: Sequence[ClipName],
        start: float | None,
        end: float | None,
    ) -> Answer:
        self._require(named)
        ranges: dict[ClipName, Range] = {}

        def look(session: Session) -> Range:
            where, _, _ = session.range_asked(asked, start, end)
            session.look(*where)
            return where

        for name, _, where in self._each(look, named or list(self.sessions)):
            ranges[name] = where
        if len(ranges) < 2:
            left = "; ".join(self.warnings) or f"only {next(iter(ranges))} is open"
            raise InputError(f"two clips are wanted to compare, and {left}; give another clip")
        if asks.kind in MEASURED:
            return self._measured(asked, asks, ranges)
        if asks.kind in (DIFFERS, SAME):
            return self._differing(asked, asks, ranges)
        return self._judged(asked, asks, ranges)

    def _judged(self, asked: str, asks: Compares, ranges: dict[ClipName, Range]) -> Answer:
        assert asks.sought is not None
        names = list(ranges)
        without = "heard" in self._without
        found = [
            judge_clip(self.sessions[name], where, asks.sought, without=without)
            for name, where in ranges.items()
        ]
        calibrated = all(one.calibrated for one in found)
        warnings = [] if calibrated else [UNCALIBRATED]
        odds = [one.odds for one in found]
        if not calibrated and asks.kind != WHICH:
            return self._ask_each(asked, asks.sought.question, names, {})
        verdict = judge(asks.kind, odds, many=asks.many, calibrated=calibrated)
        text, doubt = tell_verdict(asks, verdict, names)
        parts = [
            Part(
                name,
                self.sessions[name].path or Path(),
                where,
                frames=one.frames,
                scores=one.scores,
                chance=chance_of(one.odds) if one.calibrated else None,
                by=one.by,
            )
            for (name, where), one in zip(ranges.items(), found, strict=True)
        ]
        shares = shares_of(verdict, names)
        return self._say(
            lambda: iter((text,)), asked, parts, lambda _: doubt or None, shares, warnings
        )

    def _measured(self, asked: str, asks: Compares, ranges: dict[ClipName, Range]) -> Answer:
        values = [measure(self.sessions[name], where, asks) for name, where in ranges.items()]
        text = tell_values(asks, values, list(ranges))
        parts = [
            Part(
                name,
                self.sessions[name].path or Path(),
                where,
                frames=self.sessions[name].look(*where).seconds,
                value=told(asks.kind, value),
            )
            for (name, where), value in zip(ranges.items(), values, strict=True)
        ]
        return self._say(lambda: iter((text,)), asked, parts, lambda _: None)

    def _differing(self, asked: str, asks: Compares, ranges: dict[ClipName, Range]) -> Answer:
        sessions = [self.sessions[name] for name in ranges]
        found = differences(sessions, list(ranges.values()), self._without)
        lengths = [session.duration for session in sessions]
        told_lengths = lengths if max(lengths) > LONGER * min(lengths) else []
        text, doubt = tell_differences(asks, found, list(ranges), told_lengths)
        own = found.own if asks.kind == DIFFERS else [found.shared] * len(sessions)
        parts = [
            Part(
                name,
                session.path or Path(),
                where,
                frames=session.look(*where).seconds,
                seen=seen,
            )
            for (name, where), session, seen in zip(ranges.items(), sessions, own, strict=True)
        ]
        return self._say(
            lambda: iter((text,)),
            asked,
            parts,
            lambda _: doubt or None,
            warnings=found.warnings,
        )

    def _say(
        self,
        pieces: Callable[[], Iterator[str]],
        asked: str,
        parts: Sequence[Part],
        doubt: Callable[[str], str | None],
        shares: dict[str, float] | None = None,
        warnings: Sequence[str] = (),
    ) -> Answer:
        own = [one for part in parts if part.answer for one in part.answer.basis.warnings]
        self._last = say_pieces(
            pieces,
            asked,
            self._assistant.name,
            self._remember,
            doubt=doubt,
            shares=shares,
            task=SEVERAL,
            clips=tuple(parts),
            warnings=tuple(dict.fromkeys([*self.warnings, *own, *warnings])),
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
                self.lost[name] = str(error)
                del self.sessions[name]
        if failed is not None and not found:
            raise failed
        return found

    @property
    def _without(self) -> frozenset[str]:
        return next(iter(self.sessions.values())).without

    def _remember(self, question: str, found: dict[str, Any], answer: str) -> None:
        self.conversation = self.conversation.add(question, answer, found)
