"""``assistant evaluate base``: what the pretrained image model knows, beside its baselines.

Everything is scored through the LLM. "blind" is the same model without a picture (the Q-Former
skips its cross-attention, as it did in a share of its training).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from assistant.metrics import (
    accuracy,
    balanced_accuracy,
    caption_scores,
    exact_match,
    most_common_answers,
    wilson_interval,
)
from assistant.model.assistant import VideoAssistant
from assistant.pretraining_data import FeatureTable, Photos, Sample, photo_samples, scene_samples

__all__ = ["CaptionRow", "QuestionRow", "evaluate_base", "render"]

BATCH = 24
DESCRIBE = "Describe the picture."
FIXED_CAPTION = "A man in a black shirt is standing in front of a building."


@dataclass(frozen=True)
class CaptionRow:
    """Caption metrics of one system."""

    system: str
    cider: float
    bleu4: float


@dataclass(frozen=True)
class QuestionRow:
    """Accuracy on one type of question, as shares of 1."""

    type: str
    count: int
    chance: float
    majority: float
    blind: float
    by_choice: float
    interval: tuple[float, float]
    free_text: float
    answers: tuple[tuple[str, int], ...]  # the most frequent free-text answers
    balanced: float | None = None  # balanced accuracy of yes/no questions
    yes_rate: float | None = None


@dataclass(frozen=True)
class Report:
    """All figures of one run."""

    model: str
    split: str
    seed: int
    captions: tuple[CaptionRow, ...]
    questions: tuple[QuestionRow, ...]
    scenes: tuple[QuestionRow, ...]
    examples: tuple[dict, ...]


def evaluate_base(
    model: VideoAssistant,
    folder: Path,
    work: Path,
    *,
    split: str = "test",
    per_type: int = 200,
    scenes: int = 300,
    photos: int = 1000,
    seed: int = 11,
) -> Report:
    """Score ``model`` on the photos in ``folder`` (Flickr8k's layout) and on generated scenes.

    Args:
        work: features are kept here. split: "dev" to choose, "test" to report.
        per_type: questions per type. seed: of the questions and scenes; training used another.
    """
    source = Photos(folder)
    names = source.splits[split]
    table = FeatureTable.open(
        work / f"photos-{split}.npy", model.encoder, source.pictures(names), len(names), "photos"
    )
    kinds = photo_samples(source, split, [DESCRIBE], seed, work / f"photos-{split}-{seed}.jsonl")
    scene_table, scene_set = scene_samples(
        work / f"scenes-{split}-{seed}.npy", model.encoder, scenes, seed, split
    )
    captions, examples = caption_rows(model, source, table, names[:photos], work)
    asked = {s.question for s in scene_set if s.type == "caption"}
    scene_set = [s for s in scene_set if s.question not in asked]
    return Report(
        model=model.fingerprint,
        split=split,
        seed=seed,
        captions=tuple(captions),
        questions=tuple(question_rows(model, table, kinds["question"], per_type, seed)),
        scenes=tuple(question_rows(model, scene_table, scene_set, per_type, seed)),
        examples=tuple(examples),
    )


def caption_rows(
    model: VideoAssistant, source: Photos, table: FeatureTable, names: Sequence[str], work: Path
) -> tuple[list[CaptionRow], list[dict]]:
    """CIDEr and BLEU-4 of the model and of baselines that know less."""
    references = [list(source.captions[name]) for name in names]
    samples = [Sample(picture=name, question=DESCRIBE, answer="", type="caption") for name in names]
    told = free_answers(model, table, samples, "describing photos")
    blind = next(iter(_complete(model, None, samples[:1])))
    near = nearest_captions(model, source, table, names, work)
    systems = {
        "ours": told,
        "nearest training photo": near,
        "same LLM, no picture": [blind] * len(names),
        "one fixed caption": [FIXED_CAPTION] * len(names),
    }
    rows = []
    for system, predictions in systems.items():
        scores = caption_scores(predictions, references)
        rows.append(CaptionRow(system, scores["CIDEr"], scores["BLEU-4"]))
    examples = [
        {"photo": name, "ours": ours, "nearest": other, "reference": refs[0]}
        for name, ours, other, refs in zip(names, told, near, references, strict=True)
    ]
    return rows, examples


def nearest_captions(
    model: VideoAssistant, source: Photos, table: FeatureTable, names: Sequence[str], work: Path
) -> list[str]:
    """The first caption of the training photo whose mean patch is nearest by cosine."""
    train = source.splits["train"]
    known = FeatureTable.open(
        work / "photos-train.npy",
        model.encoder,
        source.pictures(train),
        len(train),
        "training photos",
    )
    keys = _unit_means(known, train)
    nearest = (_unit_means(table, names) @ keys.T).argmax(1)
    return [source.captions[train[index]][0] for index in nearest.tolist()]


def _unit_means(table: FeatureTable, names: Sequence[str]) -> Tensor:
    rows = [torch.tensor(table.array[table.rows[name]]).float().mean(0) for name in names]
    return torch.nn.functional.normalize(torch.stack(rows), dim=-1)


def question_rows(
    model: VideoAssistant, table: FeatureTable, samples: Sequence[Sample], per_type: int, seed: int
) -> Iterator[QuestionRow]:
    """One row per type, over at most ``per_type`` questions drawn by ``seed``."""
    rng = np.random.default_rng(seed)
    for kind in sorted({s.type for s in samples}):
        pool = [s for s in samples if s.type == kind and len(s.choices) > 1]
        picked = [pool[i] for i in rng.permutation(len(pool))[:per_type]]
        if picked:
            yield question_row(model, table, kind, picked)


def question_row(
    model: VideoAssistant, table: FeatureTable, kind: str, samples: Sequence[Sample]
) -> QuestionRow:
    """Score one type of question by choices and by free text, with and without the picture."""
    truth = [s.answer for s in samples]
    chosen = choose(model, table, samples, f"{kind}: choices")
    blind = choose(model, None, samples, f"{kind}: blind")
    free = free_answers(model, table, samples, f"{kind}: free text")
    right = sum(a == b for a, b in zip(chosen, truth, strict=True))
    yes_no = set(truth) <= {"yes", "no"}
    return QuestionRow(
        type=kind,
        count=len(samples),
        chance=float(np.mean([1 / len(s.choices) for s in samples])),
        majority=most_common_answers(truth, 1)[0][1] / len(truth),
        blind=accuracy(blind, truth),
        by_choice=accuracy(chosen, truth),
        interval=wilson_interval(right, len(samples)),
        free_text=exact_match(free, truth),
        answers=tuple(most_common_answers(free, 5)),
        balanced=balanced_accuracy(chosen, truth) if yes_no else None,
        yes_rate=chosen.count("yes") / len(chosen) if yes_no else None,
    )


@torch.inference_mode()
def choose(
    model: VideoAssistant, table: FeatureTable | None, samples: Sequence[Sample], what: str
) -> list[str]:
    """The likeliest choice of each question; no table asks without the picture."""
    chosen: list[str] = []
    llm = model.llm
    for batch in _batches(samples, BATCH // 2, what):
        patches = None if table is None else table.patches([s.picture for s in batch])
        visual = model.visual_tokens(patches, [s.fusion for s in batch])
        counts = [len(s.choices) for s in batch]
        losses = llm.token_losses(
            visual.repeat_interleave(torch.tensor(counts), dim=0),
            [llm.prompt_ids(s.question) for s in batch for _ in s.choices],
            [llm.answer_ids(choice) for s in batch for choice in s.choices],
        )
        for sample, part in zip(batch, losses.split(counts), strict=True):
            chosen.append(sample.choices[int(part.argmin())])
    return chosen


def free_answers(
    model: VideoAssistant, table: FeatureTable | None, samples: Sequence[Sample], what: str
) -> list[str]:
    """Greedy answers."""
    told: list[str] = []
    for batch in _batches(samples, BATCH, what):
        told += _complete(model, table, batch)
    return told


@torch.inference_mode()
def _complete(
    model: VideoAssistant, table: FeatureTable | None, batch: Sequence[Sample]
) -> list[str]:
    patches = None if table is None else table.patches([s.picture for s in batch])
    visual = model.visual_tokens(patches, [s.fusion for s in batch])
    prompts = [model.llm.prompt_ids(s.question) for s in batch]
    return model.llm.complete(visual, prompts, model.config.llm.max_new_tokens)


def _batches(samples: Sequence[Sample], size: int, what: str) -> Iterator[Sequence[Sample]]:
    starts = range(0, len(samples), size)
    for start in tqdm(starts, desc=what, unit="batch", leave=False):
        yield samples[start : start + size]


def render(report: Report) -> str:
    """The report as Markdown tables."""
    lines = [
        f"model {report.model}, split {report.split}, seed {report.seed}",
        "",
        f"| captions of {len(report.examples)} photos | CIDEr | BLEU-4 |",
        "|---|---|---|",
    ]
    lines += [f"| {row.system} | {row.cider:.3f} | {row.bleu4:.3f} |" for row in report.captions]
    for title, rows in (
        ("caption questions", report.questions),
        ("generated scenes", report.scenes),
    ):
        lines += [
            "",
            f"| {title} | n | chance | majority | blind | choices (95 %) | free text "
            "| most frequent answers |",
            "|---|---|---|---|---|---|---|---|",
        ]
        lines += [_question_line(row) for row in rows]
    return "\n".join(lines)


def _question_line(row: QuestionRow) -> str:
    low, high = row.interval
    frequent = ", ".join(f"{answer} {count}" for answer, count in row.answers)
    yes = "" if row.yes_rate is None else f", yes-rate {100 * row.yes_rate:.0f}"
    return (
        f"| {row.type} | {row.count} | {100 * row.chance:.0f} | {100 * row.majority:.0f} | "
        f"{100 * row.blind:.0f} | **{100 * row.by_choice:.0f}** "
        f"({100 * low:.0f}-{100 * high:.0f}{yes}) | {100 * row.free_text:.0f} | {frequent} |"
    )


def save(report: Report, out: Path) -> None:
    """Write ``report.md``, ``report.json`` and ``examples.jsonl``."""
    from dataclasses import asdict

    out.mkdir(parents=True, exist_ok=True)
    data = asdict(report)
    examples = data.pop("examples")
    (out / "report.md").write_text(render(report) + "\n")
    (out / "report.json").write_text(json.dumps(data, indent=1) + "\n")
    (out / "examples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in examples))
