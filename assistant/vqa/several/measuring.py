"""What is measured of each clip: its length, loudness, brightness, how many of a thing it shows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from assistant.errors import InputError
from assistant.vqa.several.asking import (
    BRIGHTEST,
    DARKEST,
    EARLIEST,
    FEWEST,
    LONGEST,
    LOUDEST,
    QUIETEST,
    SHORTEST,
    Compares,
)
from assistant.vqa.time_words import format_time

if TYPE_CHECKING:
    from assistant.dialogue.spoken import Range
    from assistant.vqa.session import Session

LEAST = {  # differences that are told: seconds, decibels, share of full brightness, things
    LONGEST: 0.1,
    SHORTEST: 0.1,
    LOUDEST: 1.0,
    QUIETEST: 1.0,
    BRIGHTEST: 0.02,
    DARKEST: 0.02,
    EARLIEST: 1.0,
}
LOWEST = (
    SHORTEST,
    QUIETEST,
    DARKEST,
    FEWEST,
    EARLIEST,
)  # kinds whose clip is that of the lowest value
SILENT = -120.0  # decibels, of a clip without sound
LUMA = (0.299, 0.587, 0.114)  # Rec. 601
SIDE = 96  # pixels of the pictures whose brightness is taken


def measure(session: Session, where: Range, asks: Compares) -> float:
    """The value of one clip: seconds, decibels of full scale, brightness 0 to 1, or a number.

    Raises:
        InputError: a picture has no times, or what is to be counted is none of the things that
            are found. VideoError: the clip cannot be read.
    """
    if asks.kind in (LONGEST, SHORTEST):
        return session.duration
    if asks.kind in (LOUDEST, QUIETEST):
        return _loudness(session, where)
    if asks.kind in (BRIGHTEST, DARKEST):
        pictures = session.clip.pictures(where, SIDE)
        return float((pictures @ np.array(LUMA)).mean() / 255)
    assert asks.sought is not None
    if asks.kind == EARLIEST:
        (query,) = session.timeline([asks.sought.text]).queries
        return min((one.start for one in query.moments), default=math.inf)
    return _count(session, where, asks.sought.text)


def told(kind: str, value: float) -> str:
    """A value as a person reads it."""
    if kind in (LONGEST, SHORTEST):
        return f"{value:.1f} s"
    if kind in (LOUDEST, QUIETEST):
        return "no sound" if value <= SILENT else f"{value:.0f} dB"
    if kind in (BRIGHTEST, DARKEST):
        return f"{value:.0%} bright"
    if kind == EARLIEST:
        return "not seen" if value == math.inf else f"at {format_time(round(value, 1))}"
    return str(round(value))


def _loudness(session: Session, where: Range) -> float:
    """Mean square of the sound, decibels of full scale."""
    from assistant.dialogue.speech import RATE
    from assistant.media.sound import read_pieces

    assert session.path is not None
    total, count = 0.0, 0
    for _, samples in read_pieces(session.path, *where, rate=RATE):
        total += float(np.square(samples, dtype=np.float64).sum())
        count += len(samples)
    return max(SILENT, 10 * math.log10(total / count + 1e-12)) if count else SILENT


def _count(session: Session, where: Range, thing: str) -> float:
    """How many at once."""
    from assistant.sources.objects import class_of

    (source,) = session.clip.perceive(where, ["objects"])
    if source.warning:
        raise InputError(source.warning)
    name = class_of(thing)
    if name is None:
        raise InputError(
            f"how many {thing} there are is not known: what is counted are the 80 things of "
            "docs/look.md, such as people, dogs, cars; ask which shows more of one of these"
        )
    return max((item.count or 1 for item in source.items if item.name == name), default=0)
