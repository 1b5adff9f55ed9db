"""What a shell completes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from assistant.cli.complete import SHELLS
from assistant.cli.main import main

# What bash does after TAB: the words so far, the last one unfinished.
PRESS_TAB = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
_shtab_assistant
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def script(tmp_path: Path, capsys) -> Path:
    assert main(["complete", "bash"]) == 0
    path = tmp_path / "completion.bash"
    path.write_text(capsys.readouterr().out)
    return path


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
@pytest.mark.parametrize(
    ("words", "wanted", "unwanted"),
    [
        (["ev"], {"events", "evaluate"}, "ask"),
        (["ask", "--deco"], {"--decoder"}, "--version"),
        (["ask", "--decoder", ""], {"auto", "pyav", "decord"}, "cpu"),
        (["index", ""], {"add"}, "events"),
        (["ask", "cl"], {"clip.mp4"}, "ask"),
        (["serve", "--allow-files", ""], {"folder"}, "clip.mp4"),
    ],
)
def test_bash_completes(words, wanted, unwanted, script, tmp_path):
    (tmp_path / "clip.mp4").touch()
    (tmp_path / "folder").mkdir()
    command = ["bash", "-c", PRESS_TAB, "bash", str(script), "assistant", *words]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    found = set(told.stdout.split())
    assert wanted <= found and unwanted not in found


@pytest.mark.parametrize("shell", SHELLS)
def test_every_command_is_there(shell, capsys):
    assert main(["complete", shell]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in ("finetune", "serve", "--allow-files", "--task"))


def test_another_shell_is_named(capsys):
    assert main(["complete", "fish"]) == 2
    assert "choose from" in capsys.readouterr().err
