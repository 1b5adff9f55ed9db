"""Kill a finetune at random moments, again and again; it must end in the very same weights.

    python benchmarks/durability.py [--kills 50] [--seed 0]

A tiny model on text examples, in a process that is killed (SIGKILL) after a random time and then
resumed, against one undisturbed run. After every kill the adapter's folder must be either not an
adapter yet or one that loads whole. Processes are forked from this one, which has imported
everything: kills fall into the training and not into imports.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

import assistant.training.loop as loop
from assistant.core.config import LoraSettings, TransferConfig
from assistant.tasks.prompts import TaskPrompt
from assistant.tasks.recipes import RECIPE, Recipe, Training, load_recipe
from assistant.training.finetune import ADAPTER, examples_from, finetune
from assistant.training.loop import CHECKPOINT

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from tiny import tiny_assistant

FORK = multiprocessing.get_context("fork")
RECIPE_OF_RUNS = Recipe(
    task="tell",
    lora=LoraSettings(rank=2, dropout=0.1),
    transfer=TransferConfig(frames=2, masks=2, router_width=4),
    training=Training(epochs=30, batch=4, lr=1e-2, silent_epochs=10),
)
PROMPT = TaskPrompt("tell", "Tells.", "{question}", "{question}", ("is it?",), 8)
NO_ADAPTER, WHOLE = 3, 0  # exit codes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        data = write_data(work)
        began = time.perf_counter()
        assert finished(train, data, work / "whole") == 0, "the undisturbed run failed"
        whole = time.perf_counter() - began
        wanted = digest(work / "whole")
        kills = runs = 0
        while kills < args.kills:
            runs += 1
            out = work / f"run-{runs}"
            began = time.perf_counter()
            killed, adapters = disturb(data, out, rng, whole, args.kills - kills)
            kills += killed
            if not killed:  # faster than the first one: kills come sooner from now on
                whole = min(whole, time.perf_counter() - began)
            assert digest(out) == wanted, f"run {runs}: other weights after {killed} kills"
            print(
                f"run {runs}: {killed} kills, {adapters} of them with a whole adapter", flush=True
            )
        print(f"{kills} kills in {runs} runs: every run ended in the undisturbed run's weights")


def disturb(data: Path, out: Path, rng: random.Random, whole: float, most: int) -> tuple[int, int]:
    """Run to the end, killed on the way at most ``most`` times; how often it was, and how often
    an adapter lay there then."""
    kills = adapters = 0
    while True:
        process = FORK.Process(target=train, args=(data, out))
        process.start()
        process.join(rng.uniform(0.05, 0.7) * whole if kills < most else None)
        if process.is_alive():
            process.kill()
            process.join()
            kills += 1
            told = finished(load, out / ADAPTER)
            assert told in (WHOLE, NO_ADAPTER), "a half-written adapter was taken for a whole one"
            adapters += told == WHOLE
            continue
        assert process.exitcode == 0, "a resumed run failed"
        return kills, adapters


def train(data: Path, out: Path) -> None:
    """A run, or the rest of one; checkpoints nearly every step."""
    quiet()
    loop.SAVE_EVERY = 0.05  # seconds
    resume = (out / CHECKPOINT).exists()
    finetune(RECIPE_OF_RUNS, PROMPT, tiny_assistant(), examples_from(data), out, resume=resume)


def load(folder: Path) -> None:
    """Exit with what lies in ``folder``; an adapter that does not load whole is an error."""
    quiet()
    if not (folder / RECIPE).is_file():
        sys.exit(NO_ADAPTER)
    tiny_assistant().load_adapter(folder, load_recipe(folder))


def quiet() -> None:
    torch.set_num_threads(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def finished(target: Callable[..., None], *args: Path) -> int | None:
    process = FORK.Process(target=target, args=args)
    process.start()
    process.join()
    return process.exitcode


def digest(out: Path) -> bytes:
    return (out / ADAPTER / "adapter_model.safetensors").read_bytes()


def write_data(folder: Path) -> Path:
    path = folder / "data.jsonl"
    lines = [
        {
            "id": n,
            "video": None,
            "question": f"is it {n}?",
            "answer": "yes" if n % 2 else "no",
            "choices": ["yes", "no"],
            "split": "dev" if n % 5 == 0 else "train",
        }
        for n in range(30)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


if __name__ == "__main__":
    main()
