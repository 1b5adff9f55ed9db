"""Many visitors of one page for some minutes: memory, mix-ups, waiting, errors, what is left.

    python benchmarks/visitors.py [--visitors 20] [--minutes 10] [--seed 0] [--tiny]

`assistant ui` in a process of its own, spoken to as browsers do: upload, queue and event stream
over HTTP. Every visitor has a clip in a color of its own, with dialogue that nobody else has, and
does at random what people do: asks, asks on, looks at the evidence or does not wait for it, stops,
clears, loads the page again, closes it in the middle, brings a wrong file, calls the server
wrongly, asks through the door for programs. Whatever a page is sent that bears another's mark,
folder or color is a mix-up. What belongs to who has left goes after a minute instead of ten, so
that it comes and goes in the time of a run; at the end the server gets SIGTERM while a page is
open. ``--tiny``: a random model instead of mini.

It is longer than other files: a browser's part of the protocol, and what people do with it.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import io
import json
import os
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import psutil
from gradio_client.utils import apply_diff

API, GRACE = "gradio_api", 60.0
SIDE, SECONDS, RATE = 96, 4, 8  # of a clip
MARK = re.compile(r"Zed[0-9a-f]{8}")
FOLDER = re.compile(r"visitors/([0-9a-f]{32})")
PICTURE = re.compile(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)")
AHEAD = re.compile(r"(\d+) (?:person|people) (?:is|are) before you")
SRT = "1\n00:00:00,500 --> 00:00:03,500\nANN: My name is {mark}.\n"
QUESTIONS = (
    "What is said?",
    "What color is it, {mark}?",
    "Is anybody there?",
    "What happens?",
    "Who speaks in the last 2 seconds?",
)
WRONG: tuple[tuple[str, Any], ...] = (
    ("call/answer", {"data": []}),
    ("call/answer", {"data": [{"path": "/etc/passwd"}, "What?", "auto", None]}),
    ("call/nothing", {"data": []}),
    ("queue/join", {"fn_index": 999, "data": [], "session_hash": "x"}),
    ("call/answer", {"data": 7}),
)


@dataclass
class Tally:
    """What all visitors have met."""

    waits: list[float] = field(default_factory=list)  # seconds to an answer, or to what went wrong
    counts: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    mixed: list[str] = field(default_factory=list)
    ahead: int = 0  # most people that somebody was told to be before them


@dataclass
class Visitor:
    """One browser's tab: what it is sent is looked at, all of it."""

    address: str
    color: tuple[int, int, int]
    colors: list[tuple[int, int, int]]
    tally: Tally
    dice: random.Random
    steps: Callable[[str, str], int]
    mark: str = ""

    def __post_init__(self) -> None:
        self.web = httpx.Client(base_url=f"{self.address}{API}/", timeout=300)
        self.token, self.folder, self.alive = "", "", threading.Event()
        self.parts: dict[int, Any] = {}

    def arrive(self, again: bool = False) -> None:
        """Open a page, or load it again: then what there was is there."""
        self.page = uuid4().hex[:12]
        if not again:
            self.token, self.mark, self.folder = uuid4().hex, f"Zed{uuid4().hex[:8]}", ""
        self.alive = threading.Event()
        threading.Thread(target=self._stay, args=(self.page, self.alive), daemon=True).start()
        self.do("load", "", [self.token])
        if not again:
            self.bring()

    def _stay(self, page: str, gone: threading.Event) -> None:
        """The connection that tells the server that the page is open."""
        with (
            contextlib.suppress(httpx.HTTPError),
            httpx.stream("GET", f"{self.address}{API}/heartbeat/{page}", timeout=None) as stream,
        ):
            while not gone.wait(0.2):
                pass
            del stream

    def bring(self) -> None:
        """A clip, then its subtitles."""
        self.upload(f"{self.mark}.mp4", clip_bytes(self.color))
        self.upload(f"{self.mark}.srt", SRT.format(mark=self.mark).encode())
        self.tally.counts["clips opened"] += 1

    def upload(self, name: str, data: bytes) -> list[Any]:
        (path,) = self.web.post("upload", files={"files": (name, data)}).json()
        file = {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}
        return self.do("upload", "va-drop", [[file]])

    def do(self, event: str, part: str, data: list[Any], step: int | None = None) -> list[Any]:
        """One step of the page to its end; what it shows last."""
        return list(self.follow(event, part, data, step))[-1:]

    def follow(
        self, event: str, part: str, data: list[Any], step: int | None = None
    ) -> Iterator[Any]:
        """What the page is sent, as it comes."""
        number = self.steps(event, part) if step is None else step
        call = self.join(number, data)
        shown: list[Any] | None = None
        with self.web.stream("GET", "queue/data", params={"session_hash": self.page}) as stream:
            for line in stream.iter_lines():
                told = json.loads(line.removeprefix("data: ")) if line else {}
                if told.get("event_id") != call:
                    continue  # of another step, which still runs
                values = (told.get("output") or {}).get("data")
                if told.get("msg") == "process_completed":
                    if not told["success"]:
                        self.tally.errors[f"{event}: {told['output'].get('error')}"] += 1
                    return
                if told.get("msg") == "process_generating" and values:
                    first = shown is None
                    shown = values if first else [*map(apply_diff, shown or [], values)]
                    self.look_at(json.dumps(shown))
                    yield shown

    def join(self, step: int, data: list[Any]) -> str:
        """Let the server begin a step; its number in the stream."""
        body = {"fn_index": step, "data": data, "session_hash": self.page}
        return self.web.post("queue/join", json=body).raise_for_status().json()["event_id"]

    def look_at(self, text: str) -> None:
        """Nothing of another's may be in it."""
        self.folder = self.folder or next(iter(FOLDER.findall(text)), "")
        others = {mark for mark in MARK.findall(text) if mark != self.mark}
        others |= {folder for folder in FOLDER.findall(text) if folder != self.folder}
        self.tally.mixed += [f"{self.mark} was sent {other}" for other in others]
        self.tally.ahead = max([self.tally.ahead, *map(int, AHEAD.findall(text))])
        self.tally.counts["own marks seen"] += self.mark in text
        if "va-bad" in text:
            said = re.search(r'va-bad\\?" role=\\?"alert\\?">([^<]*)', text)
            self.tally.errors[MARK.sub("NAME", said[1]) if said else "va-bad"] += 1
        for picture in PICTURE.findall(text)[:2]:
            self.tally.counts["pictures looked at"] += 1
            if nearest(picture, self.colors) != self.color:
                self.tally.mixed.append(f"{self.mark} was shown another's picture")

    def ask(self) -> None:
        """A question, to its answer."""
        question = self.dice.choice(QUESTIONS).format(mark=self.mark)
        form = self.dice.choice(["in words", "in words", "yes or no"])
        began = time.monotonic()
        shown = self.do("submit", "va-question", [question, form, ""])
        self.tally.waits.append(time.monotonic() - began)
        self.tally.counts["answers"] += bool(shown) and "va-thinking" not in json.dumps(shown)

    def explain(self) -> None:
        asked = self.steps("submit", "va-question")
        shown = self.do("then", "", [], self.steps("then", str(asked)))
        self.tally.counts["evidence"] += "<svg" in json.dumps(shown)

    def explain_and_ask(self) -> None:
        """Ask on, without waiting for the evidence."""
        step = self.steps("then", str(self.steps("submit", "va-question")))
        self.join(step, [])
        time.sleep(self.dice.uniform(0, 1.0))
        self.ask()

    def stop(self) -> None:
        """Stop an answer."""
        stopper = threading.Timer(self.dice.uniform(0, 1.5), self._press_stop)
        stopper.start()
        self.ask()
        stopper.join()

    def _press_stop(self) -> None:
        self.join(self.steps("stop", "va-question"), [])
        self.tally.counts["stops"] += 1

    def close(self, *, again: bool = False) -> None:
        """Close the tab in the middle of an answer; open another, or the same page again."""
        with contextlib.suppress(StopIteration):
            pages = self.follow("submit", "va-question", ["What happens?", "in words", ""])
            next(pages)
            if self.dice.random() < 0.5:
                next(pages)
            pages.close()
        self.alive.set()
        self.tally.counts["tabs loaded again" if again else "tabs closed"] += 1
        self.arrive(again)

    def clear(self) -> None:
        self.do("clear", "va-chat", [])

    def exchange(self) -> None:
        """Close the clip and bring it again."""
        self.do("click", "va-close", [])
        self.bring()

    def wrong_file(self) -> None:
        self.upload("notes.mp4", b"no clip at all")  # the same from everybody

    def wrong_call(self) -> None:
        door, body = self.dice.choice(WRONG)
        told = self.web.post(door, json=body)
        self.tally.counts["wrong calls"] += 1
        if told.status_code >= 500 or "Traceback" in told.text:
            self.tally.errors[f"{door}: {told.status_code}"] += 1
        elif event := told.json().get("event_id"):
            self.look_at(self.web.get(f"{door}/{event}").text)

    def program(self) -> None:
        """Through the door for programs."""
        (path,) = self.web.post("upload", files={"files": ("a.mp4", clip_bytes(self.color))}).json()
        file = {"path": path, "meta": {"_type": "gradio.FileData"}}
        call = self.web.post("call/answer", json={"data": [file, f"What is it, {self.mark}?"]})
        text = self.web.get(f"call/answer/{call.json()['event_id']}").text
        self.look_at(text)
        if '"answer"' not in text:
            self.tally.errors[f"program: {text[-200:]}"] += 1
        self.tally.counts["programs answered"] += '"answer"' in text

    def live(self, until: float) -> None:
        """What people do, until it is time."""
        ways: list[tuple[float, Callable[[], None]]] = [
            (10, self.ask),
            (5, self.explain),
            (3, self.explain_and_ask),
            (2, self.stop),
            (1, self.clear),
            (1, self.close),
            (1, partial(self.close, again=True)),
            (1, self.exchange),
            (0.5, self.wrong_file),
            (1, self.wrong_call),
            (0.5, self.program),
        ]
        weights = [weight for weight, _ in ways]
        here = False
        while time.monotonic() < until:
            try:
                if not here:
                    self.arrive()
                    here = True
                self.dice.choices(ways, weights)[0][1]()
            except Exception as error:  # counted: the others go on
                self.tally.errors[f"{type(error).__name__}: {str(error)[:100]}"] += 1
                time.sleep(1.0)
            time.sleep(self.dice.expovariate(1.0))
        self.alive.set()


