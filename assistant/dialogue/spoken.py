"""What is said in a session: given, heard, beside the clip or inside it; found once."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from assistant.dialogue.subtitles import Dialogue, find_dialogue, parse_dialogue, read_dialogue
from assistant.errors import InputError

Range = tuple[float | None, float | None]  # start, end, seconds; None: where the clip does
DialogueLike = Dialogue | Path | str | Sequence[Any]


class Spoken:
    """The dialogue of one clip, or one without a clip."""

    def __init__(self, path: Path | None, given: DialogueLike | None, transcribe: bool) -> None:
        """``given``: instead of what can be found; ``transcribe``: listen.

        Raises:
            InputError: both are asked for, or there is neither a clip nor a dialogue.
            DialogueError: ``given`` cannot be read.
        """
        if transcribe and given is not None:
            raise InputError("dialogue is given and transcribe is asked for; choose one of them")
        if transcribe and path is None:
            raise InputError("transcribe is asked for, and there is no clip to listen to; give one")
        self._path, self._transcribe = path, transcribe
        self._found = None if given is None else as_dialogue(given)
        if path is None and not self._found:
            raise InputError(
                "there is neither a clip nor a dialogue; give VIDEO, --dialogue or both"
            )
        self._heard: dict[Range, Dialogue] = {}

    @property
    def is_given(self) -> bool:
        """Whether it need not be looked for: given, or to be heard."""
        return self._transcribe or self._found is not None

    def check(self) -> None:
        """Raises InputError: it is to be heard, and nothing here can listen."""
        if self._transcribe:
            from assistant.dialogue.speech import check_extra

            check_extra()

    def within(self, where: Range) -> Dialogue:
        """What is said in a range; where it has to listen, it listens only there."""
        if self._transcribe and self._path is not None:
            from assistant.dialogue.speech import transcribe

            if where not in self._heard:
                self._heard[where] = transcribe(self._path, start=where[0], end=where[1])
            return self._heard[where]
        if self._found is None:
            self._found = Dialogue() if self._path is None else find_dialogue(self._path)
        return cut(self._found, where)


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
