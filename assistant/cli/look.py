"""``assistant look``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.cli.options import (
    add_backend_options,
    add_clip_options,
    add_sound_options,
    add_without,
    load_assistant,
    say,
)
from assistant.sources import SOURCES
from assistant.vqa.time_words import format_time

if TYPE_CHECKING:
    from assistant.vqa.perception import Perception

HEAD = ("source", "name", "probability", "from", "to")
EPILOG = """\
A line for each thing, what begins first at the top; without a time of its own it holds for the
whole range. Only the image encoder is loaded, no language model. What was perceived is kept with
the clip's features: a second look costs nothing.

examples:
  assistant look clip.mp4
  assistant look clip.mp4 --plot seen.png          the frames, and below them a lane for each thing
  assistant look clip.mp4 --start 1:05 --end 1:15 --frames 16
  assistant look clip.mp4 --without read           reading takes the longest
  assistant look photo.jpg --json
"""


def add_look(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "look",
        help="tell all that is perceived of a clip or a picture",
        description="Tell all that is perceived of a clip or a picture, as a table over time: "
        + "; ".join(f"{name}, {kind.thing}" for name, kind in SOURCES.items())
        + ". No question is asked.",
        epilog=EPILOG,
    )
    parser.add_argument("video", metavar="CLIP")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE.png", help="draw it, too (.png, .svg, .pdf)"
    )
    add_clip_options(parser, said=False)
    group = parser.add_argument_group("model")
    add_without(group)
    add_backend_options(group)
    add_sound_options(group)
    parser.add_argument("--quiet", action="store_true", help="nothing on stderr but errors")
    parser.set_defaults(run=run_look, adapter="none", task="")


def run_look(args: argparse.Namespace) -> int:
    from assistant.core.progress import watched
    from assistant.vqa.evidence import check_picture_path

    if args.plot is not None:
        check_picture_path(args.plot)
    session = load_assistant(args, now=False).open(
        args.video,
        frames=args.frames,
        start=args.start,
        end=args.end,
        decoder=args.decoder,
        without=args.without,
    )
    session.check()
    told: list[str] = []

    def tell(doing: str, _: float) -> None:
        if doing not in told:
            told.append(doing)
            say(f"{doing} ...", args.quiet)

    with watched(tell):
        seen = session.perceive()
    for warning in seen.warnings:
        say(f"warning: {warning}", args.quiet)
    if args.json:
        print(json.dumps(seen.as_dict(), ensure_ascii=False))
    else:
        print("\n".join(table(seen)))
    if args.plot is not None:
        from assistant.vqa.evidence import save_figure
        from assistant.vqa.lanes import draw_perception

        save_figure(draw_perception(seen, session.pictures(seen)), args.plot)
        say(f"[plot: {args.plot}]", args.quiet)
    return 0


def table(seen: Perception) -> list[str]:
    """Lines of the columns ``HEAD``, one for each thing."""
    rows: list[Sequence[str]] = [HEAD]
    for name, item in seen.over_time():
        begin, end = (format_time(round(second, 1)) for second in seen.span(item))
        rows.append((name, item.told, f"{item.probability:.0%}", begin, end))
    if len(rows) == 1:
        return ["nothing was perceived"]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            text.rjust(width) if number > 1 else text.ljust(width)
            for number, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
