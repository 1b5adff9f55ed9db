"""What was perceived and said, as notes that a language model reads: a line a source.

    Objects: 0:02-0:05 dog (brown, moving left), 2 persons (in red)
    Looks like: beach, surfing?
    Perhaps done: waving 41%, clapping 30%
    Scenes:
    0:00-0:12 a man surfing
    Said:
    0:03 ANN: Come here!

What is less likely than not has a "?" behind it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from assistant.dialogue.subtitles import Line
from assistant.sources import SOURCES, Perceived, Source, perceiver
from assistant.vqa.time_words import format_time

SURE = 0.5  # probability from which a thing stands without a question mark
MOST_OF = 0.75  # of the range: what lasts so long is there all the time
# A question that is about times or their order.
TIMED = re.compile(
    r"\b(?:when|first|last|then|next|before|after|while|during|until|order|begin\w*|start\w*|end\w*"
    r"|how long|at what time|seconds?|minutes?)\b|\d:\d\d",
    re.IGNORECASE,
)


def notes_of(
    sources: Sequence[Source],
    lines: Sequence[Line] = (),
    *,
    question: str = "",
    span: tuple[float, float] | None = None,
    scenes: Sequence[str] = (),
    done: str = "",
) -> str:
    """The notes of a range of a clip; empty where nothing was perceived or said.

    Args:
        lines: what is said, oldest first.
        question: times stand before everything that has some if it asks for times or an order, else
            before what is there for a part of the range only.
        span: the range, seconds; None: it is not known.
        scenes: of a clip that the frames cannot cover, each with its times.
        done: what a recogniser of actions thinks, which is not sure of it.
    """
    timed = TIMED.search(question) is not None
    notes = [
        f"{SOURCES[source.name].label}: {', '.join(words)}"
        for source in sources
        if (words := _words(source, None if timed else span))
    ]
    spoken = [_spoken(line, timed) for line in lines]
    shown = ["Scenes:", *scenes] if scenes else []
    notes += [f"Perhaps done: {done}"] if done else []
    return "\n".join([*notes, *shown, *(["Said:", *spoken] if spoken else [])])


def _words(source: Source, span: tuple[float, float] | None) -> list[str]:
    """Each thing of a source, those of a name that are there at once together."""
    names: dict[str, list[Perceived]] = {}
    for item in source.items:
        names.setdefault(item.name, []).append(item)
    found = []
    for items in names.values():
        together = len(items) == 1 or any((item.count or 1) > 1 for item in items)
        for group in [items] if together else [[item] for item in items]:
            found.append(_time(group, span) + _named(source.name, group))
    return list(dict.fromkeys(found))


def _named(source: str, items: Sequence[Perceived]) -> str:
    """``dog (brown)``, ``2 persons (in red)``, ``cup?``."""
    if len(items) == 1 and (items[0].count or 1) == 1 and items[0].told != items[0].name:
        words = items[0].told
    else:
        words = perceiver(source).as_text(items).removesuffix("?")
        more = dict.fromkeys(item.told.removeprefix(item.name).strip(" ()") for item in items)
        told = "; ".join(filter(None, more))
        words += f" ({told})" if told else ""
    return words if max(item.probability for item in items) >= SURE else f"{words}?"


def _time(items: Sequence[Perceived], span: tuple[float, float] | None) -> str:
    """When they are there, before them; of a known ``span`` not what lasts for most of it."""
    starts = [item.start for item in items if item.start is not None]
    ends = [item.end for item in items if item.end is not None]
    if not starts or not ends:
        return ""
    start, end = min(starts), max(ends)
    if span is not None and end - start >= MOST_OF * (span[1] - span[0]):
        return ""
    begin, finish = (format_time(round(second)) for second in (start, end))
    return f"{begin} " if begin == finish else f"{begin}-{finish} "


def _spoken(line: Line, timed: bool) -> str:
    when = f"{format_time(round(line.start))} " if timed and line.start is not None else ""
    return when + line.as_text()
