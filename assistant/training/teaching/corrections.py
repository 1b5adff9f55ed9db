"""Corrected answers, as the page saves them: a zip with ``data.jsonl`` and its clips."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.data.items import DATA, read_items
from assistant.errors import InputError

KEPT = ("start", "end", "dialogue")  # of a line, beside what was asked and what is right


@dataclass(frozen=True)
class Corrected:
    """One corrected answer about a clip that was unpacked."""

    clip: Path
    question: str
    answer: str
    more: dict[str, Any]


def unpack_corrections(archive: Path, folder: Path, most_bytes: int) -> Iterator[Corrected]:
    """The corrections in ``archive``, unpacked into ``folder``.

    Raises:
        InputError: it is no zip of corrections, holds more than ``most_bytes``, or a line is wrong.
    """
    try:
        with zipfile.ZipFile(archive) as packed:
            size = sum(entry.file_size for entry in packed.infolist())
            if size > most_bytes:
                raise InputError(
                    f"{archive.name} unpacks to {size >> 20} MB; up to {most_bytes >> 20} MB are "
                    "taken, save fewer corrections at a time"
                )
            packed.extractall(folder)  # no entry leaves the folder
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise InputError(
            f"{archive.name} is no whole zip ({error}); give one that Save corrections wrote"
        ) from error
    found = sorted(folder.glob(f"*/{DATA}"))
    if not found:
        raise InputError(f"{archive.name} holds no {DATA}; give a zip that Save corrections wrote")
    items = read_items(found[0])  # or it says which line is wrong
    lines = found[0].read_text("utf-8").split("\n")
    rows = [json.loads(line) for line in lines if line.strip()]
    for item, row in zip(items, rows, strict=True):
        if item.video is not None and item.video.resolve().is_relative_to(folder.resolve()):
            more = {key: row[key] for key in KEPT if key in row}
            yield Corrected(item.video, item.question, item.answer, more)
