"""Long clips with known events: labelled clips one after the other, cut hard.

All clips have the size that most of the labelled ones have, with black bars around others, and one
rate. A photo is shown as a slow pan. Which are joined is drawn: every clip once before any comes
again, no label twice in a row.
"""

from __future__ import annotations

import csv
import json
import os
import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from assistant.core.files import write_whole
from assistant.core.progress import report
from assistant.data.items import DATA
from assistant.errors import InputError, VideoError

TABLE, LABEL_KEYS = "clips.tsv", ("file", "label")
CLIPS = (".mp4", ".mkv", ".webm", ".avi", ".mov")
PHOTOS = (".jpg", ".jpeg", ".png")
PARTS = (10, 20)  # how many are joined: at least, at most
LONGEST, SHORTEST = 10.0, 2.0  # s of one of them; what is shorter is left out
PANNED = (4.0, 8.0)  # s that a photo is shown
ZOOM = 0.75  # share of a photo's sides in view
SIDE, RATE = 320, 12  # pixels of the longer side, pictures a second
SOUND_RATE = 16000


@dataclass(frozen=True)
class Labelled:
    """A clip or photo of which one thing is to be seen."""

    path: Path
    label: str
    seconds: float  # 0: a photo
    size: tuple[int, int]  # width, height


@dataclass(frozen=True)
class Joined:
    """What was written."""

    path: Path  # the JSONL
    clips: int
    segments: int
    seconds: float
    notes: tuple[str, ...]


def join_clips(
    folder: Path, out: Path, count: int, seed: int = 0, parts: tuple[int, int] = PARTS
) -> Joined:
    """Write ``count`` long clips and ``out/data.jsonl``, which says what is when.

    Args:
        folder: with ``clips.tsv`` (file and label; the files in ``clips/``), or a folder a label.
    Raises:
        InputError: the folder is not as wanted, or ``out`` has such a file. VideoError: a clip
            cannot be read.
    """
    target = out / DATA
    if target.exists():
        raise InputError(f"{target} is there already; choose another folder or remove it")
    known, notes = _measured(_listed(folder))
    if len({one.label for one in known}) < 2:
        raise InputError(f"{folder}: holds fewer than two labels; nothing can be joined")
    shapes = Counter(one.size for one in known)
    size = _shape(*shapes.most_common(1)[0][0])
    draws = random.Random(seed)
    pool, lines, total, pieces = list[Labelled](), [], 0.0, 0
    out.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        report("Joining", number, count)
        chosen = _draw(known, pool, draws.randint(*parts), draws)
        name = f"{number:03}.mp4"
        segments = _write(out / name, chosen, size, draws)
        lines.append(json.dumps({"video": name, "segments": segments}, ensure_ascii=False) + "\n")
        total, pieces = total + segments[-1]["end"], pieces + len(segments)
    report("Joining", 1)
    write_whole(target, "".join(lines))
    return Joined(target, count, pieces, total, tuple(notes))


def _listed(folder: Path) -> list[tuple[Path, str]]:
    """Files with their labels, in order."""
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; give one with {TABLE}, or with a folder a label")
    table = folder / TABLE
    if not table.is_file():
        found = [
            (path, " ".join(own.name.replace("_", " ").split()))
            for own in sorted(folder.iterdir())
            if own.is_dir()
            for path in sorted(own.iterdir())
            if path.suffix.lower() in CLIPS + PHOTOS
        ]
        if not found:
            raise InputError(f"{folder}: holds no {TABLE}, and no folder a label with clips in it")
        return found
    try:
        rows = list(csv.DictReader(table.read_text("utf-8-sig").splitlines(), delimiter="\t"))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{table}: cannot be read ({error}); give UTF-8 with tabs") from error
    if not rows:
        raise InputError(f"{table}: holds no clip; give {', '.join(LABEL_KEYS)} a line, with tabs")
    for number, row in enumerate(rows, 2):
        lacks = [key for key in LABEL_KEYS if not (row.get(key) or "").strip()]
        if lacks:
            raise InputError(f"{table}:{number} lacks {lacks[0]}; wanted file and label")
    return [(folder / "clips" / row["file"], " ".join(row["label"].split())) for row in rows]


