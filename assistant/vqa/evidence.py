"""Draws what an answer rests on: the frames looked at, at their times, and what each one weighs."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from assistant.errors import InputError
from assistant.vqa.boxes import boxes_in, draw_boxes
from assistant.vqa.conversation import TALK
from assistant.vqa.time_words import format_time

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from assistant.sources import Perceived
    from assistant.vqa.answer import Answer

FORMATS = (".png", ".svg", ".pdf")
TEXT_ALONE = (
    "{task} answers from text alone, no frame is looked at; leave the picture of the evidence out"
)
WORDS_ALONE = (
    "what each frame weighs is known of answers that a model of ours gives; a language model of "
    "yours answers from words alone, which --json shows as notes"
)
# Log-probability that fills a bar: the answer is half as likely without the frame.
FULL = math.log(2.0)
LEAST = 0.05  # a frame that weighs less is no reason
FOR, AGAINST = "#2a7f62", "#b5482f"
LINE = 90  # characters of the title


def check_picture_path(path: Path) -> None:
    """
    Raises:
        InputError: ``path`` does not name a picture that can be written.
    """
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"{path}: is no picture's name; let it end in {', '.join(FORMATS)}")
    if not path.parent.is_dir():
        raise InputError(f"{path.parent}: is no folder; make it first")


def check_frames(answer: Answer) -> None:
    """
    Raises:
        InputError: ``answer`` rests on text alone.
    """
    if answer.basis.task == TALK:
        raise InputError(
            f"{answer.basis.question!r} is no question about the clip, so that no frame was looked "
            "at; leave the picture of the evidence out, or ask about the clip"
        )
    if not answer.frames:
        raise InputError(TEXT_ALONE.format(task=answer.basis.task))


def save_evidence(
    answer: Answer,
    pictures: Sequence[np.ndarray] | np.ndarray,
    path: Path,
    items: Sequence[Perceived] = (),
) -> None:
    """Draw and write it.

    Raises:
        InputError: ``path`` cannot be written.
    """
    check_picture_path(path)
    save_figure(draw_evidence(answer, pictures, items), path)


def save_figure(figure: Figure, path: Path) -> None:
    """
    Raises:
        InputError: ``path`` cannot be written.
    """
    try:
        figure.savefig(path, dpi=110)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error


def draw_evidence(
    answer: Answer,
    pictures: Sequence[np.ndarray] | np.ndarray,
    items: Sequence[Perceived] = (),
) -> Figure:
    """A timeline of the T frames ``(H, W, 3)`` with their weights (see ``Answer.evidence``), and
    boxes where ``items`` stand that were perceived in them.

    Raises:
        InputError: the answer looked at none.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    check_frames(answer)
    if answer.basis.notes is not None:
        raise InputError(f"no picture of the evidence: {WORDS_ALONE}")
    weights, seconds = answer.evidence(), answer.frames
    start, end = answer.basis.start or 0.0, answer.basis.end or 0.0
    count = len(seconds)
    figure = Figure(figsize=(max(6.0, 1.5 * count), 3.6), layout="constrained")
    grid = figure.add_gridspec(2, count, height_ratios=(1.2, 1))
    boxes = boxes_in(items, seconds, (start, end))
    strongest = max(range(count), key=weights.__getitem__)
    marked = weights[strongest] >= LEAST
    shown = zip(pictures, seconds, boxes, strict=True)
    for column, (picture, moment, inside) in enumerate(shown):
        frame = figure.add_subplot(grid[0, column])
        frame.imshow(picture)
        draw_boxes(frame, inside, picture.shape)
        frame.set_title(format_time(round(moment, 1)), fontsize=8)
        frame.set(xticks=[], yticks=[])
        for side in frame.spines.values():
            side.set(color=FOR if column == strongest and marked else "0.8", linewidth=2.5)
    bars = figure.add_subplot(grid[1, :])
    span = max(end - start, 1e-3)
    colors = [FOR if weight > 0 else AGAINST for weight in weights]
    bars.bar(seconds, weights, width=0.6 * span / count, color=colors)
    bars.axhline(0.0, color="0.4", linewidth=0.8)
    bars.set_xlim(start, start + span)
    bars.set_ylim(-FULL, FULL)
    if count == 1:  # a picture: its one bar stands in the middle
        bars.set_xlim(seconds[0] - span, seconds[0] + span)
        bars.set_xticks(seconds)
    bars.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format_time(value)))
    bars.set_ylabel("log-probability\nlost without it", fontsize=8)
    bars.tick_params(labelsize=8)
    asked = textwrap.fill(answer.basis.question, LINE)
    told = textwrap.fill(answer.text, LINE)
    figure.suptitle(f"{asked}\n{told}", fontsize=10, parse_math=False)
    return figure
