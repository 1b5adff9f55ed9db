"""How an evaluation of events is printed and kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from assistant.core.jsonl import finite
from assistant.evaluation.event_figures import FOUND, KNOWN, EventsReport, Named, Strip
from assistant.evaluation.ranks import Value
from assistant.evaluation.report import table
from assistant.evaluation.segments import TOLERANCE

DPI = 120
COLORS = ("#0072B2", "#D55E00")  # Okabe and Ito's, told apart by everyone
MOST_STRIPS = 4
LETTERS = 18  # of a label in a picture
WIDE = 4.0  # s from which on a segment is labelled in a picture


def render_events(report: EventsReport) -> str:
    """As Markdown."""
    told = report.manifest
    weight = told["weight of the video branch"]
    lines = [
        f"**{report.name}**: {told['clips']} clips, {told['minutes']:g} minutes, "
        f"{told['segments']} segments, {told['labels']} labels; joint space {told['space']}, "
        f"seed {told['seed']}, {told['date']}",
        "",
        "Shares in per cent, with 95 % intervals of a bootstrap over clips, for labels over those "
        "that the segments were cut from"
        + ("." if weight is None else f"; in the fusion the video branch weighs {weight:g}."),
        "",
    ]
    if report.parted:
        lines += [*_parted(report), ""]
    for segments, title in (
        (KNOWN, "Labels of the known segments, as these are"),
        (FOUND, "Labels of the known segments, from the found one that overlaps each most"),
    ):
        rows = [one for one in report.named if one.segments == segments]
        if rows:
            lines += [f"{title}:", "", *_named(report, rows), ""]
    if report.drawn:
        lines += [*_drawn(report), ""]
    lines += [f"Note: {note}." for note in report.notes]
    return "\n".join(lines).strip()


def _parted(report: EventsReport) -> Iterator[str]:
    yield f"Borders within {TOLERANCE:g} s and segments by IoU, one to one:"
    yield ""
    leasts = list(report.parted[0].segments)
    head = ["", "borders F1", "precision", "recall", *(f"segments F1 at {k}" for k in leasts)]
    rows = []
    for one in report.parted:
        cells = [_spread(one.borders), f"{100 * one.precision:.1f}", f"{100 * one.recall:.1f}"]
        cells += [_spread(one.segments[k]) for k in leasts]
        rows.append([one.name, *cells, _spread(one.iou)])
        if one.labelled:
            own = [_spread(one.labelled[k]) for k in leasts]
            rows.append([f"{one.name}, rightly labelled", "-", "-", "-", *own, "-"])
    yield from table(" | ".join([*head, "mean IoU"]), rows)


def _named(report: EventsReport, rows: list[Named]) -> Iterator[str]:
    one, five = (f"{100 * chance:.1f}" for chance in report.chance)
    cells = [
        [
            row.name,
            row.views,
            _spread(row.top1),
            _spread(row.top5),
            f"{100 * row.balanced:.1f}",
            f"{100 * row.ap:.1f}",
        ]
        for row in rows
    ]
    head = "system | views | top-1 | top-5 | top-1, classes alike | mAP"
    yield from table(head, [*cells, ["chance", "-", one, five, one, "-"]])


def _drawn(report: EventsReport) -> Iterator[str]:
    yield "Top-1 by mean pooling, mean and deviation over seeded draws:"
    yield ""
    systems = list(dict.fromkeys(name for one in report.drawn for name in one.figures))
    rows = [
        [
            one.name,
            str(one.classes),
            f"{one.queries:.1f}",
            *(
                f"{100 * one.figures[name][0]:.1f} ± {100 * one.figures[name][1]:.1f}"
                if name in one.figures
                else "-"
                for name in systems
            ),
            f"{100 * one.chance:.1f}",
        ]
        for one in report.drawn
    ]
    yield from table(" | ".join(["protocol", "classes", "segments", *systems, "chance"]), rows)


def save_events(report: EventsReport, out: Path) -> None:
    """Write ``report.md``, ``report.json`` and their pictures."""
    out.mkdir(parents=True, exist_ok=True)
    told = json.dumps(finite(asdict(report)), indent=1, ensure_ascii=False)
    (out / "report.json").write_text(told + "\n", encoding="utf-8")
    shown = [draw_named(report, out / "labels.png")]
    if report.parted:
        shown.append(draw_strips(report, out / "borders.png"))
    pictures = "\n".join(f"![{path.stem}]({path.name})" for path in shown)
    text = f"{render_events(report)}\n\n{pictures}\n"
    (out / "report.md").write_text(text, encoding="utf-8")


def draw_named(report: EventsReport, path: Path) -> Path:
    """Bars of top-1 and top-5 with their intervals."""
    from matplotlib.figure import Figure

    names = [f"{one.name}\n{one.segments}, {one.views}" for one in report.named]
    figure = Figure(figsize=(max(6.0, 1.1 * len(names)), 4.4), layout="constrained")
    axes = figure.subplots()
    for number, (kind, color) in enumerate(zip(("top1", "top5"), COLORS, strict=True)):
        values: list[Value] = [getattr(one, kind) for one in report.named]
        places = [place + 0.4 * number - 0.2 for place in range(len(values))]
        low = [max(0.0, one.value - one.low) for one in values]
        high = [max(0.0, one.high - one.value) for one in values]
        axes.bar(
            places,
            [one.value for one in values],
            0.4,
            yerr=(low, high),
            error_kw={"lw": 0.8},
            color=color,
            hatch=("", "//")[number],
            edgecolor="white",
            label=f"top-{kind[3:]}",
        )
        axes.axhline(
            report.chance[number], color=color, linestyle="dotted", label=f"chance, top-{kind[3:]}"
        )
    axes.set(xticks=range(len(names)), ylim=(0, 1), ylabel="segments named rightly")
    axes.set_xticklabels(names, rotation=30, ha="right", fontsize=7)
    axes.legend(fontsize=8)
    axes.grid(axis="y", alpha=0.3)
    figure.savefig(path, dpi=DPI)
    return path


def draw_strips(report: EventsReport, path: Path) -> Path:
    """The first clips as bands: what is known above what was found."""
    from matplotlib.figure import Figure

    strips = report.strips[:MOST_STRIPS]
    figure = Figure(figsize=(13, 2.0 * len(strips)), layout="constrained")
    panels = figure.subplots(len(strips), 1, squeeze=False)[:, 0]
    for axes, strip in zip(panels, strips, strict=True):
        _draw_strip(axes, strip)
    panels[-1].set_xlabel("seconds")
    figure.savefig(path, dpi=DPI)
    return path


def _draw_strip(axes: object, strip: Strip) -> None:
    from matplotlib.axes import Axes

    assert isinstance(axes, Axes)
    for row, spans in ((1, strip.known), (0, strip.found)):
        for number, (start, end, label) in enumerate(spans):
            shade = ("#CCDDEE", "#F5E0C8")[number % 2]
            axes.barh(row, end - start, 0.9, start, color=shade, edgecolor="0.3", linewidth=0.6)
            if end - start >= WIDE:
                told = label if len(label) <= LETTERS else label[: LETTERS - 1] + "…"
                middle = (start + end) / 2
                axes.text(middle, row, told, ha="center", va="center", fontsize=6, rotation=60)
    axes.set(yticks=(0, 1), xlim=(0, strip.duration), title=strip.name)
    axes.set_yticklabels(("found", "known"))
    axes.title.set_fontsize(8)


def _spread(value: Value) -> str:
    return f"{100 * value.value:.1f} ({100 * value.low:.1f}-{100 * value.high:.1f})"
