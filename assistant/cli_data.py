"""``assistant data``: look at training data before it costs an hour."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["add_data"]

CHECK_EPILOG = """\
One JSON object a line:

  {"id": "a-1", "video": "clips/a.mp4", "question": "Which way does it move?", "answer": "left",
   "choices": ["left", "right"], "type": "direction", "split": "train"}

video is null where there is none; start and end are seconds; dialogue, choices, type, split (train,
dev, test), fold and held_out may be left out. Every wrong line is named (exit code 2).

example:
  assistant data check clips/data.jsonl
"""


def add_data(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "data", help="check training data", description="Look at training data."
    )
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True)
    check = actions.add_parser(
        "check",
        help="name every wrong line, and tell what the rest holds",
        description="Name every wrong line of training data, and tell what the data holds.",
        epilog=CHECK_EPILOG,
    )
    check.add_argument("path", metavar="PATH", type=Path, help="a JSONL file")
    check.set_defaults(run=run_check)


def run_check(args: argparse.Namespace) -> int:
    from assistant.training_data import describe_items, read_items

    for line in describe_items(read_items(args.path)):
        print(line)
    return 0
