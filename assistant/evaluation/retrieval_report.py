"""How an evaluation of retrieval is printed and kept."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import cycle
from pathlib import Path

from assistant.evaluation.ranks import PERCENT, Value, percent
from assistant.evaluation.report import table
from assistant.evaluation.retrieval import Direction, RetrievalReport

DPI = 120
COLUMNS = 3  # of panels
# Okabe and Ito's colors, told apart by everyone, with lines of their own.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))


def render_retrieval(reports: Sequence[RetrievalReport]) -> str:
    """The reports as Markdown; several beside each other in a table of their own."""
    lines: list[str] = []
    for report in reports:
        told = report.manifest
        held = ", ".join(
            f"{told[name]:,} {name}s" for name in ("text", "image", "video") if name in told
        )
        lines += [
            f"**{report.name}**: {told['events']:,} events, {held}; joint space {told['space']}, "
            f"seed {told['seed']}, {told['date']}",
            "",
        ]
        for direction in report.directions:
            lines += [*_direction(direction), ""]
    if len(reports) > 1:
        lines += [*_beside(reports), ""]
    return "\n".join(lines[:-1])


def _direction(one: Direction) -> Iterator[str]:
    k = percent(one.items)
    yield f"{one.name}: {one.queries:,} queries, each among {one.items:,} (1 %: {k})"
    yield ""
    names = list(next(iter(one.systems.values())).recall)
    head = " | ".join(("system", *(f"R@{name.replace('%', ' %')}" for name in names), "AP", "F1"))
    rows = [
        [name, *(_spread(own.recall[k]) for k in names), _spread(own.ap), f"{100 * own.f1:.1f}"]
        for name, own in one.systems.items()
    ]
    told = [f"{100 * one.chance[name]:.1f}" for name in (*names, "AP")]
    yield from table(head, [*rows, ["chance", *told, "-"]])


def _beside(reports: Sequence[RetrievalReport]) -> Iterator[str]:
    """R@1 % on each set, by the best system that an index has and by the first baseline."""
    kinds = dict.fromkeys(one.name for report in reports for one in report.directions)
    yield "R@1 % on each set (chance in brackets)"
    yield ""
    rows = []
    for report in reports:
        found = {one.name: one for one in report.directions}
        systems = dict.fromkeys(name for one in report.directions for name in one.systems)
        for system in systems:
            cells = []
            for kind in kinds:
                one = found.get(kind)
                known = one is not None and system in one.systems
                cells.append(
                    f"{100 * one.systems[system].recall[PERCENT].value:.1f} "
                    f"({100 * one.chance[PERCENT]:.1f})"
                    if one is not None and known
                    else "-"
                )
            rows.append([report.name, system, *cells])
    yield from table(" | ".join(("set", "system", *kinds)), rows)


def save_retrieval(reports: Sequence[RetrievalReport], out: Path) -> None:
    """Write ``report.md``, ``report.json`` and a picture of each set's curves."""
    out.mkdir(parents=True, exist_ok=True)
    told = [asdict(report) for report in reports]
    (out / "report.json").write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    shown = [draw_recall(report, out / f"recall-{report.name}.png") for report in reports]
    pictures = "\n".join(f"![{path.stem}](<{path.name}>)" for path in shown)
    (out / "report.md").write_text(f"{render_retrieval(reports)}\n\n{pictures}\n")


def draw_recall(report: RetrievalReport, path: Path) -> Path:
    """Recall by how many hits are looked at: a panel for each direction, a line for each system."""
    from matplotlib.figure import Figure

    names = dict.fromkeys(name for one in report.directions for name in one.systems)
    looks = dict(zip(names, cycle(zip(COLORS, LINES, strict=True))))
    count = len(report.directions)
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(4.2 * columns, 3.6 * rows), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, one in zip(panels, report.directions, strict=False):
        for name, own in one.systems.items():
            ks, (color, line) = range(1, len(own.curve) + 1), looks[name]
            axes.plot(ks, own.curve, label=name, color=color, linestyle=line)
        axes.set(title=f"{one.name} (among {one.items:,})", xscale="log", ylim=(0, 1))
        axes.set(xlabel="hits looked at (K)", ylabel="recall")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    for axes in panels[count:]:
        axes.set_visible(False)
    figure.savefig(path, dpi=DPI)
    return path


def _spread(value: Value) -> str:
    return f"{100 * value.value:.1f} ({100 * value.low:.1f}-{100 * value.high:.1f})"
