"""A conversation as a file and back, and corrected answers as training data."""

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from assistant.ui import comparing, recognised
from assistant.ui.seen import item_of
from assistant.ui.timeline import clock
from assistant.ui.visitor import MOST_TURNS, Asked, Told

from assistant.core.jsonl import finite
from assistant.data.items import DATA
from assistant.errors import InputError
from assistant.sources import SOURCES
from assistant.vqa.basis import FROM_SOUND, FROM_TIMELINE
from assistant.vqa.conversation import HEARD, TIMELINE

FORMAT = "assistant conversation 1"
CLIPS = "clips"  # folder of them beside corrections
KEYS = ("clip", "question", "answer", "correction", "choices", "also", "found")
NUMBER = (int, float)
# Of an answer that looked at frames, and of one that did not.
TIMES: dict[bool, tuple[type, ...]] = {True: NUMBER, False: (*NUMBER, type(None))}
NEEDED: dict[str, Any] = {
    "frames": list,
    "warnings": list,
    "seconds": NUMBER,
    "task": str,
    "range_source": str,
    "dialogue_source": str,
}
MOST_BYTES = 4 * 2**20  # of a saved conversation


def as_json(turns: Sequence[Asked]) -> str:
    """Everything that was asked and answered, with what each answer rests on."""
    written = []
    for turn in turns:
        found = turn.told.found if turn.told else None
        choices = list(turn.choices) if turn.choices else None
        values = (turn.clip, turn.question, turn.answer, turn.correction, choices, turn.also, found)
        written.append(dict(zip(KEYS, values, strict=True)))
    return json.dumps({"format": FORMAT, "turns": written}, ensure_ascii=False, indent=1) + "\n"


def as_markdown(turns: Sequence[Asked]) -> str:
    """The conversation to be read."""
    parts = ["# Conversation\n"]
    clip = None
    for turn in turns:
        if turn.clip != clip:
            clip = turn.clip
            parts.append(f"## {clip}\n")
        parts.append(f"**{turn.question}**\n\n{turn.said}\n")
        if turn.correction is not None:
            parts.append(f"*Corrected; the answer was: {turn.answer}*\n")
        if turn.told and not turn.told.is_talk:
            found = turn.told.found
            times = " ".join(f"{moment:.1f}" for moment in found["frames"])
            looked = f"frames at {times} s" if times else "text alone"
            looked = {TIMELINE: FROM_TIMELINE, HEARD: FROM_SOUND}.get(found["task"], looked)
            parts.append(f"*Task {found['task']}, {looked}*\n")
            if "recognised" in found:
                parts.append(f"*By the {recognised.thought_of(found)}*\n")
            parts += [
                f"*{kind.label}: {', '.join(map(_named, found[name]))}*\n"
                for name, kind in SOURCES.items()
                if found.get(name)
            ]
    return "\n".join(parts)


def _named(item: dict[str, Any]) -> str:
    """One thing that a source names, and when."""
    when = f" ({clock(item['start'])} to {clock(item['end'])})" if "start" in item else ""
    return f"{item_of(item).told} {item['probability']:.0%}{when}"


def write_corrections(turns: Sequence[Asked], clips: Mapping[str, Path], path: Path) -> list[str]:
    """The corrected answers as a zip with their clips, a folder that ``assistant data check``,
    ``finetune`` and ``evaluate`` take once it is unpacked.

    Args:
        clips: where those that are open lie.
    Returns:
        The names of clips that are not open: what is corrected about them is left out.
    Raises:
        InputError: nothing was corrected, or nothing about an open clip, or there is no room.
    """
    corrected = [turn for turn in turns if turn.correction is not None]
    if not corrected:
        raise InputError("Nothing was corrected yet: the pencil beside an answer mends it.")
    missing = sorted({turn.clip for turn in corrected} - clips.keys())
    lines = [
        json.dumps(_example(number, turn), ensure_ascii=False) + "\n"
        for number, turn in enumerate(turns, 1)
        if turn.correction is not None and turn.clip in clips
    ]
    if not lines:
        raise InputError(f"What was corrected is about {', '.join(missing)}: open that first.")
    part = path.with_name(path.name + ".part")
    try:
        with zipfile.ZipFile(part, "w") as archive:  # clips are compressed already
            archive.writestr(f"{path.stem}/{DATA}", "".join(lines))
            for name in sorted({turn.clip for turn in corrected} & clips.keys()):
                archive.write(clips[name], f"{path.stem}/{CLIPS}/{name}")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InputError(f"The corrections cannot be saved ({error.strerror}).") from error
    return missing


