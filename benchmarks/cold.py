"""A question from the shell about a clip seen before, by one or more installations in turn.

    python benchmarks/cold.py CLIP QUESTION --programs .venv/bin/assistant [OTHER ...] [--rounds 5]

Each runs `assistant ask CLIP QUESTION` in a process of its own; the first round, which warms up and
keeps the clip's features, is not counted. Wall seconds and, where others work on the machine, too,
seconds of the processor; ratios are to the first program, of medians.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip")
    parser.add_argument("question")
    parser.add_argument("--programs", nargs="+", required=True, metavar="PROGRAM")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    told: dict[str, str] = {}
    spent: dict[str, list[tuple[float, float]]] = {program: [] for program in args.programs}
    for turn in range(args.rounds + 1):
        for program in args.programs:
            start, before = time.perf_counter(), busy()
            done = subprocess.run(
                [program, "ask", args.clip, args.question, "--quiet"],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            told[program] = done.stdout.strip()
            if turn:
                spent[program].append((time.perf_counter() - start, busy() - before))
    print("| program | wall, s | ratio | CPU, s | ratio | answer |\n|---|---|---|---|---|---|")
    first_wall, first_cpu = medians(spent[args.programs[0]])
    for program, rows in spent.items():
        wall, cpu = medians(rows)
        print(
            f"| {program} | {wall:.2f} | {wall / first_wall:.2f} | {cpu:.2f} | "
            f"{cpu / first_cpu:.2f} | {told[program]} |"
        )


def medians(rows: list[tuple[float, float]]) -> tuple[float, float]:
    walls, cpus = zip(*rows, strict=True)
    return statistics.median(walls), statistics.median(cpus)


def busy() -> float:
    """Seconds of the processor that ended children have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
