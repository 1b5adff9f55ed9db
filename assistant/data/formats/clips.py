"""From a clip's bare name in a dataset to its file, wherever below a folder it lies."""

import os
from collections.abc import Sequence
from pathlib import Path

from assistant.data.formats.source import Record
from assistant.errors import InputError

SUFFIXES = (".mp4", ".mkv", ".webm", ".avi", ".mov")


def place_clips(
    records: Sequence[Record],
    folder: Path | None,
    out: Path,
    missing: str,
    origin: str,
    *,
    given: bool,
) -> tuple[list[Record], list[str]]:
    """The records with their clips' paths, and notes on what is missing.

    Args:
        folder: where the clips are. out: a path below it becomes relative to it.
        missing: of ``table.MISSING``: null (asked without a clip), drop (not asked) or error.
        given: the person named the folder, so that some of the clips must be there.
    Raises:
        InputError: no such folder, none of the clips in it, or one missing where it is an error.
    """
    wanted = {record["video"] for record in records} - {None}
    if not wanted:
        return list(records), []
    if folder is not None and not folder.is_dir():
        raise InputError(f"clips: {folder} is no folder; the clips come from {origin}")
    found = {} if folder is None else _clips_in(folder, wanted)
    absent = sorted(wanted - found.keys())
    if absent and (missing == "error" or (given and not found)):
        where = f"not in {folder}" if folder else "not given"
        instead = (
            "give --missing null (ask without) or drop" if missing == "error" else "no --clips"
        )
        raise InputError(
            f"{len(absent)} of {len(wanted)} clips are {where}, first {absent[0]}.mp4: get them "
            f"from {origin} and give --clips DIR, or {instead}"
        )
    placed = [
        record | {"video": _path(found[name], out) if name in found else None}
        for record in records
        for name in [record["video"]]
        if name in found or name is None or missing == "null"
    ]
    if not absent:
        return placed, []
    became = "asked without" if missing == "null" else "left out"
    return placed, [
        f"{len(absent)} of {len(wanted)} clips are missing (first {absent[0]}.mp4), "
        f"their questions are {became}; the clips come from {origin}"
    ]


def _clips_in(folder: Path, wanted: set[str]) -> dict[str, Path]:
    """The wanted clips below ``folder``; of two with one name the first by path."""
    found: dict[str, Path] = {}
    for at, _, names in sorted(os.walk(folder)):
        for name in sorted(names):
            clip = Path(at, name)
            if clip.suffix.lower() in SUFFIXES and clip.stem in wanted:
                found.setdefault(clip.stem, clip)
    return found


def _path(clip: Path, out: Path) -> str:
    clip, out = clip.absolute(), out.absolute()
    return str(clip.relative_to(out) if clip.is_relative_to(out) else clip)