def _example(number: int, turn: Asked) -> dict[str, Any]:
    """A corrected answer as training data have it."""
    row: dict[str, Any] = {
        "id": f"correction-{number}",
        "video": f"{CLIPS}/{turn.clip}",
        "question": turn.question,
        "answer": turn.correction,
    }
    found = turn.told.found if turn.told else {}
    if found.get("range_source") in ("question", "given", "session"):
        row |= {"start": found["start"], "end": found["end"]}
    if turn.choices and turn.correction in turn.choices:
        row["choices"] = list(turn.choices)
    if turn.told and turn.told.lines:
        row["dialogue"] = [_turn(line) for line in turn.told.lines]
    return row | {"type": found.get("task", "chat")}


def read_conversation(path: Path) -> list[Asked]:
    """What ``as_json`` wrote; evidence pictures are not part of it.

    Raises:
        InputError: another file, or a damaged one.
    """
    wanted = "choose a file that was saved here as JSON"
    if path.stat().st_size > MOST_BYTES:
        raise InputError(f"This is no saved conversation (too large); {wanted}.")
    try:
        data = finite(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, RecursionError) as error:
        raise InputError(f"This is no saved conversation; {wanted}.") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise InputError(f"This is no saved conversation; {wanted}.")
    rows = data.get("turns")
    if not isinstance(rows, list):
        raise InputError(f"The conversation is damaged: it has no turns; {wanted}.")
    return [_asked(number, row) for number, row in enumerate(rows[-MOST_TURNS:], 1)]


def _asked(number: int, row: Any) -> Asked:
    damaged = InputError(f"The conversation is damaged at turn {number}.")
    if not isinstance(row, dict) or set(row) != set(KEYS):
        raise damaged
    texts = (row["clip"], row["question"], row["answer"])
    if not all(isinstance(text, str) and text.strip() for text in texts):
        raise damaged
    if not isinstance(row["correction"], str | None) or not isinstance(row["choices"], list | None):
        raise damaged
    return Asked(
        row["clip"],
        row["question"],
        row["answer"],
        correction=row["correction"],
        choices=tuple(map(str, row["choices"])) if row["choices"] else None,
        also=number > 1 and row["also"] is True,
        told=_told(row["found"]) if _is_sound(row["found"]) else None,
    )


def _told(found: dict[str, Any]) -> Told:
    weights = found.get("evidence")
    known = isinstance(weights, list) and len(weights) == len(found["frames"])
    if not (known and all(isinstance(weight, NUMBER) for weight in weights)):
        weights = None
    return Told(found, weights=weights and tuple(weights))


def _is_sound(found: Any) -> bool:
    """Whether the page can show it; a file may come from anywhere."""
    if not isinstance(found, dict):
        return False
    shares = found.get("probabilities", {})
    return (
        all(isinstance(found.get(key), kind) for key, kind in NEEDED.items())
        and isinstance(found.get("adapter"), str | None)
        and ("notes" not in found or isinstance(found.get("model"), str))
        and all(
            isinstance(found.get(key), TIMES[bool(found["frames"])]) for key in ("start", "end")
        )
        and all(isinstance(moment, int | float) for moment in found["frames"])
        and all(isinstance(warning, str) for warning in found["warnings"])
        and all(_are_items(found.get(name, [])) for name in SOURCES)
        and _are_moments(found.get("moments", []))
        and isinstance(found.get("sought", ""), str)
        and recognised.is_sound(found.get("recognised", {"by": "", "actions": []}))
        and isinstance(shares, dict)
        and all(isinstance(share, int | float) for share in shares.values())
        and ("choice" not in found or found["choice"] in shares)
        and comparing.are_clips(found.get("clips", []))
        and (not found.get("unsure") or isinstance(found.get("reason"), str))
        and isinstance(found.get("task_score"), int | float | None)
    )


def _are_moments(found: Any) -> bool:
    return isinstance(found, list) and all(
        isinstance(one, dict)
        and all(isinstance(one.get(key), NUMBER) for key in ("start", "end", "score"))
        for one in found
    )


def _are_items(items: Any) -> bool:
    """Whether it is what a source names."""
    return isinstance(items, list) and all(
        isinstance(item, dict)
        and isinstance(item.get("name"), str)
        and isinstance(item.get("probability"), NUMBER)
        and ("start" in item) == ("end" in item)
        and all(isinstance(item.get(key, 0), NUMBER) for key in ("start", "end"))
        and all(isinstance(item.get(key, ""), str) for key in ("color", "direction"))
        for item in items
    )


def _turn(line: Any) -> dict[str, Any]:
    """A line of dialogue as training data has it."""
    values = {field.name: getattr(line, field.name) for field in fields(line)}
    return {key: value for key, value in values.items() if value is not None}
