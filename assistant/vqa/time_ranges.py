"""The part of a clip that a question names: "At 0:42", "in the first ten seconds".

What is not clearly about the clip's own time (a time of day, a number of things, how long
something lasts) names nothing: the whole clip is then looked at. English only.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from assistant.dialogue.spoken import Range
from assistant.errors import InputError
from assistant.vqa.time_words import SECONDS_OF, TO, format_time, mark_times

ANY_LENGTH = 1e7  # seconds: a clip so long that every time in a question lies within it

AT = 1.0  # seconds looked at on either side of "at 0:42"
AROUND = 2.0  # of "around 0:42"
EDGE = 0.2  # share of the clip that is its beginning, its middle or its end
TOLERANCE = 0.5  # seconds: players show the end of a clip of 19.6 s as 0:20

FILM = r"(?:the|this|that|my) (?:entire |whole )?(?:clip|film|footage|gif|movie|recording|video)\b"
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
SHARES = {"half": 2, "third": 3, "quarter": 4}
# Marks of edges: #S# and #E# where the clip is named ("the end of the video"), else #s# and #e#.
EDGES = (
    (re.compile(rf"\bthe (?:very )?(?:beginning|start) of (?:{FILM}|it\b)"), "#S#"),
    (re.compile(rf"\bthe (?:very )?end of (?:{FILM}|it\b)"), "#E#"),
    (re.compile(r"\bthe (?:very )?(?:beginning|start)\b(?! of\b)"), "#s#"),
    (re.compile(r"\bthe (?:very )?end\b(?! of\b)"), "#e#"),
)
BEFORE = re.compile(r"[ ,;]*\b(?:at|by|during|for|from|in|over|within)?(?: the)? ?$")
AFTER = re.compile(rf"^(?: (?:in|of|on) {FILM})?")
STOP = r"(?= ?[?.!,;:)]| ?$)"
CLIPS = rf"(?! (?:in|of|on) (?!{FILM}|it\b))"  # not "after 10 seconds of silence"
NAMED = r"(?:the )?(?:time(?:code|stamp)? ?|t ?)?(?:= ?)?"
CLOCK = rf"{NAMED}(@c\d+@)"
TIME = rf"{NAMED}(@[cl]\d+@)"
POINT = rf"{NAMED}(@[cl]\d+@|#[SEse]#)"
LENGTH = r"(@l\d+@)"


@dataclass(frozen=True)
class TimeRange:
    """Seconds of a clip, ``start <= end``."""

    start: float
    end: float

    def as_text(self) -> str:
        """``"0:10-0:20"``."""
        return f"{format_time(self.start)}-{format_time(self.end)}"


def time_range(question: str, duration: float) -> TimeRange | None:
    """The range of a clip of ``duration`` seconds that a question names; ``None`` if it names none.

    "At 0:42" is one second on either side, "around" two; "at the beginning" is the first fifth.

    Raises:
        InputError: a time beyond the clip's end, or a range that is empty or backwards.
    """
    text, times = _marked(question)
    clip = _Clip(duration, tuple(times))
    for phrase, read in PHRASES:
        match = re.search(phrase, text)
        if match:
            return read(clip, *(group for group in match.groups() if group is not None))
    return None


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
    match = next((found for phrase, _ in PHRASES if (found := re.search(phrase, text))), None)
    if match is None or match[0].split()[0] in ("what", "how"):  # "how does the video end?"
        return question
    before = BEFORE.sub("", text[: match.start()])
    after = AFTER.sub("", text[match.end() :])
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
class _Clip:
    """What the phrases mean in one clip; arguments are words and marks of the question."""

    duration: float
    times: tuple[float, ...]  # seconds of the marks

    def seconds(self, mark: str) -> float:
        return self.times[int(mark[2:-1])]

    def inside(self, seconds: float) -> float:
        if not -TOLERANCE <= seconds <= self.duration + TOLERANCE:
            when = format_time(seconds) if seconds > 0 else "a time before the beginning"
            raise InputError(
                f"the question names {when}, the clip lasts {format_time(self.duration)}: "
                "ask about a time within it"
            )
        return min(max(seconds, 0.0), self.duration)

    def point(self, mark: str) -> float:
        if mark[0] == "#":
            return 0.0 if mark in ("#S#", "#s#") else self.duration
        return self.inside(self.seconds(mark))

    def span(self, start: float, end: float) -> TimeRange:
        if end <= start:
            raise InputError(
                f"the question names {format_time(start)} to {format_time(end)}, the clip lasts "
                f"{format_time(self.duration)}: ask for a start before the end"
            )
        return TimeRange(start, end)

    def near(self, seconds: float, either_side: float = AT) -> TimeRange:
        return TimeRange(max(0.0, seconds - either_side), min(self.duration, seconds + either_side))

    def between(self, first: str, last: str) -> TimeRange:
        return self.span(self.point(first), self.point(last))

    def at(self, mark: str) -> TimeRange:
        return self.near(self.point(mark))

    def around(self, mark: str) -> TimeRange:
        return self.near(self.point(mark), AROUND)

    def after(self, mark: str) -> TimeRange:
        return self.span(self.point(mark), self.duration)

    def before(self, mark: str) -> TimeRange:
        return self.span(0.0, self.point(mark))

    def first(self, length: str) -> TimeRange:
        return TimeRange(0.0, min(self.duration, self.seconds(length)))

    def last(self, length: str) -> TimeRange:
        return TimeRange(max(0.0, self.duration - self.seconds(length)), self.duration)

    def moment_before(self, length: str, mark: str) -> TimeRange:
        return self.near(self.inside(self.point(mark) - self.seconds(length)))

    def moment_after(self, length: str, mark: str) -> TimeRange:
        return self.near(self.inside(self.point(mark) + self.seconds(length)))

    def moment_in(self, length: str) -> TimeRange:
        return self.near(self.inside(self.seconds(length)))

    def stretch_before(self, length: str, mark: str) -> TimeRange:
        end = self.point(mark)
        return self.span(max(0.0, end - self.seconds(length)), end)

    def stretch_after(self, length: str, mark: str) -> TimeRange:
        start = self.point(mark)
        return self.span(start, min(self.duration, start + self.seconds(length)))

    def nth(self, ordinal: str, unit: str) -> TimeRange:
        """The 2nd minute is from 1:00 to 2:00."""
        digits = re.match(r"\d+", ordinal)
        before = (int(digits[0]) if digits else ORDINALS.index(ordinal) + 1) - 1
        unit_seconds = SECONDS_OF[unit[0]]
        end = min(self.duration, (before + 1) * unit_seconds)
        return self.span(self.inside(before * unit_seconds), end)

    def share(self, which: str, of: str) -> TimeRange:
        """The last third of the video."""
        shares = SHARES[of]
        before = ORDINALS.index(which) if which in ORDINALS else shares - 1
        length = self.duration / shares
        return TimeRange(before * length, (before + 1) * length)

    def middle(self) -> TimeRange:
        return TimeRange((0.5 - EDGE / 2) * self.duration, (0.5 + EDGE / 2) * self.duration)

    def edge(self, which: str) -> TimeRange:
        if which.lower() in ("#s#", "begin", "open", "start"):
            return TimeRange(0.0, EDGE * self.duration)
        return TimeRange((1 - EDGE) * self.duration, self.duration)


# The first that matches counts.
PHRASES: tuple[tuple[str, Callable[..., TimeRange]], ...] = (
    (rf"\bbetween {POINT} and {POINT}", _Clip.between),
    (rf"\b(?:during|from|start(?:s|ing)? (?:at|from)) {POINT} ?{TO} ?{POINT}", _Clip.between),
    (rf"{CLOCK} ?{TO} ?{CLOCK}", _Clip.between),
    (rf"\b(?:after|from) {TIME},?(?: and| but)? (?:before|until) {TIME}", _Clip.between),
    (rf"\bthe (?:last )?{LENGTH} before {POINT}", _Clip.stretch_before),
    (rf"\bthe (?:first |next )?{LENGTH} (?:after|from) {POINT}", _Clip.stretch_after),
    (rf"{LENGTH} before {POINT}", _Clip.moment_before),
    (rf"{LENGTH} from (#[Ee]#)", _Clip.moment_before),
    (rf"{LENGTH} (?:after|from) {POINT}", _Clip.moment_after),
    (rf"{LENGTH} (?:in{STOP}|into (?:{FILM}|it\b))", _Clip.moment_in),
    (rf"\b(?:first|initial|opening) {LENGTH}{CLIPS}", _Clip.first),
    (rf"\b(?:closing|final|last) {LENGTH}{CLIPS}", _Clip.last),
    (
        rf"\b(?:at|during|in|within) the (\d+(?:st|nd|rd|th)|{'|'.join(ORDINALS)}) "
        r"(minute|second)\b",
        _Clip.nth,
    ),
    (rf"\b(first|second|last|final) (half) of {FILM}", _Clip.share),
    (rf"\b(first|second|third|last|final) (third) of {FILM}", _Clip.share),
    (rf"\b(first|second|third|fourth|last|final) (quarter) of {FILM}", _Clip.share),
    (rf"\b(?:after|past|since) {CLOCK}", _Clip.after),
    (rf"\b(?:after|since) {TIME}{CLIPS}", _Clip.after),
    (
        rf"\b(?:from|start(?:s|ing)? (?:at|from)) {TIME}(?: forward| on\b| onwards?\b|{STOP})",
        _Clip.after,
    ),
    (rf"\b(?:before|prior to|till|until|up to) {CLOCK}", _Clip.before),
    (rf"\b(?:before|prior to|till|until) {TIME}{CLIPS}", _Clip.before),
    (rf"\bat (?:about|approximately|around|roughly) {TIME}", _Clip.around),
    (rf"\b(?:about|approximately|around|circa|near|roughly) {CLOCK}", _Clip.around),
    (rf"\bat (?:exactly )?{TIME}", _Clip.at),
    (r"[(\[](@c\d+@)[)\]]|^(@c\d+@) ?[,:-]", _Clip.at),
    (rf"\b(?:at|by|in|near|towards?) (?:(#[SE]#)|(#s#){STOP})", _Clip.edge),
    (rf"\b(?:at|by|near|towards?) (#e#){STOP}", _Clip.edge),  # "in the end" is "finally"
    (rf"\b(?:what|how) (?:did|does) {FILM} (begin|end|finish|open|start)\b", _Clip.edge),
    (rf"\bthe middle of {FILM}", _Clip.middle),
)
