"""``assistant actions``."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

from assistant.cli.events import progress
from assistant.cli.options import add_backend_options, count, load_assistant, say, seconds
from assistant.errors import InputError
from assistant.vqa.time_words import format_time

SHORTEST = 0.5  # seconds of a window
EPILOG = """\
The likeliest actions of each clip, with their probability among all labels. Eight frames of the
whole clip are looked at once and kept: a second question costs nothing, and after an interruption
the same command goes on. No language model is loaded.

Without --head the labels are those of --labels or --bank, and are told apart by the similarity of
the clip to what describes them; with it, by what the recogniser learned of descriptions. Without it
"none of these is likely" stands first where the nearest label is too unlike the clip.

examples:
  assistant actions clip.mp4 --head run/head            what assistant finetune actions learned
  assistant actions clip.mp4 --head gestures            the same, where it was given that --name
  assistant actions *.mp4 --labels labels.txt           a label in each line
  assistant actions clip.mp4 --bank bank.yaml           labels with sentences that describe them
  assistant actions clip.mp4 --head run/head --labels others.txt
  assistant actions clip.mp4 --head run/head --json
  assistant actions clip.mp4 --head run/head --evidence why.png
  assistant actions film.mp4 --head run/head --every 4  each 4 s of it
"""


def add_actions(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "actions",
        help="name what is being done, of your own actions or of any labels",
        description="Name what is being done in clips: actions that were trained, or any labels.",
        epilog=EPILOG,
    )
    parser.add_argument("videos", metavar="CLIP", nargs="+")
    parser.add_argument(
        "--head",
        metavar="NAME|DIR",
        help="the actions that assistant finetune actions learned: of --name, or in RUN/head",
    )
    parser.add_argument(
        "--labels",
        metavar="FILE|NAME",
        help="other labels: a file with one in each line, or a list of the lexicon",
    )
    parser.add_argument(
        "--bank", metavar="FILE|NAME", help="labels described in sentences, or those of --labels"
    )
    parser.add_argument(
        "--every",
        type=seconds,
        metavar="SECONDS",
        help="name each window of about so long, instead of the whole clip at once",
    )
    parser.add_argument("--top", type=count, default=5, metavar="N", help="default: 5")
    parser.add_argument(
        "--evidence",
        type=Path,
        metavar="FILE.png",
        help="draw where the likeliest action of one clip rests (.png, .svg, .pdf); with --head",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object for each clip")
    add_backend_options(parser.add_argument_group("model"))
    parser.add_argument("--quiet", action="store_true", help="nothing on stderr but errors")
    parser.set_defaults(run=run_actions, adapter="none", task="")


def run_actions(args: argparse.Namespace) -> int:
    from assistant.actions.head import read_head_config
    from assistant.actions.naming import Namer, bank_for
    from assistant.actions.store import find_recogniser
    from assistant.core.clip_names import clip_path
    from assistant.model.features import check_file
    from assistant.timeline.events import read_labels
    from assistant.vqa.evidence import save_figure

    if args.head is None and args.labels is None and args.bank is None:
        raise InputError("nothing to choose among; give --head, --labels or --bank")
    if args.every is not None and args.every < SHORTEST:
        raise InputError(f"--every is {args.every:g}; give {SHORTEST:g} seconds or more")
    if args.evidence is not None:
        check_evidence(args)
    if args.head is not None:
        args.head = find_recogniser(args.head)
        read_head_config(args.head)  # mistakes show before the model loads
    labels = None if args.labels is None else read_labels(args.labels)
    bank = bank_for(labels, args.bank)
    paths = [clip_path(name) for name in args.videos]
    for path in paths:
        check_file(path)
    assistant = load_assistant(args, now=False)
    with progress(args.quiet):
        namer = Namer(assistant.sight, assistant.store, args.head, bank)
        for number, path in enumerate(paths):
            if len(paths) > 1 and not args.json:
                print(f"{'' if number == 0 else chr(10)}{path}")
            warned: set[str] = set()
            every = args.every or math.inf
            for named in namer.name_windows(path, every, args.top):
                for warning in {*named.warnings} - warned:
                    say(f"warning: {path}: {warning}", args.quiet)
                warned |= {*named.warnings}
                if args.evidence is not None:
                    save_figure(namer.evidence(named), args.evidence)
                    say(f"[evidence: {args.evidence}]", args.quiet)
                if args.json:
                    print(json.dumps(named.as_dict(), ensure_ascii=False), flush=True)
                    continue
                if args.every is not None:
                    print(f"{format_time(named.start)}-{format_time(named.end)}")
                if named.doubt:
                    print(named.doubt)
                for label, share in named.actions:
                    print(f"{share:4.0%}  {label}", flush=True)
    return 0


def check_evidence(args: argparse.Namespace) -> None:
    """Raises InputError: there is nothing to draw, or no place for it."""
    from assistant.vqa.evidence import check_picture_path

    check_picture_path(args.evidence)
    if args.head is None:
        raise InputError("--evidence draws where a trained recogniser looks; give --head")
    if len(args.videos) > 1 or args.every is not None:
        raise InputError("--evidence is for one whole clip; leave out --every and other clips")
