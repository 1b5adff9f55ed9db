"""``assistant events``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.cli.options import add_backend_options, add_sound_options, load_assistant, say
from assistant.cli.spreading import add_workers, for_worker, without_gpu, workers_of
from assistant.errors import AssistantError, InputError, VideoError

if TYPE_CHECKING:
    from assistant.core.workers import Workers
    from assistant.timeline import Timeline
    from assistant.timeline.events import EventHead
    from assistant.timeline.making import Looks
    from assistant.vqa.assistants import Assistant
    from assistant.vqa.session import Session

LOOKING = "Looking at the clips"
EPILOG = """\
A line for each scene: from, to, how likely its event is among all labels, the event, what it shows.
A clip of any length is looked at once, a frame every 1.25 s, and what was seen is kept: after an
interruption the same command goes on, and a second question costs nothing. No language model is
loaded, unless you ask for --describe.

--listen tells what is heard, too: speech, music, ten kinds of sounds, silence and loudness, with
their times (docs/sound.md). It takes four to eight seconds a minute of sound, once.

A query is anything said in words. Its moments are found wherever they are, and where nothing is
like enough it "does not appear": of short words the lexicon's own ("a dog", "playing the drums")
are the surest.

Of several clips one that cannot be looked at is told, and the rest goes on; the exit code is 2.

