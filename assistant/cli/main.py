"""The command line: arguments in, exit code out.

0 done; 1 our fault; 2 the person can mend it; 130 stopped with Ctrl-C; 141 the reader of our
output has left. Commands import what they need when they run, so that ``--help`` answers at once.
"""

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from io import TextIOWrapper

from assistant.cli import adapters, ask, chat, data, evaluate, finetune, tools, ui
from assistant.cli.options import Parser
from assistant.errors import AssistantError

DONE, OUR_FAULT, MENDABLE, STOPPED, READER_LEFT = 0, 1, 2, 130, 141

EPILOG = """\
examples:
  assistant demo
  assistant ask clip.mp4 "What is the man doing?"
  assistant chat clip.mp4
  assistant ui
  assistant batch questions.jsonl answers.jsonl

Everything runs on this machine; the first question fetches the weights. Each command has a --help.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    for standard in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(standard, TextIOWrapper):
            standard.reconfigure(errors="replace")  # what a terminal cannot show is no error
    debug = "--debug" in arguments or bool(os.environ.get("ASSISTANT_DEBUG"))
    try:
        args = build_parser().parse_args(arguments)
        if args.command is None:
            build_parser().print_help()
            return MENDABLE
        code = args.run(args)
        sys.stdout.flush()
        return code
    except SystemExit as leaving:  # argparse after --help and --version
        return int(leaving.code or DONE)
    except AssistantError as error:
        return fail(MENDABLE, str(error), debug)
    except KeyboardInterrupt as stop:
        return fail(STOPPED, str(stop) or "stopped", debug)
    except BrokenPipeError:  # as in `assistant ask ... | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or leaving would complain
        return READER_LEFT
    except Exception as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())
        hint = "" if debug else "; --debug shows where"
        return fail(OUR_FAULT, f"this is our fault, please report it ({what}){hint}", debug)


def fail(code: int, message: str, debug: bool) -> int:
    """One line on stderr; with ``debug`` the traceback of the exception in flight above it."""
    if debug:
        traceback.print_exc()
    print(f"assistant: {message}", file=sys.stderr)
    return code


def build_parser() -> Parser:
    """The parser with every command."""
    parser = Parser(prog="assistant", description="Ask about a video clip.", epilog=EPILOG)
    parser.add_argument("--version", action=Version, help="print the version")
    commands = parser.add_subparsers(metavar="COMMAND", dest="command", title="commands")
    for add in (
        tools.add_demo,
        ask.add_ask,
        chat.add_chat,
        ui.add_ui,
        ask.add_batch,
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
