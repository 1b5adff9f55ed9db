"""``assistant evaluate``: what a model knows, beside its baselines."""

from __future__ import annotations

import argparse
from pathlib import Path

from assistant.cli_options import count

__all__ = ["add_evaluate"]

EPILOG = """\
base: the pretrained image model on Flickr8k's photos (captions, questions made from them) and on
generated scenes with colours on shapes that training never showed together. Baselines stand beside:
the same model blind, the majority answer, the caption of the nearest training photo. Choose on
--split dev; report --split test once. OUT gets report.md, report.json and examples.jsonl.

examples:
  assistant evaluate base --photos flickr8k --out report
  assistant evaluate base --photos flickr8k --out report --weights run/base --split dev
"""


def add_evaluate(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "evaluate",
        help="measure a model beside its baselines",
        description="Measure a model beside its baselines.",
        epilog=EPILOG,
    )
    parser.add_argument("what", choices=["base"], metavar="base", help="the base weights")
    parser.add_argument("--photos", metavar="DIR", type=Path, required=True)
    parser.add_argument("--out", metavar="DIR", type=Path, required=True)
    parser.add_argument("--weights", metavar="DIR", type=Path, help="default: the shipped ones")
    parser.add_argument("--model", default="mini", help="default: mini")
    parser.add_argument("--split", choices=["dev", "test"], default="test")
    parser.add_argument("--count", type=count, default=1000, help="photos described (1000)")
    parser.add_argument("--per-type", type=count, default=200, help="questions (default: 200)")
    parser.add_argument("--scenes", type=count, default=300, help="pictures (default: 300)")
    parser.add_argument("--seed", type=int, default=11, help="of questions and scenes (11)")
    parser.set_defaults(run=run_evaluate)


def run_evaluate(args: argparse.Namespace) -> int:
    from assistant.evaluation import evaluate_base
    from assistant.evaluation_report import render, save
    from assistant.model.loading import load_model

    model = load_model(args.model, base=args.weights)
    report = evaluate_base(
        model,
        args.photos,
        args.out / "features",
        split=args.split,
        per_type=args.per_type,
        photos=args.count,
        scenes=args.scenes,
        seed=args.seed,
    )
    save(report, args.out)
    print(render(report))
    return 0
