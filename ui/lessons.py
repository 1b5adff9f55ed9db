"""What a teaching set looks like on the page: its clips as cards, its training as a curve."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.ui import cards
from assistant.ui.talk import thumbnails
from assistant.ui.timeline import TEXT, as_svg

from assistant.errors import AssistantError
from assistant.training.teaching.progress import Curve, Progress
from assistant.training.teaching.sets import LABELS, Lesson, TeachingSet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STILL = 224  # longer side of a card's picture in pixels
MOST_LABELS = 8  # that are counted in a line
LEARNED, ASIDE = "#2a7f62", "#c98a1b"


def lessons(taught: TeachingSet, *, locked: bool) -> str:
    """Every example with its picture and what is right to say of it; ``locked``: to be read."""
    examples = taught.examples()
    if not examples:
        return ""
    known = sorted({one.answer for one in examples if one.answer})
    offered = "".join(f'<option value="{escape(text)}">' for text in known)
    rows = "".join(_card(taught, one, locked=locked) for one in examples)
    return (
        f'<datalist id="va-answers">{offered}</datalist>'
        f'<ul class="va-lessons" tabindex="0" aria-label="Examples">{rows}</ul>'
    )


def counted(taught: TeachingSet) -> str:
    """How many examples there are, and of what."""
    examples = taught.examples()
    answers = Counter(one.answer for one in examples)
    told = ", ".join(f"{n} {text or 'without'}" for text, n in answers.most_common(MOST_LABELS))
    more = f", {len(answers) - MOST_LABELS} more" if len(answers) > MOST_LABELS else ""
    one = "example" if len(examples) == 1 else "examples"
    return f"{len(examples)} {one}: {told}{more}"


def _card(taught: TeachingSet, one: Lesson, *, locked: bool) -> str:
    path = taught.clip(one.clip)
    picture = still(path, path.stat().st_mtime_ns) if path.is_file() else ""
    shown = f' style="background-image: url({picture})"' if picture else ""
    fields = [("answer", "Label" if taught.kind == LABELS else "Answer", one.answer)]
    if taught.kind != LABELS:
        fields.insert(0, ("question", "Question", one.question))
    name = escape(one.clip)
    if locked:
        told = "".join(f"<span>{escape(text)}</span>" for *_, text in fields)
        remove = ""
    else:
        told = "".join(
            f'<input type="text" data-lesson="{one.id}" data-field="{field}" list="va-answers" '
            f'aria-label="{label} of {name}" placeholder="{label}" value="{escape(text)}">'
            for field, label, text in fields
        ).replace('data-field="question" list="va-answers"', 'data-field="question"')
        remove = (
            f'<button type="button" data-lesson="{one.id}" data-field="remove" '
            f'aria-label="Remove {name}" title="Remove">×</button>'  # noqa: RUF001
        )
    return (
        f'<li class="va-lesson"><span class="va-still"{shown}></span>'
        f'<span class="va-lesson-told"><b>{name}</b>{told}</span>{remove}</li>'
    )


@lru_cache(maxsize=512)
def still(path: Path, changed: int) -> str:
    """The first frame of a clip as a data URI; "": it cannot be read."""
    from assistant.media.video import read_clip

    try:
        return thumbnails(read_clip(path, frames=1, max_side=STILL).frames)[0]
    except AssistantError:
        return ""


def welcome() -> str:
    """What stands where no task is chosen."""
    return (
        '<div class="va-welcome"><h2>Teach it what only you know</h2>'
        "<p>Name a task and drop a few clips of each label, six of each to begin with. Training "
        "takes a minute or two, and others go on asking meanwhile. Then it is a task of the chat."
        "</p></div>"
    )


def training(progress: Progress) -> str:
    """A training that runs: what it is at, and the minutes that are left."""
    left = "" if progress.left is None else f", about {minutes(progress.left)} left"
    return cards.progress(f"{progress.doing.capitalize()}{left}", progress.share)


def minutes(seconds: float) -> str:
    """As a person says it."""
    if seconds < 90:
        return f"{max(5, 5 * round(seconds / 5))} seconds"
    return f"{round(seconds / 60)} minutes"


def curve(found: Curve) -> str:
    """The losses by epoch; "": there are none yet."""
    if len(found.learned) < 2:
        return ""
    (first, begin), (last, end) = found.learned[0], found.learned[-1]
    told = f"Loss from {begin:.2f} in epoch {first} to {end:.2f} in epoch {last}"
    drawn = as_svg(draw_curve(found))
    return f'<figure class="va-learning" role="img" aria-label="{told}">{drawn}</figure>'


def draw_curve(found: Curve) -> Figure:
    """What it loses on the examples that it learns from, and on those set aside."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(6.4, 2.6), layout="constrained")
    plot = figure.add_subplot()
    for points, color, label in (
        (found.learned, LEARNED, "on what it learns"),
        (found.aside, ASIDE, "on what is set aside"),
    ):
        for part, name in zip(_stretches(points, found.through_llm), (label, None), strict=True):
            if part:
                plot.plot(*zip(*part, strict=True), color=color, lw=1.8, label=name)
    if 0 < found.through_llm <= found.learned[-1][0]:
        plot.axvline(found.through_llm - 0.5, color=TEXT, lw=0.8, ls=":")
        plot.set_title("right of the line: through the language model, too", fontsize=9, color=TEXT)
    plot.set_ylim(bottom=0)
    plot.xaxis.set_major_locator(MaxNLocator(integer=True))
    plot.set_xlabel("epoch", fontsize=10, color=TEXT)
    plot.set_ylabel("loss", fontsize=10, color=TEXT)
    plot.tick_params(labelsize=9, length=0, colors=TEXT)
    plot.grid(alpha=0.25, lw=0.6)
    for side in plot.spines.values():
        side.set_visible(False)
    plot.legend(frameon=False, fontsize=9, labelcolor=TEXT)
    return figure


def _stretches(
    points: Sequence[tuple[int, float]], parts_at: int
) -> tuple[Sequence[tuple[int, float]], Sequence[tuple[int, float]]]:
    """Before the epoch ``parts_at``, and from it on: their losses are not the same."""
    if not parts_at:
        return points, ()
    return (
        [point for point in points if point[0] < parts_at],
        [point for point in points if point[0] >= parts_at],
    )
