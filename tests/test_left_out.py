"""What could not be run is named at the end of the tests, in one line, with what enables it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SKIPS = """
import pytest

@pytest.mark.skipif(True, reason="no Chromium on this machine (apt install chromium)")
@pytest.mark.parametrize("number", range(2))
def test_a_page(number): pass

def test_listening():
    pytest.importorskip("no_such_listener", reason="the 'speech' extra is not installed")

def test_novelty():
    pytest.skip("the moon is not full")

def test_what_runs(): pass
"""


@pytest.mark.parametrize("processes", ["0", "2"])
def test_the_end_says_what_was_not_run_and_how_to_enable_it(tmp_path: Path, processes: str) -> None:
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "test_some.py").write_text(SKIPS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-ra", "-n", processes, "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env=os.environ | {"PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
    )
    *_, line, last = done.stdout.splitlines()
    assert "1 passed, 4 skipped" in last, done.stdout
    assert line.startswith("not run here: browser (2), speech (1), the moon is not full (1); ")
    assert line.endswith(
        "sudo apt-get install -y chromium && .venv/bin/python -m pip install -e '.[speech]' && "
        ".venv/bin/assistant fetch speech && make test"
    )


def test_where_all_was_run_nothing_is_said(tmp_path: Path) -> None:
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "test_some.py").write_text("def test_what_runs(): pass")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert "1 passed" in done.stdout and "not run" not in done.stdout


def test_the_ci_runs_what_a_person_runs() -> None:
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == "make test"
