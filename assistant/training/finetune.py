"""``assistant finetune``: one adapter from one file of examples."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import torch

from assistant.data.items import Item, read_items
from assistant.errors import InputError
from assistant.model.assistant import VideoAssistant
from assistant.model.memory import LEARN_LESS, within_memory
from assistant.tasks.prompts import TaskPrompt
from assistant.tasks.recipes import Made, Recipe, load_recipe
from assistant.tasks.store import StoredAdapter, install_adapter
from assistant.training.calibration import fit
from assistant.training.clips import ClipTable, clips_of
from assistant.training.curves import draw_curves
from assistant.training.examples import Asked, Example, drawn, make_examples, split_items
from assistant.training.generated import generated_items
from assistant.training.learner import Learner, by_clip
from assistant.training.loop import CHECKPOINT, LOG, Finetuner

__all__ = ["Examples", "Finished", "ablated", "examples_from", "finetune", "generated_examples"]

ADAPTER, CURVES, CARD = "adapter", "curves.png", "CARD.md"
PACKAGES = ("torch", "transformers", "peft", "accelerate", "video-assistant")
DEV_SHARE = 0.04  # of generated clips: as many again are drawn for dev


@dataclass(frozen=True)
class Examples:
    """What to learn from, and a hash that tells it from anything else."""

    items: tuple[Item, ...]
    digest: str


def examples_from(path: Path) -> Examples:
    """The examples in a JSONL file, or in a folder with ``data.jsonl``.

    Raises:
        InputError: the file cannot be read, or lines are wrong: all are named.
    """
    path = path / "data.jsonl" if path.is_dir() else path
    return Examples(tuple(read_items(path)), hashlib.sha256(path.read_bytes()).hexdigest())


def generated_examples(count: int, seed: int, kind: str = "clips") -> Examples:
    """Questions about ``count`` generated clips to train on, and about some more for dev."""
    aside = max(1, round(count * DEV_SHARE))
    parts = (("train", count), ("dev", aside))
    items = tuple(
        item for split, clips in parts for item in generated_items(clips, seed, split, kind)
    )
    told = hashlib.sha256(repr(items).encode()).hexdigest()
    return Examples(items, told)


@dataclass(frozen=True)
class Finished:
    """What a run came to."""

    folder: Path  # the adapter
    made: Made
    parameters: int  # learned
    installed: StoredAdapter | None


def finetune(
    recipe: Recipe,
    prompt: TaskPrompt,
    model: VideoAssistant,
    examples: Examples,
    out: Path,
    *,
    start: Path | None = None,
    resume: bool = False,
    install: bool = False,
) -> Finished:
    """Train ``recipe`` on ``examples``.

    ``out`` holds features, checkpoint, ``log.jsonl`` and the curves; ``out/adapter`` is the best
    epoch's adapter, whole at any moment.

    Args:
        start: folder of an adapter of the same shape, whose weights the run begins with; it may
            lack rereadings.
        resume: go on with the run in ``out``. install: copy the adapter to the person's own.
    Raises:
        WeightsError: ``start`` has another shape, or belongs to another base.
        InputError: nothing to train on, clips that cannot be read, or ``out`` holds another run.
    """
    checkpoint = out / CHECKPOINT
    if checkpoint.exists() and not resume:
        raise InputError(f"{out}: holds a run already; go on with --resume or choose another --out")
    if resume and not checkpoint.exists():
        raise InputError(f"{out}: holds no run to resume; leave --resume out")
    train, dev = split_items(examples.items, recipe)
    if not train:
        raise InputError("there are no training examples; give some the split train, or none")
    if recipe.training.shard and len({item.video is None for item in [*train, *dev]}) > 1:
        raise InputError(
            "shard: some examples have a clip and some have none, so that processes would wait for "
            "each other for ever; give data of one kind, or leave shard out of the recipe"
        )
    if not any(item.video for item in [*train, *dev]):
        still = replace(recipe.transfer, temporal=False, contrast=0, rereads=0)
        recipe = replace(recipe, frames=0, transfer=still)
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.training.seed)  # the adapter's start
    finetuner = prepare(recipe, prompt, model, train, dev, examples.digest, out)
    keeper = _Keeper(finetuner, prompt)
    if start is not None:
        keeper.start = model.adapter_name(start, load_recipe(start))
        model.adapters.fill(finetuner.name, start, grow=True)
    finetuner.keep_best = keeper  # type: ignore[method-assign]
    if resume:
        finetuner.load()
    else:
        finetuner.save()
    try:
        with within_memory(LEARN_LESS):
            finetuner.run()
        installed = finish(finetuner, keeper, install)
        finetuner.accelerator.wait_for_everyone()  # the adapter is whole
    finally:
        finetuner.end()
    return Finished(keeper.folder, load_made(keeper.folder), finetuner.parameters, installed)


def finish(finetuner: Finetuner, keeper: _Keeper, install: bool) -> StoredAdapter | None:
    """Calibrate and describe the adapter that was kept; one of several processes writes."""
    finetuner.accelerator.wait_for_everyone()  # the adapter is written
    calibrate(finetuner, keeper.folder)  # all of them: an LLM may be spread over them
    if not finetuner.accelerator.is_main_process:
        return None
    draw_curves(finetuner.out / LOG, finetuner.out / CURVES)
    draw_curves(finetuner.out / LOG, keeper.folder / CURVES)
    recipe = replace(finetuner.recipe, made=load_made(keeper.folder))
    (keeper.folder / CARD).write_text(card(recipe, keeper.prompt, finetuner))
    if not install:
        return None
    return install_adapter(keeper.folder, recipe.task, finetuner.model.name)


def prepare(
    recipe: Recipe,
    prompt: TaskPrompt,
    model: VideoAssistant,
    train: Sequence[Item],
    dev: Sequence[Item],
    digest: str,
    out: Path,
) -> Finetuner:
    """Encode what was not encoded yet, and make the examples."""
    dev = drawn(dev, recipe)
    keys = clips_of([*train, *dev]) if recipe.frames else {}
    encoded = recipe.frames * recipe.training.jitter
    table = ClipTable.open(out / "features", model.encoder, keys, encoded) if keys else None
    sets: list[list[Example]] = [
        make_examples(items, prompt, model, table, keys, recipe) for items in (train, dev)
    ]
    return Finetuner(recipe, model, table, sets[0], sets[1], digest, out)


def calibrate(run: Finetuner, folder: Path) -> None:
    """Fit how sure the adapter in ``folder`` is to the dev examples, and add that to its recipe."""
    asked = [Asked(example, example.shown) for example in run.dev_set if len(example.choices) > 1]
    if not asked:
        return
    recipe = load_recipe(folder)
    assert recipe.made is not None
    key = run.model.load_adapter(folder, recipe)
    learner = Learner(run.model, recipe, run.learner.table, key).eval()
    scores: list[list[float]] = []
    right: list[int] = []
    size = recipe.training.batch
    for start in range(0, len(asked), size):
        for part in by_clip(asked[start : start + size]):
            scores += learner.choice_scores(part)
            right += [one.example.choices.index(one.example.answer) for one in part]
    made = replace(recipe.made, calibration=fit(scores, right))
    if run.accelerator.is_main_process:
        replace(recipe, made=made).save(folder)


def ablated(recipe: Recipe, without: Sequence[str]) -> Recipe:
    """The recipe without some parts: of ``recipes.ABLATIONS``."""
    transfer, lora = recipe.transfer, recipe.lora
    if "mqt" in without:
        transfer = replace(transfer, temporal=False)
    if "dar" in without:
        transfer = replace(transfer, routing="none")
    if "contrast" in without:
        transfer = replace(transfer, contrast=0)
    if "lora" in without:
        lora = replace(lora, train=False)
    parts = tuple(dict.fromkeys([*recipe.without, *without]))
    return replace(recipe, without=parts, transfer=transfer, lora=lora)


class _Keeper:
    """Writes the best epoch's adapter; its recipe comes last, so that a folder is whole or none."""

    def __init__(self, finetuner: Finetuner, prompt: TaskPrompt) -> None:
        self.finetuner, self.prompt = finetuner, prompt
        self.folder = finetuner.out / ADAPTER
        self.start = ""

    def __call__(self, figures: dict[str, float]) -> None:
        run = self.finetuner
        if not run.accelerator.is_main_process:
            return
        run.model.adapters.save(run.name, self.folder)
        replace(self.prompt, name=run.recipe.task).save(self.folder)
        made = Made(
            base=run.model.fingerprint,
            data=run.digest,
            examples=len(run.train_set),
            epoch=run.progress.epoch + 1,
            start=self.start,
            figures={name: round(value, 4) for name, value in figures.items()},
            versions={name: version(name) for name in PACKAGES},
            date=time.strftime("%Y-%m-%d"),
        )
        replace(run.recipe, made=made).save(self.folder)