examples:
  assistant events film.mp4
  assistant events film.mp4 --query "a dog" --query "a man opens a door"
  assistant events film.mp4 --labels labels.txt         one label in each line
  assistant events film.mp4 --labels scenes             a list of ours: activities, scenes, things,
                                                        weather, sky or who
  assistant events film.mp4 --few-shot examples         examples/goal/1.mp4, examples/foul/1.mp4 ...
  assistant events film.mp4 --head run/head             what assistant finetune events learned
  assistant events film.mp4 --vtt > film.chapters.vtt   chapters for a player
  assistant events a.mp4 b.mp4 --csv > events.csv
  assistant events clips/*.mp4 --json --ray local       by several processes, in the same order
  assistant events film.mp4 --query "snow" --plot film.png
  assistant events film.mp4 --listen --csv              scenes and sounds, a row for each
"""


def add_events(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "events",
        help="tell what happens when: scenes, events, and moments of anything said in words",
        description="Tell what happens when in clips of any length: scenes and events with their "
        "times, and the moments of anything said in words.",
        epilog=EPILOG,
    )
    parser.add_argument("videos", metavar="CLIP", nargs="+")
    parser.add_argument(
        "--query", action="append", default=[], metavar="TEXT", help="find its moments; repeatable"
    )
    parser.add_argument(
        "--labels",
        metavar="FILE|NAME",
        help="the events that are told apart: a file with one in each line, or a list of the "
        "lexicon (default activities)",
    )
    parser.add_argument(
        "--few-shot",
        type=Path,
        metavar="FOLDER",
        help="learn the events from examples: a folder for each label, with clips in it",
    )
    parser.add_argument(
        "--head",
        type=Path,
        metavar="DIR",
        help="the events that assistant finetune events learned, in RUN/head",
    )
    parser.add_argument(
        "--describe", action="store_true", help="the model describes each scene: seconds for each"
    )
    parser.add_argument(
        "--listen", action="store_true", help="tell what is heard, too (the sound extra)"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object for each clip")
    form.add_argument("--srt", action="store_true", help="print subtitles: the scenes, or moments")
    form.add_argument("--vtt", action="store_true", help="print the same as WebVTT chapters")
    form.add_argument(
        "--csv", action="store_true", help="print a row for each scene, moment and sound"
    )
    parser.add_argument(
        "--plot", type=Path, metavar="FILE.png", help="draw it, too (.png, .svg, .pdf)"
    )
    group = parser.add_argument_group("model")
    add_backend_options(group)
    add_sound_options(group)
    add_workers(parser)
    parser.add_argument("--quiet", action="store_true", help="nothing on stderr but errors")
    parser.set_defaults(run=run_events, adapter="none", task="")


def run_events(args: argparse.Namespace) -> int:
    workers = workers_of(args)
    queries, paths = checked(args)
    assistant = load_assistant(without_gpu(args), now=False)
    kept: list[Timeline] = []  # that are written when all are there
    failed = 0
    with progress(args.quiet):
        head = head_of(args, assistant)
        look = Looking(assistant, head, queries, args.describe, args.listen)
        found: Iterator[Timeline | AssistantError] = (
            map(look, paths) if workers is None else by_workers(workers, args, head, queries, paths)
        )
        for number, (path, timeline) in enumerate(zip(paths, found, strict=True)):
            if not isinstance(timeline, AssistantError):
                tell(args, timeline, number)
                if args.csv or args.plot is not None:
                    kept.append(timeline)
            elif len(paths) == 1:
                raise timeline
            else:
                failed += 1
                tell_fault(args, path, timeline)
    if args.csv:
        from assistant.timeline.formats import as_csv

        print(as_csv(kept), end="")
    if args.plot is not None:
        from assistant.timeline.plot import draw_timeline
        from assistant.vqa.evidence import save_figure

        save_figure(draw_timeline(kept[0]), args.plot)
        say(f"[plot: {args.plot}]", args.quiet)
    if failed:
        raise InputError(f"{failed} of {len(paths)} clips could not be looked at")
    return 0


def checked(args: argparse.Namespace) -> tuple[list[str], list[Path]]:
    """The queries and the clips; mistakes show before the model loads.

    Raises:
        InputError, ConfigError, VideoError: what ``args`` ask for cannot be done.
    """
    from assistant.core.clip_names import clip_path
    from assistant.model.features import check_file
    from assistant.timeline.moments import check_query

    one = [name for name in ("srt", "vtt", "plot") if getattr(args, name)]
    if one and len(args.videos) > 1:
        raise InputError(f"--{one[0]} is for one clip, and {len(args.videos)} are given")
    if args.plot is not None:
        from assistant.vqa.evidence import check_picture_path

        check_picture_path(args.plot)
    if args.head is not None:
        from assistant.timeline.head_folder import read_head_config

        for option in ("labels", "few_shot"):
            if getattr(args, option) is not None:
                raise InputError(
                    f"--head knows its own labels; leave out --{option.replace('_', '-')}"
                )
        read_head_config(args.head)
    if args.listen:
        from assistant.sources.heard import check_extra

        check_extra()
    queries = [check_query(query) for query in args.query]
    paths = [clip_path(name) for name in args.videos]
    for path in paths:
        check_file(path)
    return queries, paths


def tell(args: argparse.Namespace, timeline: Timeline, number: int) -> None:
    """One of the clips, from 0."""
    from assistant.cli.events_table import lines_of
    from assistant.timeline.formats import as_srt, as_vtt

    for warning in timeline.warnings:
        say(f"warning: {timeline.path}: {warning}", args.quiet)
    if args.json:
        print(json.dumps(timeline.as_dict(), ensure_ascii=False), flush=True)
    elif args.srt or args.vtt:
        print((as_srt if args.srt else as_vtt)(timeline), end="")
    elif not args.csv:
        title = [*([""] if number else []), timeline.path] if len(args.videos) > 1 else []
        print("\n".join([*title, *lines_of(timeline)]), flush=True)


def tell_fault(args: argparse.Namespace, path: Path, error: AssistantError) -> None:
    """What is wrong with one of several clips."""
    fault = str(error).removeprefix(f"{path}: ")
    say(f"warning: {path}: {fault}")
    if args.json:
        print(json.dumps({"video": str(path), "error": fault}, ensure_ascii=False), flush=True)


@dataclass(frozen=True)
class Looking:
    """Looks at clips, one after another."""

    assistant: Assistant
    head: EventHead | None
    queries: Sequence[str]
    describe: bool
    listen: bool

    def __call__(self, path: Path) -> Timeline | AssistantError:
        """What is wrong with this clip is given back."""
        from assistant.timeline import timeline_of

        try:
            session = self.assistant.open(path)
            told = partial(described, session) if self.describe else None
            return timeline_of(
                session, head=self.head, queries=self.queries, describe=told, listen=self.listen
            )
        except (VideoError, InputError) as error:
            return error


def by_workers(
    workers: Workers,
    args: argparse.Namespace,
    head: EventHead | None,
    queries: Sequence[str],
    paths: Sequence[Path],
) -> Iterator[Timeline | AssistantError]:
    """The same by workers, in the order of ``paths``."""
    from assistant.core.progress import report
    from assistant.core.workers import in_order

    report(LOOKING, 0, len(paths))
    for done in in_order(workers.spread(paths, partial(looking, for_worker(args), head, queries))):
        yield VideoError(done.fault) if done.fault else done.value
        report(LOOKING, done.place + 1, len(paths))


def looking(args: argparse.Namespace, head: EventHead | None, queries: Sequence[str]) -> Looking:
    """What a worker does."""
    return Looking(load_assistant(args, now=False), head, queries, args.describe, args.listen)


def described(session: Session, start: float, end: float) -> str:
    """What the model says of a range, whatever it said of others."""
    session.clear()
    return session.ask(task="describe", start=start, end=end).text


def head_of(args: argparse.Namespace, assistant: Assistant | Looks) -> EventHead | None:
    """What tells the events apart; None: the lexicon's activities."""
    from assistant.sources.lexicon import load_lexicon
    from assistant.timeline.events import few_shot, lexicon_head, read_labels, zero_shot

    if args.head is not None:
        from assistant.timeline.head_folder import load_head

        return load_head(args.head, assistant.sight.space)
    labels = () if args.labels is None else read_labels(args.labels)
    if args.few_shot is not None:
        from assistant.timeline.examples import embed_examples, find_examples

        examples = find_examples(args.few_shot)
        return few_shot(assistant.sight.space, embed_examples(examples, assistant), labels)
    if args.labels is None:
        return None
    if args.labels in load_lexicon().groups:
        return lexicon_head(assistant.sight.space, args.labels)
    return zero_shot(assistant.sight.space, labels)


@contextmanager
def progress(quiet: bool) -> Iterator[None]:
    """A bar with the time that is left; whoever stops it hears that it may go on."""
    from tqdm import tqdm

    from assistant.core.progress import watched

    bar: tqdm | None = None
    doing = ""

    def move(now: str, share: float) -> None:
        nonlocal bar, doing
        if bar is None or now != doing:
            doing = now
            if bar is not None:
                bar.close()
            bar = tqdm(
                total=100,
                desc=now,
                disable=quiet,
                delay=0.5,  # nothing is shown of what is there already
                leave=False,
                bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}",
            )
        bar.update(100 * share - bar.n)

    try:
        with watched(move):
            yield
    except KeyboardInterrupt as stop:
        told = str(stop) or "stopped"
        raise type(stop)(f"{told}; the same command again goes on") from stop
    finally:
        if bar is not None:
            bar.close()
