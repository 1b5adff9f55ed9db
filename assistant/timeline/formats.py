"""A timeline as subtitles, so that players show it, and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from assistant.timeline.types import Timeline

COLUMNS = ("video", "kind", "start", "end", "label", "score", "saliency", "description")
LEAST = 0.001  # s of a cue


def cues(timeline: Timeline) -> list[tuple[float, float, str]]:
    """From, to and text, in order: of the queries' moments where there are queries, else of the
    scenes; and of what is heard, in brackets, as subtitles tell sounds."""
    if timeline.queries:
        found = [(m.start, m.end, query.text) for query in timeline.queries for m in query.moments]
    else:
        found = [
            (one.start, one.end, f"{one.label}: {one.description}") for one in timeline.segments
        ]
    found += [(one.start, one.end, f"[{one.name}]") for one in timeline.heard]
    return sorted(
        (start, max(end, start + LEAST), " ".join(text.split())) for start, end, text in found
    )


def as_srt(timeline: Timeline) -> str:
    """SubRip."""
    return "\n".join(
        f"{number}\n{_clock(start, ',')} --> {_clock(end, ',')}\n{_plain(text)}\n"
        for number, (start, end, text) in enumerate(cues(timeline), 1)
    )


def as_vtt(timeline: Timeline) -> str:
    """WebVTT, as a chapters track of a page's player takes it."""
    told = ["WEBVTT\n"]
    for start, end, text in cues(timeline):
        shown = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        told.append(f"{_clock(start, '.')} --> {_clock(end, '.')}\n{shown}\n")
    return "\n".join(told)


def as_csv(timelines: Sequence[Timeline]) -> str:
    """A row for each scene, each moment and each thing that is heard."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in timelines:
        for s in one.segments:
            times = f"{s.start:.3f}", f"{s.end:.3f}"
            shares = f"{s.score:.4f}", f"{s.saliency:.4f}"
            writer.writerow([one.path, "scene", *times, s.label, *shares, s.description])
        for query in one.queries:
            for m in query.moments:
                times = f"{m.start:.3f}", f"{m.end:.3f}"
                writer.writerow([one.path, "moment", *times, query.text, f"{m.score:.4f}", "", ""])
        for heard in one.heard:
            times = f"{heard.start:.3f}", f"{heard.end:.3f}"
            writer.writerow([one.path, "heard", *times, heard.name, f"{heard.score:.4f}", "", ""])
    return stream.getvalue()


def _plain(text: str) -> str:
    """SubRip knows no escapes: what would be a tag or an arrow is told otherwise."""
    return text.replace("-->", "to").replace("<", "(").replace(">", ")")


def _clock(seconds: float, mark: str) -> str:
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{mark}{milliseconds:03}"
