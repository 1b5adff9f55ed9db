"""Small subtitle files of every kind, and how they are changed: for ``mutations.py``."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

from mutant_clips import Bases, cut, flipped, odd_header, repeated, spliced, zeroed

CUES = [(1, 2.5, "ANN", "- Hello, <i>well-known</i> Bob.\n- Hi!"), (3, 4, "BOB", "Grüße, 1,2 ♪")]
EVENTS = (
    "[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
)


def clock(seconds: float, mark: str = ",") -> str:
    return f"00:00:{seconds:06.3f}".replace(".", mark)


def make_subtitles() -> dict[str, bytes]:
    cues = [
        (start + 4 * n, end + 4 * n, who, text) for n in range(3) for start, end, who, text in CUES
    ]
    segments = [{"id": n, "start": a, "end": b, "text": t} for n, (a, b, _, t) in enumerate(cues)]
    turns = [{"speaker": who, "text": t, "start": a, "end": b} for a, b, who, t in cues]
    srt = [f"{n}\n{clock(a)} --> {clock(b)}\n{t}\n" for n, (a, b, _, t) in enumerate(cues, 1)]
    vtt = [f"{clock(a, '.')} --> {clock(b, '.')} align:start\n<v {w}>{t}\n" for a, b, w, t in cues]
    dialogue = [
        f"Dialogue: 0,0:00:{a:05.2f},0:00:{b:05.2f},Default,{w},0,0,0,,{{\\an8}}"
        + t.replace("\n", "\\N")
        for a, b, w, t in cues
    ]
    sub = [f"{{{int(a * 25)}}}{{{int(b * 25)}}}" + t.replace("\n", "|") for a, b, _, t in cues]
    texts = {
        "a.srt": "\n".join(srt),
        "a.vtt": "WEBVTT\n\nNOTE x\n\nSTYLE\n::cue {}\n\n" + "\n".join(vtt),
        "a.ass": "[Script Info]\nScriptType: v4.00+\n\n" + EVENTS + "\n".join(dialogue) + "\n",
        "a.ssa": "[Script Info]\nScriptType: v4.00\n\n"
        + EVENTS.replace("Layer", "Marked")
        + "\n".join(dialogue).replace("Dialogue: 0", "Dialogue: Marked=0"),
        "a.sub": "{1}{1}25.000\n" + "\n".join(sub),
        "a.txt": "".join(f"{who}: {t}\n" for _, _, who, t in cues),
        "turns.json": json.dumps(turns, ensure_ascii=False),
        "whisper.json": json.dumps({"text": "x", "segments": segments, "language": "en"}),
    }
    return {name: text.encode() for name, text in texts.items()}


ENCODINGS = (
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "utf-32",
    "utf-8-sig",
    "cp1252",
    "cp1251",
    "gb18030",
)
NUMBERS = (
    "0",
    "-1",
    "99",
    "1e9",
    "1e999",
    "9" * 30,
    "9" * 5000,
    "NaN",
    "-0",
    "0x1F",
    "١٢",
    "1.5.2",
    "",
)
MARKUP = (
    "<i>",
    "</i>",
    "<v ",
    "{\\p1}",
    "{\\an8",
    "<" * 3000,
    "{" * 3000,
    "[" * 3000,
    "&#0;",
    "&amp",
    "\\N",
)
ODDITIES = (
    "-->",
    "\0",
    "\ufeff",
    "\ud800",
    "\u202e",
    "\x1a",
    "\u2028",
    ": " * 500,
    "{1}{2}",
    "WEBVTT",
    "- ",
)


def mutated_subtitles(bases: Bases, rng: random.Random) -> tuple[str, bytes]:
    """A name and the bytes of a subtitle file that was changed one to four times."""
    name = rng.choice(sorted(bases))
    text = bases[name].decode()
    for _ in range(rng.choice((0, 1, 2, 4))):
        text = rng.choice(TEXT_CHANGES)(text, rng)
    encoding = rng.choice(ENCODINGS) if rng.random() < 0.3 else "utf-8"
    data = bytearray(text.encode(encoding, "surrogatepass" if "utf" in encoding else "replace"))
    if data and rng.random() < 0.4:
        change = rng.choice((flipped, cut, zeroed, spliced, repeated, odd_header))
        data = change(data, rng, bases)
    if rng.random() < 0.05:
        name = "a" + Path(rng.choice(sorted(bases))).suffix
    return name, bytes(data)


def odd_value(text: str, rng: random.Random) -> str:
    """A number anywhere, such as in a cue's time, becomes an odd one."""
    found = list(re.finditer(r"\d+(?:\.\d+)?", text))
    match = rng.choice(found) if found else None
    return text[: match.start()] + rng.choice(NUMBERS) + text[match.end() :] if match else text


def inserted(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice(MARKUP + ODDITIES) + text[at:]


def line_ends(text: str, rng: random.Random) -> str:
    return text.replace("\n", rng.choice(("\r\n", "\r", "\n\n", "\n\r", "\u2028", " ", "\x0b")))


def mixed_lines(text: str, rng: random.Random) -> str:
    lines = text.split("\n")
    a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
    way = rng.randrange(4)
    if way == 0:
        lines[a], lines[b] = lines[b], lines[a]
    elif way == 1:
        del lines[a]
    elif way == 2:
        lines[a:a] = [lines[b]] * rng.choice((1, 50, 2000))
    else:
        lines[a] = lines[a][::-1]
    return "\n".join(lines)


def nested(text: str, rng: random.Random) -> str:
    depth = rng.choice((1, 10, 20000))
    opening, closing = rng.choice((("[", "]"), ('{"a":', "}"), ("<b>", "</b>"), ("{\\i1", "}")))
    return opening * depth + text + closing * depth


TEXT_CHANGES = (odd_value, odd_value, odd_value, inserted, inserted, line_ends, mixed_lines, nested)