def clip_bytes(color: tuple[int, int, int]) -> bytes:
    """A clip of one color, in which something moves; none is like another, byte for byte."""
    from assistant.media.writer import write_clip

    frames = np.full((SECONDS * RATE, SIDE, SIDE, 3), color, np.uint8)
    for number, frame in enumerate(frames):
        frame[40:50, number : number + 10] = 255 - np.array(color)
    with tempfile.TemporaryDirectory() as folder:
        write_clip(Path(folder) / "clip.mp4", frames, RATE)
        return (Path(folder) / "clip.mp4").read_bytes() + b"\0\0\0\x18free" + uuid4().bytes


def palette(count: int) -> list[tuple[int, int, int]]:
    """Colors that JPEG and video leave apart."""
    levels = [(r, g, b) for r in (30, 128, 225) for g in (30, 128, 225) for b in (30, 128, 225)]
    return [levels[number % len(levels)] for number in range(count)]


def nearest(picture: str, colors: list[tuple[int, int, int]]) -> tuple[int, int, int]:
    from PIL import Image

    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB"))
    middle = np.median(pixels.reshape(-1, 3), axis=0)
    return min(colors, key=lambda color: float(np.abs(middle - np.array(color)).sum()))


def steps_of(config: dict[str, Any]) -> Callable[[str, str], int]:
    """The number of the step that an event of a part calls, or that comes after a step."""
    names = {part["id"]: part["props"].get("elem_id") or "" for part in config["components"]}
    found: dict[tuple[str, str], int] = {}
    for step in config["dependencies"]:
        for part, event in step["targets"]:
            after = step.get("trigger_after")
            found.setdefault(
                (event, names.get(part, "") if after is None else str(after)), step["id"]
            )
    return lambda event, part: found[event, part]


