"""``assistant demo``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from assistant.cli.ask import item_text, stream
from assistant.vqa.time_words import format_time

if TYPE_CHECKING:
    from assistant.sources import Perceived
    from assistant.vqa.answer import Answer

MOST_SEEN = 5  # things that are named below an answer


def add_demo(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "demo",
        help="ask a few questions about a sample clip",
        description="Fetch a sample clip and ask a few questions about it, the last of which it "
        "does not answer: what was answered, what that rests on, how long it took.",
    )
    parser.set_defaults(run=run_demo)


def run_demo(args: argparse.Namespace) -> int:
    from assistant import load
    from assistant.vqa.demo import ask_demo, read_demo

    demo = read_demo()
    for asked in ask_demo(load(), demo):
        print(f"{asked.clip}  Q: {asked.answer.basis.question}")
        indent = " " * (len(asked.clip) + 2)
        print(f"{indent}A: ", end="")
        stream(asked.answer, quiet=True)
        print(f"{indent}   {why(asked.answer, asked.perceived)} [{asked.answer.seconds:.1f} s]")
        if asked.beyond:
            told = "does not say so" if asked.answer.reason is None else "says so"
            print(f"{indent}   (the clip does not answer this, and it {told})")
    return 0


def why(answer: Answer, perceived: Sequence[Perceived]) -> str:
    """What an answer rests on: the likeliest things perceived, and the frame that weighs most."""
    weights = answer.evidence()
    if answer.reason is not None:
        return f"because {answer.reason}"
    likeliest = sorted(perceived, key=lambda item: -item.probability)[:MOST_SEEN]
    parts = [f"seen: {', '.join(item_text(item) for item in likeliest)}"] if likeliest else []
    if weights:
        strongest = max(range(len(weights)), key=weights.__getitem__)
        parts.append(f"most at {format_time(round(answer.frames[strongest], 1))}")
    return "; ".join(parts) or "nothing was perceived in words"
