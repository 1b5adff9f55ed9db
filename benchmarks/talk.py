"""Small talk and impossible questions put to a session about any clip; a person judges.

    python benchmarks/talk.py CLIP [--turns FILE.jsonl] [--model mini]

A turn with ``tuned_on`` true was known when the rules (`assistant/vqa/talk.yaml`) were made; the
others were not. What neither they nor `assistant.vqa.likely_talk` catch is answered by the model,
and may claim something about the clip: such a line is marked "model". Before the turns one question
is asked, so that "are you sure?" and "and then?" have something to be about. No reply may tell
anything of the clip.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from assistant import load
from assistant.vqa.conversation import TALK
from assistant.vqa.talk import kind_of

FIRST = "What is in the video?"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--turns", type=Path, default=Path(__file__).with_suffix(".jsonl"))
    parser.add_argument("--model", default="mini")
    args = parser.parse_args()
    turns = [json.loads(line) for line in args.turns.read_text("utf-8").splitlines()]
    session = load(args.model).open(args.clip)
    print(f"{FIRST} {session.ask(FIRST).text}\n")
    print("| turn | known | kind | by | reply |\n|---|---|---|---|---|")
    caught: dict[bool, list[bool]] = {True: [], False: []}
    took = []
    for turn in turns:
        began = time.perf_counter()
        kind_of(turn["text"])
        took.append(time.perf_counter() - began)
        answer = session.ask(turn["text"])
        by = "talk" if answer.basis.task == TALK else "model"
        caught[turn["tuned_on"]].append(by == "talk")
        told = ["yes" if turn["tuned_on"] else "no", kind_of(turn["text"]), by, answer.text]
        print("| " + " | ".join([turn["text"], *told]) + " |", flush=True)
    for known, name in ((True, "known"), (False, "not known")):
        print(f"\n{sum(caught[known])} of {len(caught[known])} {name} turns are no model's")
    print(f"\nthe kind of a turn takes {1000 * sorted(took)[len(took) // 2]:.2f} ms (median)")


if __name__ == "__main__":
    main()
