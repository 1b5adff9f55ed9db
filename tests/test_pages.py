"""The pages "add a ..." work as written, in a copy of the package.

A fenced block whose info string names a file is that file, or a ``diff`` of it, whose hunks are
parted by ``@@``. In a ``console`` block lines after ``$ `` are commands, the others what they
print, with ``...`` for what varies: within a line, or lines.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("add-a*.md"))
MAPPED = ("adapters", "prompts", "ui")  # folders beside the package that are in it once installed
BLOCK = re.compile(r"^```(\w+) ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRESS = re.compile(r"\d%\|")  # of a bar, drawn again and again in its line
COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)


@pytest.fixture
def shell(tmp_path: Path) -> Callable[[str], str]:
    """Runs a command in ``tmp_path``, where ``assistant`` is a copy of the package."""
    leave = shutil.ignore_patterns("__pycache__")
    for name in ("assistant", *MAPPED):
        how = os.symlink if name == "adapters" else shutil.copy2  # weights are large
        shutil.copytree(ROOT / name, tmp_path / name, ignore=leave, copy_function=how)
    for name in MAPPED:
        (tmp_path / "assistant" / name).symlink_to(tmp_path / name)
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, what in (("python", ""), ("assistant", "-m assistant")):
        command = commands / name
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" {what} "$@"\n')
        command.chmod(0o755)
    env = os.environ | {
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(tmp_path),
        "ASSISTANT_HOME": str(tmp_path / "home"),
    }

    def run(command: str) -> str:
        done = subprocess.run(
            command,
            shell=True,
            cwd=tmp_path,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}"
        lines = done.stdout.splitlines(keepends=True)
        return "".join(line for line in lines if line.strip() and not PROGRESS.search(line))

    return run


def as_told(told: str, printed: str) -> bool:
    """Whether it printed just what a page tells."""
    lines = [
        r"(?:.*\n)*" if line == "..." else ".*".join(map(re.escape, line.split("..."))) + r"\n"
        for line in told.splitlines()
    ]
    return re.fullmatch("".join(lines), printed) is not None


def patched(text: str, diff: str) -> str:
    """``text`` with each hunk's new lines in the place of its old ones."""
    for hunk in re.split(r"^@@.*\n", diff, flags=re.MULTILINE):
        lines = hunk.splitlines(keepends=True)
        old, new = ("".join(s[1:] for s in lines if s[0] != sign) for sign in "+-")
        assert text.count(old) == 1, f"found {text.count(old)} times:\n{old}"
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_works_as_written(page: Path, shell: Callable[[str], str], tmp_path: Path) -> None:
    ran = 0
    for kind, name, content in BLOCK.findall(page.read_text(encoding="utf-8")):
        path = tmp_path / name
        if kind == "console":
            for command, told in COMMAND.findall(content):
                printed = shell(command)
                assert as_told(told, printed), f"$ {command}\n{printed}"
                ran += 1
        elif kind == "diff":
            path.write_text(patched(path.read_text(encoding="utf-8"), content), encoding="utf-8")
        else:
            assert name and not path.exists(), f"a block of {kind} is for no new file: {name!r}"
            path.write_text(content, encoding="utf-8")
    assert ran, "no command shows it at work"


def test_a_page_that_does_not_work_is_found() -> None:
    assert as_told("a ...\n...\nc\n", "a 1\nb\nb\nc\n")
    assert not as_told("a ...\n", "b 1\n")
    assert not as_told("a ...\n", "a 1\nb\n")
    assert not as_told("bright\n", "dark\nbright\n")
    assert patched("a\nb\nc\n", " a\n-b\n+B\n@@\n c\n+d\n") == "a\nB\nc\nd\n"
    with pytest.raises(AssertionError, match="found 0 times"):
        patched("a\n", " b\n+c\n")
