"""Text of subtitle files into timed cues, and a cue into what each person says.

What is no cue and means to be one is skipped and counted; pysubs2 reads what is a cue a line.
"""

import html
import re
import warnings
from itertools import pairwise
from typing import NamedTuple

from assistant.errors import DialogueError

# Hours, or a fraction, or both: "0:01:02", "01:02.5"; of four digits only a rounded whole second.
FRACTION = r"[.,](?:\d{1,3}|[01]000)"
TIME = rf"(?:\d{{1,4}}:\d{{1,2}}:\d{{1,2}}(?:{FRACTION})?|\d{{1,2}}:\d{{1,2}}{FRACTION})"
CUE = re.compile(rf"[ \t]*({TIME})[ \t]*-->[ \t]*({TIME})(?:\s|$)", re.ASCII)
ODD_CUE = re.compile(r"\s*(?:-?\d+:\S{0,30}\s*-{1,3}>|\S{1,30}\s*-->\s*-?\d+:\d)", re.ASCII)
ODD_TIME = re.compile(r"[\s\d:.,]*(?:-+>.*)?", re.ASCII)  # under a number that announces a cue
ASS_TIME = r"\s*\d{1,2}:\d{1,2}:\d{1,2}(?:[.,]\d{1,3})?\s*"
EXAMPLES = {
    "srt": "00:00:01,000 --> 00:00:02,500",
    "vtt": "00:01.000 --> 00:02.500",
    "ass": "Dialogue: 0,0:00:01.00,0:00:02.50,Default,ANN,0,0,0,,Hello.",
    "microdvd": "{25}{50}Hello.",
}
# format: a cue, and a line that means to be one; a cue is one line
ASS_LINES = (rf"\s*Dialogue:[^,]*,{ASS_TIME},{ASS_TIME}(?:,[^,]*){{6}},", r"\s*Dialogue:")
LINES = {
    "ass": ASS_LINES,
    "ssa": ASS_LINES,
    "microdvd": (r" *\{ *\d{1,9} *\} *\{ *\d{1,9} *\}.+", r"\s*\{"),
}
RATE = re.compile(r" *\{ *1 *\} *\{ *1 *\} *\d+(?:[.,]\d+)?\s*\Z", re.ASCII)  # the frame rate
STREAM_TIME = re.compile(
    r"^X-TIMESTAMP-MAP=.*?MPEGTS:(\d{1,12})\b", re.ASCII | re.MULTILINE
)  # 90 kHz
SIGN = re.compile(r"\{[^{}]*\\(?:p[1-9]|pos\(|move\(|i?clip\()")  # drawn, or put at a place
DRAWING = re.compile(r"(?<!\S)m(?: -?[\d.]+){2}(?: [mnlbspc](?: -?[\d.]+)*)+(?!\S)")
INLINE_TIME = re.compile(r"<\d[\d:.]*>")  # karaoke: all<00:00:01.520><c> right</c>
TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
VOICE = re.compile(r"<v(?:\.[^\s<>]*)?[ \t]([^<>\n]+)>")
VOICE_MARK = "\0"  # no decoded text holds it
UNCLOSED = re.compile(r"\{(?=[^{}]*(?:\{|\Z))")  # thousands of these keep pysubs2 busy for good
ASS_OVERRIDE = re.compile(r"\{[^{}]*\}")
DRAWN = re.compile(  # to where it ends; possessive: an end that is missing is looked for once
    r"\{(?:[^{}\\]|\\(?!p[1-9]))*+\\p[1-9][^{}]*+\}(?:(?!\{[^{}]*\\p0).)*", re.DOTALL
)
LONG_REFERENCE = re.compile(r"&#\d{9,};?", re.ASCII)  # no character: html fails at its digits
SPEAKER = re.compile(r"([^\s:\uff1a][^:\uff1a]{0,39}?)\s*(?::\s+|\uff1a\s*)(?:-\s+)?(\S.*)")
# "- Hi.", "-Hi.", ">> Hi." at the start of a line; not "-5 degrees", "--", "->".
TURN_DASH = re.compile(
    r"(?:[-\u2010\u2013]|>>+|\u2014(?=\s))(?:\s+(?![->])|(?=[^\W\d]|[\[(\"'♪¿¡.…]))"
)
SAID = r"(?<=[.?!…♪)\]\"'\u201d])\s+"  # one has spoken: "- Hello. - Bye."
NEXT_TURN = re.compile(rf"{SAID}(?=[-\u2010\u2013\u2014]\s+[^\Wa-z\d])")
NEXT_OF_TURNS = re.compile(rf"{SAID}(?={TURN_DASH.pattern})")  # in a line that a dash opens
MAX_NAME_WORDS = 4
MAX_SHOWN = 9  # lines at a time


