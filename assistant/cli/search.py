"""``assistant search``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assistant.cli.index import add_head, add_place, named_index
from assistant.cli.options import (
    add_backend_options,
    check_out,
    count,
    is_clip,
    say,
)
from assistant.errors import InputError
from assistant.vqa.time_words import format_time

if TYPE_CHECKING:
    from assistant.retrieval import Hit

MOST_WORDS = 4  # that are shown of a hit
EPILOG = """\
A query is words, a picture or a clip; the index is made by assistant index add. A line for each
hit: score and its kind, from-to, file, and which of its words are those of the query.

by meaning   what looks like it, whatever it is called (score: cosine, less what is usual)
by words     what is seen and said, as words: full-text search (score: BM25)
both         the two rankings fused: best is what stands high in either (score: fused ranks)

examples:
  assistant search "a man playing drums"
  assistant search "a dog on the beach" "snow" --top 3      several at once
  assistant search photo.jpg --kind clip                    where is this to be seen?
  assistant search "a boy jumps into water" --rerank        looks at the best again: slower, better
  assistant search "he says goodbye" --by words --kind clip,text
  assistant search "a goal" --kind clip --cut moments       writes them as clips
  assistant search "a red car" --json
  assistant search "a goal" --kind clip --open              the best one, in the browser's chat
"""


def add_search(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "search",
        help="find clips, pictures and texts by words, a picture or a clip",
        description="Find moments of clips, pictures and texts by words, a picture or a clip.",
        epilog=EPILOG,
    )
    parser.add_argument(
        "queries", metavar="QUERY", nargs="+", help="words, or the file of a picture or a clip"
    )
    parser.add_argument("--top", type=count, default=10, metavar="K", help="hits (default 10)")
    parser.add_argument(
        "--by",
        choices=("both", "meaning", "words"),
        help="default: both for words, meaning for a picture or a clip",
    )
    parser.add_argument(
        "--kind",
        metavar="KIND,...",
        help="only these of clip, image, text (default: all for words, clip,image for a picture or "
        "a clip)",
    )
    parser.add_argument(
        "--cut", type=Path, metavar="FOLDER", help="write the moments found as clips"
    )
    parser.add_argument(
        "--open",
        type=count,
        nargs="?",
        const=1,
        metavar="N",
        help="open the best hit, or the N-th, in the browser's chat, at its moment",
    )
    parser.add_argument(
        "--rerank", action="store_true", help="look at the best again, word by word: seconds"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object for each query")
    add_place(parser)
    add_backend_options(parser)
    add_head(parser)
    parser.add_argument("--quiet", action="store_true", help="nothing on stderr but errors")
    parser.set_defaults(run=run_search, adapter="none", task="")


def run_search(args: argparse.Namespace) -> int:
    from assistant.core.clip_names import clip_path

    if args.cut is not None:
        check_out(args.cut)
    if args.open is not None:
        if len(args.queries) > 1:
            raise InputError(f"--open is for one query, and {len(args.queries)} are given")
        if args.open > args.top:
            raise InputError(f"--open is {args.open}, and --top {args.top} is all that is found")
    kinds = None if args.kind is None else [kind.strip() for kind in args.kind.split(",")]
    index = named_index(args)
    written = 0
    for number, query in enumerate(args.queries):
        asked = clip_path(query) if is_file(query) else query
        hits = index.search(asked, top=args.top, by=args.by, kinds=kinds, rerank=args.rerank)
        made: list[str] = []
        if args.cut is not None:
            from assistant.retrieval.cutting import cut

            clips = [hit for hit in hits if hit.kind == "clip"]
            say(f"cutting {len(clips)} moments ...", args.quiet)
            made = [str(cut(hit, args.cut, written + n)) for n, hit in enumerate(clips, 1)]
            written += len(made)
        if args.json:
            told: dict[str, Any] = {"query": query, "hits": [hit.as_dict() for hit in hits]}
            print(json.dumps(told | ({"clips": made} if made else {}), ensure_ascii=False))
            continue
        if len(args.queries) > 1:
            print(f"{'' if number == 0 else chr(10)}{query}")
        for hit in hits:
            print(line(hit))
        for path in made:
            print(f"cut: {path}")
        if not hits:
            print("nothing was found")
    return 0 if args.open is None else show(args, hits)


def show(args: argparse.Namespace, hits: Sequence[Hit]) -> int:
    """The page, with the wanted hit open. Raises InputError: there is none that can be opened."""
    from assistant.cli.ui import page_options, serve

    if args.open > len(hits):
        raise InputError(f"--open is {args.open}, and {len(hits)} were found; search otherwise")
    hit = hits[args.open - 1]
    if hit.kind == "text":
        raise InputError(f"{hit.file}: is a text and does not open in the chat; add --kind clip")
    if not os.path.isfile(hit.file):  # noqa: PTH113, no such file or not ours to see
        raise InputError(f"{hit.file}: is not there any more; assistant index remove --gone")
    sys.stdout.flush()
    options = page_options(args, begin=hit, teaches=True)  # no other machine reaches it
    return serve(options, open_browser=True, quiet=args.quiet)


def is_file(query: str) -> bool:
    """Whether a query names a picture or a clip, which need not be there; other files' names are
    words."""
    return is_clip(query) and os.path.splitext(query)[1] != "" and "\n" not in query  # noqa: PTH122


def line(hit: Hit) -> str:
    """``0.457 cosine  0:17.5-0:30  clip.mp4  [drums, playing the drums]``."""
    span = ""
    if hit.start is not None and hit.end is not None:
        span = "-".join(format_time(round(second, 1)) for second in (hit.start, hit.end))
    words = ", ".join(hit.words[:MOST_WORDS])
    if hit.kind == "text" and not words:
        words = hit.text.splitlines()[0]
    told = f"{hit.told_score:>{len(hit.score_kind) + 7}}  {span:15}  {hit.file}"
    return told + (f"  [{words:.80}]" if words else "")
