"""How much small talk is told from questions, by the rules alone and with what was learned.

    python benchmarks/likely_talk.py [--turns tests/talk_turns.yaml]

"kind": of the talk that is caught, how much gets the sentence of its own kind. Misses are listed,
and what a question costs here, beside one vector of it, which its choice of a task costs anyway.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import median

import yaml

from assistant.model.sentences import sentence_encoder
from assistant.vqa.followups import leans_on_another
from assistant.vqa.likely_talk import likely_kind
from assistant.vqa.talk import QUESTION, kind_of

TURNS = Path(__file__).parents[1] / "tests" / "talk_turns.yaml"


def by_both(text: str) -> str:
    """As a session asks mini."""
    found = kind_of(text)
    if found != QUESTION or leans_on_another(text):
        return found
    return likely_kind("mini", text, lambda: False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=Path, default=TURNS)
    splits = yaml.safe_load(parser.parse_args().turns.read_text("utf-8"))
    print("| texts | by | talk caught | kind | questions lost |\n|---|---|---|---|---|")
    missed = []
    for split in ("held_out", "later"):
        texts = [(kind, text) for kind, told in splits[split].items() for text in told]
        for name, tell in (("rules", kind_of), ("both", by_both)):
            found = [(kind, text, tell(text)) for kind, text in texts]
            talk = [one for one in found if one[0] != QUESTION]
            caught = [one for one in talk if one[2] != QUESTION]
            right = sum(kind == said for kind, _, said in caught)
            asked = [one for one in found if one[0] == QUESTION]
            lost = [one for one in asked if one[2] != QUESTION]
            told = f"{len(caught)} of {len(talk)} | {right} | {len(lost)} of {len(asked)} |"
            print(f"| {split} | {name} | {told}")
        missed += [one for one in found if (one[0] == QUESTION) != (one[2] == QUESTION)]
    for kind, text, said in missed:
        print(f"{text} ({kind}): {said}")
    asked = [text for text in splits["held_out"][QUESTION] if by_both(text) == QUESTION]
    vector, both = took(sentence_encoder(), [[one] for one in asked]), took(by_both, asked)
    print(f"rules and weights take {both / vector:.2f} times as long as a vector (medians)")


def took(call, inputs) -> float:
    """Seconds of one call, the median."""
    found = []
    for one in inputs:
        began = time.perf_counter()
        call(one)
        found.append(time.perf_counter() - began)
    return median(found)


if __name__ == "__main__":
    main()
