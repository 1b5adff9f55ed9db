"""Dialogue in: subtitle files, plain text and JSON turns, and what lies beside or inside a clip."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from assistant.dialogue.cues import (
    Cue,
    holds_cues,
    parse_cues,
    split_cue,
    split_speaker,
    unrolled,
    without_signs,
)
from assistant.dialogue.decoding import decode_text
from assistant.dialogue.sidecars import is_forced, sidecars
from assistant.dialogue.turns import WANTED_TURN, Turns, checked, read_turns
from assistant.errors import DialogueError, VideoError

MAX_BYTES = 4 * 2**20  # the subtitles of a film take 0.1 MB
MAX_ASS_BYTES = 64 * 2**20  # with fonts and the drawings of signs, which are not read
ROUNDED = 0.5  # s that a line may begin after the end that a container states
FORMATS = {
    ".srt": "srt",
    ".vtt": "vtt",
    ".ass": "ass",
    ".ssa": "ssa",
    ".sub": "microdvd",
    ".txt": "text",
    ".json": "json",
    ".json3": "json",  # YouTube's
    ".jsonl": "jsonl",
    ".tsv": "tsv",  # Whisper's
}
DATA = ("json", "jsonl", "tsv")
NO_TEXT = {  # how a file begins that is no text; VobSub is called .sub, as MicroDVD's text is
    b"\0\0\x01\xba": "holds pictures of text (VobSub): wanted the subtitles as text, like .srt",
    b"PK\3\4": "is a zip archive: unpack it and give the subtitles in it",
    b"Rar!": "is a RAR archive: unpack it and give the subtitles in it",
    b"\x1f\x8b": "is packed with gzip: unpack it first",
    b"\x1aE\xdf\xa3": "is a Matroska clip: give it as the clip, its subtitles are read with it",
}


@dataclass(frozen=True)
class Line:
    """What one person says. ``start`` and ``end`` in seconds of the clip, ``None`` if untimed."""

    text: str
    speaker: str | None = None
    start: float | None = None
    end: float | None = None

    def as_text(self) -> str:
        """``"SHELDON: Bazinga."``, or the text alone where nobody is named."""
        return f"{self.speaker}: {self.text}" if self.speaker else self.text


@dataclass(frozen=True)
class Dialogue:
    """Lines in order, and where they come from; true if there are any.

    ``source`` is "none", "given", "file:NAME", "sidecar:NAME", "embedded track" or "speech
    recognition". ``warnings`` says in full lines what was guessed or passed over on the way.
    """

    lines: tuple[Line, ...] = ()
    source: str = "none"
    warnings: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.lines)

    def between(self, start: float, end: float) -> Dialogue:
        """The lines spoken at some time of [start, end] seconds, and every untimed one."""

        def kept(line: Line) -> bool:
            if line.start is None:
                return True
            last = line.start if line.end is None else line.end
            if last == line.start:
                return start <= last <= end
            return line.start < end and last > start

        return replace(self, lines=tuple(line for line in self.lines if kept(line)))

    def outside(self, duration: float) -> tuple[str, ...]:
        """A warning where lines are said after the end of a clip of ``duration`` seconds."""
        late = sum((line.start or 0.0) > duration + ROUNDED for line in self.lines)
        if not late or not duration:  # a picture has no time
            return ()
        return (
            f"{late} of {len(self.lines)} lines of dialogue ({self.source}) are said after the "
            "clip's end: do they belong to another cut of it?",
        )

    def as_text(self) -> str:
        """One line of text per line of dialogue."""
        return "\n".join(line.as_text() for line in self.lines)


def read_dialogue(path: str | Path, *, fps: float | None = None) -> Dialogue:
    """Read a subtitle file (.srt .vtt .ass .ssa .sub), plain text (.txt) or turns (.json .jsonl
    .json3 .tsv).

    ``fps``: of the clip that it belongs to, for times in frames. Raises ``DialogueError`` naming
    the file and, where there is one, the line at fault.
    """
    path = Path(path)
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        raise DialogueError(
            f"{path.name} is no dialogue file: wanted one that ends in {', '.join(FORMATS)}"
        )
    text, notes = _read_text(path, form)
    if form in DATA:
        turns, more = read_turns(text, form, path.name)
        lines = _from_turns(turns)
    else:
        lines, more = _from_text(text, form, path.name, fps)
        if form == "text" and not lines:
            raise DialogueError(f"{path.name} is empty: wanted lines like 'ANN: Hello.'")
    return Dialogue(lines, f"file:{path.name}", (*notes, *more))


def parse_dialogue(value: str | Sequence[Any], source: str = "given") -> Dialogue:
    """Dialogue from text ("SPEAKER: text" lines) or from a list of turns (as in a .json file).

    Raises ``DialogueError`` for anything else, naming the turn.
    """
    if isinstance(value, str):
        lines, notes = _from_text(value, "text", source, None)
        return Dialogue(lines, source, notes)
    if isinstance(value, (list, tuple)):
        return Dialogue(_from_turns(checked(value, source)), source)
    raise DialogueError(
        f"{source}: dialogue is a {type(value).__name__}: wanted text or a list of turns "
        f"like {WANTED_TURN}"
    )


def find_dialogue(video: str | Path) -> Dialogue:
    """The dialogue that comes with a clip: a sidecar file, else an embedded track, else none.

    Nobody asked for these by name, so one that cannot be read is passed over with a warning. What
    is forced, a few lines in another language, comes last.
    """
    from assistant.media.video import probe, read_subtitle_track

    video = Path(video)
    notes: list[str] = []

    def beside(paths: Iterable[Path]) -> Dialogue | None:
        for path in paths:
            try:
                in_frames = FORMATS[path.suffix.lower()] == "microdvd"
                found = read_dialogue(path, fps=probe(video).fps if in_frames else None)
            except (DialogueError, VideoError) as error:
                notes.append(f"passed over the subtitles beside the clip: {error}")
                continue
            return replace(found, source=f"sidecar:{path.name}", warnings=(*notes, *found.warnings))
        return None

    def inside() -> Dialogue | None:
        try:
            track, more = read_subtitle_track(video)
        except VideoError as error:
            notes.append(f"passed over the subtitles inside the clip: {error}")
            return None
        cues = [Cue(start, max(start, end), speaker, text) for start, end, speaker, text in track]
        if not cues:
            notes.extend(more)
            return None
        return Dialogue(_lines(unrolled(cues)), "embedded track", (*notes, *more))

    paths = sidecars(video)
    forced = [path for path in paths if is_forced(path)]
    full = (path for path in paths if path not in forced)
    return beside(full) or inside() or beside(forced) or Dialogue(warnings=tuple(notes))


def _read_text(path: Path, form: str) -> tuple[str, tuple[str, ...]]:
    most = MAX_ASS_BYTES if form in ("ass", "ssa") else MAX_BYTES
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except (OSError, ValueError) as error:  # ValueError: a path that holds a zero byte
        why = getattr(error, "strerror", None) or error
        raise DialogueError(f"{path.name!r:.80} cannot be read ({why}): check its path") from error
    if what := next((NO_TEXT[mark] for mark in NO_TEXT if data.startswith(mark)), None):
        raise DialogueError(f"{path.name} {what}")
    if len(data) <= MAX_BYTES:
        return decode_text(data, path.name)
    if len(data) <= most:
        text, notes = decode_text(data, path.name)
        text = without_signs(text)
        if len(text) <= MAX_BYTES:
            return text, (*notes, f"{path.name} is large: its signs were not read")
    raise DialogueError(
        f"{path.name} is larger than {MAX_BYTES >> 20} MB: wanted a text file with dialogue"
    )


def _from_text(
    text: str, form: str, name: str, fps: float | None
) -> tuple[tuple[Line, ...], tuple[str, ...]]:
    """Lines and warnings. A text that shows its format is read as such, whatever it is called."""
    form = holds_cues(text) or form
    if form == "text":
        pairs = (split_speaker(" ".join(line.split())) for line in text.split("\n"))
        return tuple(Line(said, speaker) for speaker, said in pairs if said), ()
    cues, notes = parse_cues(text, form, name, fps)
    return _lines(cues), notes


def _lines(cues: list[Cue]) -> tuple[Line, ...]:
    return tuple(
        Line(said, speaker or cue.speaker, cue.start, cue.end)
        for cue in cues
        for speaker, said in split_cue(cue.text)
    )


def _from_turns(turns: Turns) -> tuple[Line, ...]:
    said = (
        Line(
            " ".join(turn["text"].split()),
            (turn.get("speaker") or "").strip() or None,
            None if turn.get("start") is None else float(turn["start"]),
            None if turn.get("end") is None else float(turn["end"]),
        )
        for turn in turns
    )
    return tuple(line for line in said if line.text)
