"""``assistant evaluate events``."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from assistant.cli.options import backend_options, check_model
from assistant.core.jsonl import finite
from assistant.errors import InputError

VIEWS = ("1x1", "4x3")


def add_event_options(parser: argparse.ArgumentParser) -> None:
    events = parser.add_argument_group("events")
    events.add_argument(
        "--labels", metavar="FILE|NAME", help="told apart: a label a line (default: the data's own)"
    )
    events.add_argument(
        "--dev", metavar="PATH", type=str, help="other such data, to choose the fusion's weight on"
    )
    events.add_argument(
        "--views", nargs="+", choices=VIEWS, default=VIEWS, help="default: both (4x3 takes longer)"
    )


def run_events(args: argparse.Namespace) -> int:
    if args.data is None or len(args.data) > 1:
        raise InputError("evaluate events needs one --data PATH, clips with known events (JSONL)")
    (data,) = args.data
    check_model(args)  # mistakes show before the model loads
    from pathlib import Path

    from assistant.data.items import data_file
    from assistant.data.segments import read_segments
    from assistant.timeline.events import read_labels
    from assistant.timeline.head_folder import read_head_config

    labels = read_labels(args.labels) if args.labels else ()
    head = None if args.head is None else Path(args.head)
    if head is not None:
        read_head_config(head)
    read_segments(data, args.split)
    dev = None if args.dev is None else Path(args.dev)
    if dev is not None:
        read_segments(dev, "dev")
        if data_file(dev).samefile(data_file(data)):
            raise InputError("--dev is --data itself: a weight chosen there would flatter it")
    from assistant import load
    from assistant.evaluation.event_report import render_events, save_events
    from assistant.evaluation.events import evaluate_events

    assistant = load(args.model, now=False, **backend_options(args, quiet=args.json))
    report = evaluate_events(
        assistant,
        data,
        split=args.split,
        labels=labels,
        dev=dev,
        head=head,
        views=list(dict.fromkeys(args.views)),
        seed=args.seed,
    )
    save_events(report, args.out)
    told = json.dumps(finite(asdict(report)), ensure_ascii=False)
    print(told if args.json else render_events(report))
    return 0
