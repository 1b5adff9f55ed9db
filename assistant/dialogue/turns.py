"""Turns as data: JSON, a line or a file of it, and what transcribers write, into checked dicts."""

import json
import math
import re
from collections.abc import Sequence
from typing import Any

from assistant.errors import DialogueError

MAX_SECONDS = 1e7  # 100 days
TURN_FIELDS = ("speaker", "text", "start", "end")
WHISPER_FIELDS = {  # of a segment, beside those of a turn
    *("id", "seek", "tokens", "words", "chars", "temperature", "avg_logprob"),
    *("compression_ratio", "no_speech_prob"),
}
WANTED_TURN = '{"speaker": "ANN", "text": "Hello.", "start": 1.5, "end": 2.5}'
COLUMNS = ["start", "end", "text"]  # of Whisper's .tsv, times in ms

Turns = list[dict[str, Any]]


def read_turns(text: str, form: str, name: str) -> tuple[Turns, tuple[str, ...]]:
    """Turns of a file, and a warning where odd ones are skipped; ``form``: "json", "jsonl", "tsv".

    Raises ``DialogueError`` naming the turn or the line at fault.
    """
    if form == "tsv":
        return _rows(text, name)
    value = _lines(text, name) if form == "jsonl" else _json(text, name)
    if isinstance(value, dict):
        for field, turn_of in TRANSCRIPTS.items():
            if isinstance(value.get(field), list):
                return _good([turn_of(part) for part in value[field]], name)
    if not isinstance(value, list):
        raise DialogueError(
            f"{name} holds a JSON {type(value).__name__}: wanted a list of turns like "
            f"{WANTED_TURN}, or what Whisper or YouTube writes"
        )
    return checked(value, name), ()


def checked(turns: Sequence[Any], name: str) -> Turns:
    """The turns. Raises ``DialogueError`` for the first that is none."""
    for number, turn in enumerate(turns, 1):
        if fault := _fault(turn):
            raise DialogueError(f"{name}, turn {number}: {fault}: wanted {WANTED_TURN}")
    return list(turns)


def _json(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        if text.count("\n{") and text.startswith("{") and "Extra data" in str(error):
            return _lines(text, name)
        raise DialogueError(
            f"{name} is not valid JSON ({error}): wanted a list of turns like {WANTED_TURN}"
        ) from error


def _lines(text: str, name: str) -> list[Any]:
    turns = []
    for number, line in enumerate(text.split("\n"), 1):
        try:
            turns += [json.loads(line)] if line.strip() else []
        except (ValueError, RecursionError) as error:
            raise DialogueError(
                f"{name}, line {number}: is not valid JSON ({error}): wanted {WANTED_TURN}"
            ) from error
    return turns


def _rows(text: str, name: str) -> tuple[Turns, tuple[str, ...]]:
    head, *rows = ([cell.strip() for cell in line.split("\t", 2)] for line in text.split("\n"))
    if head != COLUMNS:
        raise DialogueError(
            f"{name} begins with {' '.join(head)!r:.60}: wanted the columns {', '.join(COLUMNS)} "
            "of Whisper, with tabs between them and times in milliseconds"
        )
    turns = [
        {"text": row[2], "start": int(row[0]) / 1000, "end": int(row[1]) / 1000}
        if len(row) == len(COLUMNS) and all(re.fullmatch(r"[0-9]{1,15}", c) for c in row[:2])
        else None
        for row in rows
        if any(row)
    ]
    return _good(turns, name)


def _segment(part: Any) -> Any:
    """Of Whisper, WhisperX and those that write alike."""
    return isinstance(part, dict) and {key: part[key] for key in TURN_FIELDS if key in part}


def _offsets(part: Any) -> Any:
    """Of whisper.cpp, milliseconds."""
    times = part.get("offsets") if isinstance(part, dict) else None
    if not isinstance(times, dict):
        return None
    start, end = _seconds(times.get("from")), _seconds(times.get("to"))
    return {"text": part.get("text"), "start": start, "end": end}


def _event(part: Any) -> Any:
    """Of YouTube's json3, milliseconds; some open a window and say nothing."""
    if not isinstance(part, dict):
        return None
    words = part.get("segs", [])
    if not isinstance(words, list) or not all(isinstance(word, dict) for word in words):
        return None
    start, length = _seconds(part.get("tStartMs")), _seconds(part.get("dDurationMs"))
    end = None if start is None or length is None else start + length
    return {"text": "".join(str(w.get("utf8", "")) for w in words), "start": start, "end": end}


TRANSCRIPTS = {"segments": _segment, "transcription": _offsets, "events": _event}


def _seconds(milliseconds: Any) -> float | None:
    """NaN, which is no time, where it is something else than milliseconds."""
    if milliseconds is None:
        return None
    number = isinstance(milliseconds, (int, float)) and not isinstance(milliseconds, bool)
    return milliseconds / 1000 if number and abs(milliseconds) < 1e15 else math.nan


def _good(turns: Sequence[Any], name: str) -> tuple[Turns, tuple[str, ...]]:
    """Those that are turns, and a warning where some are none."""
    good = [turn for turn in turns if not _fault(turn)]
    odd = len(turns) - len(good)
    if odd and not good:
        raise DialogueError(f"{name}: no segment can be read: wanted some like {WANTED_TURN}")
    return good, (f"skipped {odd} of {len(turns)} segments of {name}",) if odd else ()


def _fault(turn: Any) -> str | None:
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
