"""Answers from a clip's timeline: when, how often, what first, before or after, and in all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from assistant.dialogue.spoken import Range
from assistant.vqa.conversation import TIMELINE
from assistant.vqa.hearing import say
from assistant.vqa.perception import STILL
from assistant.vqa.time_words import format_time
from assistant.vqa.times import Times
from assistant.vqa.untold import NOT_SURE
from assistant.vqa.when import (
    AFTER,
    BEFORE,
    DURING,
    FIRST,
    LAST,
    OFTEN,
    SUMMARY,
    WHEN,
    WHETHER,
    WHICH_FIRST,
    Asks,
    asked_of_timeline,
)

if TYPE_CHECKING:
    from assistant.dialogue.subtitles import Dialogue
    from assistant.timeline import Moment, Query, Segment
    from assistant.vqa.answer import Answer
    from assistant.vqa.asked import Asked

MOST = 6  # moments that are told
SCENES = 15  # of a summary
COUNTS = ("Never", "Once", "Twice", "Three times", "Four times", "Five times", "Six times")
NO_WORDS = (
    "I do not know what is said in this clip: have it transcribed, or give a file of subtitles."
)

UNCALIBRATED = "what appears and what does not is not calibrated for this joint space"

NO_SPACE = "times are found by a joint space, and this model has none: name one with --space"


@dataclass(frozen=True)
class Told:
    """What is answered."""

    text: str
    moments: tuple[Moment, ...] = ()  # in order: what the answer names
    sought: str = ""  # what was looked for in the frames
    doubt: str = ""  # why it is not sure
    calibrated: bool = True  # whether the threshold of what appears is the joint space's own

    @property
    def warnings(self) -> tuple[str, ...]:
        return () if self.calibrated else (UNCALIBRATED,)


def answer_by_timeline(
    asked: Asked,
    times: Times,
    duration: Callable[[], float],
    said: Callable[[], Dialogue],
    *,
    model: str,
    notes: Sequence[str],
    on_end: Callable[[str, dict[str, Any], str], None],
) -> tuple[Answer | None, Asked]:
    """The answer to a question about times; None: a model answers, about the range in which
    something is to be seen where the question says "when it is to be seen".

    Args:
        duration: of the clip, seconds. said: in the range that is asked about.
        model: name of the one that looks. notes: for the person. on_end: gets the question, what
            the answer rests on, and its text.
    """
    asks = asked_of_timeline(asked.plain)
    told = None
    if asks is not None:
        told, asked = _told(asks, asked, times, duration(), said)
    if told is None:
        return None, asked
    start, end = asked.where
    dialogue = said()
    answer = say(
        told.text,
        asked.typed,
        model,
        on_end,
        task=TIMELINE,
        start=start or 0.0,
        end=duration() if end is None else end,
        window=asked.where,
        range_source=asked.range_source,
        dialogue_source=dialogue.source,
        warnings=(*notes, *times.warnings, *dialogue.warnings, *told.warnings),
        asked_as=asked.question if asked.question != asked.typed else "",
        doubt=told.doubt,
        moments=told.moments,
        sought=told.sought,
    )
    return answer, asked


def at_moment(asked: Asked, times: Times, duration: float) -> Asked:
    """A question about a clip that is too long for its frames, about the moment in which what it
    names is best to be seen, where that is one thing.

    Args:
        duration: of the clip, seconds.
    Raises:
        VideoError: nothing could be decoded.
    """
    if asked.range_source != "clip" or not times.is_worth_it(duration) or not times.can_look:
        return asked
    about = times.about(asked.plain)
    return asked if about is None else _moved(asked, about, asked.plain)


def _told(
    asks: Asks, asked: Asked, times: Times, duration: float, said: Callable[[], Dialogue]
) -> tuple[Told | None, Asked]:
    """See :func:`answer_by_timeline`."""
    from assistant.sources.wording import phrases_of

    if duration < STILL:
        return None, asked
    if asks.kind == WHETHER and not (phrases_of(asks.thing) and times.is_worth_it(duration)):
        return None, asked
    if asks.kind in (SUMMARY, FIRST, LAST) and not times.is_long(duration):
        return None, asked
    looks = not asks.said or asks.kind in (AFTER, BEFORE)  # else the dialogue tells
    if looks and not times.can_look:
        return None, asked if asks.kind == WHETHER else replace(asked, warnings=(NO_SPACE,))
    if asks.kind == DURING:
        moment = moment_of(asks, times, asked.where, said())
        if moment is None:
            return tell(replace(asks, kind=WHEN), times, asked.where, said()), asked
        return None, _moved(asked, moment, f"{asks.rest[:1].upper()}{asks.rest[1:]}?")
    return tell(asks, times, asked.where, said()), asked


def _moved(asked: Asked, to: Moment, question: str) -> Asked:
    return replace(asked, where=(to.start, to.end), range_source=TIMELINE, plain=question)


def tell(asks: Asks, times: Times, where: Range, said: Dialogue) -> Told:
    """The answer to what is asked.

    Args:
        where: the range that is asked about, seconds. said: in that range.
    Raises:
        InputError: the clip is a picture. VideoError: nothing could be decoded.
    """
    if asks.kind == SUMMARY:
        return _summary(_within(times.timeline.segments, where))
    if asks.kind in (FIRST, LAST):
        segments = _within(times.timeline.segments, where)
        one = segments[0 if asks.kind == FIRST else -1]
        return Told(f"{_range(one)}: {what(one)}.", (_as_moment(one),))
    if asks.kind == WHICH_FIRST and asks.other is not None:
        return _which_first(asks, asks.other, times, where)
    if asks.said:
        return _told_of_words(asks, times, where, said)
    query = times.find(asks.thing)
    found = moments_in(query, where)
    if not found:
        return Told(_missing(asks, query), sought=asks.thing, calibrated=query.calibrated)
    sure = tuple(one for one in found if one.score >= query.sure)
    told = _answered(asks, sure or found, () if not sure else _less(found, sure), times, where)
    doubt = ""
    if not sure:
        best = max(one.score for one in found)
        doubt = (
            f'where "{asks.thing}" is likeliest it has {best:.2f} ({query.score_kind}), and it is '
            f"told for sure from {query.sure:g} on"
        )
        told = replace(told, text=f"{NOT_SURE} {told.text[:1].lower()}{told.text[1:]}")
    return replace(told, sought=asks.thing, calibrated=query.calibrated, doubt=doubt)


def _told_of_words(asks: Asks, times: Times, where: Range, said: Dialogue) -> Told:
    """When words are said."""
    found = tuple(_spoken(asks.said, said))
    if not said:
        return Told(NO_WORDS)
    if not found:
        return Told(f'Nobody says "{asks.said}" in what is known of the dialogue.')
    return _answered(asks, found, (), times, where)


def _answered(
    asks: Asks, found: tuple[Moment, ...], also: tuple[Moment, ...], times: Times, where: Range
) -> Told:
    """The answer by what was found; ``also``: what may be some more, in order as they are."""
    if asks.kind in (AFTER, BEFORE):
        return _beside(asks, found, times, where)
    if asks.pick:
        found, also = (found[:1] if asks.pick == FIRST else found[-1:]), ()
    more = f"; perhaps also {_listed(also)}" if also else ""
    told = _named(asks, found).removesuffix(".")
    moments = tuple(sorted((*found, *also), key=lambda one: one.start))
    return Told(f"{told}{more}.", moments)


def _less(found: Sequence[Moment], taken: Sequence[Moment]) -> tuple[Moment, ...]:
    return tuple(one for one in found if one not in taken)


def moment_of(asks: Asks, times: Times, where: Range, said: Dialogue) -> Moment | None:
    """Where something is best to be seen, or said; None: nowhere."""
    if asks.said:
        return next(iter(_spoken(asks.said, said)), None)
    found = [one for one in times.find(asks.thing).moments if _overlaps(one, where)]
    return found[0] if found else None


def moments_in(query: Query, where: Range) -> tuple[Moment, ...]:
    """Those in a range, in order."""
    kept = [one for one in query.moments if _overlaps(one, where)]
    return tuple(sorted(kept, key=lambda one: one.start))


def what(segment: Segment) -> str:
    """What a scene shows, in a few words."""
    known = segment.knowledge
    if known.interactions or known.activities:
        return (*known.interactions, *known.activities)[0]
    seen = ", ".join(known.objects[:3])
    return f"perhaps {segment.label}" + (f" ({seen})" if seen else "")


def _named(asks: Asks, found: Sequence[Moment]) -> str:
    """The sentence that names moments."""
    if asks.edge == "end":
        return f"At {format_time(round(found[-1].end))}."
    listed = _listed(found)
    if asks.kind == OFTEN:
        count = len(found)
        often = COUNTS[count] if count < len(COUNTS) else f"{count} times"
        return f"{often}: {listed}."
    if asks.kind == WHETHER:
        return f"Yes, {listed}."
    return f"{listed[:1].upper()}{listed[1:]}."


def _missing(asks: Asks, query: Query) -> str:
    told = f'I find nothing like "{asks.thing}" in the clip: it does not appear'
    if asks.kind == OFTEN:
        told = f"Never. {told}"
    if asks.kind == WHETHER:
        told = f"No. {told}"
    return f"{told}. Likeliest, but too unlike, is {_range(query.best).lower()}."


def _beside(asks: Asks, found: Sequence[Moment], times: Times, where: Range) -> Told:
    """What comes after, or before, a moment."""
    segments = _within(times.timeline.segments, where)
    ordered = found[-1] if asks.pick == LAST else found[0]
    if asks.kind == AFTER:
        middle = [one for one in segments if (one.start + one.end) / 2 > ordered.end]
    else:
        middle = [one for one in segments if (one.start + one.end) / 2 < ordered.start][::-1]
    anchor = f'"{asks.said or asks.thing}" is {_range(ordered).lower()}'
    if not middle:
        edge = "ends" if asks.kind == AFTER else "begins"
        return Told(f"Nothing else: the clip {edge} there ({anchor}).", (ordered,))
    one = middle[0]
    return Told(f"{_range(one)}: {what(one)} ({anchor}).", (_as_moment(one),))


def _which_first(asks: Asks, other: Asks, times: Times, where: Range) -> Told:
    """Which of two things comes first, or last."""
    pairs = [(one, times.find(one.thing)) for one in (asks, other)]
    found = [(one, moments_in(query, where)) for one, query in pairs]
    absent = [pair for pair, (_, there) in zip(pairs, found, strict=True) if not there]
    if absent:
        return Told(" ".join(_missing(one, query) for one, query in absent))
    place = 0 if asks.pick == FIRST else -1
    chosen = [(there[place], one) for one, there in found]
    chosen.sort(key=lambda pair: pair[0].start, reverse=asks.pick == LAST)
    (first, one), (later, rest) = chosen
    told = f"{one.thing}: {_range(first).lower()}; {rest.thing}: {_range(later).lower()}."
    moments = tuple(sorted((first, later), key=lambda moment: moment.start))
    calibrated = pairs[0][1].calibrated
    for (_, query), (_, there) in zip(pairs, found, strict=True):
        if there[place].score < query.sure:
            doubt = f'"{query.text}" is told for sure from {query.sure:g} on'
            return Told(f"{NOT_SURE} {told}", moments, doubt=doubt, calibrated=calibrated)
    return Told(f"{told[:1].upper()}{told[1:]}", moments, calibrated=calibrated)


def scenes_noted(asked: Asked, times: Times, duration: float) -> list[str]:
    """For a language model that reads notes: the scenes of a whole clip that is too long for its
    frames, a line each; of many the longest.

    Raises:
        VideoError: nothing could be decoded.
    """
    if asked.range_source != "clip" or not times.is_worth_it(duration) or not times.can_look:
        return []
    return [f"{_span(one)} {what(one)}" for one in _longest(times.timeline.segments)]


def _longest(segments: Sequence[Segment]) -> list[Segment]:
    """Not more than are told, in their order."""
    longest = sorted(segments, key=lambda one: one.start - one.end)[:SCENES]
    return sorted(longest, key=lambda one: one.start)


def _summary(segments: Sequence[Segment]) -> Told:
    """The scenes, a line each; of many the longest."""
    kept = _longest(segments)
    count = len(segments)
    head = f"{count} scenes" if count > 1 else "One scene"
    if count > len(kept):
        head += f", the {len(kept)} longest of them"
    lines = [f"{_span(one)} {what(one)}" for one in kept]
    return Told("\n".join([f"{head}:", *lines]), tuple(map(_as_moment, kept)))


def _spoken(words: str, said: Dialogue) -> Iterator[Moment]:
    """When lines have some words in them."""
    from assistant.timeline import Moment

    wanted = _plain(words)
    for line in said.lines:
        if line.start is not None and f" {wanted} " in f" {_plain(line.text)} ":
            yield Moment(line.start, line.start if line.end is None else line.end, 1.0)


def _plain(text: str) -> str:
    return " ".join("".join(one if one.isalnum() else " " for one in text.lower()).split())


def _as_moment(segment: Segment) -> Moment:
    from assistant.timeline import Moment

    return Moment(segment.start, segment.end, segment.score)


def _within(segments: Sequence[Segment], where: Range) -> list[Segment]:
    """Those in a range; at least one."""
    return [one for one in segments if _overlaps(one, where)] or list(segments[-1:])


def _overlaps(one: Moment | Segment, where: Range) -> bool:
    start, end = where
    return (end is None or one.start < end) and (start is None or one.end > start)


def _listed(found: Sequence[Moment]) -> str:
    ranges = [_range(one).lower() for one in found[:MOST]]
    if len(found) > MOST:
        return ", ".join(ranges) + f" and {len(found) - MOST} more times"
    *others, last = ranges
    return ", ".join(others) + " and " + last if others else last


def _range(one: Moment | Segment) -> str:
    """``From 0:12 to 0:20``."""
    start, end = (format_time(round(second)) for second in (one.start, one.end))
    return f"At {start}" if start == end else f"From {start} to {end}"


def _span(one: Segment) -> str:
    return f"{format_time(round(one.start))}-{format_time(round(one.end))}"
