"""Draws what an answer about several clips rests on: the frames of each, and what each one says."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING

from assistant.errors import InputError
from assistant.vqa.evidence import AGAINST, FOR, FULL, LINE, TEXT_ALONE
from assistant.vqa.time_words import format_time

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure, SubFigure

    from assistant.vqa.answer import Answer
    from assistant.vqa.several.parts import Part

HIGHEST = 6.0  # log-odds that fill a bar
COMPARED, ALONE = "log-odds that\nit shows it", "log-probability\nlost without it"


def draw_parts(answer: Answer, pictures: Callable[[Part], np.ndarray]) -> Figure:
    """A strip for each clip that was looked at.

    Args:
        pictures: of a part, ``(T, H, W, 3)`` uint8, see `SeveralSession.pictures`.
    Raises:
        InputError: no clip was looked at. VideoError: one cannot be read any more.
    """
    from matplotlib.figure import Figure

    parts = [part for part in answer.basis.clips if part.times]
    if not parts:
        raise InputError(TEXT_ALONE.format(task="this question"))
    widest = max(len(part.times) for part in parts)
    figure = Figure(figsize=(max(6.0, 1.5 * widest), 0.9 + 2.7 * len(parts)), layout="constrained")
    asked = textwrap.fill(answer.basis.question, LINE)
    told = "\n".join(textwrap.fill(line, LINE) for line in answer.text.splitlines())
    figure.suptitle(f"{asked}\n{told}", fontsize=10, parse_math=False)
    rows = figure.subfigures(len(parts), 1, squeeze=False)[:, 0]
    for row, part in zip(rows, parts, strict=True):
        _draw(row, part, pictures(part))
    return figure


def _draw(figure: SubFigure, part: Part, pictures: np.ndarray) -> None:
    """Frames at their times, and bars below them where they were weighed."""
    weights, highest = part.evidence(), FULL if part.answer else HIGHEST
    grid = figure.add_gridspec(2 if weights else 1, len(pictures))
    told = [str(part.clip), part.value, ", ".join(part.seen)]
    told += [] if part.chance is None else [f"{part.chance:.0%} likely"]
    figure.suptitle("; ".join(filter(None, told)), fontsize=9, parse_math=False)
    for column, (picture, moment) in enumerate(zip(pictures, part.times, strict=True)):
        frame = figure.add_subplot(grid[0, column])
        frame.imshow(picture)
        frame.set_title(format_time(round(moment, 1)), fontsize=8)
        frame.set(xticks=[], yticks=[])
    if not weights:
        return
    bars = figure.add_subplot(grid[1, :])
    colors = [FOR if weight > 0 else AGAINST for weight in weights]
    bars.bar(range(len(weights)), weights, width=0.6, color=colors)
    bars.axhline(0.0, color="0.4", linewidth=0.8)
    bars.set_xlim(-0.5, len(weights) - 0.5)
    bars.set_ylim(-highest, highest)
    bars.set_xticks([])
    bars.set_ylabel(ALONE if part.answer else COMPARED, fontsize=8)
    bars.tick_params(labelsize=8)
