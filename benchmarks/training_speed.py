"""How fast an adapter learns, what each saving is worth, and what a step is spent on.

    python benchmarks/training_speed.py [--task motion] [--steps 4] [--rounds 3]

The shipped recipe's training step on a few generated clips, with one thing changed a row, all in
one run and in turn (the first step of each is not counted): samples a second, and how many times
that of the first row. The last row runs two processes of one thread each, without the exchange of
gradients that ``accelerate launch`` adds. Then the operations of one step of the first row.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from assistant.core.resources import adapters_dir
from assistant.model.loading import load_model
from assistant.tasks.recipes import Recipe, load_recipe
from assistant.tasks.store import find_task
from assistant.training.examples import DrawnExample, draw, split_items
from assistant.training.finetune import generated_examples, prepare
from assistant.training.finetuner import Finetuner
from assistant.training.generated import KIND_OF_TASK
from assistant.training.loop import Loop

CLIPS = 24
BATCH = 32
SILENT = "without the LLM, every frame"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", default="motion", choices=list(KIND_OF_TASK))
    parser.add_argument("--steps", type=int, default=4, help="of each row in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    shipped = replace(load_recipe(adapters_dir() / "mini" / args.task), made=None)
    with tempfile.TemporaryDirectory() as scratch:
        rows = runs(shipped, args.task, Path(scratch), alone=args.alone)
        rates: dict[str, list[float]] = {name: [] for name in rows}
        for run in rows.values():
            run.take(1)
        for _ in range(args.rounds):
            for name, run in rows.items():
                rates[name].append(run.take(args.steps))
        if args.alone:
            print(statistics.median(rates[SILENT]))
            return
        rates["two processes of a thread each"] = [two_processes(args)]
        print("| training step | samples/s | times the first |\n|---|---|---|")
        first = statistics.median(rates[SILENT])
        for name, found in rates.items():
            rate = statistics.median(found)
            print(f"| {name} | {rate:.1f} | {rate / first:.2f} |")
        print_operations(rows[SILENT])


class Run:
    """One way to train, a few steps at a time."""

    def __init__(self, finetuner: Finetuner, out: Path, *, exact: bool = False) -> None:
        self.loop = Loop(finetuner, out, finetuner.accelerator)
        if exact:  # what learns is computed with in fp32
            finetuner._precision = nullcontext  # type: ignore[assignment,method-assign]
        self.batches: Iterator[list[DrawnExample]] = cycle(
            list(draw(finetuner.train_set, finetuner.recipe, BATCH, 0))
        )

    def take(self, steps: int) -> float:
        """Samples per second over some steps."""
        began = time.perf_counter()
        taken = 0
        for _ in range(steps):
            batch = next(self.batches)
            self.loop.step(batch)
            taken += len(batch)
        return taken / (time.perf_counter() - began)


def runs(shipped: Recipe, task: str, scratch: Path, *, alone: bool) -> dict[str, Run]:
    """Every row's run, over the same clips."""
    training = replace(shipped.training, epochs=9, silent_epochs=9, batch=BATCH, epoch_examples=0)
    silent = replace(shipped, training=training)
    whole = replace(silent, transfer=replace(silent.transfer, layers=0))
    plain = replace(silent, transfer=replace(silent.transfer, contrast=0))
    spoken = replace(silent, training=replace(training, silent_epochs=0))
    planned = {
        SILENT: (silent, False),
        "all layers adapted": (whole, False),
        "without frame contrast": (plain, False),
        "LoRAs computed in fp32": (silent, True),
        "through the LLM, every frame": (spoken, False),
    }
    if alone:
        planned = {SILENT: (silent, False)}
    examples = generated_examples(CLIPS, 7, KIND_OF_TASK[task])
    made = {}
    for name, (recipe, exact) in planned.items():
        train, dev = split_items(examples.items, recipe)
        model = load_model("mini", attention="eager", reading=False)
        finetuner = prepare(recipe, find_task(task), model, train, dev, examples.digest, scratch)
        made[name] = Run(finetuner, scratch, exact=exact)
    return made


def two_processes(args: argparse.Namespace) -> float:
    """Samples per second of two processes at a time."""
    command = [sys.executable, __file__, "--alone", "--task", args.task]
    command += ["--steps", str(args.steps), "--rounds", str(args.rounds)]
    environment = {"OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            ["env", *(f"{k}={v}" for k, v in environment.items()), *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(2)
    ]
    return sum(float(process.communicate()[0]) for process in started)


def print_operations(run: Run, most: int = 10) -> None:
    """Where the processor's time goes in one step."""
    with profile(activities=[ProfilerActivity.CPU]) as found:
        run.take(1)
    events = sorted(found.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    print("\n| operation | share of a step |\n|---|---|")
    for event in events[:most]:
        print(f"| {event.key} | {event.self_cpu_time_total / total:.0%} |")


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
