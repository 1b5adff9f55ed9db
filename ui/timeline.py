"""The evidence as pictures: frames at their times, what each weighs, what is said below them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from assistant.vqa.evidence import AGAINST, FOR, FULL, LEAST
from assistant.vqa.perception import is_still

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from assistant.dialogue.subtitles import Line
    from assistant.vqa.boxes import Boxed

MOST_LANES = 3  # of subtitles that are said at the same time
FEW = 4  # frames: of more, none is wide enough for the names of what stands in it
LINES_WIDE = 8  # frames: how wide dialogue without pictures is
TEXT = "#010203"  # becomes the page's own text colour, in light and in dark
SHADES = ("#2a7f62", "#5fae93", "#9ccfbc", "#cfe8df")  # of receptive fields, the widest first


def timeline(
    pictures: Sequence[str],
    seconds: Sequence[float],
    weights: Sequence[float] | None,
    span: tuple[float, float],
    lines: Sequence[Line] = (),
    *,
    boxes: Sequence[Sequence[Boxed]] = (),
    waiting: bool = False,
) -> str:
    """HTML of one answer's evidence; every moment is a button that carries its time.

    Args:
        pictures: T data URIs; fewer: none are there yet. seconds: (T,).
        weights: (T,), see ``Answer.evidence``; None: not known. span: the range looked at, seconds.
        lines: what is said in it. boxes: of each frame; none: not known.
        waiting: pictures and weights are still to come.
    """
    still = is_still(span)  # it has a weight, but no time
    strongest = max(range(len(seconds)), key=weights.__getitem__) if weights else 0
    marked = weights is not None and weights[strongest] >= LEAST
    blank = '<i class="va-blank va-wait"></i>' if waiting else '<i class="va-blank"></i>'
    frames = []
    for index, moment in enumerate(seconds):
        inside = boxes[index] if boxes and pictures else ()
        picture = _picture(pictures[index], inside) if pictures else blank
        weight = "" if weights is None else _signed(weights[index])
        place = "The picture" if still else f"Go to {clock(moment)}"
        told = _with_names(f"{place}, weight {weight}" if weight else place, inside)
        time = "" if still else f"<span>{clock(moment)}</span>"
        best = " va-best" if marked and index == strongest else ""
        frames.append(
            f'<button type="button" class="va-frame{best}" data-seek="{moment:.3f}" '
            f'aria-label="{told}">{picture}{time}<b>{weight}</b></button>'
        )
    bars = "" if still else _bars(seconds, weights, span, waiting)
    few = "" if len(seconds) > FEW else " va-few"
    return _scrolled(
        f'<div class="va-frames{few}">{"".join(frames)}</div>{bars}{_spoken(lines, span)}',
        len(seconds),
    )


def gallery(
    pictures: Sequence[str],
    seconds: Sequence[float],
    span: tuple[float, float],
    boxes: Sequence[Sequence[Boxed]],
) -> str:
    """HTML of T frames, large enough for the names of what stands in them; as :func:`timeline`."""
    frames = []
    for picture, moment, inside in zip(pictures, seconds, boxes, strict=True):
        place, time = f"Go to {clock(moment)}", f"<span>{clock(moment)}</span>"
        if is_still(span):
            place, time = "The picture", ""
        frames.append(
            f'<button type="button" class="va-frame" data-seek="{moment:.3f}" '
            f'aria-label="{_with_names(place, inside)}">{_picture(picture, inside)}{time}</button>'
        )
    return f'<div class="va-gallery">{"".join(frames)}</div>'


def _with_names(told: str, inside: Sequence[Boxed]) -> str:
    """For who does not see the frame."""
    return escape(", ".join(dict.fromkeys([told, *(one.name for one in inside)])))


def _picture(picture: str, inside: Sequence[Boxed]) -> str:
    drawn = "".join(map(_box, inside))
    return f'<span class="va-pic"><img src="{picture}" alt="">{drawn}</span>'


def _box(one: Boxed) -> str:
    """Where a thing stands in a frame; its name is above, or inside where there is no room."""
    left, top, right, bottom = (f"{edge:.1%}" for edge in one.box)
    place = " va-inner" if one.box[1] < 0.2 else ""
    place += " va-end" if one.box[0] > 0.5 else ""
    size = f"left:{left};top:{top};right:calc(100% - {right});bottom:calc(100% - {bottom})"
    style = f"{size};--color:{one.color}"
    return f'<i class="va-box{place}" style="{style}"><em>{escape(one.name)}</em></i>'


def spoken_line(lines: Sequence[Line]) -> str:
    """HTML of what is said, where nothing was looked at."""
    ends = [time for line in lines for time in (line.start, line.end) if time is not None]
    span = (min(ends, default=0.0), max(ends, default=0.0))
    said, axis = _spoken(lines, span), _axis(span) if ends else ""
    return _scrolled(said + axis, LINES_WIDE) if said else ""


def draw_weights(
    seconds: Sequence[float], weights: Sequence[float], span: tuple[float, float]
) -> Figure:
    """Bars at their times on one scale, edge to edge, so that they stand under the frames."""
    from matplotlib.figure import Figure

    start, end = span
    figure = Figure(figsize=(9.0, 0.7))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    width = max(end - start, 1e-3)
    colors = [FOR if weight > 0 else AGAINST for weight in weights]
    axes.bar(seconds, weights, width=0.55 * width / len(seconds), color=colors)
    axes.axhline(0.0, color="#8888", linewidth=1.0)
    axes.set_xlim(start, start + width)
    axes.set_ylim(-FULL, FULL)
    return figure


def draw_routing(routing: Sequence[dict[str, list[float]]]) -> Figure:
    """Per adapted layer of the Q-Former the weight of each receptive field, in space and time."""
    from matplotlib.figure import Figure

    axes_names = [axis for axis in ("space", "time") if any(axis in route for route in routing)]
    routed = [(number, route) for number, route in enumerate(routing, 1) if route]
    height = 0.7 + 0.28 * len(routed)
    figure = Figure(figsize=(3.6 * len(axes_names), height), layout="constrained")
    for column, axis in enumerate(axes_names, 1):
        plot = figure.add_subplot(1, len(axes_names), column)
        for row, (_, route) in enumerate(routed):
            left = 0.0
            for field, share in enumerate(route.get(axis, ())):
                plot.barh(row, share, left=left, height=0.7, color=SHADES[field % len(SHADES)])
                left += share
        plot.set_title(f"in {axis}", fontsize=11, color=TEXT)
        plot.set(xlim=(0, 1), xticks=[], yticks=range(len(routed)))
        plot.set_yticklabels([f"layer {number}" for number, _ in routed])
        plot.tick_params(labelsize=10, length=0, colors=TEXT)
        plot.invert_yaxis()
        for side in plot.spines.values():
            side.set_visible(False)
    return figure


def clock(seconds: float) -> str:
    """``1:02.5``: to the tenth, so that every frame's time is as long as the next one's."""
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{minutes:.0f}:{rest:04.1f}"


def as_svg(figure: Figure, stretch: bool = False) -> str:
    """The figure as an SVG element of a page, in the page's text colour."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(TEXT, "currentColor")
    if stretch:
        text = text.replace("<svg ", '<svg preserveAspectRatio="none" ', 1)
    return text


