"""What people call a clip becomes a path, or one line that says what to do."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from assistant.core.clip_names import clip_path
from assistant.errors import InputError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A list's folder with ``clips/a b.mp4``; home (``own``) and the working folder lie beside."""
    for name in ("list/clips", "own", "here"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("list/clips/a b.mp4", "own/c.mp4", "here/d.mp4", "here/~", "list/x:y.mp4"):
        (tmp_path / name).touch()
    monkeypatch.setenv("HOME", str(tmp_path / "own"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "list"


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("clips/a b.mp4", "list/clips/a b.mp4"),
        (r"clips\a b.mp4", "list/clips/a b.mp4"),
        (r".\clips\a b.mp4", "list/clips/a b.mp4"),
        ("d.mp4", "here/d.mp4"),
        ("~/c.mp4", "own/c.mp4"),
        ("~", "here/~"),  # what is there is meant as it stands
        ("x:y.mp4", "list/x:y.mp4"),
        ("file:ROOT/list/clips/a%20b.mp4", "list/clips/a b.mp4"),
        ("file://ROOT/list/clips/a%20b.mp4", "list/clips/a b.mp4"),
        ("FILE://localhostROOT/list/clips/a b.mp4", "list/clips/a b.mp4"),
        ("file://HOSTROOT/own/c.mp4", "own/c.mp4"),
        ("file:clips/a%20b.mp4", "list/clips/a b.mp4"),
    ],
)
def test_a_name_is_resolved(folder: Path, name: str, place: str) -> None:
    name = name.replace("ROOT", str(folder.parent)).replace("HOST", socket.gethostname())
    assert clip_path(name, folder).resolve() == folder.parent / place


@pytest.mark.parametrize("name", ["no-such.mp4", "$HOME/c.mp4", "x" * 5000, "a\0b"])
def test_what_is_not_there_stays_a_path(folder: Path, name: str) -> None:
    assert clip_path(name, folder) == Path(name)


def test_an_address_in_an_address_is_no_address(folder: Path) -> None:
    assert clip_path("file:" * 3000 + "d.mp4", folder) == Path("file:" * 2999 + "d.mp4")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("https://example.com/v.mp4", "download"),
        ("HTTP:/example.com/v.mp4", "download"),
        ("rtsp://camera/1", "download"),
        ("s3://bucket/v.mp4", "download"),
        ("www.example.com/v.mp4", "download"),
        ("youtu.be/abc?t=" + "1" * 500, "download"),
        (r"C:\clips\a.mp4", "a drive of Windows"),
        ("c:/clips/a.mp4", "a drive of Windows"),
        ("file:///C:/clips/a%20b.mp4", "C:/clips/a b.mp4: is on a drive"),
        (r"\\server\share\a.mp4", "a share of Windows"),
        ("\\\\", "a share of Windows"),
        ("file://server/share/a.mp4", "the machine 'server'"),
        ("file://clips/a.mp4", "the machine 'clips'"),
        ("~nobody-here/a.mp4", "no such user"),
        ("file:~%00/a.mp4", "no such user"),
        ("C:\\" + "x" * 5000, "a drive of Windows"),
    ],
)
def test_what_cannot_be_reached_is_one_line(folder: Path, name: str, said: str) -> None:
    with pytest.raises(InputError, match=said.replace("\\", ".")) as caught:
        clip_path(name, folder)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300
