"""Bytes of a subtitle file into text, whatever program wrote them."""

import re
from typing import Any

from assistant.errors import DialogueError

SAMPLE = 2**16  # bytes of lines that say something by which an encoding is told
LATIN = ("cp1252", "cp1250", "cp1254")
OTHERS = (
    *("cp1251", "cp1253", "cp1255", "cp1256", "cp874", "koi8_r"),
    *("gb18030", "big5", "shift_jis", "euc_jp", "euc_kr"),
)
OTHER_SHARE = 0.4  # of a line's letters are beyond ASCII where its script is not Latin
DOUBT = 0.1  # of disorder: a reading as Western is rather believed than its rivals
UNLIKELY = {  # "Dok¹d" is "Dokąd"; Hebrew read as Cyrillic is all in capitals, or has none
    "cp1252": re.compile(r"[^\W\d_][\xa3\xa5\xaf\xb3\xb9\xba\xbc\xbe\xbf]"),
    "cp1251": re.compile(r"\A[^А-ЯЁ]*\Z"),  # noqa: RUF001
    "koi8_r": re.compile(r"\A[^а-яё]*\Z"),  # noqa: RUF001
}


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
    encoding = _detected(data)
    shown = {"latin_1": "Latin-1"}.get(encoding, encoding.replace("cp125", "Windows-125"))
    note = f"{name} is not UTF-8 and was read as {shown}: save it as UTF-8"
    return data.decode(encoding, errors="replace"), (note,)


def _detected(data: bytes) -> str:
    """The likeliest encoding of text that is no Unicode; Latin-1, which knows all bytes, if none.

    Latin scripts are told from others by how much of the text is ASCII: there are few words to go
    by. Between Latin ones, which differ in few letters, Western has the doubt.
    """
    from charset_normalizer import from_bytes

    said = b"\n".join(line for line in data.splitlines() if not line.isascii())[:SAMPLE]
    beyond, ascii_letters = (
        len(re.findall(kind, said)) for kind in (rb"[\x80-\xff]", rb"[A-Za-z]")
    )
    latin = beyond < OTHER_SHARE * (beyond + ascii_letters)
    repeats = 4 if len(said) < 2**12 else 1  # too short a text shows no language
    found = from_bytes((said + b"\n") * repeats, cp_isolation=[*(LATIN if latin else OTHERS)])
    likely = [
        match
        for match in found
        if match.encoding not in UNLIKELY or not UNLIKELY[match.encoding].search(str(match))
    ]

    def disorder(match: Any) -> float:
        return match.chaos - (DOUBT if match.encoding == LATIN[0] else 0.0)

    return min(likely, key=disorder).encoding if likely else "latin_1"
