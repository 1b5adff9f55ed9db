"""``assistant evaluate TASK``: adapters side by side on examples with known answers.

Two scorers, both through the LLM: by choices (the likeliest of those offered, as MVBench counts)
and strict (the free answer equals the right one once case, articles and punctuation are gone).
"blind" is the same adapter without the clip.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from assistant.data.items import Item, data_file, read_items
from assistant.errors import InputError
from assistant.evaluation.bootstrap import Difference
from assistant.evaluation.classification import check_extra
from assistant.evaluation.figures import Figures, TypeRow, compare, figures_of, type_rows
from assistant.model.assistant import VideoAssistant
from assistant.model.audio import ear_of
from assistant.tasks.prompts import TaskPrompt
from assistant.tasks.recipes import Recipe
from assistant.tasks.store import adapter_prompt, find_adapter, find_task
from assistant.training.clips import clip_table, clips_of
from assistant.training.examples import DrawnExample, Example, make_examples
from assistant.training.features import FeatureTable
from assistant.training.learner import Learner, by_clip
from assistant.vqa.scoring import softmax

FRAME_ORDERS = ("forward", "reversed", "shuffled")
BATCH = 16
VERSIONS = ("torch", "transformers", "video-assistant", "scikit-learn", "rouge-score", "nltk")
BASE = "none"  # the base weights without an adapter


@dataclass(frozen=True)
class SystemReport:
    """One adapter's figures; the last row is of all questions."""

    name: str
    adapter: str  # key in memory, with the hash of its weights; "none"
    parameters: int  # learned
    rows: tuple[TypeRow, ...]
    figures: Figures
    answers: tuple[dict, ...]  # one per question


@dataclass(frozen=True)
class TaskReport:
    """All systems on one set of questions."""

    task: str
    manifest: dict[str, Any]
    systems: tuple[SystemReport, ...]
    differences: tuple[Difference, ...]  # of the first to each other one


def evaluate_task(
    model: VideoAssistant,
    task: str,
    data: Path,
    adapters: Sequence[str],
    work: Path,
    *,
    split: str = "test",
    frames: int | None = None,
    frame_order: str = "forward",
    seed: int = 11,
    most: int | None = None,
) -> TaskReport:
    """Ask every question of a split of every adapter.

    Args:
        data: JSONL or a folder with ``data.jsonl``. adapters: names, folders, or "none".
        work: features are kept here. split: "train", "dev", "test" or "all".
        frames: looked at; None: as many as each adapter was trained with.
        frame_order: of ``FRAME_ORDERS``: what a model that sees time must notice.
        seed: of the shuffling and of the questions drawn. most: questions at most, by type.
    Raises:
        InputError: no such adapter, nothing to ask, or the ``train`` extra is missing.
        WeightsError: an adapter of another base.
    """
    items = drawn(read_questions(data, split), most, seed)
    loaded = [_load(model, task, name) for name in adapters]
    keys = clips_of(items)
    looked_at: dict[str, int] = {}
    systems = []
    for name, prompt, recipe, key in loaded:
        looked_at[name] = recipe.frames and (frames or recipe.frames)
        training = replace(recipe.training, jitter=1)
        recipe = replace(recipe, frames=looked_at[name], training=training)
        table = None
        if keys and recipe.frames:
            windows, ear = recipe.frames, ear_of(recipe)
            table = clip_table(work, model.encoder, keys, windows, ear, windows)
        examples = make_examples(items, prompt, model, table, keys, recipe)
        learner = OrderedLearner(model, recipe, table, key, frame_order, seed).eval()
        systems.append(report_system(name, learner, examples, items, prompt, seed))
    manifest: dict[str, Any] = {
        "base": model.fingerprint,
        "adapters": {system.name: system.adapter for system in systems},
        "data": hashlib.sha256(data_file(data).read_bytes()).hexdigest(),
        "split": split,
        "questions": len(items),
        "frames": looked_at,
        "frame order": frame_order,
        "choice prior": model.choice_prior,
        "seed": seed,
        "date": time.strftime("%Y-%m-%d"),
        "versions": {name: version(name) for name in VERSIONS},
    }
    first, *others = (system.answers for system in systems)
    apart = tuple(compare(first, other, seed) for other in others)
    return TaskReport(task, manifest, tuple(systems), apart)


