"""The pictures of a task evaluation, PNG: accuracy by type, confusion, reliability."""

import math
from pathlib import Path

from assistant.evaluation.tasks import SystemReport, TaskReport

DPI = 120


def draw_accuracy(report: TaskReport, path: Path) -> Path:
    """Bars of accuracy by type with their 95 % intervals, the systems side by side."""
    from matplotlib.figure import Figure

    kinds = [row.type for row in report.systems[0].rows]
    width = 0.8 / len(report.systems)
    figure = Figure(figsize=(max(6.0, 1.4 * len(kinds)), 4.2), layout="constrained")
    axes = figure.subplots()
    for number, system in enumerate(report.systems):
        rows = {row.type: row for row in system.rows}
        shown = [(place, rows[kind]) for place, kind in enumerate(kinds) if kind in rows]
        heights = [row.strict if math.isnan(row.by_choice) else row.by_choice for _, row in shown]
        low, high = (
            [
                abs(height - row.interval[end])
                for height, (_, row) in zip(heights, shown, strict=True)
            ]
            for end in (0, 1)
        )
        axes.bar(
            [place + (number + 0.5) * width - 0.4 for place, _ in shown],
            heights,
            width,
            yerr=(low, high),
            error_kw={"lw": 0.8},
            label=system.name,
        )
    for place, row in enumerate(report.systems[0].rows):
        if not math.isnan(row.chance):
            label = "chance" if place == 0 else "_"
            axes.hlines(row.chance, place - 0.45, place + 0.45, "black", "dotted", label=label)
    axes.set(xticks=range(len(kinds)), ylim=(0, 1), ylabel="accuracy", title=report.task)
    axes.set_xticklabels([kind.replace("_", " ") for kind in kinds], rotation=20, ha="right")
    axes.legend(fontsize=8)
    axes.grid(axis="y", alpha=0.3)
    figure.savefig(path, dpi=DPI)
    return path


def draw_confusion(system: SystemReport, path: Path) -> Path | None:
    """What is right (rows) against what was chosen, a panel for each type; None: no classes."""
    from matplotlib.figure import Figure

    tables = system.figures.confusions
    if not tables:
        return None
    sides = [1.4 + 0.55 * len(table.labels) for table in tables]
    figure = Figure(figsize=(sum(sides) + 1.5, max(sides) + 1.0), layout="constrained")
    panels = figure.subplots(1, len(tables), squeeze=False, width_ratios=sides)[0]
    for axes, table in zip(panels, tables, strict=True):
        named = [row[:-1] for row in table.counts]  # a choice is always one of the classes
        axes.imshow([[count / max(1, sum(row)) for count in row] for row in named], "Blues", vmax=1)
        for y, row in enumerate(named):
            for x, count in enumerate(row):
                dark = count > 0.6 * max(1, sum(row))
                color = "white" if dark else "black"
                axes.text(x, y, count, ha="center", va="center", color=color, fontsize=8)
        places = range(len(table.labels))
        axes.set(xticks=places, yticks=places, xlabel="chosen", ylabel="right", title=table.type)
        axes.set_xticklabels(table.labels, rotation=60, ha="right", fontsize=8, parse_math=False)
        axes.set_yticklabels(table.labels, fontsize=8, parse_math=False)
    figure.savefig(path, dpi=DPI)
    return path


def draw_reliability(report: TaskReport, path: Path) -> Path | None:
    """How often answers of a confidence are right, a line for each system; None: no choices."""
    from matplotlib.figure import Figure

    shown = [system for system in report.systems if system.figures.sureness is not None]
    if not shown:
        return None
    figure = Figure(figsize=(4.8, 4.8), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.6", linestyle="dotted", label="as sure as right")
    for system in shown:
        sure = system.figures.sureness
        assert sure is not None
        most = max(one.count for one in sure.bins)
        x, y = ([getattr(one, name) for one in sure.bins] for name in ("confidence", "accuracy"))
        (line,) = axes.plot(x, y, label=f"{system.name} (error {sure.error:.3f})")
        sizes = [10 + 90 * one.count / most for one in sure.bins]
        axes.scatter(x, y, sizes, color=line.get_color())
        if sure.calibration.unsure_below:
            axes.axvline(sure.calibration.unsure_below, color=line.get_color(), linewidth=0.8)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability of the choice", ylabel="accuracy")
    axes.set_title(f"{report.task}: upright lines are where unsure ends", fontsize=9)
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=DPI)
    return path
