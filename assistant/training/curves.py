"""Learning curves: ``log.jsonl`` of a training run as one picture."""

import json
import math
from pathlib import Path
from typing import Any

COLUMNS = 3
PLAIN = ("loss", "accuracy")  # titles that say it all
STRETCHES = ("phase", "member")  # of a run, that are parted by a line
KEYS = (*STRETCHES, "epoch", "step", "time")


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a run's log, oldest first."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def draw_curves(log: Path, out: Path) -> Path:
    """Draw losses (training and dev) and dev accuracies over the steps of all phases; PNG."""
    from matplotlib.figure import Figure

    lines = read_log(log)
    at, starts = _positions(lines)
    names = sorted({key for line in lines for key in line if key not in KEYS})
    losses = [name for name in names if name == "loss" or name.startswith("dev ")]
    shares = [name for name in names if name not in losses]
    groups = {"loss": losses}
    for name in shares:  # "scene: color" belongs to the plot "scene"
        groups.setdefault(name.split(":")[0], []).append(name)
    columns = min(COLUMNS, len(groups))
    rows = math.ceil(len(groups) / columns)
    figure = Figure(figsize=(5 * columns, 3.6 * rows), layout="constrained")
    plots = list(figure.subplots(rows, columns, squeeze=False, sharex=True).flat)
    for axes, (title, group) in zip(plots[: len(groups)], groups.items(), strict=True):
        for name in group:
            points = [(x, line[name]) for x, line in zip(at, lines, strict=True) if name in line]
            label = name.split(": ")[-1]
            thin = name == "loss"
            axes.plot(
                *zip(*points, strict=True),
                label=label,
                lw=0.8 if thin else 1.6,
                marker=None if thin else ".",
            )
        for start in starts[1:]:
            axes.axvline(start, color="gray", ls=":", lw=1)
        axes.set(title=title if title in PLAIN else f"{title}, dev accuracy", xlabel="step")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    for axes in plots[len(groups) :]:
        axes.set_visible(False)
    figure.savefig(out, dpi=110)
    return out


def _positions(lines: list[dict[str, Any]]) -> tuple[list[int], list[int]]:
    """The step of each line, and that after which each phase starts."""
    starts: dict[int, int] = {}
    before = 0
    for line in lines:
        stretch = next((line[name] for name in STRETCHES if name in line), 1)
        starts.setdefault(stretch, before)
        before = line["step"]
    return [line["step"] for line in lines], list(starts.values())