class Cue(NamedTuple):
    """One subtitle as it stands in its file; times in seconds."""

    start: float
    end: float
    speaker: str | None
    text: str


def holds_cues(text: str) -> str | None:
    """The format that a text shows by itself, whatever its file is called."""
    if re.match(r"\s*WEBVTT(?:\s|$)", text):
        return "vtt"
    if re.match(r"\s*\[Script Info\]", text, re.IGNORECASE):
        return "ass"
    return "srt" if any(map(CUE.match, text.split("\n"))) else None


def parse_cues(
    text: str, form: str, name: str, fps: float | None = None
) -> tuple[list[Cue], tuple[str, ...]]:
    """Cues of a subtitle file in order of time, and warnings: an odd cue is skipped and counted.

    ``form`` is "srt", "vtt", "ass", "ssa" or "microdvd"; ``fps`` is the clip's, for a file that
    counts frames and does not say how many a second has. Raises ``DialogueError``.
    """
    by_line = form in LINES
    cues, odd = _parsed_by_line(text, form, name, fps) if by_line else _parsed(text, form)
    first = f", line {odd[0][0]}: '{odd[0][1].strip()[:60]}' is no cue" if odd else " holds no cue"
    if not cues:
        example = EXAMPLES[form.replace("ssa", "ass")]
        raise DialogueError(f"{name}{first}: wanted one like '{example}'")
    notes = [f"skipped {len(odd)} of {len(cues) + len(odd)} cues: {name}{first}"] if odd else []
    if form == "vtt" and (shift := STREAM_TIME.search(text)) and int(shift[1]):
        begins = f"second {int(shift[1]) / 90000:g} of a stream (X-TIMESTAMP-MAP)"
        notes.append(f"{name} counts from {begins}: its times are taken as they stand")
    backwards = sum(cue.end < cue.start for cue in cues)
    if backwards:
        notes.append(f"{name}: {backwards} cues end before they start")
    cues = [cue._replace(end=max(cue.start, cue.end)) for cue in cues]
    return unrolled(sorted(cues, key=lambda cue: cue.start)), tuple(notes)


def without_signs(text: str) -> str:
    """An ASS file's lines of dialogue, less what is drawn or put at a place of the picture."""
    lines = (line for line in text.split("\n") if re.match(ASS_LINES[1], line))
    return "\n".join(["[Script Info]", *(line for line in lines if not SIGN.search(line))])


def without_codes(text: str) -> str:
    """An ASS event's text less its overrides and what they draw, broken into lines."""
    text = ASS_OVERRIDE.sub("", DRAWN.sub("", text))
    return text.replace(r"\N", "\n").replace(r"\n", "\n").replace(r"\h", " ")


def split_cue(text: str) -> list[tuple[str | None, str]]:
    """What each person says in one cue, markup removed: pairs of (speaker, text).

    A display line opens a new turn with ``<v NAME>``, a dash, ``>>`` or ``NAME:``.
    """
    text = INLINE_TIME.sub("", without_codes(text))
    text = VOICE.sub(rf"\n{VOICE_MARK}\1{VOICE_MARK}", text)
    turns: list[tuple[str | None, list[str]]] = []
    for shown in html.unescape(LONG_REFERENCE.sub("", TAG.sub("", text))).split("\n"):
        line = DRAWING.sub("", " ".join(shown.split())).strip()
        if line.startswith(VOICE_MARK):
            name, said = line[1:].split(VOICE_MARK, 1)
            turns.append((name.strip(), [said.strip()]))
            continue
        for part in (NEXT_OF_TURNS if TURN_DASH.match(line) else NEXT_TURN).split(line):
            opens = TURN_DASH.match(part)
            speaker, said = split_speaker(part[opens.end() :] if opens else part)
            if speaker or not turns or opens:
                turns.append((speaker, [said]))
            else:
                turns[-1][1].append(said)
    told = ((speaker, " ".join(filter(None, parts))) for speaker, parts in turns)
    return [(speaker, said) for speaker, said in told if said]


def split_speaker(line: str) -> tuple[str | None, str]:
    """``"SHELDON: Hi."`` -> ``("SHELDON", "Hi.")``; ``(None, line)`` where nobody is named.

    A name is up to four words, none of which starts with a small letter.
    """
    match = SPEAKER.match(line)
    if match is None:
        return None, line
    words = match[1].split()
    named = words[0][0].isalpha() and not any(word[0].islower() for word in words)
    return (match[1], match[2]) if named and len(words) <= MAX_NAME_WORDS else (None, line)


