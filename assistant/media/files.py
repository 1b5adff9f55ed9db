"""Which files are indexed, and how one tells that a file has changed."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from assistant.dialogue.sidecars import FOLDERS, SUFFIXES, sidecars
from assistant.dialogue.subtitles import FORMATS
from assistant.errors import InputError

PICTURES = frozenset(
    f".{name}" for name in re.findall(r"\w+", "avif bmp gif heic jpeg jpg png tif tiff webp")
)
CLIPS = frozenset(
    f".{name}"
    for name in re.findall(r"\w+", "3gp avi flv m2ts m4v mkv mov mp4 mpeg mpg mts ogv ts webm wmv")
)
PLAIN = frozenset({".md", ".txt"})
# In a folder; a file of data (.json, .tsv) may hold anything, and is read where it is named.
TEXTS = PLAIN | {".ass", ".srt", ".ssa", ".sub", ".vtt"}

Failed = Callable[[str, str], None]
"""Gets a path and what is wrong with it."""


@dataclass(frozen=True)
class File:
    """A file that can be indexed, as it is now."""

    path: str  # absolute
    is_text: bool
    size: int  # bytes, with the subtitles beside it
    mtime: int  # ns, the latest of these


def find_files(paths: Sequence[str | Path], failed: Failed) -> Iterator[File]:
    """Each file that is named or lies in a folder that is, once, in order.

    Hidden files and folders, and links to folders, are passed over; so are, in a folder, files of
    other kinds, and subtitles that belong to a clip beside them: they are read with it.
    """
    seen: set[str] = set()
    for path in map(os.path.abspath, paths):
        is_folder = os.path.isdir(path)  # noqa: PTH112
        named = _in_folder(path, failed) if is_folder else [(path, sidecars(Path(path)))]
        for file, beside in named:
            if file in seen:
                continue
            seen.add(file)
            try:
                yield describe(file, beside)
            except (InputError, OSError) as error:
                failed(file, getattr(error, "strerror", None) or str(error))


def check_paths(paths: Sequence[str | Path]) -> None:
    """Raises InputError: one is not there."""
    for path in paths:
        if not os.path.lexists(path):
            raise InputError(f"{path}: is not there; give files, or folders that hold some")


def describe(path: str, beside: Sequence[Path] = ()) -> File:
    """``beside``: subtitles that are read with it, if it is a clip.

    Raises InputError: it cannot be indexed. OSError: it cannot be looked at.
    """
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise InputError("its name is not valid UTF-8; rename it") from error
    suffix = Path(path).suffix.lower()
    is_text = suffix in PLAIN or suffix in FORMATS
    if not is_text and suffix not in PICTURES | CLIPS:
        raise InputError("is no clip, picture or text that is known by its name; rename it")
    about = [Path(path).stat()]
    if not stat.S_ISREG(about[0].st_mode):
        raise InputError("is no file; give one")
    if suffix in CLIPS:
        about += [said.stat() for said in beside]
    return File(path, is_text, sum(a.st_size for a in about), max(a.st_mtime_ns for a in about))


def under(path: str, files: Iterable[str]) -> list[str]:
    """Those of ``files`` that are ``path`` or lie in it."""
    inside = path.rstrip("/") + "/"
    return [file for file in files if file == path or file.startswith(inside)]


def _in_folder(top: str, failed: Failed) -> Iterator[tuple[str, list[Path]]]:
    """Paths, and the subtitles beside each."""

    def told(error: OSError) -> None:
        failed(str(error.filename), error.strerror or str(error))

    for folder, folders, names in os.walk(top, onerror=told):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        kinds = {name: _suffix(name) for name in sorted(names) if not name.startswith(".")}
        # Looking for those of each clip lists the folder anew.
        some = any(kind in SUFFIXES for kind in kinds.values())
        some = some or any(name.lower() in FOLDERS for name in folders)
        beside = {
            name: sidecars(Path(folder, name)) if some else []
            for name, kind in kinds.items()
            if kind in CLIPS
        }
        read_with = {said.name for own in beside.values() for said in own}
        for name, kind in kinds.items():
            if kind in PICTURES | CLIPS | TEXTS and name not in read_with:
                yield os.path.join(folder, name), beside.get(name, [])  # noqa: PTH118


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122
