"""Index many files by one process and by workers of Ray that are killed: the same, how much sooner?

    python benchmarks/many_files.py [--files 300] [--kind images] [--kills 5] [--seed 0]

Makes generated pictures, or short clips of them, and runs `assistant index add` over them: in one
process; by workers; the same while workers are killed (SIGKILL) at random moments; and by workers
whose writing process is killed halfway, and then once more. Each process computes with one thread.
The rows of each index (file, window, times, words, vector) are compared with those of the first.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from assistant.data.scenes import write_dataset
from assistant.retrieval import Index

WORKER = "ray::MapWorker"  # as the system's list of processes tells it
ALIKE = 1e-4  # that numbers of vectors may differ: other processors round otherwise
LOOKED = 0.05  # seconds between two looks at a run


@dataclass(frozen=True)
class Run:
    """An index that was made."""

    seconds: float
    kills: int
    rows: dict[tuple[str, int], tuple[tuple[object, ...], np.ndarray]]
    count: int  # of rows: more than `rows` has where some are there twice
    damaged: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--kind", choices=("images", "clips"), default="images")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as scratch:
        folder, place = Path(scratch) / "files", Path(scratch) / "index"
        write_dataset(folder, args.kind, args.files, args.seed, "train")
        print(f"{args.files} {args.kind}, {os.cpu_count()} cores, seed {args.seed}\n")
        by_ray = ["--ray", "local", "--ray-cores", "1"]
        alone = added(folder, place, "alone", [])
        print("| how | seconds | to one process | kills | rows | same rows | damaged |")
        print("|---|---|---|---|---|---|---|")
        tell("one process", alone, alone)
        spread = added(folder, place, "spread", by_ray)
        tell("workers of a core each", spread, alone)
        moments = sorted(rng.uniform(0.3, 0.9) * spread.seconds for _ in range(args.kills))
        killed = added(folder, place, "killed", by_ray, lambda run: kill_workers(run, moments, rng))
        tell("workers killed", killed, alone)
        halfway = 0.65 * spread.seconds
        stopped = added(folder, place, "stopped", by_ray, lambda run: kill_after(run, halfway))
        tell("the writing process killed", stopped, alone)
        again = added(folder, place, "stopped", by_ray)
        tell("and run once more", again, alone)


def added(
    folder: Path,
    place: Path,
    name: str,
    more: list[str],
    disturb: Callable[[psutil.Popen], int] = lambda run: 0,
) -> Run:
    """Index ``folder``; ``disturb`` gets the process, and tells how many it killed."""
    words = ["index", "add", str(folder), "--index", str(place), "--name", name, "--quiet", *more]
    began = time.perf_counter()
    run = psutil.Popen(
        [sys.executable, "-m", "assistant", *words],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
    )
    kills = disturb(run)
    code = run.wait()
    seconds = time.perf_counter() - began
    if code not in (0, -signal.SIGKILL):
        raise SystemExit(f"assistant {' '.join(words)}: exit code {code}")
    index = Index(name, uri=str(place))
    rows, count = {}, 0
    for part in index._store.scan("file window last kind start end text vector"):
        for file, window, *own, vector in zip(*part.values(), strict=True):
            rows[file, window] = (tuple(own), np.array(vector))
            count += 1
    return Run(seconds, kills, rows, count, len(index.verify().damaged))


def kill_workers(run: psutil.Popen, moments: list[float], rng: random.Random) -> int:
    """Kill one of the workers at each of the moments (s), or as soon as one is there."""
    began, kills = time.perf_counter(), 0
    while run.is_running() and run.status() != psutil.STATUS_ZOMBIE and kills < len(moments):
        time.sleep(LOOKED)
        if time.perf_counter() - began < moments[kills]:
            continue
        if workers := [one for one in run.children(recursive=True) if is_worker(one)]:
            rng.choice(workers).kill()
            kills += 1
    return kills


def is_worker(process: psutil.Process) -> bool:
    try:
        return " ".join(process.cmdline()).startswith(WORKER)
    except psutil.Error:
        return False


def kill_after(run: psutil.Popen, seconds: float) -> int:
    time.sleep(seconds)
    run.kill()
    return 1


def tell(how: str, run: Run, alone: Run) -> None:
    """A row of the table."""
    same = sum(
        run.rows[key][0] == told and bool(np.abs(run.rows[key][1] - vector).max() < ALIKE)
        for key, (told, vector) in alone.rows.items()
        if key in run.rows
    )
    figures = (
        how,
        f"{run.seconds:.0f}",
        f"{run.seconds / alone.seconds:.2f}",
        run.kills,
        run.count,
        f"{same} of {len(alone.rows)}",
        run.damaged,
    )
    print(f"| {' | '.join(map(str, figures))} |", flush=True)


if __name__ == "__main__":
    main()
