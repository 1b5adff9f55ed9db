"""``assistant finetune``: one adapter from one file of examples."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import torch

from assistant.core.files import put_folder
from assistant.data.items import Item, data_file, read_items
from assistant.errors import InputError, ModelError, WeightsError
from assistant.model.assistant import VideoAssistant
from assistant.model.audio import Ear, ear_of
from assistant.model.expectation import signals
from assistant.model.memory import LEARN_LESS, within_memory
from assistant.tasks.prompts import TaskPrompt
from assistant.tasks.recipes import RECIPE, Provenance, Recipe, load_recipe
from assistant.tasks.store import StoredAdapter, install_adapter
from assistant.training.calibration import fit
from assistant.training.clips import clip_table, clips_of, digest_of
from assistant.training.curves import draw_curves
from assistant.training.examples import DrawnExample, drawn, make_examples, split_items
from assistant.training.finetuner import Finetuner, losses_of
from assistant.training.generated import generated_items
from assistant.training.learner import Learner, by_clip
from assistant.training.loop import LOG, Loop, new_accelerator
from assistant.training.regression import choices_of, fit_regression, kinds_of, scores_of
from assistant.training.run_folder import check_run, run_folder

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
    path = data_file(path)
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
    made: Provenance
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
            lack rereadings and hearing.
        resume: go on with the run in ``out``. install: copy the adapter to the person's own.
    Raises:
        WeightsError: ``start`` has another shape, or belongs to another base.
        InputError: nothing to train on, clips that cannot be read, or ``out`` holds another run.
        ModelError: the loss is not finite any more; ``out/adapter`` is still the best epoch's.
            Or another thread trains this model.
    """
    if resume:
        check_run(out, resume)
    with run_folder(out, resume), model.learning():
        return _finetune(recipe, prompt, model, examples, out, start, resume, install)


def _finetune(
    recipe: Recipe,
    prompt: TaskPrompt,
    model: VideoAssistant,
    examples: Examples,
    out: Path,
    start: Path | None,
    resume: bool,
    install: bool,
) -> Finished:
    train, dev = split_items(examples.items, recipe)
    if not train:
        raise InputError("there are no training examples; give some the split train, or none")
    if recipe.training.shard and len({item.video is None for item in [*train, *dev]}) > 1:
        raise InputError(
            "shard: some examples have a clip and some have none, so that processes would wait for "
            "each other for ever; give data of one kind, or leave shard out of the recipe"
        )
    if not any(item.video for item in [*train, *dev]):
        if recipe.hears:
            raise InputError(
                "the recipe hears, and none of the examples has a clip; convert the data with "
                "--clips, or add --without sound"
            )
        still = replace(recipe.transfer, temporal=False, contrast=0, neighbours=0, rereads=0)
        recipe = replace(recipe, frames=0, transfer=still)
    ear = ear_of(recipe) if recipe.frames else None
    width = 0 if ear is None else ear.encoder.width
    transfer = replace(recipe.transfer, sound=width)
    if recipe.regresses:
        transfer = replace(
            transfer,
            regression=scores_of(choices_of(train)),
            regressions=len(kinds_of(train)),
            expectation=signals(prompt.expects),
        )
    recipe = replace(recipe, transfer=transfer)
    torch.manual_seed(recipe.training.seed)  # the adapter's start
    run = prepare(recipe, prompt, model, train, dev, examples.digest, out, ear)
    if recipe.regresses:
        with model.using(run.name) as qformer:
            fit_regression(qformer.parts.regression, model, run.train_set)
    keeper = _Keeper(run, prompt, out / ADAPTER, "" if ear is None else ear.encoder.fingerprint)
    if start is not None:
        keeper.start = model.adapter_name(start, load_recipe(start))
        begun = model.adapters.fill(run.name, start, grow=True)
        run.paces = dict.fromkeys(begun, recipe.training.start_lr)
    loop = Loop(run, out, run.accelerator, keeper)
    run.identity["adapter to go on from"] = keeper.start
    if resume:
        loop.load()
    else:
        loop.save()
    try:
        try:
            with within_memory(LEARN_LESS):
                loop.run()
        except (ModelError, WeightsError) as error:
            if not (keeper.folder / RECIPE).is_file():
                raise
            best = load_made(keeper.folder).epoch
            raise ModelError(f"{error}; {keeper.folder} has epoch {best}, the best") from error
        installed = finish(run, keeper, out, install)
        run.accelerator.wait_for_everyone()  # the adapter is whole
    finally:
        loop.end()
    return Finished(keeper.folder, load_made(keeper.folder), run.parameters, installed)


