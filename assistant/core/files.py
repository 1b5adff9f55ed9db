"""Files and folders that appear whole or not at all, whenever the process is killed."""

import contextlib
import shutil
from pathlib import Path
from uuid import uuid4


def write_whole(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` by one rename."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def put_folder(fresh: Path, place: Path) -> None:
    """``fresh`` becomes ``place``; for a moment between two renames neither it nor the one that
    it replaces is there."""
    if place.exists():
        old = place.with_name(f".{uuid4().hex}")
        place.rename(old)
        fresh.rename(place)
        shutil.rmtree(old)
    else:
        fresh.rename(place)


def first_time(told: Path, name: str) -> bool:
    """Whether ``name`` is not yet in the file ``told``; from now on it is."""
    known = told.read_text(encoding="utf-8").split() if told.is_file() else []
    if name in known:
        return False
    with contextlib.suppress(OSError):  # not ours to write: it is told again
        told.parent.mkdir(parents=True, exist_ok=True)
        write_whole(told, "\n".join([*known, name]) + "\n")
    return True
