"""What clips are called beside each other, and which of them a question names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from assistant.errors import InputError
from assistant.vqa.conversation import Turn
from assistant.vqa.several.asking import compared_by, pattern_of, put_to_one, words

MOST = 8  # clips of one conversation
LAST, FIRST = ("last", "latter", "right", "right-hand"), ("former", "left", "left-hand")
QUOTED = ('"{}"', "'{}'", "`{}`", "“{}”", "„{}“", "‘{}’", "«{}»")  # noqa: RUF001
ONE = "the clip"  # as a question to it alone says it
MORE = re.compile(rf"{ONE}(?:(?:, | and | or )(?:(?:in|of|from|at|with) )?{ONE})+")


@dataclass(frozen=True)
class ClipName:
    """One of several clips, as a person reads it."""

    place: int  # from 0
    name: str  # its file; as much of its path as tells it from the others

    @property
    def ordinal(self) -> str:
        return words().ordinals[self.place]

    def __str__(self) -> str:
        """``the second (b.mp4)``; of two that are one file, ``the second``."""
        told = words().telling["clip" if self.name else "nameless"]
        return told.format(place=self.ordinal, name=self.name)

    @property
    def title(self) -> str:
        """``Second (b.mp4)``, where a line begins."""
        return (
            str(self).removeprefix("the ").capitalize()
            if not self.name
            else (f"{self.ordinal.capitalize()} ({self.name})")
        )


def names_of(paths: Sequence[Path]) -> tuple[ClipName, ...]:
    """``a.mp4``, ``b.mp4``; ``day/clip.mp4``, ``night/clip.mp4`` where only folders differ."""
    parts = [path.absolute().parts for path in paths]
    deepest = max(map(len, parts))
    for depth in range(1, deepest + 1):
        told = ["/".join(some[-depth:]) for some in parts]
        if len(set(told)) == len(told):
            break
    else:
        told = [
            some[-1] if told.count(one) == 1 else "" for some, one in zip(parts, told, strict=True)
        ]
    return called_by(told)


def check_count(count: int) -> None:
    """Raises InputError: no clip, or too many."""
    if not 1 <= count <= MOST:
        raise InputError(f"{count} clips are given; 1 to {MOST} can be asked about at once")


def called_by(names: Sequence[str]) -> tuple[ClipName, ...]:
    """Clips as somebody calls them; "": by their place alone."""
    return tuple(ClipName(place, name) for place, name in enumerate(names))


@dataclass(frozen=True)
class Referring:
    """A question, and the clips that it names."""

    places: tuple[int, ...]  # in the order in which they are named; (): none is
    question: str  # to one of them alone: "What happens in the clip?"
    again: bool = False  # it is the last question, to these
    absent: str = ""  # how it names one that is not there: "the third one" of two


@cache
def _references() -> tuple[re.Pattern[str], ...]:
    return tuple(
        re.compile(rf"(?<![\w-]){pattern_of(line).pattern}", re.IGNORECASE)
        for line in words().refers.splitlines()
    )


def referring(question: str, names: Sequence[ClipName]) -> Referring:
    """Which clips a question names: by place ("the second one", "clip 2"), or by file."""
    found: dict[tuple[int, int], int] = {}  # where it stands: the clip

    absent = ""

    def note(match: re.Match[str], place: int | None) -> None:
        nonlocal absent
        inside = any(a < match.end() and match.start() < b for a, b in found)
        if place is None or inside:
            return
        if 0 <= place < len(names):
            found[match.span()] = place
        else:
            absent = absent or match[0]

    for name in sorted(names, key=lambda name: -len(name.name)):  # "my dog.png" is not "dog.png"
        for match in _named(name.name, question):
            note(match, name.place)
    for pattern in _references():
        for match in pattern.finditer(question):
            note(match, _place(match, len(names)))
    if not found:
        return Referring((), question, absent=absent)
    told, at = "", 0
    for start, end in sorted(found):
        told += question[at:start] + ONE
        at = end
    told = MORE.sub(ONE, told + question[at:])
    places = tuple(dict.fromkeys(found[span] for span in sorted(found)))
    plain = told.lower().strip(" ?!.,")
    again = any(pattern.fullmatch(plain) for pattern in _added())
    return Referring(places, told, again, absent)


def put_of(refers: Referring, turns: Sequence[Turn], names: Sequence[ClipName]) -> str:
    """A question as it is put to one clip: "And in the second?" is the last one again.

    ``turns``: about the clips, oldest first.
    """
    if not refers.again:
        return refers.question if refers.places else put_to_one(refers.question)
    for place, turn in reversed([*enumerate(turns)]):
        asks, before = compared_by(turn.question), referring(turn.question, names)
        if asks is not None and asks.sought is not None:
            return asks.sought.question
        if asks is None and not before.again:
            return put_of(before, turns[:place], names)
    return refers.question


@cache
def _added() -> tuple[re.Pattern[str], ...]:
    lead = rf"^(?:{'|'.join(words().polite.splitlines()[:1])})?"
    return tuple(re.compile(lead + line.format(ref=ONE)) for line in words().added.splitlines())


def _place(match: re.Match[str], count: int) -> int | None:
    """Which one an ordinal or a number is, of those there may be; None: it is no number."""
    known, found = words(), match.groupdict()
    if found.get("file"):  # none of theirs: these were found before
        return count
    if digit := found.get("digit"):
        return int(digit) - 1 if digit.isdigit() else known.numbers.index(digit.lower())
    word = (found.get("word") or "").lower()
    if word in LAST:
        return count - 1
    if word in FIRST:
        return 0
    return known.ordinals.index(word) if word in known.ordinals else None


def _named(name: str, text: str) -> list[re.Match[str]]:
    """Where a file is named: with its ending, or in quotes. "Is there a dog?" does not name
    ``dog.png``, nor does ``hot-dog.png``."""
    if not name:
        return []
    wanted = [re.escape(quote.format(one)) for one in (name, Path(name).stem) for quote in QUOTED]
    if Path(name).suffix:
        wanted.append(rf"(?<![\w/-]){re.escape(name)}(?!\w)")
    return list(re.finditer("|".join(wanted), text, re.IGNORECASE))
