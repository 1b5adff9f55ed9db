"""What becomes of what the base weights know when an adapter is loaded, and when it answers.

    python benchmarks/adapter_side_effects.py motion --photos FLICKR8K --work WORK

The tables of ``assistant evaluate base`` three times over: before the adapter is loaded, loaded and
off (nothing may change: every answer is compared), and on. An adapter is trained for its task's
questions; asked others, it shows what it has forgotten.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

from assistant.model.loading import load_model
from assistant.tasks.store import find_adapter
from assistant.training.pretraining.evaluate import evaluate_base
from assistant.training.pretraining.report import Report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("adapter")
    parser.add_argument("--photos", type=Path, required=True, metavar="FLICKR8K")
    parser.add_argument("--work", type=Path, required=True, metavar="DIR", help="keeps features")
    parser.add_argument("--per-type", type=int, default=60)
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("--count", type=int, default=60, help="photos described")
    args = parser.parse_args()
    model = load_model("mini")

    def evaluated() -> Report:
        return evaluate_base(
            model,
            args.photos,
            args.work,
            per_type=args.per_type,
            scenes=args.scenes,
            photos=args.count,
        )

    reports = {"before": evaluated()}
    stored = find_adapter(args.adapter)
    key = model.load_adapter(stored.folder, stored.recipe)
    reports["off"] = evaluated()
    through = partial(model.visual_tokens, adapter=key)
    model.visual_tokens = through  # type: ignore[method-assign]
    reports["on"] = evaluated()
    same = asdict(reports["before"]) == asdict(reports["off"])
    print(f"base {model.fingerprint}, adapter {key}")
    print(f"loaded and off: {'every answer and figure the same' if same else 'DIFFERENT'}\n")
    print("| | off | on |\n|---|---|---|")
    for (name, off), (_, on) in zip(rows(reports["off"]), rows(reports["on"]), strict=True):
        print(f"| {name} | {off} | {on} |")


def rows(report: Report) -> Iterator[tuple[str, str]]:
    """Each figure by name."""
    yield "CIDEr of descriptions", f"{report.captions[0].cider:.3f}"
    named = report.things[0]
    yield "things named: recall / precision", f"{named.recall:.2f} / {named.precision:.2f}"
    for what, found in (("photos", report.questions), ("scenes", report.scenes)):
        for row in found:
            low, high = row.interval
            told = f"{100 * row.by_choice:.0f} ({100 * low:.0f}-{100 * high:.0f})"
            yield f"{what}, {row.type} ({row.count})", f"{told} / {100 * row.free_text:.0f}"


if __name__ == "__main__":
    main()
