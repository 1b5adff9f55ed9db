"""What the documentation names is there: links, files, modules, and commands as they parse."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from assistant.cli import main as command_line

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("adapters/**/*.md"),
        ROOT / "benchmarks" / "README.md",
    ]
)
SOURCES = [
    path
    for folder in ("assistant", "ui", "benchmarks", "tests")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
COMMANDED = [page for page in PAGES if page.name != "CHANGELOG.md"]  # of all versions

FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^\n((?: {4}.*\n)+)", re.MULTILINE)
INLINE = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
NAMED_PAGE = re.compile(r"\bdocs/[\w./-]*\w\.(?:md|png)\b")
NAMED_FILE = re.compile(
    r"\b(?:assistant|ui|benchmarks|tests|configs|prompts|adapters)(?:/[\w.-]+)*/[\w.-]+"
    r"\.(?:py|yaml|jsonl|png|safetensors|md)\b"
)
WRITTEN_FILE = re.compile(r"^```(?!diff)\w+ (\S+)$", re.MULTILINE)  # see test_pages.py
NAMED_MODULE = re.compile(r"(?<![\w/])assistant((?:\.[a-z_]\w*)+)")
COMMAND = re.compile(r"^(?:\$ )?(?:\.venv/bin/|accelerate launch .*-m )?assistant(?= |$)")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def headings(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    lines = FENCED.sub("", page.read_text(encoding="utf-8")).splitlines()
    titles = [line.lstrip("#").strip().lower() for line in lines if line.startswith("#")]
    return {re.sub(r"[^\w -]", "", title).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(FENCED.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"\w+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), f"{link} leads nowhere"
        assert not anchor or anchor in headings(target), f"{link}: no such heading"


@pytest.mark.parametrize("path", [*PAGES, *SOURCES], ids=named)
def test_named_pages_are_there(path: Path) -> None:
    for name in NAMED_PAGE.findall(path.read_text(encoding="utf-8")):
        assert (ROOT / name).is_file(), f"there is no {name}"


@pytest.mark.parametrize("page", COMMANDED, ids=named)
def test_named_files_and_modules_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in set(NAMED_FILE.findall(text)).difference(WRITTEN_FILE.findall(text)):
        assert (ROOT / name).is_file(), f"there is no {name}"
    for dotted in NAMED_MODULE.findall(text):
        names = dotted[1:].split(".")
        assert (ROOT / "assistant" / names[0]).is_dir() or (
            ROOT / "assistant" / f"{names[0]}.py"
        ).is_file(), f"there is no assistant{dotted}"


def told_commands(text: str) -> Iterator[str]:
    """Every command line that begins with ``assistant``, in code blocks and within sentences."""
    blocks = [*FENCED.findall(text), *INDENTED.findall(text)]
    for block in blocks:
        for line in block.replace("\\\n", " ").splitlines():
            if COMMAND.match(line.strip()):
                yield COMMAND.sub("", line.strip())
    for span in INLINE.findall(FENCED.sub("", text)):
        line = " ".join(span.split())
        if COMMAND.match(line):
            yield COMMAND.sub("", line)


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands are parsed and then do nothing."""

    def leaves(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
        below = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
        if not below:
            yield parser
        for action in below:
            for child in action.choices.values():
                yield from leaves(child)

    parser = command_line.build_parser()
    for leaf in leaves(parser):
        leaf.set_defaults(run=lambda args: 0)
    monkeypatch.setattr(command_line, "build_parser", lambda: parser)


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize("page", COMMANDED, ids=named)
def test_commands_parse(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for line in told_commands(page.read_text(encoding="utf-8")):
        words = shlex.split(re.sub(r"[\[\]]", "", line), comments=True)  # [--what may be left out]
        if len(words) <= 1:  # a command that is named, not told
            words.append("--help")
        code = command_line.main(words)
        assert code == 0, f"assistant{line}: {capsys.readouterr().err}"


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize(
    "line", ["ask clip.mp4 --colour red", "finetune motion --generate 9", "data convert mustard in"]
)
def test_a_wrong_command_is_found(line: str) -> None:
    assert command_line.main(line.split()) == 2


def test_commands_are_found() -> None:
    text = (
        "```\n$ assistant ask a \\\n  b  # c\n```\nRun `assistant\nui` or\n\n    assistant demo\n"
    )
    assert list(told_commands(text)) == [" ask a    b  # c", " demo", " ui"]


def test_every_benchmark_is_listed() -> None:
    listed = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    for script in sorted((ROOT / "benchmarks").glob("*.py")):
        assert f"`{script.name}`" in listed, f"{script.name} is not in benchmarks/README.md"
