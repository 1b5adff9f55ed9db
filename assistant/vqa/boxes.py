"""Where things stand in the frames that were looked at, a color to each name."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assistant.sources import Box, Perceived

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# White letters are read on each of them, and each is seen on light and on dark ground.
COLORS = (
    "#1d6fb8",
    "#b5402a",
    "#2a7a55",
    "#7b4fb5",
    "#8f5a00",
    "#a83279",
    "#0b7582",
    "#6b6f12",
    "#5a5f6b",
    "#8c3b3b",
)


@dataclass(frozen=True)
class Boxed:
    """One thing in one frame."""

    name: str
    box: Box
    color: str


def colors_of(items: Iterable[Perceived]) -> dict[str, str]:
    """The color of each name that has a place, in their order; with many names they come again."""
    names = dict.fromkeys(item.name for item in items if item.box is not None)
    return {name: COLORS[place % len(COLORS)] for place, name in enumerate(names)}


def boxes_in(
    items: Sequence[Perceived], seconds: Sequence[float], span: tuple[float, float]
) -> list[list[Boxed]]:
    """What stands in each of T frames, the likeliest last: it is drawn on top.

    Each frame stands for its part of the ``span`` (seconds). Of what moves the box nearest in time
    counts, if there is one in that part; of what has no ``track`` the only box, while it lasts.
    """
    colors, reach = colors_of(items), max(0.0, span[1] - span[0]) / (2 * max(1, len(seconds)))
    found: list[list[Boxed]] = []
    for moment in seconds:
        here = []
        for item in sorted(items, key=lambda item: item.probability):
            box = _box_at(item, moment, reach + 1e-3)
            if box is not None:
                here.append(Boxed(item.name, box, colors[item.name]))
        found.append(here)
    return found


def draw_boxes(
    axes: Axes, boxes: Sequence[Boxed], shape: tuple[int, ...], *, named: bool = True
) -> None:
    """On a picture of ``shape`` (H, W, 3) that ``axes`` show."""
    from matplotlib.patches import Rectangle

    height, width = shape[:2]
    for one in boxes:
        left, top, right, bottom = one.box
        place = (left * width - 0.5, top * height - 0.5)
        size = ((right - left) * width, (bottom - top) * height)
        axes.add_patch(Rectangle(place, *size, fill=False, edgecolor=one.color, linewidth=1.6))
        if not named:
            continue
        above = top > 0.15  # there is room for the name
        axes.text(
            *place,
            textwrap.shorten(one.name, 16, placeholder="…"),
            fontsize=6,
            color="white",
            va="bottom" if above else "top",
            clip_on=True,
            parse_math=False,
            bbox={"facecolor": one.color, "edgecolor": "none", "pad": 1.0},
        )
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))


def _box_at(item: Perceived, moment: float, reach: float) -> Box | None:
    if item.box is None:
        return None
    if item.track:
        second, box = min(item.track, key=lambda one: abs(one[0] - moment))
        return box if abs(second - moment) <= reach else None
    if item.start is None or item.end is None:
        return item.box
    return item.box if item.start - reach <= moment <= item.end + reach else None
