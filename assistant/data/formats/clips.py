"""From a clip's bare name in a dataset to its file, wherever below a folder it lies."""

import filecmp
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
    wanted = {record["video"] for record in records if record["video"] is not None}
    if not wanted:
        return list(records), []
    if folder is not None and not folder.is_dir():
        raise InputError(f"clips: {folder} is no folder; the clips come from {origin}")
    found = {} if folder is None else _clips_in(folder, wanted, origin)
    absent = sorted(wanted - found.keys())
    if absent and (missing == "error" or (given and not found)):
        where = f"not in {folder}" if folder else "not given"
        instead = (
            "give --missing null (ask without) or drop" if missing == "error" else "no --clips"
        )
        raise InputError(
            f"{len(absent)} of {len(wanted)} clips are {where}, first {_named(absent[0])}: get "
            f"them from {origin} and give --clips DIR, or {instead}"
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
        f"{len(absent)} of {len(wanted)} clips are missing (first {_named(absent[0])}), "
        f"their questions are {became}; the clips come from {origin}"
    ]


def _clips_in(folder: Path, wanted: set[str], origin: str) -> dict[str, Path]:
    """The wanted clips below ``folder``: the one of two that lies where the dataset has it, ends as
    it says, or is the same. Raises InputError naming both where that does not tell.
    """
    lying: dict[str, list[Path]] = {}
    stems = {_stem(name) for name in wanted}
    for at, _, names in sorted(os.walk(folder)):
        for clip in (Path(at, name) for name in sorted(names)):
            if clip.suffix.lower() in SUFFIXES and clip.stem in stems:
                lying.setdefault(clip.stem, []).append(clip)
    found: dict[str, Path] = {}
    torn = []
    for name in sorted(wanted):
        clips = lying.get(_stem(name), [])
        official = Path(name).parent.parts
        there = [clip for clip in clips if _within(official, clip.absolute().parent.parts)]
        clips = there or clips
        clips = [clip for clip in clips if clip.name == Path(name).name] or clips
        if any(not filecmp.cmp(clips[0], clip, shallow=False) for clip in clips[1:]):
            torn.append(f"{clips[0]} and {clips[1]}")
        elif clips:
            found[name] = clips[0]
    if torn:
        raise InputError(
            f"{len(torn)} of {len(wanted)} clips are there twice, first {torn[0]}, which differ: "
            f"keep that of {origin}, or give --clips its folder"
        )
    return found


def _within(folders: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    """Whether ``folders`` follow each other in ``parts``."""
    count = len(folders)
    return any(parts[at : at + count] == folders for at in range(len(parts) - count + 1))


def _stem(name: str) -> str:
    """Of a clip that may have its ending; a name with a dot in it has none."""
    clip = Path(name)
    return clip.stem if clip.suffix.lower() in SUFFIXES else clip.name


def _named(name: str) -> str:
    return f"{_stem(name)}{Path(name).suffix if _stem(name) != Path(name).name else '.mp4'}"


def _path(clip: Path, out: Path) -> str:
    clip, out = clip.absolute(), out.absolute()
    return str(clip.relative_to(out) if clip.is_relative_to(out) else clip)
