"""Open thousands of damaged clips or subtitle files: each is read, or refused in one line.

    python benchmarks/mutations.py clips 3000 --seed 1 [--failed FOLDER]
    python benchmarks/mutations.py subtitles 1000 --seed 1 [--failed FOLDER]

Seed and number decide a file: bytes, parts and boxes of small ones of every kind are changed. Each
is opened as ``ask`` opens it, in a process of its own that has imported everything (forked from
this one, with the reader's limits): a start costs nothing, a crash nobody else. What crashes,
hangs, grows or fails by our fault is written to FOLDER; exit code 1 where there is any.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from mutant_clips import make_clips, mutated_clip
from mutant_subtitles import make_subtitles, mutated_subtitles

from assistant.dialogue import subtitles
from assistant.errors import AssistantError
from assistant.media import video, worker

HANG = 20  # s
GROWTH = 1 << 10  # MB that one file may make its process grow by
OUR_FAULT = ("made the reader fail", "its reader", "Traceback")
FAILURES = ("crash", "hang", "our fault", "memory")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("clips", "subtitles"))
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--failed", type=Path, default=Path("mutations-failed"))
    args = parser.parse_args()
    quiet_errors()
    began, outcomes, lines, most, slowest = time.perf_counter(), Counter(), Counter(), 0.0, 0.0
    by_kind: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        bases = make_clips(work) if args.kind == "clips" else make_subtitles()
        mutate = mutated_clip if args.kind == "clips" else mutated_subtitles
        look = open_clip if args.kind == "clips" else open_subtitles
        for number in range(args.count):
            rng = random.Random(f"{args.seed} {number}")
            name, data = mutate(bases, rng)
            path = work / f"{args.seed}-{number}-{name}"
            path.write_bytes(data)
            start = time.perf_counter()
            outcome, said, grown = opened(look, path)
            slowest = max(slowest, time.perf_counter() - start)
            outcomes[outcome] += 1
            by_kind.setdefault(name.partition(".")[2], Counter())[outcome] += 1
            most = max(most, grown)
            lines.update(re.sub(r"\d[\d.]*|'[^']*'", "N", line) for line in said)
            if outcome in FAILURES:
                args.failed.mkdir(parents=True, exist_ok=True)
                (args.failed / path.name).write_bytes(data)
                print(f"{outcome}: {args.failed / path.name}: {said[-1:]}", flush=True)
            path.unlink()
    seconds = time.perf_counter() - began
    report(args, outcomes, lines, by_kind)
    print(f"\n{seconds:.0f} s; at most {most:.0f} MB and {slowest:.1f} s for one file")
    sys.exit(any(outcomes[failure] for failure in FAILURES))


def report(
    args: argparse.Namespace,
    outcomes: Counter[str],
    lines: Counter[str],
    by_kind: dict[str, Counter[str]],
) -> None:
    columns = ("read", "refused", *FAILURES)
    print(f"\n{args.count} {args.kind}, seed {args.seed}\n")
    print(f"| ending | {' | '.join(columns)} |\n|---{'|---' * len(columns)}|")
    for kind, counts in (*sorted(by_kind.items()), ("all", outcomes)):
        print(f"| {kind} | {' | '.join(str(counts[column]) for column in columns)} |")
    print("\nthe commonest lines:")
    for line, count in lines.most_common(12):
        print(f"{count:6} {line}")


def quiet_errors() -> None:
    """FFmpeg's libraries write where the reader's process has nothing open."""
    import av

    av.logging.set_level(None)


def opened(look: Callable[[Path], None], path: Path) -> tuple[str, list[str], float]:
    """What becomes of a file, the lines that are said of it, and MB that its process grew by."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        os._exit(told(look, path, writing))
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = [json.loads(line) for line in pipe.read().splitlines()]
    _, status = os.waitpid(child, 0)
    grown = sum(part for part in said if isinstance(part, float))
    said = [part for part in said if isinstance(part, str)]
    if os.WIFSIGNALED(status):
        number = signal.Signals(os.WTERMSIG(status))
        outcome = "hang" if number == signal.SIGALRM else "crash"
        return outcome, [*said, number.name], grown
    if any(mark in line or "\n" in line for line in said for mark in OUR_FAULT):
        return "our fault", said, grown
    if grown > GROWTH:
        return "memory", said, grown
    return "refused" if os.WEXITSTATUS(status) else "read", said, grown


def told(look: Callable[[Path], None], path: Path, pipe: int) -> int:
    """Opens a file and writes what is said of it, a JSON string a line, and MB; 1: refused."""
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    worker.limit(HANG - worker.ORPHAN_SECONDS, video.Limits().memory_mb)
    code, before = 0, resident()
    for step in look(path):
        try:
            said = step()
        except AssistantError as error:
            said, code = [str(error)], 1
        except BaseException as error:  # what `ask` would call our fault
            said = [f"Traceback: {type(error).__name__}: {error}"]
        for line in said or []:
            line = line.replace(f"{path}: ", "").replace(path.name, "NAME")
            os.write(pipe, json.dumps(line).encode() + b"\n")
        if code:
            break
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    os.write(pipe, json.dumps(max(0.0, peak - before)).encode() + b"\n")
    return code


def resident() -> float:
    """MB of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / (1 << 20)


def open_clip(path: Path) -> list[Callable[[], list[str] | None]]:
    video.ask = answered_here
    info: list[video.VideoInfo] = []

    def pictures() -> list[str]:
        clip = video.read_clip(path)
        assert len(clip.frames) == len(clip.seconds) >= 1
        assert list(clip.seconds) == sorted(set(clip.seconds))
        assert clip.frames.shape[3] == 3 and max(clip.frames.shape[1:3]) <= 448
        return list(clip.warnings)

    def sound() -> list[str]:
        if info[0].has_audio:
            try:
                video.read_audio(path)
            except video.VideoError as error:
                return [str(error)]
        return []

    def said() -> list[str]:
        return list(subtitles.find_dialogue(path).outside(info[0].duration))

    return [lambda: info.append(video.probe(path)), pictures, said, sound]


def answered_here(path: Path, task: str, limits: video.Limits, **options: object) -> tuple:
    """As ``video.ask``, by the reader's own code in this process."""
    header, parts = worker.answer({"task": task, "path": str(path.absolute()), **options})
    payload = b"".join(parts)
    encoded = json.dumps(header | {"payload": len(payload)}).encode()
    size = len(encoded).to_bytes(4, "little")
    return video.unpacked(path, worker.MAGIC + size + encoded + payload, 0, limits)


def open_subtitles(path: Path) -> list[Callable[[], list[str] | None]]:
    def said() -> list[str]:
        dialogue = subtitles.read_dialogue(path)
        for line in dialogue.lines:
            assert line.text and (line.start is None or 0 <= line.start < float("inf"))
        text = dialogue.between(1.0, 3.0).as_text() + dialogue.as_text()
        text.encode()  # the page and JSON take no half characters
        assert "\0" not in text
        return [*dialogue.warnings, *dialogue.outside(10.0)]

    return [said]


if __name__ == "__main__":
    main()
