"""``assistant data join`` and ``data segments``: clips whose events are known."""

import argparse
from pathlib import Path

from assistant.cli.options import check_out, count, seed

FORMAT = """\
One JSON object a line:

  {"video": "000.mp4", "split": "test", "segments": [{"start": 0, "end": 6.4, "label": "boxing"}]}

split may be left out; so may start and end, where it lasts from the start or to the end.
"""

JOIN_EPILOG = f"""\
CLIPS holds clips.tsv (columns file and label, with tabs; the files lie in clips/), or a folder for
each label with clips or photos in it; a photo becomes a slow pan. 10 to 20 of them are joined, each
of 10 s at most, with its sound. The same seed makes the same clips.

{FORMAT}
examples:
  assistant data join my-clips joined --count 5 --seed 1
  assistant evaluate events --data joined --out report
"""

SEGMENTS_EPILOG = f"""\
A wrong row is named, and then nothing is written (exit code 2).

{FORMAT}
examples:
  assistant data segments activitynet ActivityNet/labels activitynet --clips ActivityNet/clips
  assistant data segments hmdb51 hmdb hmdb-2 --list 2 --missing drop
"""


def add_segments(actions: argparse._SubParsersAction) -> None:
    from assistant.data.formats.table import LABELLED, LISTS

    join = actions.add_parser(
        "join",
        help="make long clips with known events of labelled ones",
        description="Make OUT/data.jsonl and long clips: labelled clips one after the other.",
        epilog=JOIN_EPILOG,
    )
    join.add_argument("path", metavar="CLIPS", type=Path, help="a folder")
    join.add_argument("out", metavar="OUT", type=Path, help="a folder")
    join.add_argument("--count", type=count, default=10, help="long clips (default: 10)")
    join.add_argument("--seed", type=seed, default=0, help="of what is drawn (default: 0)")
    join.set_defaults(run=run_join)
    told = "\n".join(
        f"  {name:<13}{kind.holds}\n{'':15}from {kind.origin}" for name, kind in LABELLED.items()
    )
    segments = actions.add_parser(
        "segments",
        help="make events with their times of a dataset's official lists",
        description="Make OUT/data.jsonl, which evaluate events reads, of official lists.",
        epilog=f"sets:\n{told}\n\n{SEGMENTS_EPILOG}",
    )
    segments.add_argument("set", metavar="SET", choices=tuple(LABELLED), help=", ".join(LABELLED))
    segments.add_argument("path", metavar="IN", type=Path, help="a folder with the lists, or one")
    segments.add_argument("out", metavar="OUT", type=Path, help="a folder")
    segments.add_argument(
        "--clips", metavar="DIR", type=Path, help="the clips, any folders deep (default: IN)"
    )
    segments.add_argument(
        "--missing",
        choices=["error", "drop"],
        default="error",
        help="a clip that is not there: stop (default), or leave it out",
    )
    segments.add_argument(
        "--list", type=int, choices=LISTS, help="ucf101, hmdb51: the official split (default: 1)"
    )
    segments.set_defaults(run=run_segments)


def run_join(args: argparse.Namespace) -> int:
    check_out(args.out)
    from tqdm import tqdm

    from assistant.core.progress import watched
    from assistant.data.joined import join_clips

    with tqdm(total=100, desc="joining", unit="%") as bar:

        def show(doing: str, share: float) -> None:
            bar.set_description(doing.lower(), refresh=False)
            bar.n = round(100 * share)
            bar.refresh()

        with watched(show):
            made = join_clips(args.path, args.out, args.count, args.seed)
    print(f"wrote {made.path}")
    print(f"{made.clips} clips, {made.segments} segments, {made.seconds / 60:.1f} minutes")
    for note in made.notes:
        print(note)
    return 0


def run_segments(args: argparse.Namespace) -> int:
    from assistant.data.formats.labelled import convert_labelled

    check_out(args.out)
    for line in convert_labelled(
        args.set,
        args.path,
        args.out,
        clips=args.clips,
        missing=args.missing,
        number=args.list,
    ):
        print(line)
    return 0
