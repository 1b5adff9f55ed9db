"""Does the answer name the thing, with and without semantic attributes?

    pip install --target PICTURES --no-deps gradio scikit-image scikit-learn
    python benchmarks/attributes.py CLIPS PICTURES

``attributes.jsonl`` lists clips and pictures, most of them outside the training photos' world, with
the things that a person sees in them. "What is in the video?" is asked about each; a row is right
where the answer names one of its things. Naming them all is not asked for.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

from assistant import load

QUESTION = "What is in the video?"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", help="where the files lie")
    parser.add_argument("--things", type=Path, default=Path(__file__).with_suffix(".jsonl"))
    parser.add_argument("--base", type=Path)
    args = parser.parse_args()
    assistant = load("mini", base=args.base)
    rows = [json.loads(line) for line in args.things.read_text().splitlines()]
    print(f"model {assistant.model.fingerprint}, question {QUESTION!r}\n")
    print("| file | seen by the classifier | with attributes | without |\n|---|---|---|---|")
    right = {"classifier": 0, "with": 0, "without": 0}
    asked = 0
    for row in rows:
        path = next((f / row["file"] for f in args.folders if (f / row["file"]).exists()), None)
        if path is None:
            print(f"{row['file']}: in none of the folders, left out", file=sys.stderr)
            continue
        asked += 1
        shown = assistant.open(path).ask(QUESTION)
        bare = assistant.open(path, without=["attributes"]).ask(QUESTION)
        seen = ", ".join(
            f"{item.name} {item.probability:.2f}"
            for source in shown.basis.sources
            for item in source.items
        )
        cells = []
        for system, text in (("classifier", seen), ("with", shown.text), ("without", bare.text)):
            hit = names_one(text, row["things"])
            right[system] += hit
            cells.append(f"**{text}**" if hit else text)
        print(f"| {path.name} | {' | '.join(cells)} |", flush=True)
    shares = " | ".join(f"{count} of {asked}" for count in right.values())
    print(f"| right | {shares} |")


def names_one(text: str, things: list[str]) -> bool:
    """Whether one of the things is said, as whole words."""
    return any(re.search(rf"\b{re.escape(thing)}\b", text.lower()) for thing in things)


if __name__ == "__main__":
    main()