def _measured(listed: Sequence[tuple[Path, str]]) -> tuple[list[Labelled], list[str]]:
    """Raises VideoError: a file cannot be read."""
    from assistant.media.video import probe

    known, short = [], []
    for number, (path, label) in enumerate(listed):
        report("Looking at clips", number, len(listed))
        if path.suffix.lower() in PHOTOS:
            try:
                with Image.open(path) as photo:
                    width, height = ImageOps.exif_transpose(photo).size
            except (OSError, ValueError) as error:
                raise VideoError(f"{path}: is no photo that can be read ({error})") from error
            known.append(Labelled(path, label, 0.0, (width, height)))
            continue
        facts = probe(path)
        if facts.duration < SHORTEST:
            short.append(path.name)
        else:
            known.append(Labelled(path, label, facts.duration, (facts.width, facts.height)))
    report("Looking at clips", 1)
    told = f"{len(short)} clips are left out, shorter than {SHORTEST:g} s: {', '.join(short[:3])}"
    return known, [told] if short else []


def _shape(width: int, height: int) -> tuple[int, int]:
    """Of the joined clip: ``SIDE`` at most, even."""
    scale = min(1.0, SIDE / max(width, height))
    wide, high = (max(2, 2 * round(side * scale / 2)) for side in (width, height))
    return wide, high


def _draw(
    known: Sequence[Labelled], pool: list[Labelled], count: int, draws: random.Random
) -> list[Labelled]:
    """From ``pool``, which is filled anew when it is empty."""
    chosen: list[Labelled] = []
    while len(chosen) < count:
        before = chosen[-1].label if chosen else None
        able = next((n for n, one in enumerate(pool) if one.label != before), None)
        if able is None:
            fresh = list(known)
            draws.shuffle(fresh)
            pool += fresh
            continue
        chosen.append(pool.pop(able))
    return chosen


def _write(
    path: Path, chosen: Sequence[Labelled], size: tuple[int, int], draws: random.Random
) -> list[dict]:
    from assistant.media.writer import write_clip

    lengths = [round(min(one.seconds or draws.uniform(*PANNED), LONGEST) * RATE) for one in chosen]
    ways = [draws.uniform(0, 2 * np.pi) for _ in chosen]
    ends = np.cumsum(lengths)

    def frames() -> Iterator[np.ndarray]:
        for one, length, way in zip(chosen, lengths, ways, strict=True):
            yield from (
                _played(one, length, size) if one.seconds else _panned(one, length, size, way)
            )

    sound = _sound(chosen, lengths)
    part = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        write_clip(part, frames(), RATE, sound, SOUND_RATE)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return [
        {
            "start": round(float(end - length) / RATE, 3),
            "end": round(float(end) / RATE, 3),
            "label": one.label,
            "source": one.path.name,
        }
        for one, length, end in zip(chosen, lengths, ends, strict=True)
    ]


def _played(one: Labelled, count: int, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """The picture on show at each tick."""
    from assistant.media.video import read_clip

    end = min(count / RATE, one.seconds)
    clip = read_clip(one.path, frames=count, start=0.0, end=end, max_side=SIDE)
    for tick in range(count):
        place = max(0, bisect_right(clip.seconds, (tick + 0.5) / RATE) - 1)
        yield _fitted(Image.fromarray(clip.frames[place]), size)


def _panned(one: Labelled, count: int, size: tuple[int, int], way: float) -> Iterator[np.ndarray]:
    with Image.open(one.path) as opened:
        photo = ImageOps.exif_transpose(opened).convert("RGB")
    view = np.array(photo.size) * ZOOM
    room = (np.array(photo.size) - view) / 2
    for tick in range(count):
        along = 2 * tick / max(1, count - 1) - 1  # -1 to 1
        left, top = room * (1 + along * np.array([np.cos(way), np.sin(way)]))
        box = (left, top, left + view[0], top + view[1])
        yield _fitted(photo.resize(size, box=box), size)


def _fitted(picture: Image.Image, size: tuple[int, int]) -> np.ndarray:
    if picture.size != size:
        near = all(abs(a - b) <= 2 for a, b in zip(picture.size, size, strict=True))
        picture = picture.resize(size) if near else ImageOps.pad(picture, size)
    return np.asarray(picture)


def _sound(chosen: Sequence[Labelled], lengths: Sequence[int]) -> np.ndarray | None:
    """Of those that have some, silence between them; None: none has."""
    from assistant.media.video import probe, read_audio

    track = np.zeros(round(sum(lengths) / RATE * SOUND_RATE), np.float32)
    heard, tick = False, 0
    for one, length in zip(chosen, lengths, strict=True):
        start, end = (round(t / RATE * SOUND_RATE) for t in (tick, tick + length))
        tick += length
        if not one.seconds or not probe(one.path).has_audio:
            continue
        own, _ = read_audio(one.path, end=length / RATE, rate=SOUND_RATE)
        own = own[: end - start]
        track[start : start + len(own)] = own
        heard = True
    return track if heard else None
