"""How a task evaluation is printed and kept; its pictures are those of ``plots``."""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from assistant.evaluation.bootstrap import RESAMPLES
from assistant.evaluation.figures import Sureness, TypeRow
from assistant.evaluation.plots import draw_accuracy, draw_confusion, draw_reliability
from assistant.evaluation.tasks import SystemReport, TaskReport

WORST = 12  # wrong answers shown


def render_task(report: TaskReport) -> str:
    """The report as Markdown."""
    told = report.manifest
    frames = " or ".join(map(str, sorted(set(told["frames"].values()))))
    lines = [
        f"task {report.task}, base {told['base']}, {told['questions']} questions of the split "
        f"{told['split']}, {frames} frames {told['frame order']}, seed {told['seed']}"
    ]
    for system in report.systems:
        lines += ["", *_system_lines(system)]
    if len(report.systems) > 1:
        lines += ["", *_comparison(report)]
    return "\n".join(lines)


def _system_lines(system: SystemReport) -> Iterator[str]:
    size = f", {system.parameters:,} parameters" if system.parameters else ""
    figures = system.figures
    yield f"**{system.name}** ({system.adapter}{size})"
    yield ""
    yield from _type_table("type", system.rows)
    if figures.classes:
        yield ""
        yield from table(
            "type | scorer | n | accuracy (95 %) | weighted P | R | F1 (95 %) | macro P | R | F1",
            (
                [
                    row.type,
                    row.scorer,
                    str(row.count),
                    _spread(row.scores.accuracy, row.accuracy_interval),
                    *map(_percent, (row.scores.precision, row.scores.recall)),
                    _spread(row.scores.f1, row.f1_interval),
                    *map(_percent, (row.scores.macro_precision, row.scores.macro_recall)),
                    _percent(row.scores.macro_f1),
                ]
                for row in figures.classes
            ),
        )
    yield ""
    yield from table(
        "free answers | mean | 95 %",
        (
            [row.name, f"{row.value:.3f}", f"{row.interval[0]:.3f}-{row.interval[1]:.3f}"]
            for row in figures.texts
        ),
    )
    if figures.speakers:
        yield ""
        yield from _type_table("speaker", figures.speakers)
    if figures.sureness is not None:
        yield ""
        yield _sure_line(figures.sureness)


def _type_table(what: str, rows: Iterable[TypeRow]) -> Iterator[str]:
    return table(
        f"{what} | n | chance | majority | blind | choices (95 %) | strict",
        (
            [
                row.type,
                str(row.count),
                *map(_percent, (row.chance, row.majority, row.blind)),
                f"**{_percent(row.by_choice)}** "
                f"({_percent(row.interval[0])}-{_percent(row.interval[1])})",
                _percent(row.strict),
            ]
            for row in rows
        ),
    )


def _sure_line(sure: Sureness) -> str:
    fitted = sure.calibration
    line = f"Expected calibration error {sure.error:.3f}"
    if not fitted.examples:
        return f"{line}; no temperature was fitted."
    least = f"Unsure below {fitted.unsure_below:.0%}" if fitted.unsure_below else "Never unsure"
    return (
        f"{line} ({sure.raw_error:.3f} before the temperature {fitted.temperature:g}). "
        f"{least}: {_percent(sure.answered)} % answered, {_percent(sure.accuracy)} % of those "
        f"right; on dev {_percent(fitted.answered)} % and {_percent(fitted.accuracy)} %."
    )


def _comparison(report: TaskReport) -> Iterator[str]:
    """Choices of every system side by side, and the first one's lead."""
    first, *others = report.systems
    kinds = [row.type for row in first.rows]
    rows = []
    for system in report.systems:
        found = {row.type: _percent(row.by_choice) for row in system.rows}
        size = f"{system.parameters:,}"
        rows.append([system.name, size, *(found.get(kind, "") for kind in kinds)])
    yield from table(" | ".join(["choices", "parameters", *kinds]), rows)
    yield ""
    yield from table(
        f"{first.name} less | accuracy, points | 95 % | p",
        (
            [
                system.name,
                f"{100 * apart.value:+.1f}",
                f"{100 * apart.interval[0]:+.1f} to {100 * apart.interval[1]:+.1f}",
                f"{apart.p:.4f}",
            ]
            for system, apart in zip(others, report.differences, strict=True)
        ),
    )


def save_task(report: TaskReport, out: Path) -> None:
    """Write ``report.md`` with its pictures, ``report.json`` and each system's answers."""
    out.mkdir(parents=True, exist_ok=True)
    data = asdict(report)
    for system, answers in zip(data["systems"], report.systems, strict=True):
        del system["answers"]
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in answers.answers)
        (out / f"answers-{_file_name(answers)}.jsonl").write_text(lines)
    (out / "report.json").write_text(json.dumps(data, indent=1) + "\n")
    pictures = [
        draw_accuracy(report, out / "accuracy.png"),
        draw_reliability(report, out / "reliability.png"),
        *(draw_confusion(one, out / f"confusion-{_file_name(one)}.png") for one in report.systems),
    ]
    shown = [f"![{path.stem}]({path.name})" for path in pictures if path is not None]
    worst = ("\n".join(_worst(system)) for system in report.systems)
    parts = [render_task(report), *shown, *worst, "\n".join(_manifest(report))]
    (out / "report.md").write_text("\n\n".join(parts) + "\n")


def _worst(system: SystemReport) -> Iterator[str]:
    """The wrong answers that the system was surest of."""
    wrong = [a for a in system.answers if a["truth"] not in (a["choice"], a["free"])]
    wrong.sort(key=lambda answer: -(answer["sure"] or 0.0))
    yield f"Wrong answers of {system.name}, the {WORST} surest of {len(wrong)}:"
    yield ""
    yield from table(
        "id | type | question | right | chosen | sure | free",
        (
            [
                *(str(a[key]) for key in ("id", "type", "question", "truth")),
                a["choice"] or "-",
                "-" if a["sure"] is None else _percent(a["sure"]),
                a["free"],
            ]
            for a in wrong[:WORST]
        ),
    )


def _manifest(report: TaskReport) -> Iterator[str]:
    """What the figures rest on."""
    yield "What this rests on:"
    yield ""
    told = {**report.manifest, "bootstrap": f"{RESAMPLES:,} draws of whole clips, percentiles"}
    yield from table(
        "what | value",
        (
            [
                name,
                ", ".join(f"{key} {item}" for key, item in value.items())
                if isinstance(value, dict)
                else str(value),
            ]
            for name, value in told.items()
        ),
    )


def table(head: str, rows: Iterable[list[str]]) -> Iterator[str]:
    yield f"| {head} |"
    yield "|---" * (head.count("|") + 1) + "|"
    for row in rows:
        cells = (" ".join(cell.split()).replace("|", r"\|") for cell in row)
        yield f"| {' | '.join(cells)} |"


def _spread(value: float, interval: tuple[float, float]) -> str:
    return f"{_percent(value)} ({_percent(interval[0])}-{_percent(interval[1])})"


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.0f}"


def _file_name(system: SystemReport) -> str:
    return Path(system.name).name
