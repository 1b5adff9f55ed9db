"""Answers about a folder of real clips, beside what is really to be seen in them.

    python benchmarks/real_clips.py FOLDER [--questions benchmarks/real_clips.jsonl]

The table has a column for the verdict, which a person fills in after looking at the clip.
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
    args = parser.parse_args()
    assistant = load(args.model)
    print(f"model {assistant.model.fingerprint}\n")
    print("| clip | question | to be seen | answer | right |\n|---|---|---|---|---|")
    for line in args.questions.read_text().splitlines():
        row = json.loads(line)
        session = assistant.open(args.folder / row["video"])  # every question starts afresh
        answer = "".join(session.ask(row["question"]))
        print(
            f"| {row['video']} | {row['question']} | {row['expected']} | {answer} | |", flush=True
        )


if __name__ == "__main__":
    main()
