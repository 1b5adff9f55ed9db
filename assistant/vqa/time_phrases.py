"""What names a part of a clip in a question: phrases, and what each means in a clip."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from assistant.errors import InputError
from assistant.vqa.time_words import SECONDS_OF, TO, format_time

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
STOP = r"(?= ?[?.!,;:)]| ?$)"
CLIPS = rf"(?! (?:in|of|on) (?!{FILM}|it\b))"  # not "after 10 seconds of silence"
NAMED = r"(?:the )?(?:time(?:code|stamp)? ?|t ?)?(?:= ?)?"
CLOCK = rf"{NAMED}(@c\d+@)"
TIME = rf"{NAMED}(@[cl]\d+@)"
POINT = rf"{NAMED}(@[cl]\d+@|#[SEse]#)"
LENGTH = r"(@l\d+@)"
ABOUT = r"(?:about|approximately|around|roughly)"
FIRST = r"\b(?:first|initial|opening)"
# "does it last 5 seconds?" names nothing
LAST = r"(?:\b(?:closing|final)|(?:^|'s |\b(?:during|for|in|its|of|over|the|very|within) )last)"
OF_PART = r" (?:of|in) (?=the )"
EXCEPT = (
    r"\b(?:all but|apart from|aside from|but not|(?:except|save)(?: for)?|excluding|not counting|"
    r"other than|outside(?: of)?|without) "
)
LEAD = re.compile(r"(?:(?:during|for|in|of|over|the|very|within) )*")  # before "first 10 seconds"
AND = r",? (?:and|but|nor|or|than|through|to|till|until|vs\.?|versus) "
# What stands before or after the phrase and makes it one of two, or the time when it has passed.
ONE_OF_TWO = re.compile(
    rf"(?:{TIME}|\b(?:after|before|beginning|end|first|last|middle|start)){AND}{LEAD.pattern}$"
)
OVER = re.compile(
    r" (?:are|ha[ds]|have|is|was|were) (?:been |now )?(?:done|elapsed|gone|over|passed|up)\b"
)


@dataclass(frozen=True)
class TimeRange:
    """Seconds of a clip, ``start <= end``."""

    start: float
    end: float

    def as_text(self) -> str:
        """``"0:10-0:20"``."""
        return f"{format_time(self.start)}-{format_time(self.end)}"


@dataclass(frozen=True)
class ClipTimes:
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
        """The last third of the video or of a part."""
        shares = SHARES[of]
        before = ORDINALS.index(which) if which in ORDINALS else shares - 1
        length = self.duration / shares
        return TimeRange(before * length, (before + 1) * length)

    def middle(self) -> TimeRange:
        return TimeRange((0.5 - EDGE / 2) * self.duration, (0.5 + EDGE / 2) * self.duration)

    def edge(self, which: str) -> TimeRange:
        if which.lower().startswith(("#s#", "begin", "open", "start")):
            return TimeRange(0.0, EDGE * self.duration)
        return TimeRange((1 - EDGE) * self.duration, self.duration)

    def rest(self, start: float, end: float) -> TimeRange | None:
        return TimeRange(start, end) if start < end else None

    def beyond(self, part: TimeRange) -> TimeRange | None:
        return self.rest(part.end, self.duration)

    def up_to(self, part: TimeRange) -> TimeRange | None:
        return self.rest(0.0, part.start)

    def without(self, part: TimeRange) -> TimeRange | None:
        """All but the first or the last of it; what is left on both sides is no range."""
        if part.start > 0 and part.end < self.duration:
            return None
        return self.beyond(part) or self.up_to(part)


# The first that matches counts.
PHRASES: tuple[tuple[str, Callable[..., TimeRange]], ...] = (
    (rf"(?<!last )(?<!take )\bbetween {POINT} and {POINT}", ClipTimes.between),
    (
        rf"\b(?:at(?: {ABOUT})?|during|from|start(?:s|ing)? (?:at|from)) {POINT} ?{TO} ?{POINT}",
        ClipTimes.between,
    ),
    (rf"{CLOCK} ?{TO} ?{CLOCK}", ClipTimes.between),
    (rf"\b(?:after|from) {TIME},?(?: and| but)? (?:before|until) {TIME}", ClipTimes.between),
    (rf"\bthe (?:last )?{LENGTH} before {POINT}", ClipTimes.stretch_before),
    (rf"\bthe (?:first |next )?{LENGTH} (?:after|from) {POINT}", ClipTimes.stretch_after),
    (rf"{LENGTH} before {POINT}", ClipTimes.moment_before),
    (rf"{LENGTH} from (#[Ee]#)", ClipTimes.moment_before),
    (rf"{LENGTH} (?:after|from) {POINT}", ClipTimes.moment_after),
    (rf"{TIME} ?{TO} ?{TIME} (?:in{STOP}|into (?:{FILM}|it\b))", ClipTimes.between),
    (rf"{LENGTH} (?:in{STOP}|into (?:{FILM}|it\b))", ClipTimes.moment_in),
    (rf"{FIRST} @l\d+@ ?{TO} ?{LENGTH}{CLIPS}", ClipTimes.first),
    (rf"{LAST} @l\d+@ ?{TO} ?{LENGTH}{CLIPS}", ClipTimes.last),
    (rf"{FIRST} {LENGTH}{CLIPS}", ClipTimes.first),
    (rf"{LAST} {LENGTH}{CLIPS}", ClipTimes.last),
    (
        rf"\b(?:at|during|in|within) the (\d+(?:st|nd|rd|th)|{'|'.join(ORDINALS)}) "
        r"(minute|second)\b",
        ClipTimes.nth,
    ),
    (rf"\b(first|second|last|final) (half) of {FILM}", ClipTimes.share),
    (rf"\b(first|second|third|last|final) (third) of {FILM}", ClipTimes.share),
    (rf"\b(first|second|third|fourth|last|final) (quarter) of {FILM}", ClipTimes.share),
    (rf"\b(?:after|past|since) {CLOCK}", ClipTimes.after),
    (rf"\b(?:after|since) {TIME}{CLIPS}", ClipTimes.after),
    (
        rf"\b(?:from|start(?:s|ing)? (?:at|from)) {TIME}(?: forward| on\b| onwards?\b|{STOP})",
        ClipTimes.after,
    ),
    (rf"\b(?:before|prior to|till|until|up to) {CLOCK}", ClipTimes.before),
    (rf"\b(?:before|prior to|till|until) {TIME}{CLIPS}", ClipTimes.before),
    (rf"\bat {ABOUT} {TIME}", ClipTimes.around),
    (rf"\b(?:about|approximately|around|circa|near|roughly) {CLOCK}", ClipTimes.around),
    (rf"\bat (?:exactly )?{TIME}", ClipTimes.at),
    (r"[(\[](@c\d+@)[)\]]|^(@c\d+@) ?[,:-]", ClipTimes.at),
    (rf"\b(?:at|by|in|near|towards?) (?:(#[SE]#)|(#s#){STOP})", ClipTimes.edge),
    (rf"\b(?:at|by|near|towards?) (#e#){STOP}", ClipTimes.edge),  # "in the end" is "finally"
    (rf"\b(?:what|how) (?:did|does) {FILM} (begin|end|finish|open|start)\b", ClipTimes.edge),
    (rf"\bthe middle of {FILM}", ClipTimes.middle),
)


def _within(read: Callable[..., TimeRange]) -> Callable[..., TimeRange]:
    """What a phrase means in a part of the clip: the last 5 seconds of the first minute."""

    def read_within(clip: ClipTimes, part: TimeRange, *words: str) -> TimeRange:
        found = read(ClipTimes(part.end - part.start, clip.times), *words)
        return TimeRange(part.start + found.start, part.start + found.end)

    return read_within


# Before a phrase for a part of the clip: what of this part is meant.
OF_A_PART: tuple[tuple[str, Callable[..., TimeRange]], ...] = (
    (rf"{FIRST} {LENGTH}{OF_PART}", _within(ClipTimes.first)),
    (rf"{LAST} {LENGTH}{OF_PART}", _within(ClipTimes.last)),
    (rf"\b(first|second|last|final) (half){OF_PART}", _within(ClipTimes.share)),
    (rf"\b(first|second|third|last|final) (third){OF_PART}", _within(ClipTimes.share)),
    (rf"\b(first|second|third|fourth|last|final) (quarter){OF_PART}", _within(ClipTimes.share)),
    (
        rf"\b(?:at|by|near|towards?) the (?:very )?(beginning|start|end){OF_PART}",
        _within(ClipTimes.edge),
    ),
    (rf"\bthe middle{OF_PART}", _within(ClipTimes.middle)),
)
# Before one: what beside this part is meant.
BESIDE_A_PART: tuple[tuple[str, Callable[..., TimeRange | None] | None], ...] = (
    (r"@l\d+@ (?:after|before|from|past) (?=the )", None),  # how far from it is not read
    (r"\b(?:after|beyond|following|later than|past|since) (?=the )", ClipTimes.beyond),
    (r"\b(?:before|prior to|till|until|up to) (?=the )", ClipTimes.up_to),
    (EXCEPT, ClipTimes.without),
    (r"(?:\b(?:neither|never|nor|not)|n't) ", None),
)
