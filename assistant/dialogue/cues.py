"""Text of subtitle files into timed cues, and a cue into what each person says.

pysubs2 parses; it is lenient, so every cue line is checked first and the first bad one is named.
"""

import html
import re
import warnings
from typing import NamedTuple

from assistant.errors import DialogueError

SRT_TIME = r"\d{1,2}:\d{1,2}:\d{1,2}[.,]\d{1,3}"
VTT_TIME = r"(?:\d{1,4}:)?\d{2}:\d{2}\.\d{3}"
ASS_TIME = r"\s*\d{1,2}:\d{1,2}:\d{1,2}(?:[.,]\d{1,3})?\s*"
SRT_CUE = rf"[ \t]*{SRT_TIME}[ \t]*-->[ \t]*{SRT_TIME}(?:\s|$)"
VTT_CUE = rf"[ \t]*{VTT_TIME}[ \t]+-->[ \t]+{VTT_TIME}(?:\s|$)"
ASS_CUE = rf"\s*Dialogue:[^,]*,{ASS_TIME},{ASS_TIME}(?:,[^,]*){{6}},"
SUB_CUE = r" *\{ *\d{1,9} *\} *\{ *\d{1,9} *\}.+"
SRT_EXAMPLE = "00:00:01,000 --> 00:00:02,500"
ASS_EXAMPLE = "Dialogue: 0,0:00:01.00,0:00:02.50,Default,ANN,0,0,0,,Hello."
# format: (a line with a cue's times, a line that means to be one, an example of one)
CUES = {
    "srt": (SRT_CUE, r"\d\s*-->|-->\s*\d", SRT_EXAMPLE),
    "vtt": (VTT_CUE, r"\d\s*-->|-->\s*\d", "00:01.000 --> 00:02.500"),
    "ass": (ASS_CUE, r"^\s*Dialogue:", ASS_EXAMPLE),
    "ssa": (ASS_CUE, r"^\s*Dialogue:", ASS_EXAMPLE),
    "microdvd": (SUB_CUE, r"^\s*\{", "{25}{50}Hello."),
}
INLINE_TIME = re.compile(r"<\d[\d:.]*>")  # karaoke: all<00:00:01.520><c> right</c>
TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
VOICE = re.compile(r"<v(?:\.[^\s<>]*)?[ \t]([^<>\n]+)>")
VOICE_MARK = "\0"  # no decoded text holds it
ASS_OVERRIDE = re.compile(r"\{[^{}]*\}")
SPEAKER = re.compile(r"([^\s:\uff1a][^:\uff1a]{0,39}?)\s*(?::\s+|\uff1a\s*)(\S.*)")
# "- Hi.", "-Hi.", ">> Hi." at the start of a line; not "-5 degrees", "--", "→".
TURN_DASH = re.compile(
    r"(?:[-\u2010\u2013]|>>+|\u2014(?=\s))(?:\s+(?![->])|(?=[^\W\d]|[\[(\"'♪¿¡.…]))"
)
SAID = r"(?<=[.?!…♪)\]\"'\u201d])\s+"  # one has spoken: "- Hello. - Bye."
NEXT_TURN = re.compile(rf"{SAID}(?=[-\u2010\u2013\u2014]\s+[^\Wa-z\d])")
NEXT_OF_TURNS = re.compile(rf"{SAID}(?={TURN_DASH.pattern})")  # in a line that a dash opens
MAX_NAME_WORDS = 4


class Cue(NamedTuple):
    """One subtitle as it stands in its file; times in seconds."""

    start: float
    end: float
    speaker: str | None
    text: str


def decode_text(data: bytes, name: str) -> tuple[str, tuple[str, ...]]:
    """Text of a file's bytes and warnings; newlines become ``\\n``.

    By byte order mark, else UTF-16 by its zero bytes, else UTF-8, else Western with a warning.
    Raises ``DialogueError`` for binary data and for damaged UTF-16 or UTF-32.
    """
    text, notes = _decode(data, name)
    if "\0" in text:
        raise DialogueError(f"{name} is binary data: wanted a text file with dialogue")
    return text.replace("\r\n", "\n").replace("\r", "\n"), notes