def read_questions(data: Path, split: str) -> list[Item]:
    """The examples of a split, or of "all".

    Raises:
        InputError: the data cannot be read, or hold none, or the ``train`` extra is missing.
    """
    check_extra()
    items = read_items(data)
    asked = [item for item in items if split == "all" or (item.split or "test") == split]
    if not asked:
        there = ", ".join(sorted({item.split or "test" for item in items}))
        raise InputError(f"{data}: has no examples of the split {split}; choose --split {there}")
    return asked


def drawn(items: Sequence[Item], most: int | None, seed: int) -> list[Item]:
    """At most ``most`` items of each type, drawn by the seed; None: all."""
    if most is None:
        return list(items)
    order = np.random.default_rng(seed).permutation(len(items))
    taken: dict[str, int] = {}
    kept = []
    for place in order:
        kind = items[place].type
        taken[kind] = taken.get(kind, 0) + 1
        if taken[kind] <= most:
            kept.append(items[place])
    return kept


def _load(
    model: VideoAssistant, task: str, name: str
) -> tuple[str, TaskPrompt, Recipe, str | None]:
    """An adapter's name, prompt, recipe and key in memory."""
    if name == BASE:
        return name, find_task(task, model.name), Recipe(task=task), None
    stored = find_adapter(name, model.name)
    prompt = adapter_prompt(stored)
    return name, prompt, stored.recipe, model.load_adapter(stored.folder, stored.recipe)


class OrderedLearner(Learner):
    """A learner that sees its frames in another order."""

    def __init__(
        self,
        model: VideoAssistant,
        recipe: Recipe,
        table: FeatureTable | None,
        name: str | None,
        order: str,
        seed: int,
    ) -> None:
        super().__init__(model, recipe, table, name)
        self.order, self.seed = order, seed

    def frames(
        self, keys: Sequence[str], chosen: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        patches, there = super().frames(keys, chosen)
        if self.order == "forward":
            return patches, there
        turned = patches.clone()
        for row, length in enumerate(there.sum(1).tolist()):
            places = torch.arange(length).flip(0)
            if self.order == "shuffled":
                rng = np.random.default_rng((self.seed, *keys[row].encode()))
                places = torch.from_numpy(rng.permutation(length))
            turned[row, :length] = patches[row, places]
        return turned, there


@torch.inference_mode()
def report_system(
    name: str,
    learner: Learner,
    examples: Sequence[Example],
    items: Sequence[Item],
    prompt: TaskPrompt,
    seed: int,
) -> SystemReport:
    """Ask all ``examples`` of one system; ``seed`` is the bootstrap's."""
    answers: list[dict | None] = [None] * len(examples)
    places = {id(example): place for place, example in enumerate(examples)}
    asked = [DrawnExample(example, example.shown) for example in examples]
    parts = [
        part[start : start + BATCH]
        for part in by_clip(asked)
        for start in range(0, len(part), BATCH)
    ]
    for part in tqdm(parts, desc=name, unit="batch"):
        free = learner.free_answers(part, prompt.max_new_tokens)
        offered = [one for one in part if one.example.choices]
        scores = dict(zip(map(id, offered), learner.choice_scores(offered), strict=True))
        dark = learner.choices_told(offered, False, blind=True)
        blind = dict(zip(map(id, offered), dark, strict=True))
        for one, text in zip(part, free, strict=True):
            place, choices = places[id(one.example)], one.example.choices
            told = dict.fromkeys(("choice", "blind", "sure", "raw"))
            if choices:
                told = _chosen(choices, scores[id(one)], learner.recipe)
                told["blind"] = choices[blind[id(one)]]
            answers[place] = {**_asked(items[place], one.example), **told, "free": text}
    whole = tuple(answer for answer in answers if answer is not None)
    return SystemReport(
        name=name,
        adapter=learner.name or BASE,
        parameters=learner.model.adapters.size(learner.name) if learner.name else 0,
        rows=type_rows(whole),
        figures=figures_of(whole, learner.recipe.calibration, seed),
        answers=whole,
    )


def _asked(item: Item, example: Example) -> dict[str, Any]:
    """What an answer is kept with."""
    return {
        "id": item.id,
        "type": example.type,
        "question": item.question,
        "clip": str(item.video or item.id),
        "speaker": example.speaker,
        "truth": example.answer,
        "choices": len(example.choices),
    }


def _chosen(choices: Sequence[str], scores: Sequence[float], recipe: Recipe) -> dict[str, Any]:
    """The likeliest choice and its probability, with the adapter's temperature and without."""
    shares = softmax(scores, recipe.calibration.temperature)
    sure = max(shares)
    return {"choice": choices[shares.index(sure)], "sure": sure, "raw": max(softmax(scores))}
