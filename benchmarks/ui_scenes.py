"""The timeline under the player: what a question waits while it is made, and a picture of it.

    python benchmarks/ui_scenes.py FILM [--rounds 2] [--find TEXT] [--ask TEXT] [--picture FILE.png]

`assistant ui` with real mini in a process of its own, looked at with the system's own Chromium on
the same machine. FILM is longer than two minutes: its scenes wait for their button. The same
questions are put to it by two visitors, one alone, one while the scenes are looked for; who begins
alternates. With --picture only that is made: the page with the moments of each --find and
the answer to --ask.
"""

from __future__ import annotations

import argparse
import datetime
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from ui import QUESTIONS, WATCH, browser, open_clip, row, served, spread, visit

FIND = "button:has-text('Find the scenes')"
BAR, SCENE, WHEN = "#va-scenes-status .va-bar", ".va-scene", "#va-when input"
LONG = 600_000  # milliseconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("film", type=Path)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--find", action="append", default=[])
    parser.add_argument("--ask", default=QUESTIONS[0])
    parser.add_argument("--picture", type=Path)
    args = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as scratch,
        served(Path(scratch)) as (address, _),
        browser() as chromium,
    ):
        if args.picture is not None:
            picture(visit(chromium, address), args.film, args.find, args.ask, args.picture)
        else:
            measure(chromium, address, args.film, args.rounds)


def measure(chromium: Any, address: str, film: Path, rounds: int) -> None:
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    print(f"{datetime.date.today()}, {cores} cores, load {load:.1f} before\n\n| | |\n|---|---|")
    waits: dict[bool, list[float]] = {False: [], True: []}
    shares = []
    for number in range(rounds):
        for amid in (bool(number % 2), not number % 2):
            page = visit(chromium, address)
            open_clip(page, film)
            page.evaluate(WATCH, QUESTIONS[0])  # warms up
            page.wait_for_selector("#va-evidence :is(.va-plot svg, .va-moments)")
            began = time.perf_counter()
            if amid:
                page.click(FIND)
                page.wait_for_selector(BAR)
            for question in QUESTIONS[1:4]:
                waits[amid].append(page.evaluate(WATCH, question)["seconds"])
                page.wait_for_selector("#va-question .submit-button")
                if amid and page.locator(SCENE).count():
                    raise SystemExit("the scenes came before the answers; take a longer film")
            if amid:
                page.wait_for_selector(SCENE, timeout=LONG)
                duration = float(page.locator(".va-times").get_attribute("data-seconds"))
                shares.append((time.perf_counter() - began) / duration)
            page.context.close()
    ratio = sum(waits[True]) / sum(waits[False])
    row(
        "from Enter to the first word while scenes are looked for, beside alone",
        f"{spread(waits[True])} s beside {spread(waits[False])} s: {ratio:.1f} times as long "
        f"({len(waits[True])} questions)",
    )
    row("until the scenes are there, three answers included, a ratio to the film", spread(shares))


def picture(page: Any, film: Path, find: list[str], question: str, path: Path) -> None:
    open_clip(page, film)
    page.wait_for_selector(f"{FIND}, {BAR}, {SCENE}")
    if page.locator(FIND).count():
        page.click(FIND)
    page.wait_for_selector(SCENE, timeout=LONG)
    for text in find:
        page.fill(WHEN, text)
        page.press(WHEN, "Enter")
        page.wait_for_selector(f".va-named:has-text({text!r})")
    page.evaluate(WATCH, question)
    page.wait_for_selector(".va-curve")
    page.wait_for_selector("#va-evidence :is(.va-plot svg, .va-moments)")
    page.locator(SCENE).nth(2).click()
    page.wait_for_timeout(1000)  # the player draws
    page.screenshot(path=path)


if __name__ == "__main__":
    main()
