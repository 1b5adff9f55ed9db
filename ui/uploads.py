"""What may come in: every upload is checked here, and a wrong one gets one friendly line."""

from dataclasses import dataclass
from pathlib import Path

from assistant.dialogue.subtitles import FORMATS, read_dialogue
from assistant.errors import AssistantError, InputError
from assistant.vqa.time_words import format_time

LONGEST_NAME = 60  # characters
MEGABYTE = 2**20
# Codecs that a browser shows as a picture, whatever the file is called; "mjpeg" also films.
PICTURES = {"png": ".png", "mjpeg": ".jpg", "webp": ".webp", "bmp": ".bmp", "gif": ".gif"}


@dataclass(frozen=True)
class Limits:
    """How much one visitor may bring."""

    bytes: int = 500 * MEGABYTE  # of one file
    seconds: float = 3600.0  # of one clip
    pixels: int = 4096 * 2304  # of one picture of it
    clips: int = 12  # open at once


@dataclass(frozen=True)
class Offer:
    """A clip that may come in."""

    is_picture: bool
    suffix: str  # that a browser knows the content by
    has_audio: bool


def is_dialogue(name: str) -> bool:
    """Whether a file of this name is taken as subtitles."""
    return Path(name).suffix.lower() in FORMATS


def safe_name(name: str, taken: tuple[str, ...] = ()) -> str:
    """A file's name that can be shown and stored, and that is not ``taken``."""
    plain = "".join(mark if mark.isprintable() else " " for mark in Path(name).name)
    plain = " ".join(plain.replace("/", " ").replace("\\", " ").split()).strip(". ")
    suffix = Path(plain).suffix[:10] if Path(plain).stem else ""
    stem = plain.removesuffix(suffix)[:LONGEST_NAME] or "clip"
    names = (stem if i == 1 else f"{stem} ({i})" for i in range(1, len(taken) + 2))
    return next(f"{name}{suffix}" for name in names if f"{name}{suffix}" not in taken)


def check_clip(path: Path, name: str, limits: Limits) -> Offer:
    """Look at an uploaded clip or picture before anything is decoded.

    Args:
        name: what the person calls the file; messages never show where it lies here.
    Raises:
        InputError: empty, no clip, too large, too long, or its pictures are too big.
    """
    from assistant.media.video import probe

    size = path.stat().st_size
    if not size:
        raise InputError(f"{name} is empty (0 bytes). Try to upload it again.")
    if size > limits.bytes:
        raise InputError(
            f"{name} has {size / MEGABYTE:.0f} MB; up to {limits.bytes / MEGABYTE:.0f} MB "
            "can be opened. A shorter or smaller version will do."
        )
    try:
        info = probe(path)
    except AssistantError as error:
        said = str(error).replace(str(path), name)
        raise InputError(f"{said} (MP4, WebM, MOV, MKV, PNG and JPEG work)") from error
    if info.duration > limits.seconds:
        raise InputError(
            f"{name} is {format_time(round(info.duration))} long; clips of up to "
            f"{format_time(limits.seconds)} can be opened. Cut out the part you want to ask about."
        )
    if info.width * info.height > limits.pixels:
        raise InputError(
            f"{name} has {info.width} by {info.height} pixels, more than can be opened here. "
            "A version with 1920 by 1080 shows as much."
        )
    is_picture = info.codec in PICTURES and (info.codec != "mjpeg" or info.duration * info.fps < 2)
    suffix = PICTURES[info.codec] if is_picture else Path(name).suffix.lower()
    if not is_picture and suffix in ("", *PICTURES.values()):
        suffix = ".mp4"
    return Offer(is_picture, suffix, info.has_audio)


def check_dialogue(path: Path, name: str) -> int:
    """How many lines the uploaded subtitles hold.

    Raises:
        InputError: they cannot be read, or hold none.
    """
    try:
        lines = len(read_dialogue(path).lines)
    except AssistantError as error:
        said = str(error).replace(str(path), name).replace(path.name, name)
        raise InputError(f"The subtitles cannot be read: {said}") from error
    if not lines:
        raise InputError(f"{name} holds no line of dialogue.")
    return lines
