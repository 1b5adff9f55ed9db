"""What is perceived of a clip, as HTML: a panel of its own, and boxes on frames."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from assistant.ui.timeline import clock, gallery

from assistant.sources import SOURCES, Perceived, perceiver
from assistant.vqa.boxes import boxes_in, colors_of
from assistant.vqa.perception import is_still

if TYPE_CHECKING:
    from assistant.ui.visitor import OpenClip

    from assistant.vqa.perception import Perception


def unseen(clip: OpenClip, wanted: Collection[str], *, every: bool = True) -> list[str]:
    """The ``wanted`` sources that were not asked about all of the clip yet: those that any question
    wants, or ``every`` one that can be asked here."""
    known = {source.name for source in clip.seen.sources} if clip.seen else set()
    return [
        name
        for name in SOURCES
        if name in wanted
        and name not in known
        and (perceiver(name).wanted("") or (every and not perceiver(name).missing()))
    ]


def panel(seen: Perception | None, pictures: Sequence[str] = ()) -> str:
    """All that sources say of a clip; a click on a time goes there.

    Args:
        pictures: of the T frames looked at, as data URIs.
    """
    if seen is None:
        return ""
    span = (seen.start, seen.end)
    items = [item for source in seen.sources for item in source.items]
    colors = colors_of(items)
    boxes = boxes_in(items, seen.frames, span)
    parts = ['<section class="va-card" aria-label="What I see"><h2>What I see</h2>']
    if pictures:
        parts.append(gallery(pictures, seen.frames, span, boxes))
    for source in seen.sources:
        parts.append(named(source.name, source.items, span, colors))
    if not items:
        parts.append('<p class="va-seen">Nothing that I know.</p>')
    parts += [f'<p class="va-seen">{escape(warning)}</p>' for warning in seen.warnings]
    return "".join(parts) + "</section>"


def named(
    source: str,
    items: Sequence[Perceived],
    span: tuple[float, float] | None,
    colors: Mapping[str, str] | None = None,
) -> str:
    """What one source says of the ``span`` (seconds; None: nothing was looked at), after its label;
    "" where it says nothing."""
    if not items:
        return ""
    rows = [_item(item, span, (colors or {}).get(item.name, "")) for item in items]
    label = f'<li class="va-seen">{escape(SOURCES[source].label)}: </li>'
    return f'<ul class="va-items">{label}{"".join(rows)}</ul>'


def item_of(item: Mapping[str, Any]) -> Perceived:
    """One thing as JSON has it, see ``Perceived.as_dict``."""
    return Perceived(
        item["name"],
        item["probability"],
        item.get("start"),
        item.get("end"),
        color=item.get("color", ""),
        direction=item.get("direction", ""),
    )


def _item(item: Perceived, span: tuple[float, float] | None, color: str) -> str:
    """One thing: its name, how likely, and when; a bar shows where in the clip that is."""
    told = f"{dot(color)}{escape(item.told)} {item.probability:.0%}"
    if item.start is None or item.end is None or span is None or is_still(span):
        return f'<li class="va-item">{told}</li>'
    length = span[1] - span[0]
    begin, end = ((second - span[0]) / length for second in (item.start, item.end))
    when = clock(item.start)
    if item.end > item.start:
        when += f" to {clock(item.end)}"
    return (
        f'<li><button type="button" class="va-item" data-seek="{item.start:.3f}" '
        f'style="--from:{begin:.1%};--to:{end:.1%}">{told} <span>{when}</span></button></li>'
    )


def dot(color: str) -> str:
    """The color of what has a place in the frames; "": it has none."""
    return f'<i class="va-dot" style="--color:{color}"></i>' if color else ""


def legend(items: Sequence[Perceived]) -> str:
    """Which color is whose, of what has a place in the frames."""
    named = [f"<span>{dot(color)}{escape(name)}</span>" for name, color in colors_of(items).items()]
    return f'<p class="va-legend">{"".join(named)}</p>' if named else ""
