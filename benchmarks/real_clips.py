"""Answers about a folder of real clips, beside what is really to be seen in them.

    python benchmarks/real_clips.py FOLDER [--adapter NAME] [--questions FILE.jsonl]

The table has a column for the verdict, which a person fills in after looking at the clip. With an
adapter it has the answers with it, too, and the base's are asked for again afterwards: an adapter
that is in memory and not in use may change none of them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from assistant import load


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--questions", type=Path, default=Path(__file__).with_suffix(".jsonl"))
    parser.add_argument("--model", default="mini")
    parser.add_argument("--adapter", metavar="NAME", help="beside the base: this adapter")
    args = parser.parse_args()
    assistant = load(args.model)
    rows = [json.loads(line) for line in args.questions.read_text().splitlines()]

    def answer(row: dict[str, str], adapter: str) -> str:
        session = assistant.open(args.folder / row["video"])  # every question starts afresh
        return "".join(session.ask(row["question"], adapter=adapter))

    print(f"model {assistant.model.fingerprint}\n")
    adapters = ["none", args.adapter] if args.adapter else ["none"]
    print("| clip | question | to be seen | " + " | ".join(adapters) + " | right |")
    print("|---|---|---|" + "---|" * len(adapters) + "---|")
    told: list[list[str]] = []
    for row in rows:
        told.append([answer(row, adapter) for adapter in adapters])
        asked = f"| {row['video']} | {row['question']} | {row['expected']} | "
        print(asked + " | ".join(told[-1]) + " | |", flush=True)
    if args.adapter:
        others = sum(base != given for base, given in told)
        again = sum(answer(row, "none") != base for row, (base, _) in zip(rows, told, strict=True))
        print(f"\n{others} of {len(rows)} answers are others with {args.adapter}")
        print(f"{again} are others without it once it was in memory")


if __name__ == "__main__":
    main()