def _decode(data: bytes, name: str) -> tuple[str, tuple[str, ...]]:
    if data[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        encoding = "utf-32"
    elif data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    elif 4 * data[1:200:2].count(0) > len(data[:200]):
        encoding = "utf-16-le"
    elif 4 * data[0:200:2].count(0) > len(data[:200]):
        encoding = "utf-16-be"
    else:
        encoding = "utf-8-sig"
    try:
        return data.decode(encoding), ()
    except UnicodeDecodeError as error:
        if encoding != "utf-8-sig":
            raise DialogueError(
                f"{name} is damaged {encoding.upper()} at byte {error.start}: save it as UTF-8"
            ) from error
    note = f"{name} is not UTF-8 and was read as Western (%s): save it as UTF-8"
    try:
        return data.decode("cp1252"), (note % "Windows-1252",)
    except UnicodeDecodeError:  # five bytes mean nothing there; Latin-1 knows all 256
        return data.decode("latin-1"), (note % "Latin-1",)


def holds_cues(text: str) -> str | None:
    """The format that a text shows by itself, whatever its file is called."""
    if re.match(r"\s*WEBVTT(?:\s|$)", text):
        return "vtt"
    if re.match(r"\s*\[Script Info\]", text, re.IGNORECASE):
        return "ass"
    return "srt" if re.search(rf"^{SRT_CUE}", text, re.MULTILINE | re.ASCII) else None


def parse_cues(text: str, form: str, name: str) -> tuple[list[Cue], tuple[str, ...]]:
    """Cues of a subtitle file in order of time, and warnings.

    ``form`` is "srt", "vtt", "ass", "ssa" or "microdvd". Raises ``DialogueError``.
    """
    import pysubs2

    _check_cues(text, form, name)
    rolling = form == "vtt" and INLINE_TIME.search(text) is not None
    if form == "vtt":
        text = _vtt_cues_only(text)
    elif form in ("ass", "ssa"):  # a broken style or font is no reason to refuse the words
        spoken = [line for line in text.split("\n") if line.lstrip().startswith("Dialogue:")]
        text = "\n".join(["[Events]", *spoken])
    options = {"keep_html_tags": True} if form in ("srt", "vtt") else {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # about margins
            subtitles = pysubs2.SSAFile.from_string(text, form, **options)
    except pysubs2.exceptions.UnknownFPSError as error:
        raise DialogueError(
            f"{name} counts in frames and gives no frame rate: "
            "wanted {1}{1}25 as its first line, or the same subtitles as .srt"
        ) from error
    except (pysubs2.exceptions.Pysubs2Error, ValueError, ArithmeticError) as error:
        raise DialogueError(f"{name} cannot be parsed as {form} ({error}): save it anew") from error

    events = sorted(subtitles.get_text_events(), key=lambda event: event.start)
    cues = [
        Cue(
            event.start / 1000,
            max(event.start, event.end) / 1000,
            event.name.strip() or None,
            event.plaintext,
        )
        for event in events
    ]
    backwards = sum(event.end < event.start for event in events)
    notes = (f"{name}: {backwards} cues end before they start",) if backwards else ()
    return (_unrolled(cues) if rolling else cues), notes


def split_cue(text: str) -> list[tuple[str | None, str]]:
    """What each person says in one cue, markup removed: pairs of (speaker, text).

    A display line opens a new turn with ``<v NAME>``, a dash, ``>>`` or ``NAME:``.
    """
    text = ASS_OVERRIDE.sub("", text).replace(r"\N", "\n").replace(r"\n", "\n").replace(r"\h", " ")
    text = VOICE.sub(rf"\n{VOICE_MARK}\1{VOICE_MARK}", INLINE_TIME.sub("", text))
    turns: list[tuple[str | None, str]] = []
    for shown in html.unescape(TAG.sub("", text)).split("\n"):
        line = " ".join(shown.split())
        if line.startswith(VOICE_MARK):
            name, said = line[1:].split(VOICE_MARK, 1)
            turns.append((name.strip(), said.strip()))
            continue
        for part in (NEXT_OF_TURNS if TURN_DASH.match(line) else NEXT_TURN).split(line):
            opens = TURN_DASH.match(part)
            speaker, said = split_speaker(part[opens.end() :] if opens else part)
            if speaker or not turns or opens:
                turns.append((speaker, said))
            else:
                turns[-1] = (turns[-1][0], f"{turns[-1][1]} {said}".strip())
    return [(speaker, said) for speaker, said in turns if said]


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


def _check_cues(text: str, form: str, name: str) -> None:
    good, meant, example = CUES[form]
    is_cue, means_cue = re.compile(good, re.ASCII), re.compile(meant, re.ASCII)
    if form == "vtt" and holds_cues(text) != "vtt":
        raise DialogueError(f"{name}, line 1: wanted 'WEBVTT', the first line of a .vtt file")
    found = 0
    two_before, before = "", ""
    for number, line in enumerate(text.split("\n"), 1):
        # In .srt a number alone after a blank line announces a cue.
        announced = form == "srt" and before.isdecimal() and not two_before
        if is_cue.match(line):
            found += 1
        elif means_cue.search(line) or (announced and line.strip()):
            raise DialogueError(
                f"{name}, line {number}: '{line.strip()[:60]}' is no cue: "
                f"wanted one like '{example}'"
            )
        two_before, before = before, line.strip()
    if not found:
        raise DialogueError(f"{name} holds no cue: wanted lines like '{example}'")


def _vtt_cues_only(text: str) -> str:
    """Without notes, styles, regions and cue names, which pysubs2 takes for spoken text."""
    kept = ["WEBVTT"]
    for block in re.split(r"\n\n+", text):
        lines = block.split("\n")
        times = next((n for n, line in enumerate(lines) if re.match(VTT_CUE, line)), None)
        if times is not None:
            kept.append(INLINE_TIME.sub("", "\n".join(lines[times:])))
    return "\n\n".join(kept)


def _unrolled(cues: list[Cue]) -> list[Cue]:
    """Automatic captions show each line twice, as it comes and as it scrolls up: keep the first."""
    kept = []
    before: list[str] = []
    for cue in cues:
        shown = [TAG.sub("", line).strip() for line in cue.text.split("\n")]
        fresh = [
            line
            for line, plain in zip(cue.text.split("\n"), shown, strict=True)
            if plain and plain not in before
        ]
        before = shown
        if fresh:
            kept.append(cue._replace(text="\n".join(fresh)))
    return kept
