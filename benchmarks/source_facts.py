"""How many of the facts that are asked for the sources' words hold, with another clip's beside.

    python benchmarks/source_facts.py CLIPS [--questions FILE.jsonl]

A fact is a word of what is to be seen ("a boy pole vaults in a sports hall": boy, pole, vault,
sport, hall), without "yes" and "no" and the question's own words; words with the same stem are the
same. "another clip's": the words of the clip after it in the list, for what is said of any clip.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

from assistant import load
from assistant.sources import SOURCES

WORD = re.compile(r"[a-z]+")
LITTLE = frozenset(
    [
        "a",
        "an",
        "the",
        "in",
        "on",
        "at",
        "of",
        "to",
        "with",
        "and",
        "or",
        "by",
        "from",
        "is",
        "are",
        "was",
        "his",
        "her",
        "its",
        "their",
        "it",
        "up",
        "down",
        "no",
        "yes",
        "beside",
        "front",
        "seen",
        "from",
    ]
)
ENDINGS = re.compile(r"(?<=\w{3})(?:ings?|ers?|ed|es|s|e)$")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=Raw)
    parser.add_argument("clips", type=Path, metavar="CLIPS")
    parser.add_argument("--questions", type=Path, default=Path(__file__).with_name(QUESTIONS))
    args = parser.parse_args()
    rows = [json.loads(line) for line in args.questions.read_text().splitlines()]
    assistant = load("mini", now=False)
    videos = list(dict.fromkeys(row["video"] for row in rows))
    words: dict[str, dict[str, set[str]]] = {}
    for video in videos:
        seen = assistant.open(args.clips / video).perceive()
        words[video] = {
            source.name: stems(" ".join(item.told for item in source.items))
            for source in seen.sources
        }
        words[video]["all together"] = set().union(*words[video].values())
    after = dict(zip(videos, [*videos[1:], videos[0]], strict=True))
    facts = [(row["video"], stems(row["expected"]) - stems(row["question"])) for row in rows]
    total = sum(len(wanted) for _, wanted in facts)
    print(f"{total} facts of {len(rows)} questions about {len(videos)} clips, % held")
    print("| source | own words | another clip's |")
    print("|---|---|---|")
    for name in [*SOURCES, "all together"]:
        own = sum(len(wanted & words[video].get(name, set())) for video, wanted in facts)
        other = sum(len(wanted & words[after[video]].get(name, set())) for video, wanted in facts)
        print(f"| {name} | {100 * own / total:.0f} | {100 * other / total:.0f} |")


QUESTIONS = "real_clips.jsonl"


class Raw(argparse.RawDescriptionHelpFormatter):
    """The text above as it stands."""


def stems(text: str) -> set[str]:
    """The words that say something, without their endings."""
    return {ENDINGS.sub("", word) for word in WORD.findall(text.lower()) if word not in LITTLE}


if __name__ == "__main__":
    main()
