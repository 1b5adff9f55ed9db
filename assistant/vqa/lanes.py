"""All that is perceived of a clip as a picture: frames over time, below a lane for each thing."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from assistant.sources import SOURCES
from assistant.vqa.boxes import boxes_in, colors_of, draw_boxes
from assistant.vqa.perception import Perception, is_still
from assistant.vqa.time_words import format_time

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE, LEFT, RIGHT, TOP, BOTTOM = 13.0, 2.5, 0.6, 0.35, 0.4  # inches: the figure and its margins
GAP = 0.12  # inches between frames and lanes
NAMED = 0.8  # inches: in a narrower frame names would cover it; its boxes have their lanes' colors
ROW, TALLEST = 0.24, 2.0  # inches: a lane, and a frame at most
PLAIN = "#5f7f8c"  # of what has no place in the frames
LONGEST = 34  # characters of a name beside its lane
TIMED = 12  # frames: of more, not each has its time above it
SHOWN = 24  # frames: of more, not each is drawn


def draw_perception(seen: Perception, pictures: Sequence[np.ndarray] | np.ndarray) -> Figure:
    """The T frames ``(H, W, 3)`` that were looked at, with boxes, and what was perceived."""
    from matplotlib.figure import Figure

    rows = _rows(seen)
    drawn = range(0, len(pictures), -(-len(pictures) // SHOWN))
    frame_width, frame_height = _frame_size(pictures[0].shape, len(drawn))
    lanes = ROW * max(1, len(rows))
    height = TOP + frame_height + GAP + lanes + BOTTOM
    figure = Figure(figsize=(WIDE, height))
    items = [item for source in seen.sources for item in source.items]
    length = max(seen.end - seen.start, 1e-3)
    across = WIDE - LEFT - RIGHT
    named = boxes_in(items, seen.frames, (seen.start, seen.end))
    skipped = -(-len(drawn) // TIMED)
    for place, frame in enumerate(drawn):
        moment, picture = seen.frames[frame], pictures[frame]
        middle = LEFT + across * (0.5 if _still(seen) else (moment - seen.start) / length)
        left = min(max(middle - frame_width / 2, LEFT), WIDE - RIGHT - frame_width)
        bottom = height - TOP - frame_height
        axes = figure.add_axes(
            (left / WIDE, bottom / height, frame_width / WIDE, frame_height / height)
        )
        axes.imshow(picture, aspect="auto")
        axes.set(xticks=[], yticks=[])
        draw_boxes(axes, named[frame], picture.shape, named=frame_width >= NAMED)
        if not _still(seen) and place % skipped == 0:
            axes.set_title(format_time(round(moment, 1)), fontsize=8, pad=3)
    axes = figure.add_axes((LEFT / WIDE, BOTTOM / height, across / WIDE, lanes / height))
    _draw_lanes(axes, seen, rows, colors_of(items))
    return figure


def _still(seen: Perception) -> bool:
    return is_still((seen.start, seen.end))


def _frame_size(shape: Sequence[int], count: int) -> tuple[float, float]:
    """Width and height of each of ``count`` frames ``(H, W, 3)`` in the strip, inches."""
    height, width = shape[:2]
    share = (WIDE - LEFT - RIGHT) / max(count, 3) * 0.97
    tall = min(TALLEST, share * height / width)
    return tall * width / height, tall


def _rows(seen: Perception) -> list[tuple[str, int | None]]:
    """What stands in each row: a source's label, or the number of an item in the order of time."""
    found = seen.over_time()
    rows: list[tuple[str, int | None]] = []
    for name, kind in SOURCES.items():
        own = [place for place, (source, _) in enumerate(found) if source == name]
        rows += [(kind.label, None)] * bool(own) + [(name, place) for place in own]
    return rows


def _draw_lanes(
    axes: Axes, seen: Perception, rows: list[tuple[str, int | None]], colors: dict[str, str]
) -> None:
    from matplotlib.ticker import FuncFormatter

    found, length = seen.over_time(), max(seen.end - seen.start, 1e-3)
    labels = []
    for row, (label, place) in enumerate(rows):
        if place is None:
            labels.append(label)
            continue
        item = found[place][1]
        labels.append(textwrap.shorten(item.told, LONGEST, placeholder="…"))
        begin, end = seen.span(item)
        color = colors.get(item.name, PLAIN)
        axes.barh(row, max(end - begin, 0.006 * length), left=begin, height=0.6, color=color)
        axes.text(
            1.01,
            row,
            f"{item.probability:.0%}",
            fontsize=8,
            va="center",
            transform=axes.get_yaxis_transform(),
        )
    if not rows:
        axes.text(0.5, 0.5, "nothing was perceived", ha="center", transform=axes.transAxes)
    axes.set_xlim(seen.start, seen.start + length)
    axes.set_ylim(max(1, len(rows)) - 0.4, -0.6)
    axes.set_yticks(range(len(rows)))
    axes.set_yticklabels(labels, fontsize=8, parse_math=False)
    for text, (_, place) in zip(axes.get_yticklabels(), rows, strict=True):
        text.set_fontweight("normal" if place is not None else "bold")
    axes.tick_params(length=0, labelsize=8)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format_time(value)))
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    if _still(seen):
        axes.set_xticks([])
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
