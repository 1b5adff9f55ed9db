"""The part of a clip that a question names: "At 0:42", "in the first ten seconds".

What is not clearly about the clip's own time (a time of day, a number of things, how long
something lasts) names nothing: the whole clip is then looked at. English only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from assistant.dialogue.spoken import Range
from assistant.vqa.time_phrases import (
    AND,
    BESIDE_A_PART,
    EDGES,
    FILM,
    LEAD,
    OF_A_PART,
    ONE_OF_TWO,
    OVER,
    PHRASES,
    TIME,
    ClipTimes,
    TimeRange,
)
from assistant.vqa.time_words import mark_times

ANY_LENGTH = 1e7  # seconds: a clip so long that every time in a question lies within it
DEPTH = 3  # "after the first second of the second minute of ..."

BEFORE = re.compile(r"[ ,;]*(?:\b(?:at|by|during|for|from|in|over|within))?(?: the)? ?$")
AFTER = re.compile(rf"^(?: (?:in|of|on) (?:{FILM}|it\b))?")


def time_range(question: str, duration: float) -> TimeRange | None:
    """The range of a clip of ``duration`` seconds that a question names; ``None`` if it names none.

    "At 0:42" is one second on either side, "around" two; "at the beginning" is the first fifth.

    Raises:
        InputError: a time beyond the clip's end, or a range that is empty or backwards.
    """
    text, times = _marked(question)
    phrase = _find_phrase(text)
    return phrase.on(ClipTimes(duration, tuple(times))) if phrase else None


def range_of(
    question: str, given: Range, own: Range, duration: Callable[[], float]
) -> tuple[Range, str, str]:
    """The range of a clip that a question is about; who chose it: "given", the "question", else
    whose ``own`` it is, the "session" or, all of it, the "clip"; and the question as it is then put
    to the model. ``duration`` opens the clip."""
    if given != (None, None):
        return given, "given", question
    if time_range(question, ANY_LENGTH) is not None:
        named = time_range(question, duration())
        if named is not None and named.start < named.end:  # a picture has no range
            return (named.start, named.end), "question", without_time(question)
    return own, "clip" if own == (None, None) else "session", question


def without_time(question: str) -> str:
    """The question less the range that it names: "Who is there at 0:42?" is "Who is there?".

    Of two words that are left it is said what they are about: "What happens in the video?". What
    cannot be cut out cleanly stays as it is.
    """
    text, _ = _marked(question)
    found = _find_phrase(text)
    if found is None or text[found.start :].startswith(("what ", "how ")):  # "how does it end?"
        return question
    before = BEFORE.sub("", text[: found.start])
    after = AFTER.sub("", text[found.end :])
    plain = " ".join(question.split())
    lower = plain.lower()
    whole = lower.startswith(before) and lower.endswith(after)
    if not whole or len(before) + len(after) >= len(plain):
        return question
    rest = (plain[: len(before)] + plain[len(plain) - len(after) :]).strip(" ,;:-")
    words = rest.rstrip(" ?.!").split()
    if len(words) < 2:
        return question
    if len(words) == 2:
        rest = f"{' '.join(words)} in the video{'?' if rest.endswith('?') else '.'}"
    return rest[:1].upper() + rest[1:]


def _marked(question: str) -> tuple[str, list[float]]:
    """The question with marks in place of its times and edges, and the times' seconds."""
    text, times = mark_times(question)
    for words, edge in EDGES:
        text = words.sub(edge, text)
    return text, times


@dataclass(frozen=True)
class _Phrase:
    """Where in a marked question a part of the clip is named, and what it means in one."""

    start: int
    end: int
    read: Callable[..., TimeRange | None]
    words: list[str]
    part: _Phrase | None = None  # "(after) the first minute"

    def on(self, clip: ClipTimes) -> TimeRange | None:
        if self.part is None:
            return self.read(clip, *self.words)
        part = self.part.on(clip)
        return part and self.read(clip, part, *self.words)


def _find_phrase(text: str) -> _Phrase | None:
    """The phrase of a marked question; None: it names no part of the clip, or several."""
    found = _search(text)
    if found is None or ONE_OF_TWO.search(text[: found.start]) or OVER.match(text, found.end):
        return None
    joined = re.match(AND, text[found.end :])
    other = text[found.end + joined.end() :] if joined else ""
    return None if re.match(TIME, other) or _search(other, leading=True) else found


def _search(text: str, leading: bool = False, depth: int = DEPTH) -> _Phrase | None:
    """The first phrase; ``leading``: only one that the text begins with."""
    if leading:
        text = f"in {text}"  # "(after) the second minute"
    shift = 3 if leading else 0

    def matches(words: str) -> Iterator[tuple[re.Match[str], list[str]]]:
        first = re.match(rf"{LEAD.pattern}(?:{words})", text) if leading else None
        for match in filter(None, [first]) if leading else re.finditer(words, text):
            yield match, [group for group in match.groups() if group is not None]

    for words, of_part in (*BESIDE_A_PART, *OF_A_PART) if depth else ():
        for match, groups in matches(words):
            part = _search(text[match.end() :], True, depth - 1)
            if part is not None:
                end = match.end() + part.end - shift
                return of_part and _Phrase(match.start() - shift, end, of_part, groups, part)
    for words, whole in PHRASES:
        for match, groups in matches(words):
            return _Phrase(match.start() - shift, match.end() - shift, whole, groups)
    return None
