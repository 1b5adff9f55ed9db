"""A file as windows: 5 seconds of a clip each, half of it shared with the next; a picture; a
passage of a text or some subtitles.

Frames are looked at every 1.25 s, once for all windows that show them, a block at a time, so that
the length of a clip takes no memory. Features are not kept: those of a film would push all others
out of the cache.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.dialogue.decoding import decode_text
from assistant.dialogue.subtitles import (
    FORMATS,
    MAX_BYTES,
    Dialogue,
    Line,
    find_dialogue,
    parse_dialogue,
    read_dialogue,
)
from assistant.errors import DialogueError
from assistant.media.files import PICTURES, File
from assistant.media.windows import FRAMES, STEP, WINDOW, centres, is_still, on_show, spans
from assistant.retrieval.embedding import Embedder, Item
from assistant.retrieval.listening import Listened
from assistant.retrieval.rows import Row

if TYPE_CHECKING:
    from assistant.media.reader import Reader
    from assistant.media.video import Clip

BLOCK = 12  # windows decoded at once: 26 frames
SAID_SECONDS = 10.0  # of subtitles in one window
WORDS = 40  # of a text in one window: CLIP reads 77 tokens


@dataclass(frozen=True, eq=False)
class Opened:
    """A file whose beginning was read."""

    lines: tuple[Line, ...] = ()  # of a text; of a clip, what is said
    clip: Clip | None = None  # FRAMES of the whole, or fewer; None: it is a text


def open_file(file: File, side: int, reader: Reader | None = None) -> Opened:
    """``reader``: for pictures, if there may be many.

    Raises VideoError, DialogueError: it cannot be read, or says nothing.
    """
    from assistant.media.video import read_clip

    path = Path(file.path)
    if file.is_text:
        return Opened(lines=_lines(path))
    ask = reader.ask if reader is not None and path.suffix.lower() in PICTURES else None
    clip = read_clip(path, frames=FRAMES, max_side=side, ask_reader=ask)
    said = Dialogue() if is_still(clip) else find_dialogue(path)
    return Opened(said.lines, clip)


def rows_of(
    file: File,
    opened: Opened,
    embedder: Embedder,
    first: int = 0,
    listened: Listened | None = None,
) -> Iterator[list[Row]]:
    """Rows from window ``first`` on, some at a time; ``listened``: what is heard, if somebody did.

    Raises VideoError: it is damaged."""
    if opened.clip is None:
        yield from _of_text(file, opened.lines, embedder, first)
    else:
        yield from _of_clip(file, opened.clip, opened.lines, embedder, first, listened)


def passages(lines: Sequence[Line]) -> list[tuple[float | None, float | None, str]]:
    """From, to and text of each window of what is said or written."""
    pieces = [
        Line(" ".join(words[n : n + WORDS]), None, line.start, line.end)
        for line in lines
        if (words := line.as_text().split())
        for n in range(0, len(words), WORDS)
    ]
    groups: list[list[Line]] = []
    for piece in pieces:
        if not groups or not _fits(piece, groups[-1]):
            groups.append([])
        groups[-1].append(piece)
    return [(own[0].start, _end(own), "\n".join(line.text for line in own)) for own in groups]


def _fits(piece: Line, group: Sequence[Line]) -> bool:
    words = sum(len(line.text.split()) for line in (*group, piece))
    begin, end = group[0].start, piece.start if piece.end is None else piece.end
    if (begin is None) != (end is None):
        return False
    return words <= WORDS and (begin is None or end is None or end - begin <= SAID_SECONDS)


def _end(group: Sequence[Line]) -> float | None:
    ends = [line.start if line.end is None else line.end for line in group]
    return max((end for end in ends if end is not None), default=None)


def _lines(path: Path) -> tuple[Line, ...]:
    if path.suffix.lower() in FORMATS:
        lines = read_dialogue(path).lines
    else:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise DialogueError(f"{path.name} is larger than {MAX_BYTES >> 20} MB: part it")
        lines = parse_dialogue(decode_text(data, path.name)[0], path.name).lines
    if not lines:
        raise DialogueError(f"{path.name} holds no text: wanted some words")
    return lines


def _of_text(
    file: File, lines: Sequence[Line], embedder: Embedder, first: int
) -> Iterator[list[Row]]:
    found = passages(lines)
    for begin in range(first, len(found), BLOCK):
        some = found[begin : begin + BLOCK]
        vectors = embedder.vectors([Item(text=text) for _, _, text in some])
        usual = embedder.usual(vectors, text=True).tolist()
        yield [
            Row(
                file=file.path,
                kind="text",
                window=number,
                last=number == len(found) - 1,
                start=start,
                end=end,
                text=text,
                vector=vector,
                size=file.size,
                mtime=file.mtime,
                usual=own,
            )
            for number, ((start, end, text), vector, own) in enumerate(
                zip(some, vectors, usual, strict=True), begin
            )
        ]


def _of_clip(
    file: File,
    whole: Clip,
    lines: Sequence[Line],
    embedder: Embedder,
    first: int,
    listened: Listened | None,
) -> Iterator[list[Row]]:
    ear = listened or Listened()
    still, said = is_still(whole), Dialogue((*lines, *ear.lines))
    windows = spans(whole.duration)
    for begin in range(first, len(windows), BLOCK):
        some = windows[begin : begin + BLOCK]
        clip, moments = _block(Path(file.path), whole, some, embedder.side)
        seen = embedder.see(clip.frames, clip.seconds)
        rows = []
        for number, (start, end) in enumerate(some, begin):
            own = seen.some(on_show(clip.seconds, moments, start, end))
            told = said.between(start, end).as_text()
            vectors = embedder.vectors([Item(own.frames, told)])
            (usual,) = embedder.usual(vectors, text=False).tolist()
            words = ", ".join(embedder.words(own))
            rows.append(
                Row(
                    file=file.path,
                    kind="image" if still else "clip",
                    window=number,
                    last=number == len(windows) - 1,
                    start=None if still else start,
                    end=None if still else end,
                    text="\n".join(filter(None, (words, told, ear.between(start, end)))),
                    vector=vectors[0],
                    size=file.size,
                    mtime=file.mtime,
                    usual=usual,
                    heard=listened is not None,
                )
            )
        yield rows


def _block(
    path: Path, whole: Clip, some: Sequence[tuple[float, float]], side: int
) -> tuple[Clip, list[float]]:
    """Pictures of some windows, and the moments (s) at which these are looked at."""
    from assistant.media.video import read_clip

    start, end = some[0][0], some[-1][1]
    if whole.duration <= WINDOW:
        return whole, centres(0.0, whole.duration, FRAMES)
    count = math.ceil((end - start) / STEP - 1e-6)
    clip = read_clip(path, frames=count, start=start, end=end, max_side=side)
    return clip, centres(start, end, count)
