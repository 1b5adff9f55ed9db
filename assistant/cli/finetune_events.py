"""``assistant finetune events``: a head of events on the joint space."""

from __future__ import annotations

import argparse

from assistant.cli.finetune_heads import check_options
from assistant.cli.options import backend_options, check_model
from assistant.tasks.recipes import EVENT_ABLATIONS


def run_finetune_events(args: argparse.Namespace) -> int:
    from dataclasses import replace

    from assistant import load
    from assistant.core.config import from_yaml
    from assistant.training.events.config import EventsConfig
    from assistant.training.events.features import read_clips
    from assistant.training.events.run import finetune_events
    from assistant.training.heads import CURVES
    from assistant.training.run_folder import check_run

    check_options(args, EVENT_ABLATIONS)
    check_model(args)
    config = EventsConfig() if args.config is None else from_yaml(EventsConfig, args.config)
    if args.seed is not None:
        config = replace(config, seed=args.seed)
    kept = tuple(loss for loss in config.losses if loss not in args.without)
    config = replace(config, losses=kept, texts=config.texts and "texts" not in args.without)
    check_run(args.out, args.resume)
    clips = read_clips(args.data)  # mistakes show before the model loads
    assistant = load(args.model, now=False, **backend_options(args))
    try:
        done = finetune_events(config, assistant, clips, args.out, resume=args.resume)
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt("stopped; the same command with --resume goes on") from stop
    train, dev = done.segments
    print(f"{train} segments of {len(clips.labels)} labels learned, {dev} to choose the epoch on")
    print(f"{'on dev':>12}  labels' texts alone  trained")
    for name, value in done.bare.items():
        own = f"{done.figures[name]:7.2f}" if done.figures else ""
        print(f"{name:>12}  {value:19.2f}  {own}")
    curve = f"(curve: {args.out / CURVES})"
    if done.folder is None:
        print(f"no epoch has a better {done.main} than the labels' texts: no head is kept {curve}")
        return 0
    print(f"kept: epoch {done.epoch}, head: {done.folder} {curve}")
    print(f"try: assistant events CLIP --head {done.folder}")
    return 0
