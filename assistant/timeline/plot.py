"""A timeline as a picture: scenes as a band, moments as marks, saliency as curves."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from assistant.timeline.types import Timeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette: told apart by those who see colors otherwise, too.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
STYLES = ("-", "--", "-.", ":")  # beside the color
BAND = ("#d9e2ec", "#bcccdc")  # neighbours
WIDE, BAND_HEIGHT, CURVE_HEIGHT, ROW = 13.0, 1.5, 2.2, 0.3  # inches
NARROW, EMPTY = (
    0.07,
    0.012,
)  # shares of the width below which a label stands upright, or is left out
UPRIGHT = 24  # letters of an upright label
LETTERS = 150  # across the whole width


def draw_timeline(timeline: Timeline) -> Figure:
    """Scenes with their labels; below them a row of marks and a curve for each query, and a row
    for each sound."""
    from matplotlib.figure import Figure

    sounds = dict.fromkeys(one.name for one in timeline.heard)
    rows, lanes = (ROW * max(1, len(own)) + 0.3 for own in (timeline.queries, sounds))
    heights = [BAND_HEIGHT, *([rows, CURVE_HEIGHT] if timeline.queries else [])]
    heights += [lanes] if sounds else []
    figure = Figure(figsize=(WIDE, sum(heights) + 1.0), layout="constrained")
    panels = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[
        :, 0
    ]
    _band(panels[0], timeline)
    if timeline.queries:
        _marks(panels[1], timeline)
        _curves(panels[2], timeline)
    if sounds:
        _sounds(panels[-1], timeline, list(sounds))
    panels[-1].set_xlabel("time")
    panels[-1].set_xlim(0, timeline.duration)
    panels[-1].xaxis.set_major_formatter(lambda second, _: _clock(second))
    return figure


def _band(axes: Axes, timeline: Timeline) -> None:
    for number, one in enumerate(timeline.segments):
        length = one.end - one.start
        axes.axvspan(one.start, one.end, color=BAND[number % 2], linewidth=0)
        share, told = length / timeline.duration, f"{one.label} {one.score:.0%}"
        upright = share < NARROW
        width = UPRIGHT if upright else round(LETTERS * share)
        axes.text(
            one.start + length / 2,
            0.5,
            "" if share < EMPTY else "\n".join(textwrap.wrap(told, width)[: 1 if upright else 4]),
            ha="center",
            va="center",
            rotation=90 if upright else 0,
            fontsize=8,
            parse_math=False,
        )
    axes.set(yticks=[], ylim=(0, 1), title="scenes")


def _marks(axes: Axes, timeline: Timeline) -> None:
    names = []
    for row, query in enumerate(timeline.queries):
        color = COLORS[row % len(COLORS)]
        spans = [(one.start, one.end - one.start) for one in query.moments]
        axes.broken_barh(spans, (row - 0.35, 0.7), color=color)
        names.append(textwrap.shorten(query.text, 40, placeholder=" ..."))
        if not query.appears:
            axes.text(timeline.duration / 2, row, "does not appear", ha="center", va="center")
    axes.set(yticks=range(len(names)), ylim=(len(names) - 0.4, -0.6), title="moments")
    axes.set_yticklabels(names, parse_math=False)


def _sounds(axes: Axes, timeline: Timeline, names: Sequence[str]) -> None:
    for row, name in enumerate(names):
        spans = [(one.start, one.end - one.start) for one in timeline.heard if one.name == name]
        axes.broken_barh(spans, (row - 0.35, 0.7), color=COLORS[row % len(COLORS)])
    axes.set(yticks=range(len(names)), ylim=(len(names) - 0.4, -0.6), title="heard")
    axes.set_yticklabels(names, parse_math=False)


def _curves(axes: Axes, timeline: Timeline) -> None:
    for row, query in enumerate(timeline.queries):
        style = STYLES[row // len(COLORS) % len(STYLES)]
        color = COLORS[row % len(COLORS)]
        label = textwrap.shorten(query.text, 40, placeholder=" ...")
        axes.plot(timeline.seconds, query.saliency, style, color=color, label=label, linewidth=1.6)
    axes.set(ylim=(0, None), ylabel="saliency")
    legend = axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    for text in legend.get_texts():
        text.set_parse_math(False)


def _clock(seconds: float) -> str:
    whole = round(seconds)
    hours = f"{whole // 3600}:{whole // 60 % 60:02}" if whole >= 3600 else f"{whole // 60}"
    return f"{hours}:{whole % 60:02}"
