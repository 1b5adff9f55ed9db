"""``assistant finetune actions``: a recogniser of actions, taught by the joint space."""

from __future__ import annotations

import argparse

from assistant.cli.finetune_heads import check_options
from assistant.cli.options import backend_options, check_model
from assistant.core.resources import first_process
from assistant.tasks.recipes import ACTION_ABLATIONS

ACTIONS_EPILOG = """\
actions: a recogniser of your own actions, taught by the joint space (docs/actions.md). DATA is a
folder with LABEL/clip.mp4, or JSONL as for events; --bank describes the labels in sentences.

  assistant finetune actions --data clips --bank bank.yaml --out run
  assistant finetune actions --data clips --out big --video-encoder MCG-NJU/videomae-base
  assistant actions clip.mp4 --head run/head
  assistant finetune actions --data clips --out run --name gestures
  assistant ask clip.mp4 "What is he doing?" --head gestures
"""


def run_finetune_actions(args: argparse.Namespace) -> int:
    from dataclasses import replace

    from assistant import load
    from assistant.actions.bank import bare_bank, read_bank
    from assistant.actions.store import check_free, install_recogniser
    from assistant.core.config import from_yaml
    from assistant.training.actions.config import ActionsConfig, video_recipe
    from assistant.training.actions.features import read_clips
    from assistant.training.actions.run import finetune_actions
    from assistant.training.heads import CURVES
    from assistant.training.run_folder import check_run
    from assistant.weights.video_encoders import find_video_encoder

    check_options(args, ACTION_ABLATIONS)
    check_model(args)
    named = args.video_encoder
    if named is not None:
        find_video_encoder(named)
    config = ActionsConfig() if named is None else video_recipe()
    if args.config is not None:
        config = from_yaml(ActionsConfig, args.config)
    if args.seed is not None:
        config = replace(config, seed=args.seed)
    kept = tuple(loss for loss in config.losses if loss not in args.without)
    config = replace(
        config,
        losses=kept,
        teacher=config.teacher and "teacher" not in args.without,
        motion=config.motion and "motion" not in args.without,
    )
    if args.name is not None:
        check_free(args.name)
    check_run(args.out, args.resume)
    clips = read_clips(args.data)  # mistakes show before the model loads
    bank = bare_bank(clips.labels) if args.bank is None else read_bank(args.bank).of(clips.labels)
    assistant = load(args.model, now=False, **backend_options(args))
    video = None
    if named is not None:
        from assistant.actions.video import load_video_encoder

        video = load_video_encoder(named)
    try:
        done = finetune_actions(
            config, assistant.sight, clips, bank, args.out, video=video, resume=args.resume
        )
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt("stopped; the same command with --resume goes on") from stop
    if not first_process():
        return 0
    train, dev = done.clips
    print(f"{train} clips of {len(clips.labels)} labels learned, {dev} to choose the epoch on")
    print(f"{'on dev':>14}  joint space alone  trained")
    for name, value in done.made.bare.items():
        print(f"{name:>14}  {value:17.2f}  {done.made.figures[name]:7.2f}")
    width = max(map(len, done.recalls))
    for label, recall in done.recalls.items():
        most = next(iter(done.chosen.get(label, {}).items()), None)
        chosen = "" if most is None else f"  most like: {most[0]} ({most[1]} of its clips)"
        print(f"{label.ljust(width)}  {recall:5.1f} %{chosen}")
    print(f"kept: epoch {done.made.epoch}, head: {done.folder} (curve: {args.out / CURVES})")
    head = str(done.folder)
    if args.name is not None:
        print(f"kept as {args.name}: {install_recogniser(done.folder, args.name)}")
        head = args.name
    print(f"try: assistant actions CLIP --head {head}")
    return 0
