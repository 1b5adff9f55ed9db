"""What the trainings of heads on a joint space share: the run, and the folder that it leaves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from accelerate import Accelerator
from torch import Tensor

from assistant.core.files import put_folder
from assistant.model.weight_files import save_weights
from assistant.training.curves import draw_curves
from assistant.training.loop import LOG, Keep, Loop, Trainable

HEAD, RECIPE, CARD, CURVES = "head", "recipe.yaml", "CARD.md", "curves.png"


def run_loop(
    trainer: Trainable[Any],
    out: Path,
    accelerator: Accelerator,
    keep: Keep,
    *,
    best: float,
    resume: bool,
) -> None:
    """Train to the end, or go on; ``best``: the score that an epoch must pass to be kept."""
    loop = Loop(trainer, out, accelerator, keep)
    loop.progress.best = best
    if resume:
        loop.load()
    else:
        loop.save()
    try:
        loop.run()
        accelerator.wait_for_everyone()  # the head is written
    finally:
        loop.end()
    if accelerator.is_main_process:
        draw_curves(out / LOG, out / CURVES)


def put_head(
    folder: Path,
    weights: tuple[str, Mapping[str, Tensor]],
    told: Mapping[str, Any],
    beside: Mapping[str, bytes] | None = None,
) -> None:
    """Write a head, beside its place first: what lies there is whole.

    Args:
        weights: name of the file, and what it holds. told: dataclasses, by the name of their YAML.
        beside: other files, by their names.
    """
    fresh = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(fresh, ignore_errors=True)  # of a killed run
    fresh.mkdir()
    name, state = weights
    save_weights(state, fresh / name)
    for name, one in told.items():
        (fresh / name).write_text(yaml.safe_dump(_plain(asdict(one)), sort_keys=False))
    for name, content in (beside or {}).items():
        (fresh / name).parent.mkdir(exist_ok=True)
        (fresh / name).write_bytes(content)
    put_folder(fresh, folder)


def rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 2) for name, value in figures.items()}


def _plain(value: Any) -> Any:
    """Tuples as lists: YAML of other programs reads these."""
    return json.loads(json.dumps(value))