def place_lines(
    lines: Sequence[Line], span: tuple[float, float]
) -> list[tuple[int, float, float, Line]]:
    """Lane, left and width (shares of the span) of each timed line; those that overlap part."""
    start, end = span
    width = max(end - start, 1e-3)
    placed: list[tuple[int, float, float, Line]] = []
    ends = [-1.0] * MOST_LANES
    for line in sorted((line for line in lines if line.start is not None), key=_begin):
        left = max(0.0, (_begin(line) - start) / width)
        right = min(1.0, ((line.end or _begin(line)) - start) / width)
        lane = next((lane for lane, busy in enumerate(ends) if busy <= left), None)
        if lane is None or left >= 1.0 or right < 0.0:
            continue
        right = max(right, left + 0.03)
        ends[lane] = right
        placed.append((lane, left, min(right, 1.0) - left, line))
    return placed


def _scrolled(content: str, width: int) -> str:
    """The timeline; a small page scrolls it. ``width``: in frames."""
    return (
        '<div class="va-scroll" tabindex="-1">'
        f'<div class="va-line" style="--n:{width}">{content}</div></div>'
    )


def _bars(
    seconds: Sequence[float],
    weights: Sequence[float] | None,
    span: tuple[float, float],
    waiting: bool,
) -> str:
    """What each frame weighs, and the range; a line where the weights are to come."""
    if weights is not None:
        drawn = as_svg(draw_weights(seconds, weights, span), stretch=True)
        return f'<div class="va-plot" aria-hidden="true">{drawn}</div>{_axis(span)}'
    return ('<div class="va-plot va-waiting"></div>' if waiting else "") + _axis(span)


def _axis(span: tuple[float, float]) -> str:
    start, end = map(clock, span)
    return f'<div class="va-axis"><span>{start}</span><span>{end}</span></div>'


def _signed(weight: float) -> str:
    """``+0.12``; what rounds to nothing has no sign."""
    text = f"{weight:+.2f}"
    return "0.00" if float(text) == 0 else text


def _begin(line: Any) -> float:
    return line.start or 0.0


def _spoken(lines: Sequence[Line], span: tuple[float, float]) -> str:
    placed = place_lines(lines, span)
    blocks = [
        f'<button type="button" class="va-said" data-seek="{_begin(line):.3f}" '
        f'style="left:{left:.2%};width:{width:.2%};top:calc({lane} * var(--va-lane))" '
        f'title="{escape(line.as_text())}">{escape(line.as_text())}</button>'
        for lane, left, width, line in placed
    ]
    lanes = 1 + max((lane for lane, *_ in placed), default=-1)
    untimed = [escape(line.as_text()) for line in lines if line.start is None]
    more = f'<p class="va-untimed">{"<br>".join(untimed[:8])}</p>' if untimed else ""
    lane_box = f'<div class="va-lanes" style="--va-lanes:{lanes}">{"".join(blocks)}</div>'
    return (lane_box if blocks else "") + more
