"""Questions of data sets about photos held out: right answers, beside baselines.

    python benchmarks/asked_photos.py DATA --boxes BOXES.jsonl --work FOLDER [--count N] [--fourth]

COCO-QA about photos that neither the base, the joint space nor the reading language model was
trained on, DAQUAR's test split, and yes/no questions about Flickr8k's test photos. "written": the
language model's first answer; "weighed": the best of all candidates, however sure; "told": share
that is sure enough to be said, and how many of those are right; "blind": the first answer without
the picture and the notes; "majority": the commonest answer in training. An answer is right where it
is the one given, but for its article and plural.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from source_facts import Raw

from assistant.core.config import from_yaml
from assistant.core.resources import adapters_dir
from assistant.model.assistant import VideoAssistant
from assistant.model.loading import load_model
from assistant.training.reading.config import ReadingConfig
from assistant.training.reading.questions import Asking
from assistant.training.reading.run import by_kind, prepare, questions
from assistant.training.reading.trainer import Data, ask
from assistant.training.reading.weighing import gather
from assistant.vqa.weighing import Weighing, load_weighing, weigh

KINDS = ("coco", "daquar", "yes/no")
ARTICLES = ("a ", "an ", "the ")


@dataclass
class Row:
    """Of one kind."""

    written: int = 0
    weighed: int = 0
    told: int = 0
    right_told: int = 0
    blind: int = 0
    majority: int = 0
    fourth: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=Raw)
    parser.add_argument("data", type=Path)
    parser.add_argument("--boxes", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="features are kept here")
    parser.add_argument("--count", type=int, default=200, help="questions of each kind (200)")
    parser.add_argument("--split", choices=("dev", "test"), default="test")
    parser.add_argument("--fourth", action="store_true", help="the weights that read no notes, too")
    args = parser.parse_args()
    config = from_yaml(ReadingConfig, adapters_dir() / "mini" / "reading" / "pretrain.yaml")
    asked = questions(config, args.data, args.boxes)
    train = by_kind(asked["train"])
    held = by_kind(asked[args.split])
    rng = np.random.default_rng(11)
    some = {
        kind: [held[kind][place] for place in rng.permutation(len(held[kind]))[: args.count]]
        for kind in KINDS
    }
    model = load_model("mini")
    wanted = {"train": [], "dev": [one for own in some.values() for one in own]}
    data = prepare(config, model, args.data, wanted, args.work)
    plain = load_model("mini", reading=False) if args.fourth else None
    weighing = load_weighing(adapters_dir() / "mini" / "reading")
    assert weighing is not None
    print(f"model {model.fingerprint}, split {args.split}, seed 11\n")
    print("| questions | n | written | weighed | told: right | blind | majority | without notes |")
    print("|---|---|---|---|---|---|---|---|")
    for kind, own in some.items():
        commonest = Counter(one.answer for one in train[kind]).most_common(1)[0][0]
        row = measure(model, plain, data, own, weighing, commonest)
        told = f"{share(row.told, len(own))}: {share(row.right_told, row.told)}"
        parts = [row.written, row.weighed]
        rest = [row.blind, row.majority, row.fourth]
        shown = [*(share(n, len(own)) for n in parts), told, *(share(n, len(own)) for n in rest)]
        print(f"| {kind} | {len(own)} | {' | '.join(shown)} |", flush=True)


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f}" if whole else "-"


def measure(
    model: VideoAssistant,
    plain: VideoAssistant | None,
    data: Data,
    asked: Sequence[Asking],
    weighing: Weighing,
    commonest: str,
) -> Row:
    row = Row()
    for one, found in zip(asked, gather(model, data, asked), strict=True):
        verdict = weigh(found.candidates, weighing.of(found.kind))
        text = found.candidates[verdict.place].text
        row.written += same(first(model, data, one, True), one)
        row.weighed += same(text, one)
        row.told += verdict.sure
        row.right_told += verdict.sure and same(text, one)
        row.blind += same(first(model, data, one, False), one)
        row.majority += same(commonest, one)
        row.fourth += plain is not None and same(first(plain, data, one, True, notes=False), one)
    return row


@torch.inference_mode()
def first(model: VideoAssistant, data: Data, one: Asking, seen: bool, *, notes: bool = True) -> str:
    """The language model's first answer."""
    told = data.notes.of(one.photo) if seen else {}
    if not notes:
        told = {name: text for name, text in told.items() if name == "attributes"}
    asked = ask(one.photo, one.question, one.answers, told)
    patches = data.patches([one.photo]) if seen else None
    visual = model.visual_tokens(patches, [asked.qformer_text])
    limit = model.config.llm.max_new_tokens
    return model.llm.complete(visual, [model.llm.prompt_ids(asked.prompt)], limit)[0]


def same(text: str, one: Asking) -> bool:
    return any(bare(text) == bare(answer) for answer in one.answers)


def bare(text: str) -> str:
    """Without article, full stop and plural."""
    text = text.lower().strip(" .")
    for article in ARTICLES:
        text = text.removeprefix(article)
    return text.removesuffix("s")


if __name__ == "__main__":
    main()
