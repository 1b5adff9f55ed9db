"""How far a training is: its stage, its curve, and the minutes that are left."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.tasks.recipes import load_recipe
from assistant.training.teaching.runs import LOG, answers_recipe, read_run
from assistant.training.teaching.sets import ANSWERS, TeachingSet

FIGURES = "log.jsonl"  # of a run
MEASURED = {"accuracy": 1.0, "top-1": 100.0}  # on what was set aside, and what all right is
BAR = re.compile(r"^(?P<what>[^:\r\n]+):\s+(?P<share>\d+)%\|")
PHASE = re.compile(r"^epoch (?P<at>\d+) of (?P<all>\d+)$")
SLOWER = 10.0  # times as long as others epochs through the language model take, about
TAIL = 4096  # bytes of the log that are looked at


@dataclass(frozen=True)
class Curve:
    """Losses by epoch, each a point ``(epoch, loss)``."""

    learned: tuple[tuple[int, float], ...] = ()  # on what it learns from
    aside: tuple[tuple[int, float], ...] = ()  # on what was set aside
    through_llm: int = 0  # the first epoch whose loss is that of the language model, too; 0: none


@dataclass(frozen=True)
class Progress:
    """Of a training that runs, or ran."""

    doing: str  # what it is at
    share: float  # of the whole, 0 to 1, as far as it is known
    curve: Curve
    right: float | None = None  # the share of what was set aside that the kept epoch has right
    left: float | None = None  # seconds; None: not known yet


def read_progress(taught: TeachingSet) -> Progress:
    """How far the last training of ``taught`` is."""
    lines = _figures(taught.run / FIGURES)
    what, at, epochs = _last_bar(taught.folder / LOG)
    run = read_run(taught)
    curve = _curve(taught, lines)
    right = _right(lines, curve.through_llm) if taught.sets_aside() else None
    if not epochs:
        return Progress(what or "starting", 0.0, curve, right)
    fresh = [line for line in lines if run is None or line["time"] >= run.began]
    left = _left(fresh, epochs, curve.through_llm)
    return Progress(f"epoch {at} of {epochs}", at / epochs, curve, right, left)


def _right(lines: list[dict[str, Any]], through_llm: int) -> float | None:
    """The share that the epoch which is kept has right: the best one's."""
    kept = [line for line in lines if line["epoch"] >= through_llm]
    shares = [line[key] / whole for line in kept for key, whole in MEASURED.items() if key in line]
    return max(shares, default=None)


def _left(lines: list[dict[str, Any]], epochs: int, through_llm: int) -> float | None:
    """Seconds, at the pace so far; epochs through the language model have their own."""
    ends = {line["epoch"]: line["time"] for line in lines}
    last, border = max(ends, default=0), through_llm or epochs + 1
    fast = _pace({epoch: end for epoch, end in ends.items() if epoch < border})
    slow = _pace({epoch: end for epoch, end in ends.items() if epoch >= border})
    if slow is None and fast is not None:
        slow = SLOWER * fast
    coming = max(0, border - 1 - last)  # fast ones
    if slow is None or (coming and fast is None):
        return None
    return coming * (fast or 0.0) + (epochs - last - coming) * slow


def _pace(ends: dict[int, float]) -> float | None:
    """Seconds an epoch, by when each of them ended."""
    if len(ends) < 2:
        return None
    first, last = min(ends), max(ends)
    return (ends[last] - ends[first]) / (last - first)


def _curve(taught: TeachingSet, lines: list[dict[str, Any]]) -> Curve:
    if taught.kind == ANSWERS:
        silent = load_recipe(answers_recipe()).training.silent_epochs
        return Curve(_points(lines, "loss"), _points(lines, "dev loss"), silent + 1)
    aside = _points(lines, "dev loss") if taught.sets_aside() else ()
    return Curve(_points(lines, "loss"), aside)


def _points(lines: list[dict[str, Any]], key: str) -> tuple[tuple[int, float], ...]:
    """The last value of each epoch."""
    return tuple({line["epoch"]: line[key] for line in lines if key in line}.items())


def _figures(path: Path) -> list[dict[str, Any]]:
    """The lines that are whole: one may be being written, or torn where a disk was full."""
    found = []
    for line in path.read_text("utf-8").splitlines() if path.is_file() else ():
        with suppress(ValueError):
            found.append(json.loads(line))
    return found


def _last_bar(path: Path) -> tuple[str, int, int]:
    """What its last bar is about, and the epoch of how many; 0 of 0: no epoch has begun."""
    if not path.is_file():
        return "", 0, 0
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - TAIL))
        text = log.read().decode("utf-8", "replace")
    bars = [match for part in re.split(r"[\r\n]", text) if (match := BAR.match(part))]
    if not bars:
        return "", 0, 0
    what, share = bars[-1]["what"].strip(), bars[-1]["share"]
    if (phase := PHASE.match(what)) is not None:
        return what, int(phase["at"]), int(phase["all"])
    return f"{what}: {share} %", 0, 0
