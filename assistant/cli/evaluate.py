"""``assistant evaluate``: what the base weights know, and what a task's adapters do."""

import argparse
from pathlib import Path

from assistant.cli.evaluate_events import add_event_options
from assistant.cli.index import add_head
from assistant.cli.options import (
    add_backend_options,
    backend_options,
    check_model,
    check_out,
    count,
    frames,
    seed,
)
from assistant.errors import InputError

EPILOG = """\
base: descriptions of photos (a folder as Flickr8k is distributed), questions about them and about
generated scenes with colors on shapes that training never showed together. Beside them the same
model without the picture, the majority answer, the caption of the nearest training photo. A full
run takes about forty minutes on two cores; --count, --per-type and --scenes make it shorter.

a task: every question of a split of DATA (JSONL or a folder with data.jsonl), by choices (the
official way) and by free text (strict), beside the same adapter without the clip. --compare puts
several adapters into one table, with a paired bootstrap of the first against each other one; none
is the base weights alone. Needs the train extra (scikit-learn, rouge-score, pycocoevalcap).

retrieval: does an event find itself again, by words, picture or clip? DATA is JSONL, an event, or a
part of one, a line: {"event": ..., "text": ..., "image": FILE, "video": FILE}; assistant data
events makes it. Every direction between what is there, beside class names and (--captions, a second
or more for each picture) the base model's captions, both matched as text by MiniLM, and chance.
Several DATA stand side by side in one more table. OUT gets report.md with curves, and report.json.

events: are the events of long clips found, and rightly named? DATA is JSONL, a clip and what is to
be seen in it a line: {"video": FILE, "segments": [{"start": 0, "end": 6.4, "label": "boxing"}]};
assistant data join and data segments make it. Borders within 1 s, segments by IoU, labels among all
by mean pooling, the video branch, the attribute branch and (--dev, other data) their late fusion;
half of the classes; 1, 2 and 5 examples of a class. OUT gets report.md, its pictures, report.json.

Choose on --split dev; report --split test once. OUT gets report.md with its pictures (accuracy,
confusion, reliability), report.json and the answers.

examples:
  assistant evaluate base --photos flickr8k --out report
  assistant evaluate motion --data clips-test --out report
  assistant evaluate motion --data clips-test --out report --compare motion none run/adapter
  assistant evaluate motion --data clips-test --out report --frame-order reversed
  assistant evaluate retrieval --data flickr8k-test/data.jsonl --out report
  assistant evaluate events --data joined --dev joined-dev --out report
"""


def add_evaluate(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "evaluate",
        help="score the base weights, or adapters on a task",
        description="Score the base weights, or adapters on a task.",
        epilog=EPILOG,
    )
    parser.add_argument(
        "what",
        metavar="base|retrieval|events|TASK",
        help="the base weights, retrieval, events, or a task",
    )
    parser.add_argument("--out", metavar="DIR", type=Path, required=True)
    add_backend_options(parser)
    parser.add_argument("--weights", dest="base", metavar="DIR", type=Path, help="as --base")
    parser.add_argument("--seed", type=seed, default=11, help="of what is drawn (11)")
    parser.add_argument(
        "--split", choices=["train", "dev", "test", "all"], default="test", help="default: test"
    )
    parser.add_argument("--per-type", type=count, help="questions (base: 200, a task: all)")
    base = parser.add_argument_group("base")
    base.add_argument("--photos", metavar="DIR", type=Path)
    base.add_argument("--count", type=count, default=1000, help="photos described (1000)")
    base.add_argument("--scenes", type=count, default=300, help="pictures (default: 300)")
    parser.add_argument(
        "--data",
        metavar="PATH",
        type=Path,
        nargs="+",
        help="a task: its questions; retrieval; events",
    )
    found = parser.add_argument_group("retrieval")
    found.add_argument("--captions", action="store_true", help="beside the base model's captions")
    add_head(found)
    found.add_argument("--json", action="store_true", help="print the report as JSON; events, too")
    add_event_options(parser)
    task = parser.add_argument_group("a task")
    task.add_argument("--adapter", metavar="NAME|DIR", help="default: that of the task's name")
    task.add_argument("--compare", nargs="+", metavar="A", help="several adapters, or none")
    task.add_argument(
        "--frames", type=frames, metavar="N", help="looked at (default: as many as in training)"
    )
    task.add_argument(
        "--frame-order", choices=["forward", "reversed", "shuffled"], default="forward"
    )
    parser.set_defaults(run=run_evaluate)


def run_evaluate(args: argparse.Namespace) -> int:
    check_out(args.out)
    if args.what == "retrieval":
        from assistant.cli.evaluate_retrieval import run_retrieval

        return run_retrieval(args)
    if args.what == "events":
        from assistant.cli.evaluate_events import run_events

        return run_events(args)
    return run_base(args) if args.what == "base" else run_task(args)


def run_base(args: argparse.Namespace) -> int:
    if args.photos is None:
        raise InputError("evaluate base needs --photos DIR, a folder as Flickr8k is distributed")
    if args.split not in ("dev", "test"):
        raise InputError(f"split is {args.split}; for the base choose dev or test")
    check_model(args)
    from assistant.model.loading import load_model
    from assistant.training.pretraining.evaluate import evaluate_base
    from assistant.training.pretraining.photos import Photos
    from assistant.training.pretraining.report import render, save

    Photos(args.photos)  # mistakes show before the model loads
    model = load_model(args.model, **backend_options(args))
    report = evaluate_base(
        model,
        args.photos,
        args.out / "features",
        split=args.split,
        per_type=args.per_type or 200,
        photos=args.count,
        scenes=args.scenes,
        seed=args.seed,
    )
    save(report, args.out)
    print(render(report))
    return 0


def run_task(args: argparse.Namespace) -> int:
    if args.data is None or len(args.data) > 1:
        raise InputError(f"evaluate {args.what} needs one --data PATH, the questions (JSONL)")
    (data,) = args.data
    if args.adapter and args.compare:
        raise InputError("--adapter and --compare both name adapters; leave one of them out")
    from assistant.tasks.store import find_task

    adapters = args.compare or [args.adapter or args.what]
    name = check_model(args, adapters)  # mistakes show before the model loads
    if "none" in adapters:
        find_task(args.what, name)
    from assistant.evaluation.report import render_task, save_task
    from assistant.evaluation.tasks import evaluate_task, read_questions
    from assistant.model.loading import load_model

    read_questions(data, args.split)
    model = load_model(args.model, reading=False, **backend_options(args))
    report = evaluate_task(
        model,
        args.what,
        data,
        adapters,
        args.out / "features",
        split=args.split,
        frames=args.frames,
        frame_order=args.frame_order,
        seed=args.seed,
        most=args.per_type,
    )
    save_task(report, args.out)
    print(render_task(report))
    return 0
