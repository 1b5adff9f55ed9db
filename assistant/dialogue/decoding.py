"""Bytes of a subtitle file into text, whatever program wrote them."""

import re

from assistant.dialogue.encodings import likeliest
from assistant.dialogue.sidecars import language_in, tail_of
from assistant.errors import DialogueError

SAMPLE = 2**16  # bytes by which an encoding is told
NOT_SAID = re.compile(
    rb"^[^\r\n]*-->[^\r\n]*|^Dialogue:[^,\r\n]*(?:,[^,\r\n]*){8},|<[^<>]*>", re.MULTILINE
)


def decode_text(data: bytes, name: str) -> tuple[str, tuple[str, ...]]:
    """Text of a file's bytes and warnings; newlines become ``\\n``.

    By byte order mark, else UTF-16 by its zero bytes, else UTF-8, else as detected, with a warning.
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
    text = data.decode(encoding, errors="replace")
    damaged = text.count("\ufffd")
    if damaged <= sum(map(len, re.findall(r"[^\0-\x7f\ufffd]+", text))):
        return text, (f"{name} is UTF-8 that is damaged at {damaged} places: save it anew",)
    encoding = likeliest(_said(data), language_in(tail_of(name))) or "latin_1"
    shown = {"latin_1": "Latin-1"}.get(encoding, encoding.replace("cp125", "Windows-125"))
    note = f"{name} is not UTF-8 and was read as {shown}: save it as UTF-8"
    return data.decode(encoding, errors="replace"), (note,)


def _said(data: bytes) -> bytes:
    """The beginning of what a file says; of a long file, of the lines beyond ASCII."""
    said = NOT_SAID.sub(b"", data)
    if len(said) <= SAMPLE:
        return said
    beyond = (line for line in said.splitlines() if not line.isascii())
    return b"\n".join(beyond)[:SAMPLE].rpartition(b"\n")[0]
