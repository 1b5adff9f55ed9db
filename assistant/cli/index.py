"""``assistant index``: add, list, remove, info, verify."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assistant.cli.options import add_backend_options, add_sound_options, load_assistant
from assistant.cli.spreading import add_workers, for_worker, without_gpu, workers_of
from assistant.errors import InputError

if TYPE_CHECKING:
    from assistant.core.workers import Workers
    from assistant.retrieval import Index, Outcome
    from assistant.retrieval.encoding import Encoded, Encoding, Task
    from assistant.vqa.assistants import Assistant

MOST_NAMED = 10  # files named one by one
EPILOG = """\
An index holds windows of clips (5 s, each half shared with the next), pictures, and passages of
texts and subtitles: a vector each, and as words what is seen and said; with --listen also what is
heard, so that assistant search finds "dog barking" by its sound. assistant search finds them all.
What is in it unchanged is skipped; after an interruption run the same command again.

examples:
  assistant index add ~/Videos ~/Pictures
  assistant index add ~/Videos --listen           what is heard in clips, too
  assistant index add talks --name talks          one of several
  assistant index add clips --index s3://bucket/index
  assistant index add clips --ray local           by several processes
  assistant index info
  assistant index verify                          is each window there, and each file as it was?
  assistant index remove ~/Videos/old             forgets them; the files stay
  assistant index remove --gone                   forgets files that are no longer there
