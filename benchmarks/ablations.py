"""Adapters that differ in one thing each, trained on the same number of examples and side by side.

    python benchmarks/ablations.py motion [ROW ...] --generate 400 --test 150 --out RUNS

Rows are changes to a shipped adapter's recipe (``ablations.yaml``); a row with several seeds is
trained once per seed and printed as mean and spread. Questions of two types alone, so that few
examples tell rows apart. The test questions are of generated clips of the test split, answered by
choices: by what the visual tokens spell where a row was trained without the LLM, through the LLM
else. What is in RUNS already is not trained again, and a run that was stopped goes on; several may
fill one RUNS at a time, with rows of their own.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from assistant.core.config import from_mapping
from assistant.core.resources import adapters_dir
from assistant.evaluation.tasks import OrderedLearner, drawn
from assistant.model.audio import ear_of
from assistant.model.hearing import Heard
from assistant.model.loading import load_model
from assistant.tasks.prompts import TaskPrompt, load_prompt
from assistant.tasks.recipes import Recipe, load_recipe
from assistant.tasks.store import find_task
from assistant.training.clips import clip_table, clips_of
from assistant.training.examples import DrawnExample, make_examples
from assistant.training.finetune import ADAPTER, CARD, ablated, finetune, generated_examples
from assistant.training.generated import KIND_OF_TASK, generated_items
from assistant.training.learner import accuracies
from assistant.training.loop import CHECKPOINT, LOG
from assistant.training.losses.slots import SpelledAnswer, WordSlots

TEST_SEED = 11
OTHER_SOUNDS = "other sounds"  # beside the frames' orders
BATCH = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task")
    parser.add_argument("rows", nargs="*", metavar="ROW", help="default: all")
    parser.add_argument("--generate", type=int, required=True, metavar="N", help="training clips")
    parser.add_argument("--test", type=int, default=300, metavar="N", help="test clips")
    parser.add_argument("--per-type", type=int, default=60, metavar="N", help="test questions")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows-file", type=Path, default=Path(__file__).with_suffix(".yaml"))
    args = parser.parse_args()
    rows = yaml.safe_load(args.rows_file.read_text())
    common = rows.pop("all")
    types, groups = set(common.pop("types")), common.pop("groups", {})
    asked = common.pop("prompt", None)
    prompt = find_task(args.task) if asked is None else load_prompt(Path(asked))
    shipped = adapters_dir() / "mini" / common.pop("shipped", args.task)
    table: dict[str, list[dict[str, float]]] = {}
    for name in args.rows or rows:
        row = dict(rows[name])
        for seed in row.pop("seeds", [common["training"]["seed"]]):
            recipe = recipe_of(shipped, common, row, seed)
            order = row.get("frame_order", "forward")
            trained = args.out / "runs" / run_name(row.get("trained_as", name), seed)
            start = shipped if common.get("from_shipped") else None
            if "begun_from" in row:
                start = args.out / "runs" / run_name(row["begun_from"], seed) / ADAPTER
            figures = run(recipe, order, trained, types, args, prompt, start)
            for group, some in groups.items():
                figures[group] = statistics.mean(figures[f"accuracy: {kind}"] for kind in some)
            table.setdefault(name, []).append(figures)
            print_table(table)


def recipe_of(shipped: Path, common: dict, row: dict[str, Any], seed: int) -> Recipe:
    """The recipe in ``shipped`` with the changes that all rows have, and this row's."""
    own = ("without", "frame_order", "trained_as", "from_shipped", "begun_from")
    changes = [{k: v for k, v in part.items() if k not in own} for part in (common, row)]
    plain = merged(load_recipe(shipped).as_dict(), *changes, {"training": {"seed": seed}})
    plain["made"] = None
    return ablated(from_mapping(Recipe, plain, "ablations"), row.get("without", ()))


def merged(*parts: dict) -> dict:
    """Nested mappings, later ones over earlier ones."""
    whole: dict = {}
    for part in parts:
        for key, value in part.items():
            both = isinstance(value, dict) and isinstance(whole.get(key), dict)
            whole[key] = merged(whole[key], value) if both else value
    return whole


