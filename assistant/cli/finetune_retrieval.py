"""``assistant finetune retrieval``: a head on the joint space."""

from __future__ import annotations

import argparse

from assistant.cli.finetune_heads import check_options
from assistant.cli.options import backend_options, check_model
from assistant.tasks.recipes import RETRIEVAL_ABLATIONS


def run_finetune_retrieval(args: argparse.Namespace) -> int:
    from dataclasses import replace

    from assistant import load
    from assistant.core.config import from_yaml
    from assistant.training.retrieval.config import RetrievalConfig
    from assistant.training.retrieval.events import read_events
    from assistant.training.retrieval.run import CURVES, finetune_retrieval
    from assistant.training.run_folder import check_run

    check_options(args, RETRIEVAL_ABLATIONS)
    check_model(args)
    config = RetrievalConfig() if args.config is None else from_yaml(RetrievalConfig, args.config)
    if args.seed is not None:
        config = replace(config, seed=args.seed)
    without = tuple(dict.fromkeys([*config.fusion.without, *args.without]))
    config = replace(config, fusion=replace(config.fusion, without=without))
    check_run(args.out, args.resume)
    events = read_events(args.data)  # mistakes show before the model loads
    sight = load(args.model, now=False, **backend_options(args)).sight
    try:
        done = finetune_retrieval(config, sight, events, args.out, resume=args.resume)
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt("stopped; the same command with --resume goes on") from stop
    print(f"{'recall on dev, %':>24}  joint space alone  with the head")
    for name, value in done.bare.items():
        own = f"{done.figures[name]:13.1f}" if done.figures else ""
        print(f"{name:>24}  {value:17.1f}  {own}")
    curve = f"(curve: {args.out / CURVES})"
    if done.folder is None:
        print(f"no epoch is better than the joint space alone: no head is kept {curve}")
        return 0
    print(f"{done.parameters:,} parameters, kept: epoch {done.epoch}")
    print(f"head: {done.folder} {curve}")
    print(f"try: assistant index add FOLDER --head {done.folder}")
    return 0
