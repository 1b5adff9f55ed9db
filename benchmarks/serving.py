"""Many clients of `assistant serve` for a while: answers or 429, waiting, memory, mix-ups; and what
answering together saves.

    python benchmarks/serving.py [--clients 20] [--seconds 600] [--waiting 16] [--seed 0]
    python benchmarks/serving.py --together [--questions 16] [--in-flight 1 4 8 16]

The server is a process of its own; clients are threads that use the `openai` package. Every client
has a clip of its own color and its own length, which the evidence of an answer tells to the frame:
an answer with another length is about another's clip. Before, each clip's questions are answered
while nobody else asks; what is answered otherwise later is counted, too (rounding may do that,
where several share a pass). A client that is told 429 waits as long as it is told to.

``--together``: questions a second with some in flight, about one clip and about 16, beside the same
server when it answers one by one, and beside one that moreover keeps nothing of a clip from request
to request, in the style of `transformers serve`.
"""

from __future__ import annotations

import argparse
import base64
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import psutil

SIDE, RATE = 96, 10  # of a clip
COLORS = ("red", "green", "blue", "yellow", "white", "black")
RGB = ((220, 30, 30), (30, 200, 30), (30, 30, 220), (220, 220, 30), (240, 240, 240), (15, 15, 15))
ANEW, ONE_BY_ONE, TOGETHER = "nothing kept", "one by one", "together"
ASKED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("What is to be seen?", {}),
    ("What color is it?", {"choices": list(COLORS)}),
    ("Is anybody there?", {}),
)


@dataclass(frozen=True)
class Clip:
    """What one client asks about."""

    url: str
    seconds: float
    color: int

    @classmethod
    def make(cls, number: int, folder: Path) -> Clip:
        """Of a color, and of a length that no other has."""
        from assistant.media.writer import write_clip

        color, count = number % len(COLORS), 20 + number
        frames = np.full((count, SIDE, SIDE, 3), RGB[color], np.uint8)
        for place, frame in enumerate(frames):
            frame[40:56, place % 80 : place % 80 + 16] = 255 - np.array(RGB[color])
        path = folder / f"{number}.mp4"
        write_clip(path, frames, RATE)
        data = base64.b64encode(path.read_bytes()).decode()
        return cls(f"data:video/mp4;base64,{data}", count / RATE, color)


@dataclass
class Tally:
    """What all clients have met."""

    waits: list[float] = field(default_factory=list)  # seconds to an answer
    counts: Counter[str] = field(default_factory=Counter)
    mixed: list[str] = field(default_factory=list)


def ask(client: openai.OpenAI, clip: Clip, place: int) -> tuple[str, float]:
    """The answer to one of the questions, and how long its clip is."""
    text, more = ASKED[place]
    content = [
        {"type": "text", "text": text},
        {"type": "video_url", "video_url": {"url": clip.url}},
    ]
    found = client.chat.completions.create(
        model="mini:none",
        messages=[{"role": "user", "content": content}],
        extra_body=more,
    )
    return found.choices[0].message.content, found.evidence["end"]


def live(address: str, clip: Clip, alone: Sequence[str], tally: Tally, until: float, seed: str):
    """One client."""
    dice = random.Random(seed)
    with client_of(address) as client:
        while time.monotonic() < until:
            place, began = dice.randrange(len(ASKED)), time.monotonic()
            try:
                answer, seconds = ask(client, clip, place)
            except openai.RateLimitError as error:
                tally.counts["429"] += 1
                time.sleep(min(float(error.response.headers["retry-after"]), until - began))
                continue
            except openai.OpenAIError as error:
                tally.counts[f"error: {error}"[:80]] += 1
                continue
            tally.waits.append(time.monotonic() - began)
            tally.counts["answered"] += 1
            if abs(seconds - clip.seconds) > 0.5 / RATE:
                tally.mixed.append(f"{clip.seconds} s: {seconds} s, {answer[:40]}")
            if answer != alone[place]:
                tally.counts["otherwise than alone"] += 1


def client_of(address: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=600)


