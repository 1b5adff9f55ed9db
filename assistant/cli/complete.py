"""``assistant complete``: what a shell completes after TAB."""

import argparse
from functools import partial
from pathlib import Path

SHELLS = ("bash", "zsh", "tcsh")
FOLDERS = ("DIR", "FOLDER")  # metavars of what is a folder, and nothing else
FILES = ("CLIP", "DIR", "FILE", "PATH", "VIDEO")  # how a metavar, or one of its parts, begins
EPILOG = """\
Commands, options, their values and files are then completed after TAB.

examples:
  assistant complete bash > ~/.local/share/bash-completion/completions/assistant
  assistant complete zsh > ~/.zfunc/_assistant     a folder of $fpath; compinit comes after it
  assistant complete tcsh >> ~/.tcshrc
"""


def add_complete(commands: argparse._SubParsersAction, whole: argparse.ArgumentParser) -> None:
    """``whole``: the parser of all commands, this one included."""
    parser = commands.add_parser("complete", help="complete commands in your shell", epilog=EPILOG)
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))
    parser.set_defaults(run=partial(run_complete, whole=whole))


def run_complete(args: argparse.Namespace, whole: argparse.ArgumentParser) -> int:
    import shtab

    _complete_paths(whole)
    print(shtab.complete(whole, args.shell))
    return 0


def _complete_paths(parser: argparse.ArgumentParser) -> None:
    """Mark every argument that may be a path, of all commands, as shtab wants it."""
    import shtab

    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _complete_paths(command)
        elif action.choices is None and (action.type is Path or _names_path(action.metavar)):
            kind = shtab.DIRECTORY if action.metavar in FOLDERS else shtab.FILE
            action.complete = kind  # type: ignore[attr-defined]


def _names_path(metavar: str | tuple[str, ...] | None) -> bool:
    parts = metavar.split("|") if isinstance(metavar, str) else ()
    return any(part.startswith(FILES) for part in parts)
