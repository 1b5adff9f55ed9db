"""Kill a finetune at random moments, again and again; it must end in the very same weights.

    python benchmarks/durability.py [--kills 50] [--seed 0]

A tiny model on text examples, in a process that is killed (SIGKILL) after a random time and then
resumed, against one undisturbed run. After every kill the adapter's folder must be either not an
adapter yet or one that loads whole.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TRAIN = """
import sys
from pathlib import Path
import torch
sys.path.insert(0, sys.argv[3])
from tiny import tiny_assistant
import assistant.training_loop as loop
from assistant.config import LoraSettings, TransferConfig
from assistant.recipes import Recipe, Training
from assistant.templates import TaskPrompt
from assistant.training import examples_from, finetune
from assistant.training_loop import CHECKPOINT

torch.set_num_threads(1)
loop.SAVE_EVERY = 0.05  # seconds: nearly every step
recipe = Recipe(
    task="tell",
    lora=LoraSettings(rank=2, dropout=0.1),
    transfer=TransferConfig(frames=2, masks=2, router_width=4),
    training=Training(epochs=30, batch=4, rate=1e-2, silent_epochs=10),
)
prompt = TaskPrompt("tell", "Tells.", "{question}", "{question}", ("is it?",), 8)
out = Path(sys.argv[2])
finetune(
    recipe, prompt, tiny_assistant(), examples_from(Path(sys.argv[1])), out,
    resume=(out / CHECKPOINT).exists(),
)
"""


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
        run(data, work / "whole").wait()
        whole = time.perf_counter() - began
        wanted = digest(work / "whole")
        kills = runs = 0
        while kills < args.kills:
            runs += 1
            out = work / f"run-{runs}"
            killed, whole_adapters = disturb(data, out, rng, whole, args.kills - kills)
            kills += killed
            assert digest(out) == wanted, f"run {runs}: other weights after {killed} kills"
            print(
                f"run {runs}: {killed} kills, {whole_adapters} of them with a whole adapter",
                flush=True,
            )
        print(f"{kills} kills in {runs} runs: every run ended in the undisturbed run's weights")


def disturb(data: Path, out: Path, rng: random.Random, whole: float, most: int) -> tuple[int, int]:
    """Run to the end, killed on the way at most ``most`` times; how often it was."""
    kills = whole_adapters = 0
    while True:
        process = run(data, out)
        try:
            process.wait(timeout=rng.uniform(0.3, 1.2) * whole if kills < most else None)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
            whole_adapters += loads(out / "adapter")
            continue
        assert process.returncode == 0, "a resumed run failed"
        return kills, whole_adapters


def loads(folder: Path) -> bool:
    """Whether an adapter is there; if so it must load. Raises where it is half written."""
    sys.path.insert(0, str(ROOT / "tests"))
    from tiny import tiny_assistant

    from assistant.recipes import RECIPE, load_recipe

    if not (folder / RECIPE).is_file():
        return False
    tiny_assistant().load_adapter(folder, load_recipe(folder))
    return True


def run(data: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", TRAIN, str(data), str(out), str(ROOT / "tests")]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)


def digest(out: Path) -> bytes:
    return (out / "adapter" / "adapter_model.safetensors").read_bytes()


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
