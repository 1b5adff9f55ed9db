"""An adapter for text beside what answers without us, on the very same questions.

    assistant data convert mustard MUStARD/data named                         # five official folds
    assistant data convert mustard MUStARD/data bare --no-speakers
    assistant data convert mustard MUStARD/data strangers --split independent --no-speakers
    python benchmarks/text_tasks.py sarcasm named bare strangers --out RUNS

Data with folds are cross-validated: for each fold the baselines, and the adapter by the recipe of
the shipped one (``--config`` for another), learn from all other folds. Data with splits learn from
"train" and answer "test"; --adapter takes a trained adapter there. Whatever a system chooses by
(settings, the epoch), it chooses within what it learns from. Printed for each data: accuracy and
weighted F1 with 95 % intervals, and by how much the adapter is ahead (paired bootstrap). What is in
RUNS is not computed again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from text_baselines import Baseline, baselines
from tqdm import tqdm

from assistant.core.resources import adapters_dir
from assistant.data.items import Item
from assistant.evaluation.bootstrap import bootstrap, difference, interval, share
from assistant.evaluation.classification import class_scores, class_terms, weighted_f1
from assistant.model.assistant import VideoAssistant
from assistant.model.loading import load_model
from assistant.tasks.prompts import TaskPrompt
from assistant.tasks.recipes import ABLATIONS, RECIPE, Recipe, load_recipe
from assistant.tasks.store import find_task
from assistant.training.examples import DrawnExample, make_examples
from assistant.training.finetune import ADAPTER, CARD, Examples, ablated, examples_from, finetune
from assistant.training.learner import Learner
from assistant.training.loop import CHECKPOINT
from assistant.vqa.scoring import softmax

OURS = "adapter"
BATCH = 16
Part = tuple[str, list[Item], list[Item]]  # name, to learn from, to answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task")
    parser.add_argument("data", type=Path, nargs="+", help="folders, as data convert writes them")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="+", metavar="SYSTEM", help="default: all")
    parser.add_argument("--adapter", type=Path, metavar="DIR", help="trained on the same split")
    parser.add_argument("--config", type=Path, metavar="FILE", help="the recipe to train by")
    parser.add_argument("--seed", type=int, help="of the training; default: the recipe's")
    parser.add_argument("--most", type=int, metavar="N", help="ask at most N of a part, drawn")
    parser.add_argument("--ahead", metavar="SYSTEM", default=OURS, help="whose lead is printed")
    parser.add_argument("--without", nargs="+", choices=ABLATIONS, default=(), metavar="PART")
    args = parser.parse_args()
    args.config = args.config or adapters_dir() / "mini" / args.task / RECIPE
    if OURS in (args.only or [OURS]) and not args.adapter and not args.config.exists():
        parser.error(f"{args.task} has no shipped adapter to take the recipe of: give --config")
    model, prompt = load_model("mini", reading=False), find_task(args.task)
    systems = {**baselines(prompt, model), OURS: None}
    if unknown := {args.ahead, *(args.only or ())} - systems.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))}; choose of {', '.join(systems)}")
    for data in args.data:
        examples = examples_from(data)
        parts = list(parts_of(examples.items, args.most))
        told = answered(args, prompt, systems, examples, parts, args.out / data.name)
        print(f"\n## {data.name}\n")
        print_table(told, parts, args.ahead)
        if OURS in told:
            print_sure(told[OURS], parts, args.out / data.name / OURS)


def answered(
    args: argparse.Namespace,
    prompt: TaskPrompt,
    systems: dict[str, Baseline | None],
    examples: Examples,
    parts: Sequence[Part],
    runs: Path,
) -> dict[str, list[str]]:
    """Every system's answers, part by part; None is our adapter."""
    told: dict[str, list[str]] = {}
    for name in args.only or systems:
        for fold, train, test in parts:
            kept = runs / name.replace(" ", "-").replace("'", "") / f"{fold}.json"
            if not kept.exists():
                kept.parent.mkdir(parents=True, exist_ok=True)
                answer = systems[name]
                if answer is None:
                    where = kept.with_suffix("")
                    found, sure = ours(args, prompt, examples.digest, where, train, test)
                    sure_file(kept).write_text(json.dumps(sure))
                else:
                    found = answer(train, test)
                kept.write_text(json.dumps(found))
            told.setdefault(name, []).extend(json.loads(kept.read_text()))
    return told


def parts_of(items: Sequence[Item], most: int | None) -> Iterator[Part]:
    """Each fold with all others to learn from; or the splits (dev is for training to choose by)."""

    def some(test: list[Item]) -> list[Item]:
        if most is None:
            return test
        return [test[place] for place in np.random.default_rng(0).permutation(len(test))[:most]]

    few = "" if most is None else f"-{most}"
    folds = sorted({item.fold for item in items if item.fold is not None})
    for fold in folds:
        others = [item for item in items if item.fold != fold]
        test = [item for item in items if item.fold == fold]
        yield f"fold-{fold}{few}", others, some(test)
    if not folds:
        train = [item for item in items if item.split != "test"]
        yield f"test{few}", train, some([item for item in items if item.split == "test"])


