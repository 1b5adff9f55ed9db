"""The command line: arguments in, exit code out.

0 done; 1 our fault; 2 the person can mend it; 130 stopped with Ctrl-C; 141 the reader of our
output has left; 129 and 143 stopped by SIGHUP and SIGTERM. Commands import what they need when they
run, so that ``--help`` answers at once.
"""

import argparse
import contextlib
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from io import TextIOWrapper
from types import FrameType

from assistant.cli import (
    actions,
    adapters,
    ask,
    batch,
    chat,
    complete,
    data,
    evaluate,
    events,
    finetune,
    index,
    look,
    search,
    serve,
    tools,
    ui,
    watch,
)
from assistant.cli.auto import settle_model
from assistant.cli.demo import add_demo
from assistant.cli.options import Ended, Parser
from assistant.core.shortage import shortage_of
from assistant.errors import AssistantError

DONE, OUR_FAULT, MENDABLE, STOPPED, READER_LEFT = 0, 1, 2, 130, 141

OPTIMIZED = re.compile(r"(?<=^-)([a-zA-NP-Z]*?)O+")  # also within -BOO

EPILOG = """\
examples:
  assistant demo
  assistant ask clip.mp4 "What is the man doing?"
  assistant look clip.mp4
  assistant events film.mp4 --query "a dog"
  assistant actions clip.mp4 --labels labels.txt
  assistant index add ~/Videos, then assistant search "a man playing drums"
  assistant chat clip.mp4
  assistant ui
  assistant serve
  assistant batch questions.jsonl answers.jsonl

Everything runs on this machine; the first question fetches the weights. Each command has a --help.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    if argv is None and sys.flags.optimize > 1:
        start_with_docstrings()
    arguments = sys.argv[1:] if argv is None else list(argv)
    for standard in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(standard, TextIOWrapper):
            standard.reconfigure(errors="replace")  # what a terminal cannot show is no error
    debug = "--debug" in arguments or bool(os.environ.get("ASSISTANT_DEBUG"))
    stopped_by: list[int] = []  # the signal, if any
    try:
        with stopping(stopped_by):
            code = run(arguments)
            if sys.stdout is not None:  # else it was closed
                sys.stdout.flush()
            return code
    except AssistantError as error:
        return fail(MENDABLE, str(error), debug)
    except KeyboardInterrupt as stop:
        code = 128 + stopped_by[0] if stopped_by else STOPPED
        return fail(code, str(stop) or "stopped", debug)
    except BrokenPipeError:  # as in `assistant ask ... | head -1`
        leave_stdout()
        return READER_LEFT
    except Exception as error:
        if told := shortage_of(error):
            leave_stdout()
            return fail(MENDABLE, told, debug)
        what = " ".join(f"{type(error).__name__}: {error}".split())
        hint = "" if debug else "; --debug shows where"
        return fail(OUR_FAULT, f"this is our fault, please report it ({what}){hint}", debug)


def run(arguments: Sequence[str]) -> int:
    """One command; its exit code."""
    try:
        args = build_parser().parse_args(arguments)
    except SystemExit as leaving:  # argparse after --help and --version
        return int(leaving.code or DONE)
    if args.command is None:
        build_parser().print_help()
        return MENDABLE
    settle_model(args)
    return args.run(args)


def fail(code: int, message: str, debug: bool) -> int:
    """One line on stderr; with ``debug`` the traceback of the exception in flight above it."""
    with contextlib.suppress(OSError):  # nobody can be told: the exit code says it
        if debug:
            traceback.print_exc()
        print(f"assistant: {message}", file=sys.stderr, flush=True)
    return code


def leave_stdout() -> None:
    """What stdout still holds goes nowhere: it cannot be written, and leaving would complain."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        return
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def stopping(stopped_by: list[int]) -> Iterator[None]:
    """SIGTERM and SIGHUP stop a command as Ctrl-C does: what it has begun is put in order."""

    def stop(number: int, _: FrameType | None) -> None:
        if not stopped_by:  # else it is being put in order
            stopped_by.append(number)
            raise Ended

    numbers: list[signal.Signals] = []
    if threading.current_thread() is threading.main_thread():
        wanted = (signal.SIGTERM, signal.SIGHUP)  # nohup has the second ignored: so it stays
        numbers = [number for number in wanted if signal.getsignal(number) is signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def start_with_docstrings() -> None:
    """Begin anew without -OO: transformers and Gradio read docstrings, and fail without."""
    own = sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv) + 1]  # Python's own arguments
    kept = [part for part in (OPTIMIZED.sub(r"\1", part) for part in own) if part != "-"]
    os.environ["PYTHONOPTIMIZE"] = "1"
    os.execv(sys.executable, [sys.executable, *kept, *sys.argv[1:]])


def build_parser() -> Parser:
    """The parser with every command."""
    parser = Parser(prog="assistant", description="Ask about a video clip.", epilog=EPILOG)
    parser.add_argument("--version", action=Version, help="print the version")
    commands = parser.add_subparsers(metavar="COMMAND", dest="command", title="commands")
    for add in (
        add_demo,
        ask.add_ask,
        look.add_look,
        events.add_events,
        actions.add_actions,
        watch.add_watch,
        index.add_index,
        search.add_search,
        chat.add_chat,
        ui.add_ui,
        serve.add_serve,
        batch.add_batch,
        tools.add_fetch,
        tools.add_cache,
        tools.add_scenes,
        data.add_data,
        finetune.add_finetune,
        adapters.add_adapters,
        tools.add_pretrain,
        evaluate.add_evaluate,
        tools.add_doctor,
    ):
        add(commands)
    complete.add_complete(commands, parser)
    for command in (parser, *commands.choices.values()):
        command.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


class Version(argparse.Action):
    """Looks the version up only when asked."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"assistant {version('video-assistant')}")
        parser.exit()
