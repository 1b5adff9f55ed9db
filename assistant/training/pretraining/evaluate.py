"""``assistant evaluate base``: what the pretrained image model knows, beside its baselines.

Everything is scored through the LLM. "blind" is the same model without a picture (the Q-Former
skips its cross-attention, as it did in a share of its training).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from assistant.evaluation.metrics import (
    accuracy,
    balanced_accuracy,
    caption_scores,
    echoes,
    exact_match,
    most_common_answers,
    noun_precision_recall,
    repeats_itself,
    wilson_interval,
)
from assistant.model.assistant import VideoAssistant
from assistant.sources import lines_of
from assistant.training.features import FeatureTable
from assistant.training.pretraining.captions import THING_SUPPORT, thing_words
from assistant.training.pretraining.examples import PretrainExample, photo_samples, scene_samples
from assistant.training.pretraining.photos import Photos, photo_table, seen_in
from assistant.training.pretraining.report import (
    NAME,
    CaptionRow,
    FaultRow,
    QuestionRow,
    Report,
    ThingRow,
)
from assistant.training.reading.notes import PhotoNotes
from assistant.vqa.scoring import without_prior

BATCH = 16  # a batch takes as long as its longest answer
DESCRIBE = "Describe the picture."
OURS, BARE = "ours", "ours, without attributes"
FIXED_CAPTION = "A man in a black shirt is standing in front of a building."


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
    table = photo_table(work, model.encoder, source, names)
    kinds = photo_samples(source, split, [DESCRIBE], seed, work / f"photos-{split}-{seed}.jsonl")
    scene_table, scene_set, _ = scene_samples(work, model.encoder, scenes, seed, split)
    names = names[:photos]
    near = nearest_captions(model, source, table, names, work)
    references = [list(source.captions[name]) for name in names]
    described = ask_each(model, table, names, DESCRIBE)
    named = ask_each(model, table, names, NAME)
    named[BARE] = ask_bare(model, table, names, NAME)
    questions = show_sources(model, table, kinds["question"] + kinds["yes/no"])
    scene_set = show_sources(model, scene_table, [s for s in scene_set if s.choices])
    return Report(
        model=model.fingerprint,
        split=split,
        seed=seed,
        captions=tuple(caption_rows(described, near, references)),
        things=tuple(thing_rows(named, near, references)),
        faults=(fault_row(model, DESCRIBE, described[OURS]), fault_row(model, NAME, named[OURS])),
        questions=tuple(question_rows(model, table, questions, per_type, seed)),
        scenes=tuple(question_rows(model, scene_table, scene_set, per_type, seed)),
        examples=tuple(
            {"photo": name, "described": told, "named": list_, "nearest": other, "reference": refs}
            for name, told, list_, other, refs in zip(
                names, described[OURS], named[OURS], near, references, strict=True
            )
        ),
    )


def show_sources(
    model: VideoAssistant, table: FeatureTable, samples: Sequence[PretrainExample]
) -> list[PretrainExample]:
    """The samples with their pictures' attributes for both models, and with what the LLM has
    learned to read besides, as in chat."""
    texts = {s.picture: seen_in(table, s.picture) for s in samples}
    notes = PhotoNotes(table.folder, model, model.reads)
    notes.add({picture: (table, picture) for picture in texts} if model.reads else {})
    return [
        replace(
            s,
            fused=texts[s.picture],
            seen=texts[s.picture],
            read=lines_of(notes.of(s.picture)) if model.reads else "",
        )
        for s in samples
    ]


def ask_each(
    model: VideoAssistant, table: FeatureTable, names: Sequence[str], question: str
) -> dict[str, list[str]]:
    """The answer about every photo, and the one without any photo."""
    plain = [PretrainExample(picture=name, question=question, answer="", type="") for name in names]
    told = free_answers(model, table, show_sources(model, table, plain), question)
    blind = free_answers(model, None, plain[:1], f"{question} (blind)")
    return {OURS: told, "same LLM, no picture": blind * len(names)}


def ask_bare(
    model: VideoAssistant, table: FeatureTable, names: Sequence[str], question: str
) -> list[str]:
    """The answer about every photo without attributes."""
    plain = [PretrainExample(picture=name, question=question, answer="", type="") for name in names]
    return free_answers(model, table, plain, f"{question} (no attributes)")


def caption_rows(
    described: Mapping[str, list[str]], near: list[str], references: list[list[str]]
) -> Iterator[CaptionRow]:
    """CIDEr and BLEU-4 of the model and of baselines that know less."""
    fixed = [FIXED_CAPTION] * len(near)
    systems = {**described, "nearest training photo": near, "one fixed caption": fixed}
    for system, predictions in systems.items():
        scores = caption_scores(predictions, references)
        yield CaptionRow(system, scores["CIDEr"], scores["BLEU-4"])


def thing_rows(
    named: Mapping[str, list[str]], near: list[str], references: list[list[str]]
) -> Iterator[ThingRow]:
    """Recall and precision of the things named."""
    words = thing_words()
    for system, answers in {**named, "nearest training photo": near}.items():
        precision, recall = noun_precision_recall(answers, references, words, THING_SUPPORT)
        yield ThingRow(system, recall, precision)


def fault_row(model: VideoAssistant, question: str, answers: Sequence[str]) -> FaultRow:
    """Count what is badly formed."""
    limit = model.config.llm.max_new_tokens
    return FaultRow(
        asked=question,
        count=len(answers),
        words=float(np.mean([len(answer.split()) for answer in answers])),
        unfinished=sum(len(model.llm.answer_ids(answer)) > limit for answer in answers),
        repeating=sum(repeats_itself(answer) for answer in answers),
        echoing=sum(echoes(answer, question) for answer in answers),
    )


def nearest_captions(
    model: VideoAssistant, source: Photos, table: FeatureTable, names: Sequence[str], work: Path
) -> list[str]:
    """The first caption of the training photo whose mean patch is nearest by cosine."""
    train = source.splits["train"]
    known = photo_table(work, model.encoder, source, train)
    keys = _unit_means(known, train)
    nearest = (_unit_means(table, names) @ keys.T).argmax(1)
    return [source.captions[train[index]][0] for index in nearest.tolist()]


def _unit_means(table: FeatureTable, names: Sequence[str]) -> Tensor:
    rows = [table.stills([name])[0, 0].float().mean(0) for name in names]
    return torch.nn.functional.normalize(torch.stack(rows), dim=-1)


def question_rows(
    model: VideoAssistant,
    table: FeatureTable,
    samples: Sequence[PretrainExample],
    per_type: int,
    seed: int,
) -> Iterator[QuestionRow]:
    """One row per type, over at most ``per_type`` questions drawn by ``seed``."""
    rng = np.random.default_rng(seed)
    for kind in sorted({s.type for s in samples}):
        pool = [s for s in samples if s.type == kind and len(s.choices) > 1]
        picked = [pool[i] for i in rng.permutation(len(pool))[:per_type]]
        if picked:
            yield question_row(model, table, kind, picked)


def question_row(
    model: VideoAssistant, table: FeatureTable, kind: str, samples: Sequence[PretrainExample]
) -> QuestionRow:
    """Score one type of question by choices and by free text, with and without the picture."""
    truth = [s.answer for s in samples]
    scores = choice_scores(model, table, samples, f"{kind}: choices")
    blind_scores = choice_scores(model, None, samples, f"{kind}: blind")
    share = model.choice_prior
    best = [
        int(np.argmax(without_prior(row, dark, share)))
        for row, dark in zip(scores, blind_scores, strict=True)
    ]
    chosen = [s.choices[i] for s, i in zip(samples, best, strict=True)]
    blind = [s.choices[int(np.argmax(row))] for s, row in zip(samples, blind_scores, strict=True)]
    free = free_answers(model, table, samples, f"{kind}: free text")
    right = np.array([a == b for a, b in zip(chosen, truth, strict=True)])
    told = np.array(
        [row[i] > dark[i] for row, dark, i in zip(scores, blind_scores, best, strict=True)]
    )
    yes_no = set(truth) <= {"yes", "no"}
    return QuestionRow(
        type=kind,
        count=len(samples),
        chance=float(np.mean([1 / len(s.choices) for s in samples])),
        majority=most_common_answers(truth, 1)[0][1] / len(truth),
        blind=accuracy(blind, truth),
        by_choice=accuracy(chosen, truth),
        interval=wilson_interval(int(right.sum()), len(samples)),
        free_text=exact_match(free, truth),
        answers=tuple(most_common_answers(free, 5)),
        told=float(told.mean()),
        right_told=float(right[told].mean()) if told.any() else 0.0,
        right_untold=float(right[~told].mean()) if not told.all() else 0.0,
        balanced=balanced_accuracy(chosen, truth) if yes_no else None,
        yes_rate=chosen.count("yes") / len(chosen) if yes_no else None,
    )


@torch.inference_mode()
def choice_scores(
    model: VideoAssistant, table: FeatureTable | None, samples: Sequence[PretrainExample], what: str
) -> list[list[float]]:
    """Mean log-probability per token of each choice, as in chat by the LLM that reads no notes; no
    table asks without the picture."""
    scores: list[list[float]] = []
    llm = model.llm_of(None, choosing=True)
    for batch in _batches([replace(s, read="") for s in samples], BATCH, what):
        visual = _visual(model, table, batch)
        asked = batch if table is not None else [s.blind() for s in batch]
        losses = llm.answer_losses(
            visual,
            [llm.prompt_ids(s.prompt) for s in asked],
            [[llm.answer_ids(choice) for choice in s.choices] for s in batch],
        )
        scores += [(-part).tolist() for part in losses]
    return scores


def _visual(
    model: VideoAssistant, table: FeatureTable | None, batch: Sequence[PretrainExample]
) -> Tensor:
    if table is None:
        return model.visual_tokens(None, [s.blind().qformer_text for s in batch])
    return model.visual_tokens(
        table.stills([s.picture for s in batch]), [s.qformer_text for s in batch]
    )


def free_answers(
    model: VideoAssistant, table: FeatureTable | None, samples: Sequence[PretrainExample], what: str
) -> list[str]:
    """Answers as the model decodes them."""
    told: list[str] = []
    for batch in _batches(samples, BATCH, what):
        told += _complete(model, table, batch)
    return told


@torch.inference_mode()
def _complete(
    model: VideoAssistant, table: FeatureTable | None, batch: Sequence[PretrainExample]
) -> list[str]:
    asked = batch if table is not None else [s.blind() for s in batch]
    prompts = [model.llm.prompt_ids(s.prompt) for s in asked]
    return model.llm.complete(
        _visual(model, table, batch), prompts, model.config.llm.max_new_tokens
    )


def _batches(
    samples: Sequence[PretrainExample], size: int, what: str
) -> Iterator[Sequence[PretrainExample]]:
    starts = range(0, len(samples), size)
    for start in tqdm(starts, desc=what, unit="batch", leave=False):
        yield samples[start : start + size]
