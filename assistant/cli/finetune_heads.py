"""``assistant finetune retrieval`` and ``events``: what their options have in common."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from assistant.errors import InputError


def check_options(args: argparse.Namespace, parts: Sequence[str]) -> None:
    """``parts``: what can be left out. Raises InputError: an option that is for adapters."""
    for given, option in (
        (args.generate is not None, "--generate"),
        (args.start is not None, "--from"),
        (args.prompt is not None, "--prompt"),
        (args.no_install, "--no-install"),
    ):
        if given:
            raise InputError(f"{option} is not for {args.task}; leave it out")
    if others := [part for part in args.without if part not in parts]:
        raise InputError(
            f"--without {others[0]} is not for {args.task}; choose some of {', '.join(parts)}"
        )
