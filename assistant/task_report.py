"""How a task evaluation is printed, drawn and kept."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path

from assistant.task_evaluation import SystemReport, TaskReport

__all__ = ["draw_task", "render_task", "save_task"]

LEAST_WRONG = 12  # wrong answers shown


def render_task(report: TaskReport) -> str:
    """The report as Markdown."""
    told = report.manifest
    lines = [
        f"task {report.task}, base {told['base']}, {told['questions']} questions of the split "
        f"{told['split']}, {told['frames']} frames {told['frame order']}, seed {told['seed']}",
    ]
    for system in report.systems:
        lines += ["", *_system_lines(system)]
    if len(report.systems) > 1:
        lines += ["", *_comparison(report.systems)]
    return "\n".join(lines)


def _system_lines(system: SystemReport) -> list[str]:
    size = f", {system.parameters:,} parameters" if system.parameters else ""
    return [
        f"**{system.name}** ({system.adapter}{size})",
        "",
        "| type | n | chance | majority | blind | choices (95 %) | strict |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {row.type} | {row.count} | {_percent(row.chance)} | {_percent(row.majority)} | "
            f"{_percent(row.blind)} | **{_percent(row.by_choice)}** "
            f"({_percent(row.interval[0])}-{_percent(row.interval[1])}) | {_percent(row.strict)} |"
            for row in system.rows
        ),
    ]


def _comparison(systems: tuple[SystemReport, ...]) -> list[str]:
    """Choices of every system, side by side."""
    kinds = [row.type for row in systems[0].rows]
    lines = [
        "| choices | parameters | " + " | ".join(kinds) + " |",
        "|---|---|" + "---|" * len(kinds),
    ]
    for system in systems:
        found = {row.type: _percent(row.by_choice) for row in system.rows}
        cells = " | ".join(found.get(kind, "") for kind in kinds)
        lines.append(f"| {system.name} | {system.parameters:,} | {cells} |")
    return lines


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.0f}"


def draw_task(report: TaskReport, path: Path) -> Path:
    """Bars of accuracy by type with their 95 % intervals, the systems side by side; PNG."""
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
    figure.savefig(path, dpi=120)
    return path


def save_task(report: TaskReport, out: Path) -> None:
    """Write ``report.md``, ``report.json``, ``accuracy.png`` and each system's answers."""
    out.mkdir(parents=True, exist_ok=True)
    data = asdict(report)
    for system, answers in zip(data["systems"], report.systems, strict=True):
        del system["answers"]
        name = Path(answers.name).name
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in answers.answers)
        (out / f"answers-{name}.jsonl").write_text(lines)
    (out / "report.json").write_text(json.dumps(data, indent=1) + "\n")
    picture = draw_task(report, out / "accuracy.png")
    (out / "report.md").write_text(
        f"{render_task(report)}\n\n![accuracy]({picture.name})\n\n{_mistakes(report)}\n"
    )


def _mistakes(report: TaskReport) -> str:
    """The first wrong answers of each system."""
    lines = []
    for system in report.systems:
        wrong = [a for a in system.answers if a["truth"] not in (a["choice"], a["free"])]
        lines += [f"Wrong answers of {system.name}, the first {LEAST_WRONG} of {len(wrong)}:", ""]
        lines += ["| id | type | right | chosen | free |", "|---|---|---|---|---|"]
        lines += [
            f"| {a['id']} | {a['type']} | {a['truth']} | {a['choice']} | {a['free']} |"
            for a in wrong[:LEAST_WRONG]
        ]
        lines.append("")
    return "\n".join(lines)
