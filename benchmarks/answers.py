"""How free answers are decoded: greedy, beam search, penalties on repeating, side by side.

    python benchmarks/answers.py --photos FLICKR8K --work FOLDER

On dev photos, so that the setting is not chosen on the test split: CIDEr and BLEU-4 of
descriptions, recall and precision of the things named, badly formed answers, milliseconds per
answer (batches of 24).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from assistant.evaluation.metrics import caption_scores, noun_precision_recall
from assistant.model.assistant import VideoAssistant
from assistant.model.loading import load_model
from assistant.training.features import FeatureTable
from assistant.training.pretraining.captions import THING_SUPPORT, thing_words
from assistant.training.pretraining.evaluate import BATCH, DESCRIBE, fault_row, show_sources
from assistant.training.pretraining.examples import PretrainExample
from assistant.training.pretraining.photos import Photos, photo_table
from assistant.training.pretraining.report import NAME

SETTINGS: dict[str, dict[str, float]] = {
    "greedy": {"beams": 1},
    "greedy, penalty 1.2": {"beams": 1, "repetition_penalty": 1.2},
    "3 beams": {"beams": 3},
    "3 beams, no 3 tokens twice": {"beams": 3, "no_repeat": 3},
    "5 beams": {"beams": 5},
    "5 beams, no 3 tokens twice": {"beams": 5, "no_repeat": 3},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="features are kept here")
    parser.add_argument("--base", type=Path)
    parser.add_argument("--count", type=int, default=300, help="dev photos (300)")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    args = parser.parse_args()
    model = load_model("mini", base=args.base)
    source = Photos(args.photos)
    names = source.splits["dev"]
    table = photo_table(args.work, model.encoder, source, names)
    names = names[: args.count]
    references = [list(source.captions[name]) for name in names]
    print(f"model {model.fingerprint}, {len(names)} dev photos\n")
    print("| decoding | CIDEr | BLEU-4 | recall | precision | unfinished | repeating | ms |")
    print("|---|---|---|---|---|---|---|---|")
    plain = model.llm.config
    plain = replace(plain, beams=1, repetition_penalty=1.0, no_repeat=0)
    for title in args.settings:
        model.llm.config = replace(plain, **SETTINGS[title])  # type: ignore[arg-type]
        began = time.perf_counter()
        told, named = (ask(model, table, names, text) for text in (DESCRIBE, NAME))
        spent = 1000 * (time.perf_counter() - began) / (2 * len(names))
        scores = caption_scores(told, references)
        precision, recall = noun_precision_recall(named, references, thing_words(), THING_SUPPORT)
        faults = [fault_row(model, DESCRIBE, told), fault_row(model, NAME, named)]
        print(
            f"| {title} | {scores['CIDEr']:.3f} | {scores['BLEU-4']:.3f} | {100 * recall:.1f} | "
            f"{100 * precision:.1f} | {sum(f.unfinished for f in faults)} | "
            f"{sum(f.repeating for f in faults)} | {spent:.0f} |",
            flush=True,
        )


@torch.inference_mode()
def ask(
    model: VideoAssistant, table: FeatureTable, names: Sequence[str], question: str
) -> list[str]:
    """The answer about each photo, with attributes."""
    plain = [PretrainExample(picture=name, question=question, answer="", type="") for name in names]
    samples = show_sources(model, table, plain)
    told: list[str] = []
    for start in range(0, len(samples), BATCH):
        batch = samples[start : start + BATCH]
        visual = model.visual_tokens(
            table.patches([s.picture for s in batch]), [s.qformer_text for s in batch]
        )
        prompts = [model.llm.prompt_ids(s.prompt) for s in batch]
        told += model.llm.complete(visual, prompts, model.llm.config.max_new_tokens)
    return told


if __name__ == "__main__":
    main()