def finish(run: Finetuner, keeper: _Keeper, out: Path, install: bool) -> StoredAdapter | None:
    """Calibrate and describe the adapter that was kept; one of several processes writes."""
    run.accelerator.wait_for_everyone()  # the adapter is written
    calibrate(run, keeper.folder)  # all of them: an LLM may be spread over them
    if not run.accelerator.is_main_process:
        return None
    draw_curves(out / LOG, out / CURVES)
    draw_curves(out / LOG, keeper.folder / CURVES)
    recipe = replace(run.recipe, made=load_made(keeper.folder))
    (keeper.folder / CARD).write_text(card(recipe, keeper.prompt, run))
    if not install:
        return None
    return install_adapter(keeper.folder, recipe.task, run.model.name)


def prepare(
    recipe: Recipe,
    prompt: TaskPrompt,
    model: VideoAssistant,
    train: Sequence[Item],
    dev: Sequence[Item],
    digest: str,
    out: Path,
    ear: Ear | None = None,
) -> Finetuner:
    """Encode what was not encoded yet, and make the examples."""
    losses = losses_of(recipe.training)
    dev = drawn(dev, recipe)
    keys = clips_of([*train, *dev]) if recipe.frames else {}
    encoded = recipe.frames * recipe.training.jitter
    table = None
    if keys:
        windows = recipe.frames
        table = clip_table(out / "features", model.encoder, keys, encoded, ear, windows)
    learned, measured = (
        make_examples(items, prompt, model, table, keys, recipe, losses) for items in (train, dev)
    )
    run = Finetuner(recipe, model, table, learned, measured, digest, new_accelerator(out))
    texts = repr([example.shown for example in (*learned, *measured)])
    run.identity |= {
        "prompt": repr(prompt),
        "state of the clips": digest_of(keys),
        "what hears them": "" if ear is None else ear.fingerprint,
        "what is said beside them": hashlib.sha256(texts.encode()).hexdigest(),
    }
    return run


def calibrate(run: Finetuner, folder: Path) -> None:
    """Fit how sure the adapter in ``folder`` is to the dev examples, and add that to its recipe."""
    asked = [
        DrawnExample(example, example.shown) for example in run.dev_set if len(example.choices) > 1
    ]
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
    made = replace(recipe.made, calibration=fit(scores, right, recipe.training.answered))
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
        transfer = replace(transfer, contrast=0, neighbours=0)
    if "video" in without:
        transfer = replace(transfer, sees=False)
    if "lora" in without:
        lora = replace(lora, train=False)
    parts = tuple(dict.fromkeys([*recipe.without, *without]))
    return replace(recipe, without=parts, transfer=transfer, lora=lora)


class _Keeper:
    """Writes the best epoch's adapter, beside its place first: what lies there is whole."""

    def __init__(self, run: Finetuner, prompt: TaskPrompt, folder: Path, ear: str) -> None:
        """``ear``: fingerprint of the audio encoder; "": none."""
        self.run, self.prompt, self.folder, self.ear = run, prompt, folder, ear
        self.start = ""

    def __call__(self, epoch: int, figures: dict[str, float]) -> None:
        run = self.run
        if not run.accelerator.is_main_process:
            return
        fresh = self.folder.with_name(f".{self.folder.name}.part")
        shutil.rmtree(fresh, ignore_errors=True)  # of a killed run
        run.model.adapters.save(run.name, fresh)
        replace(self.prompt, name=run.recipe.task).save(fresh)
        made = Provenance(
            base=run.model.fingerprint,
            data=run.digest,
            examples=len(run.train_set),
            epoch=epoch + 1,
            start=self.start,
            figures={name: round(value, 4) for name, value in figures.items()},
            versions={name: version(name) for name in PACKAGES},
            date=time.strftime("%Y-%m-%d"),
            sound=self.ear,
        )
        replace(run.recipe, made=made).save(fresh)
        put_folder(fresh, self.folder)


def load_made(folder: Path) -> Provenance:
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
    if made.sound:
        looked += f" and what `{recipe.audio}` hears beside them"
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