def load_made(folder: Path) -> Made:
    """What the adapter in ``folder`` says it was made from."""
    made = load_recipe(folder).made
    assert made is not None
    return made


def card(recipe: Recipe, prompt: TaskPrompt, run: Finetuner) -> str:
    """A first card; a person adds the data's terms and where the adapter fails."""
    made = recipe.made
    assert made is not None
    rows = "\n".join(f"| {name} | {value:.4f} |" for name, value in made.figures.items())
    without = f", without {', '.join(recipe.without)}" if recipe.without else ""
    looked = f"`{recipe.frames}` frames" if recipe.frames else "text alone"
    kept = f"{looked}, {recipe.training.epochs} epochs, kept: epoch {made.epoch}"
    if made.start:
        kept += f"; went on from `{made.start}`"
    sure, told = made.calibration, "not fitted: the dev examples have no choices"
    if sure.examples:
        least = f"unsure below {sure.unsure_below:.0%}" if sure.unsure_below else "never unsure"
        told = f"temperature {sure.temperature:g}, {least}: {sure.answered:.0%} of dev are "
        told += f"answered, {sure.accuracy:.0%} of those right"
    versions = ", ".join(f"{name} {value}" for name, value in made.versions.items())
    return f"""# {recipe.task}

{prompt.description}

An adapter of `{made.base}`: {run.parameters:,} learned parameters{without}.

| | |
|---|---|
| task | {prompt.name}: {prompt.examples[0]} |
| data | {made.examples} training and {len(run.dev_set)} dev examples, sha256 {made.data[:16]} |
| recipe | {kept}; `recipe.yaml` has the rest |
| probabilities | {told} |
| made | {made.date}, seed {recipe.training.seed}, {versions} |
| terms | those of the base weights, and those of the data |

On the dev examples, which chose the epoch:

| figure | value |
|---|---|
{rows}
"""
