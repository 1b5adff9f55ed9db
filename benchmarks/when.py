"""Questions with "when" about long clips of known segments: how often the time is right.

Of each film some segments are drawn and asked for in the plain words of ``when.yaml``, and some
labels that the film does not have. What is there is hit where the likeliest moment of the answer
begins within 2 s of the begin of a segment with that label; told apart, where it overlaps one. What
is absent is right where the answer names no moment.

    python benchmarks/when.py DATA [--model mini] [--present 6] [--absent 2] [--seed 1]

DATA is what `assistant data join` wrote.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import yaml

from assistant import load
from assistant.data.segments import read_segments

NEAR = 2.0  # seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--present", type=int, default=6, help="questions of a film (default 6)")
    parser.add_argument("--absent", type=int, default=2, help="of what is not there (default 2)")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    known = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))
    questions, drawn = known["questions"], random.Random(args.seed)
    assistant = load(args.model, now=False)
    begun = over = told = right = absent = placed = sure = surely = 0
    rows = []
    for film in read_segments(args.data):
        session = assistant.open(film.video)
        labels = {one.label for one in film.segments}
        asked = drawn.sample(film.segments, args.present)
        others = sorted(questions.keys() - labels - set(known["unclear"]))
        for label in [*(one.label for one in asked), *drawn.sample(others, args.absent)]:
            session.clear()
            answer = session.ask(questions[label])
            moments = answer.basis.moments
            best = max(moments, key=lambda one: one.score, default=None)
            there = [one for one in film.segments if one.label == label]
            near = best and any(abs(one.start - best.start) <= NEAR for one in there)
            met = best and any(one.start < best.end and best.start < one.end for one in there)
            if moments and answer.reason is None:  # told without "perhaps"
                sure, surely = sure + 1, surely + bool(met)
            if there:
                likeliest = session.timeline([answer.basis.sought]).queries[0].best
                placed += any(abs(one.start - likeliest.start) <= NEAR for one in there)
                begun, over, told = begun + bool(near), over + bool(met), told + len(moments)
                right += sum(
                    any(t.start < m.end and m.start < t.end for t in there) for m in moments
                )
            else:
                absent += not moments
            verdict = "hit" if near else "met" if met else "wrong" if moments else "not found"
            rows.append(f"| {film.video.name} | {questions[label]} | {answer.text} | {verdict} |")
    films = len(rows) // (args.present + args.absent)
    print("| film | question | answer | |\n|---|---|---|---|")
    print("\n".join(rows))
    print(
        f"\nof {films * args.present} that are there: likeliest moment begins within {NEAR:g} s "
        f"{begun}, overlaps {over}; of {told} moments told {right} overlap"
    )
    print(f"threshold aside, the likeliest place begins within {NEAR:g} s in {placed}")
    print(f"of {films * args.absent} that are not: {absent} are said not to appear")
    print(f"of {sure} that are told for sure the likeliest moment shows it in {surely}")


if __name__ == "__main__":
    main()