def _parsed(text: str, form: str) -> tuple[list[Cue], list[tuple[int, str]]]:
    """Cues of .srt and .vtt, and (line number, line) of what means to be one."""
    cues: list[tuple[float, float, list[str]]] = []
    odd: list[tuple[int, str]] = []
    said: list[str] | None = None  # of the cue that is read; None: notes, styles, names of cues
    before, announced = "", False  # the line before; whether it is a number after a blank line
    for number, line in enumerate(text.split("\n"), 1):
        arrow = "->" in line
        times = CUE.match(line) if arrow else None
        is_odd = not times and bool(
            (arrow and ODD_CUE.match(line))
            or (announced and line.strip() and ODD_TIME.fullmatch(line))
        )
        if times or is_odd:
            if said and said[-1].strip().isdecimal():  # the number of this cue
                said.pop()
            said = None
        if times:
            said = []
            cues.append((_seconds(times[1]), _seconds(times[2]), said))
        elif is_odd:
            odd.append((number, line))
        elif form == "vtt" and not line:
            said = None
        elif said is not None:
            said.append(line)
        announced = line.strip().isdecimal() and not before and form == "srt"
        before = line.strip()
    return [Cue(start, end, None, "\n".join(lines)) for start, end, lines in cues], odd


def _seconds(time: str) -> float:
    whole, _, fraction = time.replace(",", ".").partition(".")
    total = 0
    for part in whole.split(":"):
        total = 60 * total + int(part)
    return total + int(fraction or 0) / 10 ** min(len(fraction), 3)  # ",1000": milliseconds


def _parsed_by_line(
    text: str, form: str, name: str, fps: float | None
) -> tuple[list[Cue], list[tuple[int, str]]]:
    """The same of formats of which a cue is a line, by pysubs2. Raises ``DialogueError``."""
    import pysubs2

    good, meant = (re.compile(kind, re.ASCII) for kind in LINES[form])
    lines = [(n, line) for n, line in enumerate(text.split("\n"), 1) if meant.match(line)]
    odd = [(n, line) for n, line in lines if not good.match(line)]
    kept = [UNCLOSED.sub("", line) for _, line in lines if good.match(line)]
    # a broken style or font is no reason to refuse the words
    text = "\n".join(kept if form == "microdvd" else ["[Events]", *kept])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # about margins
            own = form != "microdvd" or not kept or RATE.match(kept[0])
            options = {} if own else {"fps": fps}
            events = list(pysubs2.SSAFile.from_string(text, form, **options)) if kept else []
    except pysubs2.exceptions.UnknownFPSError as error:
        raise DialogueError(
            f"{name} counts in frames and gives no frame rate: "
            "wanted {1}{1}25 as its first line, or the same subtitles as .srt"
        ) from error
    except (pysubs2.exceptions.Pysubs2Error, ValueError, ArithmeticError) as error:
        raise DialogueError(f"{name} cannot be parsed as {form} ({error}): save it anew") from error
    return [
        Cue(event.start / 1000, event.end / 1000, event.name.strip() or None, event.text)
        for event in events
        if not event.is_comment
    ], odd


def unrolled(cues: list[Cue]) -> list[Cue]:
    """Automatic captions show a line again as it scrolls up, or as its words come: it is said once.

    They are told by most cues beginning with the lines that end the one before, and some going on.
    """
    shown = [[plain for line in cue.text.split("\n") if (plain := _plain(line))] for cue in cues]
    again = [0, *(_shared(*pair) for pair in pairwise(shown))]
    goes_on = [
        again[n] and (len(shown[n]) > again[n] or cues[n].text.strip() != cues[n - 1].text.strip())
        for n in range(len(cues))
    ]
    if not any(goes_on) or 2 * sum(map(bool, again)) < len(cues) - 1:
        return cues
    return [
        cue._replace(text="\n".join(lines[count:]))
        for cue, lines, count in zip(cues, shown, again, strict=True)
        if lines[count:]
    ]


def _plain(line: str) -> str:
    return TAG.sub("", INLINE_TIME.sub("", line)).strip()


def _shared(before: list[str], lines: list[str]) -> int:
    """How many lines end the one and begin the other."""
    most = min(len(before), len(lines), MAX_SHOWN)
    return next((n for n in range(most, 0, -1) if before[-n:] == lines[:n]), 0)
