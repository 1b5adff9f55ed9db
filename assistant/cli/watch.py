"""``assistant watch``."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.cli.events import progress
from assistant.cli.options import add_backend_options, count, load_assistant, say
from assistant.errors import InputError
from assistant.vqa.time_words import format_time

if TYPE_CHECKING:
    from assistant.media.files import Failed
    from assistant.timeline.watching import Record

EPILOG = """\
Each clip that lies in a folder, or comes into it, is looked through once. A line is printed for
each moment that is found, and a JSON object appended to --out for each clip and query, found or
not: with the moments, or the likeliest place and how far it stays below the threshold. A clip that
is still being written waits. Start it again and it goes on where it was.

Mini learned from everyday photos, and looks at a frame every 1.25 s. It finds what is to be seen in
a picture (a dog, snow, a car, people dancing) far better than what only a movement tells (somebody
falls, a fight), and misses what is shorter than 4 s. Try your queries on recordings of your own
that you know, and do not let anybody's safety rest on it.

examples:
  assistant watch recordings --query "a person" --query "smoke"
  assistant watch recordings --query "a dog" --once --out dogs.jsonl    what is there now, and end
  jq 'select(.appears)' alerts.jsonl
"""


def add_watch(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "watch",
        help="look through new clips of a folder for what you say in words",
        description="Look through each clip that is in a folder, or comes into it, for what you "
        "say in words.",
        epilog=EPILOG,
    )
    parser.add_argument("folders", metavar="FOLDER", nargs="+", type=Path)
    parser.add_argument(
        "--query", action="append", metavar="TEXT", help="what to look for; repeatable"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("alerts.jsonl"),
        metavar="FILE.jsonl",
        help="what was found is appended here (default alerts.jsonl)",
    )
    parser.add_argument("--once", action="store_true", help="end when all that is there is done")
    parser.add_argument(
        "--every", type=count, default=5, metavar="S", help="seconds between looks (default 5)"
    )
    parser.add_argument("--json", action="store_true", help="print the JSON objects instead")
    add_backend_options(parser.add_argument_group("model"))
    parser.add_argument("--quiet", action="store_true", help="nothing on stderr but errors")
    parser.set_defaults(run=run_watch, adapter="none", task="")


def run_watch(args: argparse.Namespace) -> int:
    from assistant.core.results import Results
    from assistant.timeline.moments import check_query
    from assistant.timeline.watching import Watch

    if not args.query:
        raise InputError('nothing to look for: add --query TEXT, like --query "a dog"')
    queries = list(dict.fromkeys(map(check_query, args.query)))
    for folder in args.folders:
        if not folder.is_dir():
            raise InputError(f"{folder}: is no folder; give one that recordings come into")
    assistant = load_assistant(args, now=False)
    told: set[tuple[str, str]] = set()

    def failed(path: str, fault: str) -> None:
        if (path, fault) not in told:
            say(f"warning: {path}: {fault}", args.quiet)
        told.add((path, fault))

    with Results(args.out) as results:
        watch = Watch(assistant, args.folders, queries, results)
        if not args.once:
            say(f"[watching for {', '.join(queries)}; into {args.out}; Ctrl-C ends it]", args.quiet)
        while True:
            with progress(args.quiet):
                for record in watch.round(failed, settled=not args.once):
                    tell(record, args, failed)
            if args.once:
                return 0
            time.sleep(args.every)


def tell(record: Record, args: argparse.Namespace, failed: Failed) -> None:
    """What one clip says to one query."""
    if "error" in record:
        failed(record["video"], record["error"])
    if args.json:
        print(json.dumps(record, ensure_ascii=False), flush=True)
        return
    for one in record.get("moments", ()):
        begin, end = (format_time(round(one[key], 1)) for key in ("start", "end"))
        parts = (record["video"], f"{begin}-{end}", record["query"], f"{one['score']:.2f}")
        print("  ".join(parts), flush=True)
