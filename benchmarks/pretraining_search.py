"""Short pretraining runs that differ in one thing each, side by side.

    python benchmarks/pretraining_search.py --photos FLICKR8K --out RUNS [ROW ...]

Rows are changes to the first phase of a recipe (``pretraining_search.yaml``), each trained on the
same number of samples from the same seed; the table has samples per second and the dev figures at
the end. A row that is already in RUNS is not trained again. ``--features`` takes the encoded
pictures of an earlier run.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import yaml

from assistant.core.resources import adapters_dir
from assistant.training.pretraining import run as pretraining


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="default: all")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--features", type=Path)
    parser.add_argument("--rows-file", type=Path, default=Path(__file__).with_suffix(".yaml"))
    parser.add_argument("--recipe", type=Path, default=adapters_dir() / "mini/base/pretrain.yaml")
    args = parser.parse_args()
    rows = yaml.safe_load(args.rows_file.read_text())
    recipe = yaml.safe_load(args.recipe.read_text())
    recipe["phases"] = recipe["phases"][:1]
    found = {
        name: train(merged(recipe, rows["all"], rows[name]), args, args.out / name)
        for name in args.rows or [name for name in rows if name != "all"]
    }
    figures = sorted({key for row in found.values() for key in row})
    print("| figure | " + " | ".join(found) + " |\n|---|" + "---|" * len(found))
    for figure in figures:
        values = " | ".join(f"{row.get(figure, float('nan')):.3f}" for row in found.values())
        print(f"| {figure} | {values} |")


def merged(recipe: dict, *changes: dict[str, Any] | None) -> dict:
    """The recipe with changes to its keys; those under ``phase`` go to the phase."""
    whole = json.loads(json.dumps(recipe))
    for change in changes:
        for key, value in (change or {}).items():
            if key == "phase":
                whole["phases"][0] = merged(whole["phases"][0], value)
            elif isinstance(value, dict):
                whole[key] = {**whole.get(key, {}), **value}
            else:
                whole[key] = value
    return whole


def train(recipe: dict, args: argparse.Namespace, out: Path) -> dict[str, float]:
    """The last dev figures of a run, trained first where it is not there yet."""
    out.mkdir(parents=True, exist_ok=True)
    if args.features and not (out / "features").exists():
        (out / "features").symlink_to(args.features.resolve())
    log, config = out / "log.jsonl", out / "recipe.yaml"
    if not (out / "base").exists():
        config.write_text(yaml.safe_dump(recipe))
        pretraining.run(config, args.photos, out, resume=(out / "checkpoint.pt").exists())
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    last = next(line for line in reversed(lines) if any(k.startswith("dev") for k in line))
    first, final = (next(r for r in rows if "loss" in r) for rows in (lines, lines[::-1]))
    steps, seconds = final["step"] - first["step"], final["time"] - first["time"]
    rate = steps * recipe["phases"][0]["batch"] / max(seconds, 1)
    return {
        "samples/s": rate,
        **{k: v for k, v in last.items() if k not in ("phase", "step", "time")},
    }


if __name__ == "__main__":
    main()
