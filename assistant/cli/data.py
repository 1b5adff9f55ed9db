"""``assistant data``: look at training data before it costs an hour, and make it from datasets."""

import argparse
from pathlib import Path

from assistant.cli.data_bank import add_bank
from assistant.cli.data_segments import add_segments
from assistant.cli.options import check_out, seed

CHECK_EPILOG = """\
One JSON object a line:

  {"id": "a-1", "video": "clips/a.mp4", "question": "Which way does it move?", "answer": "left",
   "choices": ["left", "right"], "type": "direction", "split": "train"}

video is null where there is none; start and end are seconds; dialogue, choices, type, split (train,
dev, test), fold and held_out may be left out. Every wrong line is named (exit code 2); the report
is of the others.

examples:
  assistant data check clips
  assistant data check questions.jsonl
"""

CONVERT_EPILOG = """\
Everything is checked first; one wrong item, and nothing is written (exit code 2). Pickles are read
without running anything in them. A question's fold is the official one that tests it.

examples:
  assistant data convert mustard MUStARD/data sarcasm
  assistant data convert mustard MUStARD/data fold0 --fold 0 --clips mmsd_raw_data
  assistant data convert mustard MUStARD/data honest --split independent --no-speakers
  assistant data convert texts short_texts.csv humor --seed 0
  assistant data convert laughs sitcom_laughs.csv unseen --hold-out seinfeld
  assistant data convert clevrer clevrer-questions motion --clips clevrer-videos
"""


EVENTS_EPILOG = """\
One JSON object a line; any of text, image and video, and several lines for one event:

  {"event": "a.jpg", "text": "two dogs run over a field", "image": "photos/a.jpg"}

examples:
  assistant data events flickr8k flickr8k flickr8k-test
  assistant data events labels my-clips by-label
"""


def add_data(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "data",
        help="check training data, or convert a dataset",
        description="Look at training data, or make it from a dataset.",
    )
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True)
    check = actions.add_parser(
        "check",
        help="name every wrong line, and tell what the rest holds",
        description="Name every wrong line of training data, and tell what the data holds.",
        epilog=CHECK_EPILOG,
    )
    check.add_argument("path", metavar="PATH", type=Path, help="JSONL, or a folder with data.jsonl")
    check.set_defaults(run=run_check)
    add_convert(actions)
    add_events(actions)
    add_segments(actions)
    add_bank(actions)


def add_events(actions: argparse._SubParsersAction) -> None:
    from assistant.data.event_sets import SETS, SPLITS

    told = "\n".join(f"  {name:<10}{kind.holds}" for name, kind in SETS.items())
    events = actions.add_parser(
        "events",
        help="make the events that evaluate retrieval reads",
        description="Make OUT/data.jsonl: events as text, picture or clip, for retrieval.",
        epilog=f"IN holds:\n{told}\n\n{EVENTS_EPILOG}",
    )
    events.add_argument("set", metavar="SET", choices=tuple(SETS), help=", ".join(SETS))
    events.add_argument("path", metavar="IN", type=Path, help="a folder")
    events.add_argument("out", metavar="OUT", type=Path, help="a folder")
    events.add_argument("--split", choices=SPLITS, default="test", help="flickr8k (default: test)")
    events.set_defaults(run=run_events)


def add_convert(actions: argparse._SubParsersAction) -> None:
    from assistant.data.formats.table import FORMATS, MISSING

    told = "\n".join(
        f"  {name:<10}{form.holds}\n{'':12}from {form.origin}" for name, form in FORMATS.items()
    )
    splits = next(form.splits for form in FORMATS.values() if form.splits)
    convert = actions.add_parser(
        "convert",
        help="make training data of a dataset in its official format",
        description="Make OUT/data.jsonl of a dataset in its official format.",
        epilog=f"formats:\n{told}\n\n{CONVERT_EPILOG}",
    )
    convert.add_argument(
        "format", metavar="FORMAT", choices=tuple(FORMATS), help=", ".join(FORMATS)
    )
    convert.add_argument("path", metavar="IN", type=Path, help="the dataset's folder, or its file")
    convert.add_argument("out", metavar="OUT", type=Path, help="a folder")
    convert.add_argument(
        "--clips", metavar="DIR", type=Path, help="the clips, any folders deep (default: IN)"
    )
    convert.add_argument(
        "--missing",
        choices=MISSING,
        help="a clip that is not there: ask without it (null; the default of mustard and urfunny), "
        "leave its questions out (drop), or stop (error; the default of the others)",
    )
    convert.add_argument("--split", metavar="NAME", help=f"mustard: {', '.join(splits)}")
    convert.add_argument("--fold", type=seed, metavar="K", help="mustard: the fold to test, from 0")
    convert.add_argument(
        "--seed", type=seed, metavar="N", help="of the splits that are drawn (default 0)"
    )
    convert.add_argument(
        "--no-speakers",
        dest="speakers",
        action="store_const",
        const=False,
        help="mustard: leave out who speaks",
    )
    convert.add_argument(
        "--hold-out", metavar="SHOW", help="laughs: test on this show, learn from the others"
    )
    convert.add_argument(
        "--moments",
        action="store_const",
        const=True,
        help="qaego4d: look only where the answer is (an oracle)",
    )
    convert.set_defaults(run=run_convert)


def run_check(args: argparse.Namespace) -> int:
    from assistant.core.jsonl import refusal
    from assistant.data.items import data_file, describe_items, scan_items

    items, wrong = scan_items(args.path)
    for line in describe_items(items):
        print(line)
    if wrong:
        lines = "1 line is" if len(wrong) == 1 else f"{len(wrong)} lines are"
        raise refusal(data_file(args.path), f"{lines} wrong and not in this report", wrong)
    return 0


def run_events(args: argparse.Namespace) -> int:
    from assistant.data.event_sets import write_events

    check_out(args.out)
    path, lines, events = write_events(args.set, args.path, args.out, args.split)
    print(f"wrote {path}\n{events} events in {lines} lines")
    return 0


def run_convert(args: argparse.Namespace) -> int:
    from assistant.data.formats.convert import convert, report

    check_out(args.out)
    converted = convert(
        args.format,
        args.path,
        args.out,
        clips=args.clips,
        missing=args.missing,
        split=args.split,
        fold=args.fold,
        seed=args.seed,
        speakers=args.speakers,
        moments=args.moments,
        hold_out=args.hold_out,
    )
    for line in report(converted):
        print(line)
    return 0
