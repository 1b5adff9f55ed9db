"""The timeline of a clip as HTML: its scenes, moments and a curve, on one time axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from assistant.ui.timeline import clock

from assistant.sources.seen import SURE

if TYPE_CHECKING:
    from assistant.timeline import Heard, Moment, Query, Segment, Timeline

MOST_WIDE = 400  # scenes of the shortest one's width, beyond which it is no longer told apart
SLIM = 0.14  # share of the width below which a label stands upright
MOST_TIMES = 6  # of moments, told in words
HIGH = 3.0  # times the mean saliency: a curve that stays below it does not reach the top
WIDE, TALL = 1000, 100  # of the curve's own coordinates


def band(timeline: Timeline, found: Sequence[Query] = (), asked: Query | None = None) -> str:
    """HTML of a timeline; every scene and moment is a button that carries its time.

    Args:
        found: what was looked for, each with its moments. asked: the last question, whose saliency
            is drawn.
    """
    shortest = min(one.end - one.start for one in timeline.segments)
    fit = min(timeline.duration / max(shortest, 1e-3), MOST_WIDE)
    scenes = "".join(
        _scene(number, one, timeline.duration) for number, one in enumerate(timeline.segments, 1)
    )
    tall = " va-tall" if shortest < SLIM * timeline.duration else ""
    curve = "" if asked is None else _curve(timeline, asked)
    finds = "".join(_moments(query, timeline.duration) for query in found)
    finds += _heard(timeline)
    end = clock(timeline.duration)
    return (
        f'<section class="va-times" aria-label="Timeline" data-seconds="{timeline.duration:.3f}">'
        f'<div class="va-scroll" tabindex="-1"><div class="va-track" style="--fit:{fit:.1f}">'
        f'<div class="va-band{tall}" role="group" aria-label="Scenes">{scenes}</div>{curve}{finds}'
        f'<div class="va-axis"><span>{clock(0.0)}</span><span>{end}</span></div>'
        '<i class="va-now" aria-hidden="true"></i></div></div>'
        f'<p class="va-told-scene">{_told(timeline.segments[0])}</p></section>'
    )


def _scene(number: int, one: Segment, duration: float) -> str:
    told = _told(one)
    name = one.label if one.score >= SURE or not one.description else one.description
    slim = " va-slim" if one.end - one.start < SLIM * duration else ""
    return (
        f'<button type="button" class="va-scene{slim}" data-seek="{_seek(one.start)}" '
        f'data-told="{told}" '
        f'style="{_place(one.start, one.end, duration)}" aria-label="Scene {number}, {told}">'
        f"<b>{escape(name)}</b><span>{clock(one.start)}</span></button>"
    )


def _told(one: Segment) -> str:
    """Times, label and description."""
    said = f"{one.label} {one.score:.0%}" + (f": {one.description}" if one.description else "")
    return escape(f"{clock(one.start)} to {clock(one.end)}, {said}")


def _moments(query: Query, duration: float) -> str:
    """The marks of what was looked for, below its words."""
    text = escape(query.text)
    moments = sorted(query.moments, key=lambda one: one.start)
    count = len(moments)
    if not count:
        best = query.best
        told = f"does not appear; likeliest at {clock(best.start)} to {clock(best.end)}"
    else:
        times = ", ".join(clock(one.start) for one in moments[:MOST_TIMES])
        more = ", …" if count > MOST_TIMES else ""
        told = f"{'1 moment' if count == 1 else f'{count} moments'}, at {times}{more}"
    unsure = "" if query.calibrated else "; not calibrated for this joint space"
    marks = "".join(_mark(one, text, one.score >= query.sure, duration) for one in moments)
    marks = f'<div class="va-marks" role="group" aria-label="Moments of {text}">{marks}</div>'
    return f'<p class="va-seen va-named"><b>{text}</b>: {told}{unsure}</p>{marks if count else ""}'


def _heard(timeline: Timeline) -> str:
    """A row of marks for each sound."""
    rows = []
    for name in dict.fromkeys(one.name for one in timeline.heard):
        text = escape(f"{name} (heard)")
        marks = "".join(
            _mark(one, text, True, timeline.duration) for one in timeline.heard if one.name == name
        )
        rows.append(
            f'<p class="va-seen va-named"><b>{text}</b></p>'
            f'<div class="va-marks" role="group" aria-label="{text}">{marks}</div>'
        )
    return "".join(rows)


def _mark(one: Moment | Heard, text: str, sure: bool, duration: float) -> str:
    """``text``: escaped. What is not sure is hatched, and says "perhaps"."""
    told = f"{clock(one.start)} to {clock(one.end)}, {'' if sure else 'perhaps '}{text}"
    unsure = "" if sure else " va-perhaps"
    return (
        f'<button type="button" class="va-mark{unsure}" data-seek="{_seek(one.start)}" '
        f'data-told="{told}" style="{_place(one.start, one.end, duration)}" '
        f'aria-label="{told}"></button>'
    )


def _curve(timeline: Timeline, asked: Query) -> str:
    """s_t of a question's words, from the mean's height on."""
    shares, seconds, duration = asked.saliency, timeline.seconds, timeline.duration
    top = max(max(shares), HIGH / len(shares))
    points = [
        (WIDE * second / duration, TALL * (1 - share / top))
        for second, share in zip(seconds, shares, strict=True)
    ]
    points = [(0.0, points[0][1]), *points, (float(WIDE), points[-1][1])]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    mean = TALL * (1 - 1 / len(shares) / top)
    peak = clock(seconds[max(range(len(shares)), key=shares.__getitem__)])
    return (
        f'<p class="va-seen va-named">How much each moment is about “{escape(asked.text)}” '
        f"(saliency of its words; dashed: all alike), most at {peak}</p>"
        f'<svg class="va-curve" viewBox="0 0 {WIDE} {TALL}" preserveAspectRatio="none" '
        f'role="img" aria-label="Saliency of the question, highest at {peak}">'
        f'<polygon points="0,{TALL} {line} {WIDE},{TALL}"/><polyline points="{line}"/>'
        f'<line x1="0" x2="{WIDE}" y1="{mean:.1f}" y2="{mean:.1f}"/></svg>'
    )


def _seek(start: float) -> str:
    """Rounded up: before a border the player shows the scene that ends there."""
    return f"{math.ceil(start * 1000 - 1e-6) / 1000:.3f}"


def _place(start: float, end: float, duration: float) -> str:
    return f"left:{start / duration:.3%};width:{(end - start) / duration:.3%}"