@contextmanager
def server(waiting: int, way: str = TOGETHER) -> Iterator[tuple[str, psutil.Process]]:
    """`assistant serve` on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = ["--serve", str(port), "--waiting", str(waiting), "--way", way]
    command = [sys.executable, __file__, *own]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        address = f"http://127.0.0.1:{port}"
        try:
            while True:
                try:
                    httpx.get(f"{address}/health", timeout=5)
                    break
                except httpx.HTTPError:
                    if process.poll() is not None:
                        log.seek(0)
                        raise SystemExit(f"no server: {log.read()[-2000:]}") from None
                    time.sleep(0.5)
            yield address, psutil.Process(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        log.seek(0)
        faults = sum('"level": "error"' in line or "Traceback" in line for line in log)
        row("faults in the server's log; its exit code", f"{faults}; {process.returncode}")


def serve(args: argparse.Namespace) -> None:
    from assistant.cli.main import main
    from assistant.model.features import FeatureStore
    from assistant.serving import engine

    if args.way != TOGETHER:
        engine.AT_ONCE = 1
    if args.way == ANEW:
        FeatureStore.get = FeatureStore.get_source = lambda *_: None
    raise SystemExit(main(["serve", "--port", args.serve, "--max-waiting", str(args.waiting)]))


def many(args: argparse.Namespace) -> None:
    """Clients that ask again and again."""
    row("", "")
    row("---", "---")
    with tempfile.TemporaryDirectory() as folder:
        clips = [Clip.make(number, Path(folder)) for number in range(args.clients)]
    with server(args.waiting) as (address, process):
        with client_of(address) as client:
            told = [[ask(client, clip, place) for place in range(len(ASKED))] for clip in clips]
        for clip, answers in zip(clips, told, strict=True):
            assert all(abs(end - clip.seconds) < 0.5 / RATE for _, end in answers), answers
        right = sum(told[n][1][0] == COLORS[clip.color] for n, clip in enumerate(clips))
        tally, until = Tally(), time.monotonic() + args.seconds
        threads = [
            threading.Thread(
                target=live,
                args=(
                    address,
                    clip,
                    [answer for answer, _ in told[number]],
                    tally,
                    until,
                    f"{args.seed} {number}",
                ),
            )
            for number, clip in enumerate(clips)
        ]
        for thread in threads:
            thread.start()
        used = []
        while any(thread.is_alive() for thread in threads):
            used.append(process.memory_info().rss / 2**20)
            time.sleep(1.0)
        quarter = len(used) // 4
        rest = used[quarter:]
        slope = statistics.linear_regression(range(len(rest)), rest).slope * 60
        load = f"load {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} cores"
        row("clients, seconds", f"{args.clients}, {args.seconds} ({load}, seed {args.seed})")
        row("", ", ".join(f"{n} {name}" for name, n in sorted(tally.counts.items())))
        spans = statistics.quantiles(tally.waits, n=20)
        row(
            "seconds to an answer", f"p50 {statistics.median(tally.waits):.1f}, p95 {spans[-1]:.1f}"
        )
        row("answers a minute", f"{60 * tally.counts['answered'] / args.seconds:.0f}")
        row("about another's clip", f"{len(tally.mixed)} {'; '.join(tally.mixed[:3])}")
        row("colors named rightly, alone", f"{right} of {len(clips)}")
        row(
            "memory",
            f"{used[0]:.0f} MB at the start, {rest[0]:.0f} after a quarter of the time, "
            f"{rest[-1]:.0f} at the end ({slope:+.1f} MB a minute from the quarter on)",
        )


def together(args: argparse.Namespace) -> None:
    """Questions a second, with and without answering together."""
    with tempfile.TemporaryDirectory() as folder:
        clips = [Clip.make(number, Path(folder)) for number in range(16)]
    found: dict[tuple[int, int], list[float]] = {}
    row("", "")
    row("---", "---")
    for way in (ANEW, ONE_BY_ONE, TOGETHER):
        with server(64, way) as (address, _), client_of(address) as client:
            for clip in clips:
                ask(client, clip, 0)  # looked at once, and warm
            for count in (1, 16):
                for at_once in args.in_flight:
                    asked = [clips[n % count] for n in range(args.questions)]
                    began = time.monotonic()
                    with ThreadPoolExecutor(at_once) as pool:
                        list(pool.map(lambda clip: ask(client, clip, 0), asked))
                    speed = args.questions / (time.monotonic() - began)
                    found.setdefault((count, at_once), []).append(speed)
    print(f"\n| clips | in flight | {ANEW} | {ONE_BY_ONE} | {TOGETHER} | times | times |")
    print("|---|---|---|---|---|---|---|")
    for (count, at_once), (anew, alone, shared) in found.items():
        speeds = " | ".join(f"{speed:.2f}" for speed in (anew, alone, shared))
        print(f"| {count} | {at_once} | {speeds} | {shared / anew:.2f} | {shared / alone:.2f} |")


def row(name: str, found: str) -> None:
    print(f"| {name} | {found} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--waiting", type=int, default=16, help="--max-waiting of the server")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--together", action="store_true")
    parser.add_argument("--questions", type=int, default=16, help="of each cell of --together")
    parser.add_argument("--in-flight", type=int, nargs="+", default=[1, 4, 8, 16], metavar="N")
    parser.add_argument("--serve", metavar="PORT", help=argparse.SUPPRESS)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args)
    elif args.together:
        together(args)
    else:
        many(args)


if __name__ == "__main__":
    main()