def ours(
    args: argparse.Namespace,
    prompt: TaskPrompt,
    digest: str,
    out: Path,
    train: Sequence[Item],
    test: Sequence[Item],
) -> tuple[list[str], list[bool]]:
    """By choices through the LLM, of the adapter that is given, or trained on ``train``; and
    which of them it is sure of."""
    folder = args.adapter
    if folder is None:
        folder = out / ADAPTER
        if not (folder / CARD).exists():
            recipe = replace(load_recipe(args.config), made=None)
            if args.seed is not None:
                recipe = replace(recipe, training=replace(recipe.training, seed=args.seed))
            recipe = ablated(recipe, args.without)
            fresh = load_model("mini", attention="eager", reading=False)
            resume = (out / CHECKPOINT).exists()
            told = Examples(tuple(train), f"{digest} {out.name}")
            began = time.perf_counter()
            finetune(recipe, prompt, fresh, told, out, resume=resume)
            print(f"{out.name}: trained in {time.perf_counter() - began:.0f} s", file=sys.stderr)
    model, recipe = load_model("mini", reading=False), load_recipe(folder)
    return answers(model, prompt, recipe, model.load_adapter(folder, recipe), test)


@torch.inference_mode()
def answers(
    model: VideoAssistant, prompt: TaskPrompt, recipe: Recipe, key: str, test: Sequence[Item]
) -> tuple[list[str], list[bool]]:
    examples = make_examples(test, prompt, model, None, {}, recipe)
    asked = [DrawnExample(example, example.shown) for example in examples]
    learner = Learner(model, recipe, None, key).eval()
    told: list[str] = []
    sure: list[bool] = []
    for start in tqdm(range(0, len(asked), BATCH), desc=OURS, unit="batch"):
        part = asked[start : start + BATCH]
        for one, scores in zip(part, learner.choice_scores(part), strict=True):
            shares = softmax(scores, recipe.calibration.temperature)
            told.append(one.example.choices[int(np.argmax(shares))])
            sure.append(max(shares) >= recipe.calibration.unsure_below)
    return told, sure


def sure_file(kept: Path) -> Path:
    return kept.with_suffix(".sure.json")


def print_sure(told: Sequence[str], parts: Sequence[Part], runs: Path) -> None:
    """Of how many the adapter is sure, by the threshold that was fitted on dev, and how many of
    those are right."""
    truth = [item.answer for _, _, test in parts for item in test]
    files = [sure_file(runs / f"{fold}.json") for fold, _, _ in parts]
    if not all(file.exists() for file in files):
        return  # answered before it was kept
    sure = np.array([one for file in files for one in json.loads(file.read_text())])
    right = right_terms(told, truth)[sure]
    low, high = interval(bootstrap(right, share))
    print(
        f"\nsure of {100 * sure.mean():.1f} %, of which {100 * right[:, 0].mean():.1f} % "
        f"({100 * low:.0f}-{100 * high:.0f}) are right"
    )


def print_table(told: dict[str, list[str]], parts: Sequence[Part], first: str) -> None:
    """Figures are means over the folds; intervals are of all questions together."""
    truth = [item.answer for _, _, test in parts for item in test]
    ends = np.cumsum([len(test) for _, _, test in parts])
    labels = sorted(set(truth))
    print(f"| system | accuracy | weighted F1 | {first} is ahead by |\n|---|---|---|---|")
    terms = {name: right_terms(found, truth) for name, found in told.items()}
    for name, found in told.items():
        folds = [
            class_scores(found[end - len(test) : end], truth[end - len(test) : end])
            for end, (_, _, test) in zip(ends, parts, strict=True)
        ]
        cells = []
        for values, drawn in (
            ([fold.accuracy for fold in folds], bootstrap(terms[name], share)),
            (
                [fold.f1 for fold in folds],
                bootstrap(class_terms(found, truth, labels), weighted_f1),
            ),
        ):
            low, high = interval(drawn)
            cells.append(f"{100 * np.mean(values):.1f} ({100 * low:.0f}-{100 * high:.0f})")
        ahead = ""
        if first in told and name != first:
            by = difference(terms[first], terms[name], share)
            low, high = by.interval
            ahead = f"{100 * by.value:+.1f} ({100 * low:+.1f} to {100 * high:+.1f}), p {by.p:.4f}"
        print(f"| {name} | {' | '.join(cells)} | {ahead} |")


def right_terms(told: Sequence[str], truth: Sequence[str]) -> np.ndarray:
    return np.array([[one == right, 1.0] for one, right in zip(told, truth, strict=True)])


if __name__ == "__main__":
    main()