"""


def add_index(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "index",
        help="index clips, pictures and texts, so that they are found",
        description="Index clips, pictures and texts, so that `assistant search` finds them.",
        epilog=EPILOG,
    )
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True)
    for name, help_text, run in (
        ("add", "add files, and those in folders", run_add),
        ("list", "every index, and what it holds", run_list),
        ("remove", "forget files; they stay where they are", run_remove),
        ("info", "what one index holds, and of which joint space", run_info),
        ("verify", "whether an index is whole and its files as they were", run_verify),
    ):
        action = actions.add_parser(name, help=help_text, description=help_text.capitalize())
        if name == "add":
            action.add_argument("paths", metavar="PATH", nargs="+", help="a file or a folder")
            add_backend_options(action)
            add_sound_options(action)
            add_head(action)
            action.add_argument(
                "--listen",
                action="store_true",
                help="keep what is heard in clips, too, and what is said where there are no "
                "subtitles (the sound extra); clips that are there are listened to now",
            )
            add_workers(action)
            action.add_argument("--quiet", action="store_true", help="nothing on stderr but errors")
            action.set_defaults(adapter="none", task="")
        if name == "remove":
            action.add_argument("paths", metavar="PATH", nargs="*", help="a file or a folder")
            action.add_argument("--gone", action="store_true", help="only what is no longer there")
            action.add_argument("--all", action="store_true", help="the whole index")
        add_place(action, named=name != "list")
        action.add_argument("--json", action="store_true", help="print one JSON object")
        action.set_defaults(run=run)


def add_place(parser: argparse.ArgumentParser, *, named: bool = True) -> None:
    """Which index, and where."""
    if named:
        parser.add_argument("--name", default="default", help="which index (default: default)")
    parser.add_argument(
        "--index",
        metavar="URI",
        help="where indexes lie: a folder, or an address that LanceDB speaks, s3://BUCKET/PATH "
        "(default: index in the user's data folder)",
    )


def add_head(parser: argparse._ActionsContainer) -> None:
    """What is trained on the joint space."""
    parser.add_argument(
        "--head",
        metavar="FOLDER",
        type=Path,
        help="a head of assistant finetune retrieval, or for evaluate events of finetune events "
        "(default: the joint space as it is)",
    )


def named_index(args: argparse.Namespace, assistant: Assistant | None = None) -> Index:
    """With the model and the head that ``args`` name, none of them loaded.

    ``assistant``: that ``args`` name, where it is there."""
    from assistant.retrieval import Index

    if args.head is not None:
        from assistant.weights.spaces import check_head

        check_head(args.head)
    assistant = assistant or load_assistant(args, now=False)
    return Index(args.name, uri=args.index, assistant=assistant, head=args.head)


def run_add(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from assistant.core.progress import watched
    from assistant.retrieval.adding import INDEXING

    workers = workers_of(args)
    spread = None if workers is None else partial(by_workers, workers, args)
    assistant = load_assistant(without_gpu(args), now=False)
    index, listen = named_index(args, assistant), assistant if args.listen else None
    with tqdm(
        total=100,
        disable=args.quiet,
        delay=0.1,  # nothing is shown of what ends with an error at once
        bar_format="{l_bar}{bar}| {elapsed}<{remaining}{postfix}",
    ) as bar:
        done = 0

        def tell(outcome: Outcome) -> None:
            nonlocal done
            done += 1
            bar.set_postfix_str(f"{done} files", refresh=False)
            if outcome.fault and not args.quiet:
                bar.write(f"warning: {outcome.file}: {outcome.fault}", file=bar.fp)

        def move(doing: str, share: float) -> None:
            if doing == INDEXING:
                bar.update(100 * share - bar.n)

        try:
            with watched(move):
                added = index.add(args.paths, tell, listen=listen, spread=spread)
        except KeyboardInterrupt as stop:
            told = str(stop) or "stopped"
            raise KeyboardInterrupt(f"{told}; the same command again goes on") from stop
    if args.json:
        told_failed = [{"file": file, "error": fault} for file, fault in added.failed]
        print(
            json.dumps(
                {
                    "files": added.files,
                    "windows": added.windows,
                    "unchanged": added.unchanged,
                    "failed": told_failed,
                    "gone": list(added.gone),
                },
                ensure_ascii=False,
            )
        )
        return 0
    failed = f", {len(added.failed)} could not be read" if added.failed else ""
    print(
        f"{added.files} files added ({added.windows} windows), {added.unchanged} unchanged"
        f"{failed}: index {args.name}"
    )
    if added.gone:
        print(f"{len(added.gone)} are gone: assistant index remove --gone forgets them")
    return 0


def by_workers(
    workers: Workers, args: argparse.Namespace, space: str
) -> Callable[[Sequence[Task]], Iterator[Encoded]]:
    """What has files encoded by workers, for an index of ``space``."""
    from assistant.retrieval.encoding import Encoded

    def spread(tasks: Sequence[Task]) -> Iterator[Encoded]:
        for done in workers.spread(tasks, partial(encoding, for_worker(args), space)):
            yield Encoded(tasks[done.place], fault=done.fault) if done.fault else done.value

    return spread


def encoding(args: argparse.Namespace, space: str) -> Encoding:
    """What a worker does."""
    from assistant.retrieval.embedding import Embedder
    from assistant.retrieval.encoding import Encoding

    assistant = load_assistant(args, now=False)
    embedder = Embedder(assistant.sight, args.head)
    return Encoding(embedder, assistant if args.listen else None, space)


def run_list(args: argparse.Namespace) -> int:
    from assistant.errors import AssistantError
    from assistant.retrieval import Index

    found: list[dict[str, Any]] = []
    for name in Index.names(args.index):
        try:
            found.append(Index(name, uri=args.index).info().as_dict())
        except AssistantError as error:
            found.append({"name": name, "error": str(error)})
    if args.json:
        print(json.dumps(found, ensure_ascii=False))
        return 0
    for one in found:
        print(f"{one['name']:16}{one['error'] if 'error' in one else held(one)}")
    if not found:
        print("no index yet; assistant index --help shows how to make one")
    return 0


def run_info(args: argparse.Namespace) -> int:
    info = _index(args).info().as_dict()
    if args.json:
        print(json.dumps(info, ensure_ascii=False))
        return 0
    size = "" if info["bytes"] is None else f", {info['bytes'] / 1e6:.1f} MB"
    print(f"{info['name']} in {info['uri']}{size}")
    print(held(info))
    print(f"joint space {info['space']}, {info['width']} numbers a window, layout {info['layout']}")
    print(searched(info))
    if info["unfinished"]:
        print(f"{info['unfinished']} files are not whole yet: assistant index add goes on")
    return 0


def searched(info: dict[str, Any]) -> str:
    """``searched by an index of vectors, IvfRq, of 10240 windows, and exactly in 12 since``."""
    if info["form"] == "exact":
        return "searched exactly: each vector is read"
    since = sum(info["windows"].values()) - info["indexed"]
    more = f", and exactly in the {since} since" if since > 0 else ""
    return f"searched by an index of vectors, {info['form']}, of {info['indexed']} windows{more}"


def held(info: dict[str, Any]) -> str:
    """``3 clips (2 min, 48 windows), 20 images``."""
    told = []
    for kind, count in info["files"].items():
        minutes = f"{info['seconds'] / 60:.1f} min, " if kind == "clip" else ""
        windows = info["windows"][kind]
        more = f" ({minutes}{windows} windows)" if windows != count or minutes else ""
        told.append(f"{count} {kind}{'' if count == 1 else 's'}{more}")
    return ", ".join(told) or "nothing"


def run_remove(args: argparse.Namespace) -> int:
    if args.all and (args.paths or args.gone):
        raise InputError("--all is the whole index; leave PATH and --gone out")
    if not (args.all or args.paths or args.gone):
        raise InputError("nothing is named; give PATH, --gone or --all")
    index = _index(args)
    if args.all:
        index.drop()
        print(json.dumps({"dropped": args.name}) if args.json else f"index {args.name} is removed")
        return 0
    removed = index.remove(args.paths, gone=args.gone)
    if args.json:
        print(json.dumps({"removed": removed}, ensure_ascii=False))
        return 0
    for file in removed[:MOST_NAMED]:
        print(file)
    if len(removed) > MOST_NAMED:
        print(f"and {len(removed) - MOST_NAMED} more")
    print(f"{len(removed)} files forgotten: index {args.name}")
    return 0


def run_verify(args: argparse.Namespace) -> int:
    found = _index(args).verify()
    if args.json:
        print(json.dumps(found.as_dict(), ensure_ascii=False))
    else:
        for what, files in (
            ("is damaged; remove it and add it again", found.damaged),
            ("is not whole yet; index add goes on", found.unfinished),
            ("has changed; index add takes it anew", found.changed),
            ("is gone; index remove --gone forgets it", found.gone),
        ):
            for file in files:
                print(f"{file}: {what}")
        print(f"{found.files} files, {found.windows} windows looked at: index {args.name}")
    if found.damaged:
        raise InputError(f"{len(found.damaged)} files in index {args.name!r} are damaged")
    return 0


def _index(args: argparse.Namespace) -> Index:
    from assistant.retrieval import Index

    return Index(args.name, uri=args.index)
