"""Dialogue in: subtitle files, plain text and JSON turns, and what lies beside or inside a clip."""

from __future__ import annotations

import json
from collections.abc import Sequence
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
from assistant.dialogue.sidecars import sidecars
from assistant.errors import DialogueError, VideoError

MAX_BYTES = 4 * 2**20  # the subtitles of a film take 0.1 MB
MAX_ASS_BYTES = 64 * 2**20  # with fonts and the drawings of signs, which are not read
MAX_SECONDS = 1e7  # 100 days
ROUNDED = 0.5  # s that a line may begin after the end that a container states
FORMATS = {
    ".srt": "srt",
    ".vtt": "vtt",
    ".ass": "ass",
    ".ssa": "ssa",
    ".sub": "microdvd",
    ".txt": "text",
    ".json": "json",
}
TURN_FIELDS = ("speaker", "text", "start", "end")
WHISPER_FIELDS = {  # of a segment, beside those of a turn
    *("id", "seek", "tokens", "words", "chars", "temperature", "avg_logprob"),
    *("compression_ratio", "no_speech_prob"),
}
WANTED_TURN = '{"speaker": "ANN", "text": "Hello.", "start": 1.5, "end": 2.5}'


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


def read_dialogue(path: str | Path) -> Dialogue:
    """Read a subtitle file (.srt .vtt .ass .ssa .sub), plain text (.txt) or turns (.json).

    Raises ``DialogueError`` naming the file and, where there is one, the line at fault.
    """
    path = Path(path)
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        raise DialogueError(
            f"{path.name} is no dialogue file: wanted one that ends in {', '.join(FORMATS)}"
        )
    text, notes = _read_text(path, form)
    if form == "json":
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DialogueError(
                f"{path.name} is not valid JSON ({error}): "
                f"wanted a list of turns like {WANTED_TURN}"
            ) from error
        if isinstance(value, dict) and isinstance(value.get("segments"), list):  # Whisper's
            value, more = _segments(value["segments"], path.name)
            notes += more
        if not isinstance(value, list):
            raise DialogueError(
                f"{path.name} holds a JSON {type(value).__name__}: wanted a list of turns "
                f"like {WANTED_TURN}, or Whisper's segments"
            )
        lines = _from_turns(value, path.name)
    else:
        lines, more = _from_text(text, form, path.name)
        notes += more
        if form == "text" and not lines:
            raise DialogueError(f"{path.name} is empty: wanted lines like 'ANN: Hello.'")
    return Dialogue(lines, f"file:{path.name}", notes)


def parse_dialogue(value: str | Sequence[Any], source: str = "given") -> Dialogue:
    """Dialogue from text ("SPEAKER: text" lines) or from a list of turns (as in a .json file).

    Raises ``DialogueError`` for anything else, naming the turn.
    """
    if isinstance(value, str):
        lines, notes = _from_text(value, "text", source)
        return Dialogue(lines, source, notes)
    if isinstance(value, (list, tuple)):
        return Dialogue(_from_turns(value, source), source)
    raise DialogueError(
        f"{source}: dialogue is a {type(value).__name__}: wanted text or a list of turns "
        f"like {WANTED_TURN}"
    )


def find_dialogue(video: str | Path) -> Dialogue:
    """The dialogue that comes with a clip: a sidecar file, else an embedded track, else none.

    Nobody asked for these by name, so one that cannot be read is passed over with a warning.
    """
    from assistant.media.video import read_subtitle_track

    video = Path(video)
    notes: list[str] = []
    for sidecar in sidecars(video):
        try:
            found = read_dialogue(sidecar)
        except DialogueError as error:
            notes.append(f"passed over the subtitles beside the clip: {error}")
            continue
        return replace(found, source=f"sidecar:{sidecar.name}", warnings=(*notes, *found.warnings))
    try:
        track = read_subtitle_track(video)
    except (DialogueError, VideoError) as error:
        notes.append(f"passed over the subtitles inside the clip: {error}")
        track = []
    lines = _lines(
        unrolled([Cue(start, max(start, end), None, text) for start, end, text in track])
    )
    return Dialogue(lines, "embedded track" if track else "none", tuple(notes))


def _read_text(path: Path, form: str) -> tuple[str, tuple[str, ...]]:
    most = MAX_ASS_BYTES if form in ("ass", "ssa") else MAX_BYTES
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except (OSError, ValueError) as error:  # ValueError: a path that holds a zero byte
        why = getattr(error, "strerror", None) or error
        raise DialogueError(f"{path.name!r:.80} cannot be read ({why}): check its path") from error
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


def _segments(segments: list[Any], name: str) -> tuple[list[Any], tuple[str, ...]]:
    """Whisper's segments as turns, and a warning where odd ones are skipped."""
    turns = [
        {field: segment[field] for field in TURN_FIELDS if field in segment}
        for segment in segments
        if isinstance(segment, dict)
    ]
    good = [turn for turn in turns if not _turn_fault(turn)]
    odd = len(segments) - len(good)
    if odd and not good:
        raise DialogueError(f"{name}: no segment can be read: wanted some like {WANTED_TURN}")
    return good, (f"skipped {odd} of {len(segments)} segments of {name}",) if odd else ()


def _from_text(text: str, form: str, name: str) -> tuple[tuple[Line, ...], tuple[str, ...]]:
    """Lines and warnings. A text that shows its format is read as such, whatever it is called."""
    form = holds_cues(text) or form
    if form == "text":
        pairs = (split_speaker(" ".join(line.split())) for line in text.split("\n"))
        return tuple(Line(said, speaker) for speaker, said in pairs if said), ()
    cues, notes = parse_cues(text, form, name)
    return _lines(cues), notes


def _lines(cues: list[Cue]) -> tuple[Line, ...]:
    return tuple(
        Line(said, speaker or cue.speaker, cue.start, cue.end)
        for cue in cues
        for speaker, said in split_cue(cue.text)
    )


def _from_turns(turns: Sequence[Any], name: str) -> tuple[Line, ...]:
    lines = []
    for number, turn in enumerate(turns, 1):
        fault = _turn_fault(turn)
        if fault:
            raise DialogueError(f"{name}, turn {number}: {fault}: wanted {WANTED_TURN}")
        start, end = turn.get("start"), turn.get("end")
        lines.append(
            Line(
                " ".join(turn["text"].split()),
                (turn.get("speaker") or "").strip() or None,
                None if start is None else float(start),
                None if end is None else float(end),
            )
        )
    return tuple(line for line in lines if line.text)


def _turn_fault(turn: Any) -> str | None:
    if not isinstance(turn, dict):
        return f"is a {type(turn).__name__}"
    unknown = [str(key) for key in turn if key not in TURN_FIELDS and key not in WHISPER_FIELDS]
    if unknown:
        return f"has the unknown field '{unknown[0]}'"
    if not isinstance(turn.get("text"), str):
        return "has no 'text' that is a string"
    if not isinstance(turn.get("speaker"), (str, type(None))):
        return "has a 'speaker' that is not a string"
    start, end = turn.get("start"), turn.get("end")
    for field, value in (("start", start), ("end", end)):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if value is not None and not (number and 0 <= value < MAX_SECONDS):
            return f"has the '{field}' {value!r:.40}, which is no time in seconds"
    if end is not None and start is None:
        return "has an 'end' without a 'start'"
    if end is not None and end < start:
        return f"ends at {end} before it starts at {start}"
    return None
