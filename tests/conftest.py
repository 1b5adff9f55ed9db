"""What every test may rely on: one thread, no model hub, nothing sent home, a cache on demand.

At the end one line names what could not be run on this machine, and the command that enables it.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections import Counter
from collections.abc import Generator, Sequence
from pathlib import Path

import pytest

# Before anything imports torch, transformers or gradio; subprocesses inherit it.
os.environ["OMP_NUM_THREADS"] = "1"  # pytest-xdist runs one process per core
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

# rouge-score imports absl, whose handler keeps the stderr of that moment, pytest's, and closes it
# when uvicorn sets logging up while another one is in place.
with contextlib.suppress(ImportError):
    from absl import logging as absl_logging

    absl_logging.get_absl_handler().python_handler.stream = sys.__stderr__


@pytest.fixture
def fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache; other tests use the person's own, so that weights are fetched only once."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("ASSISTANT_CACHE", str(cache))
    monkeypatch.delenv("ASSISTANT_OFFLINE", raising=False)
    return cache


PIP = ".venv/bin/python -m pip install -e"
FETCH = ".venv/bin/assistant fetch speech"
# In the reason of a skip: what it is that was not run, and the commands that it takes.
ENABLED_BY = {
    "Chromium": ("browser", ("sudo apt-get install -y chromium",)),
    "playwright": ("browser", (f"{PIP} '.[test]'",)),
    "'speech' extra": ("speech", (f"{PIP} '.[speech]'", FETCH)),
    "whisper": ("speech", (FETCH,)),
    "'ocr' extra": ("ocr", (f"{PIP} '.[ocr]'",)),
    "decord": ("decord", (f"{PIP} .",)),
    "'ray' extra": ("workers of Ray", (f"{PIP} '.[ray]'",)),
    "could not import": ("metrics", (f"{PIP} '.[train]'",)),
    "ASSISTANT_TEST_DATA": ("official data sets", ("export ASSISTANT_TEST_DATA=FOLDER",)),
    "root": ("rights of files, as another user than root", ()),
}


# Files that take minutes: begun first, or the other processes wait for them at the end. Those with
# a browser stand among the others, for two browsers at once are enough.
LONG = (
    "test_ui_mini",
    "test_pages",
    "test_events_training",
    "test_ui_browser",
    "test_damaged",
    "test_mini",
    "test_ui_layout",
    "test_workers",
    "test_ego",
    "test_ui_scenes_browser",
    "test_paper_scale",
    "test_ui_search",
    "test_several",
    "test_ui_teach_browser",
    "test_ui_several_browser",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files come first (``--no-loadscope-reorder`` keeps the order)."""
    places = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONG)))


def left_out(reasons: Sequence[str]) -> str:
    """The line that names what ``reasons`` of skips say; "" where nothing was left out."""
    counts: Counter[str] = Counter()
    met = set()
    for reason in reasons:
        words = next((words for words in ENABLED_BY if words in reason), reason)
        counts[ENABLED_BY[words][0] if words in ENABLED_BY else reason] += 1
        met.add(words)
    # each once, in the order of the table: processes tell of their tests in any
    steps = dict.fromkeys(
        command
        for words, (_, commands) in ENABLED_BY.items()
        if words in met
        for command in commands
    )
    if not counts:
        return ""
    told = ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))
    enable = f"; to run it too: {' && '.join([*steps, 'make test'])}" if steps else ""
    return f"not run here: {told}{enable}"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter,
) -> Generator[None, None, None]:
    yield  # the list of every skip comes before
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = [report.longrepr[2] for report in skipped if isinstance(report.longrepr, tuple)]
    if line := left_out([" ".join(reason.removeprefix("Skipped: ").split()) for reason in reasons]):
        terminalreporter.write_line(line)
