"""The chat in the browser, measured: page load, first word, many visitors, memory.

    python benchmarks/ui.py [CLIP] [--loads 6] [--rounds 8] [--visitors 20] [--clips 100]

`assistant ui` with real mini in a process of its own, looked at with the system's own Chromium on
the same machine. The first word on the page is timed beside that of the same question to a Session,
asked as `assistant chat` asks it; the two take turns, and who begins alternates. A count of 0
leaves a part out. The memory is that of a process that opens, asks, explains and leaves.
"""

from __future__ import annotations

import argparse
import datetime
import os
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 120.0  # seconds that the page may take for anything
QUESTIONS = (
    "What is happening?",
    "What is in the street?",
    "Is there a person?",
    "What color is the car?",
    "Where is the bike?",
    "What is in the background?",
    "How many cars are there?",
    "Who is there?",
)
ASK, BOT = "#va-question textarea", "#va-chat .bot"
EVIDENCE = "#va-evidence .va-plot svg"
# Seconds from Enter to the first word of the answer, and whether a place in line was told.
WATCH = """question => new Promise(done => {
  const box = document.querySelector("#va-question textarea");
  const answers = () => [...document.querySelectorAll("#va-chat [data-testid=bot]")];
  const before = answers().length, told = {line: false, seconds: null};
  const look = () => {
    const last = answers().slice(before).pop();
    if (last?.innerText.includes("in line")) told.line = true;
    if (!last || last.querySelector(".va-thinking") || !last.innerText.trim()) return;
    told.seconds = (performance.now() - began) / 1000;
    seen.disconnect();
    done(told);
  };
  const seen = new MutationObserver(look);
  seen.observe(document.querySelector("#va-chat"),
               {childList: true, subtree: true, characterData: true});
  Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value").set.call(box, question);
  box.dispatchEvent(new Event("input", {bubbles: true}));
  const enter = {key: "Enter", code: "Enter", bubbles: true};
  let began = 0;
  setTimeout(() => {
    began = performance.now();
    box.dispatchEvent(new KeyboardEvent("keypress", enter));
  }, 50);
})"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", nargs="?", type=Path, help="default: the sample clip")
    parser.add_argument("--loads", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=len(QUESTIONS))
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--memory-only", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    clip = args.clip or sample_clip()
    if args.memory_only:
        measure_memory(clip, args.clips)
        return
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    print(f"{datetime.date.today()}, {cores} cores, load {load:.1f} before, {clip.name}\n")
    print("| | |\n|---|---|", flush=True)
    with (
        tempfile.TemporaryDirectory() as scratch,
        served(Path(scratch)) as (address, server),
        browser() as chromium,
    ):
        if args.loads:
            measure_loads(chromium, address, server, args.loads)
        if args.rounds:
            measure_first_words(chromium, address, clip, args.rounds)
        if args.visitors:
            measure_visitors(chromium, address, clip, server, args.visitors)
    if args.clips:
        command = [sys.executable, __file__, str(clip), "--clips", str(args.clips)]
        subprocess.run([*command, "--memory-only"], check=True)


def measure_loads(chromium: Any, address: str, server: psutil.Process, loads: int) -> None:
    """From the address to a page that can be used, each with an empty cache."""
    times = []
    for _ in range(loads):
        began = time.perf_counter()
        page = visit(chromium, address)
        times.append(time.perf_counter() - began)
        page.context.close()
    torch = any("libtorch" in held.path for held in server.memory_maps())
    said = "torch was imported" if torch else "torch is not imported"
    row("first page, no model loaded", f"{spread(times)} s ({loads} loads; {said})")


def measure_first_words(chromium: Any, address: str, clip: Path, rounds: int) -> None:
    """The first word on the page beside that of a Session, the same conversation on both sides."""
    from assistant import load

    page = visit(chromium, address)
    open_clip(page, clip)
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(shutil.copy(clip, scratch))  # without subtitles beside it, as on the page
        session = load("mini").open(copy)
        session.look()
        on_page: list[float] = []
        in_session: list[float] = []
        for number in range(-1, rounds):  # the first one warms both up
            question = QUESTIONS[number % len(QUESTIONS)]
            asks: list[tuple[Callable[[Any, str], float], Any, list[float]]] = [
                (ask_page, page, on_page),
                (ask_session, session, in_session),
            ]
            for ask, where, times in asks if number % 2 else reversed(asks):
                times.append(ask(where, question))
    page.context.close()
    del on_page[0], in_session[0]
    ratios = [one / other for one, other in zip(on_page, in_session, strict=True)]
    row(
        "from Enter to the first word on the page, beside the same question to a session",
        f"{spread(on_page)} s beside {spread(in_session)} s: "
        f"median {statistics.median(ratios):.2f} times as long, {spread(ratios)} "
        f"({rounds} questions, taking turns)",
    )


def ask_page(page: Any, question: str) -> float:
    """Seconds to the first word; ends when the page has nothing more to do."""
    seconds = page.evaluate(WATCH, question)["seconds"]
    page.wait_for_selector("#va-question .submit-button")
    page.wait_for_selector(EVIDENCE)
    return seconds


def ask_session(session: Any, question: str) -> float:
    began = time.perf_counter()
    answer = session.ask(question)
    next(answer)
    seconds = time.perf_counter() - began
    for _ in answer:  # to its end, so that it is remembered
        pass
    return seconds


def measure_visitors(
    chromium: Any, address: str, clip: Path, server: psutil.Process, visitors: int
) -> None:
    """All ask in the same moment: who is answered, who is told a place in line, how long."""
    pages = [visit(chromium, address) for _ in range(visitors)]
    for page in pages:
        open_clip(page, clip)
    ask = f"question => {{ window.asked = ({WATCH})(question) }}"
    began = time.perf_counter()
    for page in pages:
        page.evaluate(ask, QUESTIONS[0])
    told = [page.evaluate("() => window.asked") for page in pages]
    seconds = time.perf_counter() - began
    used = server.memory_info().rss / 2**20
    for page in pages:
        page.context.close()
    row(
        f"{visitors} visitors at once",
        f"{sum(one['seconds'] is not None for one in told)} answered, "
        f"{sum(one['line'] for one in told)} told their place; the last after {seconds:.0f} s; "
        f"the server takes {used:.0f} MB",
    )


def measure_memory(clip: Path, clips: int) -> None:
    """Resident memory while visitors open a clip, ask, have it explained and leave."""
    from assistant.ui import asking, opening
    from assistant.ui.room import Room, change
    from assistant.ui.settings import Options

    here, told = psutil.Process(), []
    with tempfile.TemporaryDirectory() as scratch:
        room = Room(Options(grace=0.0), Path(scratch))
        for number in range(1, clips + 1):
            page = f"page-{number}"
            visitor = room.visitors.of(page)
            for name, value in (("frames", 4), ("decoding", "quick"), ("longest", 8)):
                change(room, visitor, name, value)
            for changed in opening.take(room, visitor, [upload(room.uploads, clip, number)]):
                del changed
            for action in (asking.ask(room, visitor, QUESTIONS[0]), asking.explain(room, visitor)):
                for changed in action:
                    del changed
            assert visitor.turns[0].told and visitor.turns[0].told.weights, "no evidence"
            room.visitors.leave(page)
            room.visitors.sweep()
            if number in {10, clips // 2, clips}:
                told.append(f"{here.memory_info().rss / 2**20:.0f} MB after {number}")
        left = sum(path.stat().st_size for path in Path(scratch).rglob("*") if path.is_file())
        room.close()
    row(
        f"{clips} clips, each opened, asked, explained, left",
        f"{', '.join(told)}; {left} bytes left on disk",
    )


def upload(folder: Path, clip: Path, number: int) -> Path:
    """The clip as one that was never seen: with a box of its own that players skip."""
    path = folder / f"{number}{clip.suffix}"
    box = struct.pack(">I4sQ", 16, b"free", number)
    path.write_bytes(clip.read_bytes() + box)
    return path


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """`assistant ui` at its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "assistant", "ui", "--port", str(port)]
    with (folder / "log").open("w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            began = time.monotonic()
            while "Talk about clips" not in (folder / "log").read_text():
                if process.poll() is not None or time.monotonic() - began > PATIENCE:
                    raise SystemExit(f"no page: {(folder / 'log').read_text()}")
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}/", psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait()


@contextmanager
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        raise SystemExit("no Chromium on this machine (apt install chromium)")
    with sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


def visit(chromium: Any, address: str) -> Any:
    """A page of a new visitor, ready to be used."""
    context = chromium.new_context(viewport={"width": 1280, "height": 860})
    context.set_default_timeout(PATIENCE * 1000)
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("#va-try button")
    return page


def open_clip(page: Any, clip: Path) -> None:
    page.set_input_files("#va-drop input[type=file]", str(clip))
    page.wait_for_selector("#va-said p")
    page.wait_for_selector("#va-status .va-bar", state="detached")


def sample_clip() -> Path:
    from assistant.weights import store as weights_store

    return next(weights_store.ensure("samples").rglob("bikes.mp4"))


def spread(values: list[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}"


def row(name: str, found: str) -> None:
    print(f"| {name} | {found} |", flush=True)


if __name__ == "__main__":
    main()
