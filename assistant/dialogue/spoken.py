"""What is said in a session: given, heard, beside the clip or inside it; found once."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from assistant.dialogue.subtitles import Dialogue, find_dialogue, parse_dialogue, read_dialogue
from assistant.errors import InputError, VideoError, WeightsError

Range = tuple[float | None, float | None]  # start, end, seconds; None: where the clip does
DialogueLike = Dialogue | Path | str | Sequence[Any]
AUTO, YES, NO = LISTENING = ("auto", "yes", "no")


class Spoken:
    """The dialogue of one clip, or one without a clip."""

    def __init__(
        self,
        path: Path | None,
        given: DialogueLike | None,
        transcribe: str,
        listen: Callable[[Range], Dialogue] | None = None,
    ) -> None:
        """
        Args:
            given: instead of what can be found.
            transcribe: "yes": listen; "auto": where there are no subtitles, and something here
                can; "no".
            listen: what is said in a range; None: by the clip itself, each time.
        Raises:
            InputError: ``transcribe`` is none of these, "yes" and there is a dialogue or no clip,
                or there is neither. DialogueError: ``given`` cannot be read.
        """
        if transcribe not in LISTENING:
            raise InputError(f"transcribe is {transcribe!r}; choose {', '.join(LISTENING)}")
        if transcribe == YES and given is not None:
            raise InputError("dialogue is given and transcribe is asked for; choose one of them")
        if transcribe == YES and path is None:
            raise InputError("transcribe is asked for, and there is no clip to listen to; give one")
        self._path, self._transcribe, self._listen = path, transcribe, listen or self._heard_anew
        self._found = None if given is None else as_dialogue(given)
        if path is None and not self._found:
            raise InputError(
                "there is neither a clip nor a dialogue; give VIDEO, --dialogue or both"
            )
        self._heard: dict[Range, Dialogue] = {}

    @property
    def is_given(self) -> bool:
        """Whether it need not be looked for: given, or to be heard."""
        return self._transcribe == YES or self._found is not None

    def check(self) -> None:
        """Raises InputError: it is to be heard, and nothing here can listen."""
        if self._transcribe == YES:
            from assistant.dialogue.speech import check_extra

            check_extra()

    def within(self, where: Range) -> Dialogue:
        """What is said in a range; where it has to listen, it listens only there."""
        if self._transcribe == YES:
            return self._heard_within(where)
        if self._found is None:
            self._found = Dialogue() if self._path is None else find_dialogue(self._path)
        if not self._found and self._transcribe == AUTO and self._path and can_listen():
            try:
                heard = self._heard_within(where)
            except (VideoError, WeightsError) as error:  # nobody asked for it by name
                return Dialogue(warnings=(*self._found.warnings, f"not listened to: {error}"))
            return heard if heard else self._found
        return cut(self._found, where)

    def _heard_within(self, where: Range) -> Dialogue:
        if where not in self._heard:
            self._heard[where] = self._listen(where)
        return self._heard[where]

    def _heard_anew(self, where: Range) -> Dialogue:
        from assistant.dialogue.speech import transcribe

        assert self._path is not None
        return transcribe(self._path, start=where[0], end=where[1])


def can_listen() -> bool:
    """Whether the ``speech`` extra is installed."""
    return find_spec("faster_whisper") is not None


def as_dialogue(value: DialogueLike) -> Dialogue:
    """A Path is read, text and turns are taken as they are. Raises DialogueError."""
    if isinstance(value, Dialogue):
        return value
    return read_dialogue(value) if isinstance(value, Path) else parse_dialogue(value)


def cut(dialogue: Dialogue, where: Range) -> Dialogue:
    """The lines of a range; where none is left, the source says so."""
    if where == (None, None):
        return dialogue
    start, end = where
    kept = dialogue.between(start or 0.0, math.inf if end is None else end)
    if dialogue and not kept:
        return replace(kept, source=f"{kept.source} (no line in the range)")
    return kept
