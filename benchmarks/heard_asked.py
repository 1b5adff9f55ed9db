"""Does what is heard help to say what happens? Real clips with sound, their labels known.

    python benchmarks/heard_asked.py CLIPS [--table CLIPS/clips.tsv]

Three answers to each clip whose ``audio`` is yes: to "What is happening?" by mini as it is, by the
same weights with the source ``heard`` among the notes that its language model reads (which it never
learned to read), and to "What do you hear?". One is right where it names a word of the label that
is not of every sport or instrument ("guitar" of "playing guitar"), whatever its ending. The table
is printed, to be judged by eye, too; nothing is chosen on these clips.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import torch

from assistant import load
from assistant.retrieval.ranking import shared_words

HAPPENING, HEARING = "What is happening?", "What do you hear?"
GENERAL = {"playing", "riding", "doing", "presenting", "making", "using", "up", "down"}
COLUMNS = ("without", "with heard", "what is heard")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", type=Path, metavar="CLIPS", help="a folder")
    parser.add_argument("--table", type=Path, help="file, label and audio of each; tab-separated")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with (args.table or args.clips / "clips.tsv").open() as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["audio"] == "yes"]
    assistant = load("mini")
    reads = assistant.model.reads
    right = dict.fromkeys(COLUMNS, 0)
    print("| clip | label | " + " | ".join(COLUMNS) + " |\n|---|---|---|---|---|")
    for row in rows:
        clip = next(args.clips.rglob(row["file"]))
        answers = []
        for notes, question in (
            (reads, HAPPENING),
            ((*reads, "heard"), HAPPENING),
            (reads, HEARING),
        ):
            assistant.model.reads = notes
            answers.append("".join(assistant.open(clip).ask(question)))
        for column, answer in zip(COLUMNS, answers, strict=True):
            right[column] += names(answer, row["label"])
        print(f"| {clip.stem} | {row['label']} | " + " | ".join(answers) + " |", flush=True)
    for column, count in right.items():
        print(f"{column}: {count} of {len(rows)} name the label")


def names(answer: str, label: str) -> bool:
    """Whether a word of the label is in the answer."""
    told = " ".join(word for word in label.split() if word not in GENERAL)
    return bool(shared_words(answer, told or label))


if __name__ == "__main__":
    main()
