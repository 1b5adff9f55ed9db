"""How well the frozen LLM reads answers that are written into visual tokens, by layout.

    python benchmarks/reading.py egoqa --types beside picked first --out RUNS

The right answer's own input embeddings take the place of visual tokens of the task's adapter, so
that nothing but the layout and the LLM can be wrong. Printed: percent of dev questions whose right
choice is the likeliest, without the blind prior; beside it what the adapter's own tokens have.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from assistant.core.resources import adapters_dir
from assistant.evaluation.tasks import drawn
from assistant.model.loading import load_model
from assistant.tasks.recipes import load_recipe
from assistant.tasks.store import find_task
from assistant.training.clips import clip_table, clips_of
from assistant.training.examples import DrawnExample, make_examples
from assistant.training.generated import KIND_OF_TASK, generated_items
from assistant.training.learner import Learner
from assistant.training.losses.slots import WordSlots

CLIP_SEED, SEED, BATCH = 7, 1, 8


def layouts(own: Tensor, answer: Tensor, stop: Tensor, end: Tensor) -> dict[str, Tensor]:
    """Visual tokens ``(L, W)`` by name; ``answer``, ``stop`` and ``end`` ``(N, W)``."""
    length = len(own)
    once, apart = torch.cat([answer, end]), torch.cat([answer, stop])
    return {
        "the adapter's own": own,
        "once, first": torch.cat([once, own[len(once) :]]),
        "once, last": torch.cat([own[: length - len(answer)], answer]),
        "once, first, the others empty": torch.cat([answer, end.repeat(length, 1)])[:length],
        "over and over": answer.repeat(length, 1)[:length],
        "over and over, full stops between": apart.repeat(length, 1)[:length],
    }


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=sorted(KIND_OF_TASK))
    parser.add_argument("--types", nargs="+", required=True)
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--per-type", type=int, default=40, metavar="N", help="questions")
    parser.add_argument("--adapter", type=Path, metavar="DIR", help="default: the shipped one")
    parser.add_argument("--out", type=Path, required=True, help="keeps encoded clips")
    args = parser.parse_args()
    folder = args.adapter or adapters_dir() / "mini" / args.task
    model, recipe = load_model("mini"), load_recipe(folder)
    items = list(generated_items(args.clips, CLIP_SEED, "dev", KIND_OF_TASK[args.task]))
    if missing := set(args.types) - {item.type for item in items}:
        parser.error(f"{args.task} has no questions of type {', '.join(sorted(missing))}")
    items = drawn([item for item in items if item.type in args.types], args.per_type, SEED)
    clips = clips_of(items)
    encoded = recipe.frames * recipe.training.jitter
    table = clip_table(args.out / "features", model.encoder, clips, encoded)
    learner = Learner(model, recipe, table, model.load_adapter(folder, recipe)).eval()
    examples = make_examples(items, find_task(args.task), model, table, clips, recipe)
    llm, slots = model.llm, WordSlots(model.llm, {e.answer for e in examples}, ())
    words = llm.network.get_input_embeddings()
    stop, end = words(torch.tensor(slots.stop)), words(torch.tensor([slots.end]))
    right: dict[str, dict[str, list[bool]]] = {}
    for start in tqdm(range(0, len(examples), BATCH), unit="batch"):
        part = [DrawnExample(example, example.shown) for example in examples[start : start + BATCH]]
        written = [
            layouts(own, words(torch.tensor(slots.ids(asked.example.answer))), stop, end)
            for own, asked in zip(learner.visual(part), part, strict=True)
        ]
        prompts = [llm.prompt_ids(asked.request.prompt) for asked in part]
        ids = [[llm.answer_ids(choice) for choice in asked.example.choices] for asked in part]
        for name in written[0]:
            visual = torch.stack([some[name] for some in written])
            for asked, losses in zip(part, llm.answer_losses(visual, prompts, ids), strict=True):
                told = asked.example.choices[int(losses.argmin())] == asked.example.answer
                right.setdefault(name, {}).setdefault(asked.example.type, []).append(told)
    print("| the answer is written | " + " | ".join(args.types) + " |")
    print("|---|" + "---|" * len(args.types))
    for name, types in right.items():
        shares = (f"{100 * sum(types[t]) / len(types[t]):.0f}" for t in args.types)
        print(f"| {name} | {' | '.join(shares)} |")


if __name__ == "__main__":
    main()