def megabytes(server: psutil.Process) -> float:
    """Resident memory of the server and its workers."""
    total = 0
    for process in (server, *server.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            total += process.memory_info().rss
    return total / 2**20


def serve(arguments: list[str], tiny: bool) -> None:
    """`assistant ui` that sweeps sooner."""
    from assistant.ui import room, settings

    from assistant.cli.main import main

    settings.Options = partial(settings.Options, grace=GRACE)  # type: ignore[misc, assignment]
    room.SWEEP = 5.0
    if tiny:
        sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
        from tiny import tiny_assistant

        import assistant.model.loading

        assistant.model.loading.load_model = lambda *_, **__: tiny_assistant()
    raise SystemExit(main(["ui", *arguments]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tiny", action="store_true", help="a random model instead of mini")
    parser.add_argument("--serve", metavar="PORT", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(["--port", args.serve, "--quiet"], args.tiny)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, __file__, "--serve", port, *(["--tiny"] if args.tiny else [])]
        log = Path(scratch, "log")
        (temporary := Path(scratch, "tmp")).mkdir()
        with log.open("w") as out:
            environment = {**os.environ, "TMPDIR": str(temporary)}
            process = subprocess.Popen(command, stdout=out, stderr=out, env=environment)
        try:
            measure(f"http://127.0.0.1:{port}/", psutil.Process(process.pid), log, args)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        left = [*temporary.iterdir()]
        files = [path for path in temporary.rglob("*") if path.is_file()]
        names = ", ".join(path.name for path in left)
        row("after SIGTERM, a page open", f"left: {names or 'nothing'}; {len(files)} files")
        faults = log.read_text().count("Traceback")
        row("tracebacks in the server's log", str(faults))
        if faults:
            print(log.read_text()[-4000:], file=sys.stderr)


def measure(address: str, server: psutil.Process, log: Path, args: argparse.Namespace) -> None:
    """Let them live, and print what came of it."""
    while True:
        with contextlib.suppress(httpx.HTTPError):
            config = httpx.get(f"{address}config", timeout=10).json()
            break
        if not server.is_running() or server.status() == psutil.STATUS_ZOMBIE:
            raise SystemExit(f"no page: {log.read_text()[-2000:]}")
        time.sleep(0.5)
    tally, colors = Tally(), palette(args.visitors)
    begun = time.monotonic()
    until, began_with = begun + 60 * args.minutes, megabytes(server)
    threads = []
    for number, color in enumerate(colors):
        dice = random.Random(f"{args.seed} {number}")
        visitor = Visitor(address, color, colors, tally, dice, steps_of(config))
        threads.append(threading.Thread(target=visitor.live, args=[until]))
        threads[-1].start()
    told: list[tuple[float, float]] = []  # minutes, MB
    while any(thread.is_alive() for thread in threads):
        told.append(((time.monotonic() - begun) / 60, megabytes(server)))
        time.sleep(2.0)
    warm = [(at, used) for at, used in told if at >= args.minutes / 4 and at <= args.minutes]
    every = max(1, len(told) // 20)
    print("MB:", *(f"{used:.0f}" for _, used in told[::every]), file=sys.stderr)
    slope = statistics.linear_regression(*zip(*warm, strict=True)).slope
    time.sleep(GRACE + 15)
    gone = megabytes(server)
    last = Visitor(address, colors[0], colors, tally, random.Random(0), steps_of(config))
    last.arrive()  # here when the server ends
    minutes = (time.monotonic() - begun - GRACE - 15) / 60
    print("| | |\n|---|---|")
    load = f"load {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} cores"
    row("visitors, minutes", f"{args.visitors}, {minutes:.1f} ({load}, seed {args.seed})")
    row("done", ", ".join(f"{count} {name}" for name, count in sorted(tally.counts.items())))
    row("answers per minute", f"{tally.counts['answers'] / minutes:.1f}")
    waits = sorted(tally.waits)
    row("wait for an answer", f"median {statistics.median(waits):.1f} s, longest {waits[-1]:.1f} s")
    row("most people before somebody", str(tally.ahead))
    row(
        "memory of server and workers",
        f"{began_with:.0f} MB at the start; from {warm[0][1]:.0f} to {warm[-1][1]:.0f} MB, "
        f"{slope:+.1f} MB a minute after a quarter of the time; "
        f"{gone:.0f} MB when all have left",
    )
    row("mix-ups", f"{len(tally.mixed)} {'; '.join(tally.mixed[:5])}")
    row("errors", "; ".join(f"{count} x {what}" for what, count in tally.errors.most_common()))


def row(name: str, found: str) -> None:
    print(f"| {name} | {found} |", flush=True)


if __name__ == "__main__":
    main()
