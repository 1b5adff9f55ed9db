"""The timeline of a session's clip, and when it is worth making."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from assistant.core.mentions import mentions
from assistant.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from assistant.timeline import Moment, Query, Timeline
    from assistant.timeline.making import Looks, Maker

PER_FRAME = 2.5  # seconds of a clip that one frame can stand for
UNASKED = 300.0  # seconds of the longest clip that is looked at whole though nobody asks for times


class Times:
    """The timeline of a session's clip, made when it is first needed."""

    def __init__(self, path: Path, assistant: Looks, frames: int) -> None:
        """``frames``: how many a question looks at."""
        self._path, self._assistant, self._frames = path, assistant, frames
        self._found: dict[str, Query] = {}

    @cached_property
    def can_look(self) -> bool:
        """Whether the model has a joint space."""
        try:
            return self._assistant.sight.space is not None
        except InputError:
            return False

    @cached_property
    def _maker(self) -> Maker:
        from assistant.timeline.making import maker_of

        return maker_of(self._path, self._assistant)

    @property
    def _is_made(self) -> bool:
        return "_maker" in self.__dict__

    @cached_property
    def timeline(self) -> Timeline:
        """Raises InputError: it is a picture. VideoError: nothing could be decoded."""
        return self._maker.timeline(())

    def with_queries(self, queries: Sequence[str]) -> Timeline:
        """The timeline with the moments of these; raises as it."""
        return replace(self.timeline, queries=tuple(map(self.find, queries)))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the person should know of how the clip was looked at."""
        return self._maker.track.warnings if self._is_made else ()

    @cached_property
    def _groups(self) -> tuple[list[slice], list[tuple[float, float]]]:
        groups = self._maker.groups()
        return groups, self._maker.ranges(groups)

    def find(self, text: str) -> Query:
        """Its moments in the whole clip."""
        if text not in self._found:
            self._found[text] = self._maker.find(text, *self._groups)
        return self._found[text]

    def is_long(self, duration: float) -> bool:
        """Whether the frames of a question cannot cover the clip."""
        return duration > PER_FRAME * self._frames

    def is_worth_it(self, duration: float) -> bool:
        """Whether the timeline of such a long clip may be made though nobody asks for times."""
        return self.is_long(duration) and (self._is_made or duration <= UNASKED)

    def about(self, question: str) -> Moment | None:
        """Where the one thing of the lexicon that a question names is seen best; None: nowhere, or
        it names none. "The man" may be in every scene, and names no moment."""
        from assistant.sources.wording import phrases_of

        things = [one for one in mentions(question) if not one.is_somebody]
        named = dict.fromkeys(one.words.lower() for one in things)
        found = [self.find(text) for text in named if phrases_of(text)]
        moments = [query.moments[0] for query in found if query.appears]
        return moments[0] if len(moments) == 1 else None
