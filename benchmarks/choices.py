"""How much of a choice's blind log-probability to take off its score, by type of question.

    python benchmarks/choices.py --photos FLICKR8K --work FOLDER

On dev questions (about photos, and about generated scenes with pairs of color and shape that
training never saw), through the LLM: share of right answers in % at several shares.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from assistant.model.assistant import VideoAssistant
from assistant.model.loading import load_model
from assistant.training.features import FeatureTable
from assistant.training.pretraining.evaluate import choice_scores, show_sources
from assistant.training.pretraining.examples import PretrainExample, photo_samples, scene_samples
from assistant.training.pretraining.photos import Photos, photo_table
from assistant.vqa.scoring import without_prior

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
SEED = 13


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="features are kept here")
    parser.add_argument("--base", type=Path)
    parser.add_argument("--per-type", type=int, default=128, help="questions (128)")
    parser.add_argument("--scenes", type=int, default=200, help="pictures (200)")
    args = parser.parse_args()
    model = load_model("mini", base=args.base)
    print(f"model {model.fingerprint}, dev, at most {args.per_type} questions a type\n")
    print("| type | " + " | ".join(f"{share:g}" for share in SHARES) + " |")
    print("|---|" + "---|" * len(SHARES))
    rows = []
    for kind, row in measured(model, args):
        rows.append(row)
        print(f"| {kind} | " + " | ".join(f"{value:.1f}" for value in row) + " |", flush=True)
    print("| mean | " + " | ".join(f"{value:.1f}" for value in np.mean(rows, axis=0)) + " |")


def measured(model: VideoAssistant, args: argparse.Namespace) -> Iterator[tuple[str, list[float]]]:
    """Per type the accuracy at each of ``SHARES``."""
    source = Photos(args.photos)
    names = source.splits["dev"]
    photos = photo_table(args.work, model.encoder, source, names)
    kinds = photo_samples(source, "dev", ["?"], SEED, args.work / f"photos-dev-{SEED}.jsonl")
    scenes, scene_set, _ = scene_samples(args.work, model.encoder, args.scenes, SEED, "dev")
    rng = np.random.default_rng(SEED)
    for table, pool in ((photos, kinds["question"] + kinds["yes/no"]), (scenes, scene_set)):
        for kind in sorted({s.type for s in pool}):
            some = [s for s in pool if s.type == kind and len(s.choices) > 1]
            if not some:
                continue
            picked = [some[place] for place in rng.permutation(len(some))[: args.per_type]]
            yield kind, accuracies(model, table, show_sources(model, table, picked), kind)


def accuracies(
    model: VideoAssistant, table: FeatureTable, samples: list[PretrainExample], kind: str
) -> list[float]:
    """Share of right answers in % at each of ``SHARES``."""
    seen = choice_scores(model, table, samples, kind)
    dark = choice_scores(model, None, samples, f"{kind}, blind")
    found = []
    for share in SHARES:
        chosen = [
            int(np.argmax(without_prior(*pair, share))) for pair in zip(seen, dark, strict=True)
        ]
        right = [s.choices[place] == s.answer for s, place in zip(samples, chosen, strict=True)]
        found.append(100 * float(np.mean(right)))
    return found


if __name__ == "__main__":
    main()
