"""A timeline as the lines of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assistant.vqa.time_words import format_time

if TYPE_CHECKING:
    from assistant.timeline import Timeline

HEAD = ("from", "to", "score", "event", "shows")


def lines_of(timeline: Timeline) -> list[str]:
    """Its scenes, what the queries found, and what is heard."""
    return [*table(timeline), *answers(timeline), *sounds(timeline)]


def table(timeline: Timeline) -> list[str]:
    """Lines of the columns ``HEAD``, one for each scene."""
    rows = [HEAD]
    for one in timeline.segments:
        begin, end = (format_time(round(second, 1)) for second in (one.start, one.end))
        rows.append((begin, end, f"{one.score:.0%}", one.label, one.description))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            text.rjust(width) if number < 3 else text.ljust(width)
            for number, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def answers(timeline: Timeline) -> list[str]:
    """Lines for each query: its moments, best first, or that it does not appear."""
    told = []
    for query in timeline.queries:
        unsure = "" if query.calibrated else "; not calibrated for this joint space"
        kind = f"{query.score_kind}, from {query.threshold:g} on, sure from {query.sure:g}{unsure}"
        told += ["", f"{query.text}  ({kind})"]
        for one in query.moments:
            begin, end = (format_time(round(second, 1)) for second in (one.start, one.end))
            told.append(f"  {begin}-{end}  {one.score:.2f}")
        if not query.appears:
            best = query.best
            begin, end = (format_time(round(second, 1)) for second in (best.start, best.end))
            told.append(f"  does not appear (likeliest {begin}-{end}, {best.score:.2f})")
    return told


def sounds(timeline: Timeline) -> list[str]:
    """Lines for what is heard, if somebody listened."""
    told = ["", "heard"] if timeline.heard else []
    for one in timeline.heard:
        begin, end = (format_time(round(second, 1)) for second in (one.start, one.end))
        told.append(f"  {begin}-{end}  {one.score:.2f}  {one.name}")
    return told