def run_name(name: str, seed: int) -> str:
    return f"{name.replace(' ', '-')}-{seed}"


def run(
    recipe: Recipe,
    order: str,
    out: Path,
    types: set[str],
    args: argparse.Namespace,
    prompt: TaskPrompt,
    start: Path | None,
) -> dict[str, float]:
    """The figures of one adapter; trained, and measured, where it is not yet."""
    kept = out / f"figures-{order}.json"
    if not kept.exists():
        if not (out / ADAPTER / CARD).exists():
            out.mkdir(parents=True, exist_ok=True)
            features = out / "features"
            if not features.exists():
                (args.out / "features").mkdir(exist_ok=True)
                features.symlink_to((args.out / "features").resolve())
            examples = generated_examples(args.generate, 7, KIND_OF_TASK[args.task])
            items = tuple(item for item in examples.items if item.type in types)
            examples = replace(examples, items=items)
            finetune(
                recipe,
                prompt,
                load_model("mini", attention="eager", reading=False),
                examples,
                out,
                start=start,
                resume=(out / CHECKPOINT).exists(),
            )
        kept.write_text(json.dumps(measured(out, order, types, args, prompt)))
    return json.loads(kept.read_text())


def measured(
    out: Path, order: str, types: set[str], args: argparse.Namespace, prompt: TaskPrompt
) -> dict[str, float]:
    """Trained parameters, minutes, and percent right by type."""
    model, recipe = load_model("mini", reading=False), load_recipe(out / ADAPTER)
    recipe = replace(recipe, training=replace(recipe.training, jitter=1))
    key = model.load_adapter(out / ADAPTER, recipe)
    items = generated_items(args.test, TEST_SEED, "test", KIND_OF_TASK[args.task])
    items = drawn([item for item in items if item.type in types], args.per_type, TEST_SEED)
    clips = clips_of(items)
    windows = recipe.frames
    table = clip_table(
        args.out / "features", model.encoder, clips, windows, ear_of(recipe), windows
    )
    examples = make_examples(items, prompt, model, table, clips, recipe)
    kind, order = (OtherSounds, "forward") if order == OTHER_SOUNDS else (OrderedLearner, order)
    learner = kind(model, recipe, table, key, order, TEST_SEED).eval()
    silent = recipe.training.silent_epochs == recipe.training.epochs
    if silent:
        texts = {choice for example in examples for choice in example.choices}
        repeated = recipe.training.repeated
        words = WordSlots(model.llm, texts, (), repeated=repeated)
        learner.losses["slots"] = SpelledAnswer(words)
    asked = [DrawnExample(example, example.shown) for example in examples]
    lines = [json.loads(line) for line in (out / LOG).read_text().splitlines()]
    return {
        "parameters": model.adapters.size(key),
        "minutes": (lines[-1]["time"] - lines[0]["time"]) / 60,
        **{name: 100 * share for name, share in accuracies(learner, asked, BATCH, silent).items()},
    }


class OtherSounds(OrderedLearner):
    """A learner that hears the sound of another test clip with each clip."""

    def sounds(self, keys: Sequence[str], frames: int) -> Heard | None:
        assert self.table is not None
        split = Path(keys[0]).parent
        clips = sorted(key for key in self.table.places if Path(key).parent == split)
        order = np.random.default_rng(self.seed).permutation(clips).tolist()
        nexts = dict(zip(order, order[1:] + order[:1], strict=True))
        return super().sounds([nexts[key] for key in keys], frames)


def print_table(table: dict[str, list[dict[str, float]]]) -> None:
    columns = list(dict.fromkeys(key for runs in table.values() for run in runs for key in run))
    print("\n| row | seeds | " + " | ".join(columns) + " |\n|---|---|" + "---|" * len(columns))
    for name, runs in table.items():
        cells = []
        for column in columns:
            values = [run[column] for run in runs if column in run]
            mean = statistics.mean(values)
            digits = 0 if column == "parameters" else 1
            spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 and digits else ""
            cells.append(f"{mean:,.{digits}f}{spread}")
        print(f"| {name} | {len(runs)} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
