"""Sounds to learn from: ESC-10, and what is none of its classes, made here."""

from __future__ import annotations

import csv
import io
import subprocess
import wave
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from assistant.dialogue.speech import RATE
from assistant.media.video import read_audio

LENGTH = 5 * RATE  # samples of every sound
SENTENCES = (
    "I will see you at the station at half past nine.",
    "The results of the election were announced this morning.",
    "Can you pass me the salt, please? Thank you very much.",
    "In this video I show you how to change a tyre.",
    "Nobody knew where the old man had gone.",
    "Welcome back! Today we are going to bake a cake.",
)
VOICES = ("en-us", "en-gb", "en-us+f3", "en-gb+f4", "de", "fr+f2", "es", "en-us+m5")
OTHERS = ("silence", "noise", "hum", "music", "speech")  # kinds of what is none of the classes


@dataclass(frozen=True)
class Recording:
    """A file of ESC-10."""

    name: str
    label: str
    fold: int  # 1 to 5


def recordings(folder: Path) -> list[Recording]:
    """Its 400, as ``labels.tsv`` lists them."""
    with (folder / "labels.tsv").open() as file:
        rows = list(csv.reader(file, delimiter="\t"))
    return [Recording(name, label, int(fold)) for name, label, fold in rows]


def decoded(folder: Path, wanted: Sequence[Recording]) -> list[np.ndarray]:
    """LENGTH samples of each; they lie in ``audio_16k.zip``."""
    with TemporaryDirectory() as place:
        zipfile.ZipFile(folder / "audio_16k.zip").extractall(place)
        return [fitted(read_audio(next(Path(place).rglob(one.name)))[0]) for one in wanted]


def fitted(samples: np.ndarray) -> np.ndarray:
    """LENGTH of them; what is missing is silence."""
    return np.pad(samples[:LENGTH], (0, max(0, LENGTH - len(samples)))).astype(np.float32)


def changed(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same sound, shifted, louder or quieter, in noise or over another thing."""
    moved = np.roll(samples, int(rng.integers(LENGTH))) * 10 ** rng.uniform(-1, 0.3)
    behind = other(str(rng.choice(["silence", "noise", "noise", "hum", "music"])), rng)
    level = np.abs(moved).std() + 1e-5
    behind = behind * level / (behind.std() + 1e-5) * 10 ** (-rng.uniform(5, 25) / 20)
    return np.clip(moved + behind, -1, 1).astype(np.float32)


def other(kind: str, rng: np.random.Generator) -> np.ndarray:
    """One of OTHERS."""
    time = np.arange(LENGTH) / RATE
    if kind == "silence":
        made = rng.normal(size=LENGTH) * 10 ** rng.uniform(-6, -3)
    elif kind == "noise":
        spectrum = np.fft.rfft(rng.normal(size=LENGTH))
        spectrum /= np.maximum(1, np.arange(len(spectrum))) ** rng.uniform(0, 1)
        made = np.fft.irfft(spectrum, LENGTH) * (
            1 + rng.uniform() * np.sin(time * rng.uniform(0, 6))
        )
    elif kind == "hum":
        base = rng.uniform(50, 400)
        made = sum(np.sin(2 * np.pi * base * k * time) * rng.uniform() for k in range(1, 8))
    elif kind == "music":
        made = music(rng)
    else:
        made = speech(rng)
    return (made / (np.abs(made).max() + 1e-9) * level(kind, rng)).astype(np.float32)


def level(kind: str, rng: np.random.Generator) -> float:
    """The highest sample."""
    return 10 ** rng.uniform(-5, -2.5) if kind == "silence" else 10 ** rng.uniform(-1.5, -0.05)


def music(rng: np.random.Generator) -> np.ndarray:
    """Notes of a scale over a beat, in a timbre of their own."""
    made = np.zeros(LENGTH)
    beat = int(RATE * rng.uniform(0.15, 0.6))
    strengths, decay = rng.uniform(size=6) ** 2, rng.uniform(1, 12)
    root, drums = rng.uniform(80, 400), rng.uniform() < 0.5
    for first in range(0, LENGTH, beat):
        time = np.arange(min(LENGTH - first, 2 * beat)) / RATE
        for step in rng.choice([0, 2, 4, 5, 7, 9, 12], size=int(rng.integers(1, 4))):
            pitch = 2 * np.pi * root * 2 ** (step / 12) * time
            tone = sum(a * np.sin(k * pitch) for k, a in enumerate(strengths, 1))
            made[first : first + len(time)] += tone * np.exp(-decay * time)
        if drums:
            made[first : first + len(time)] += rng.normal(size=len(time)) * np.exp(-40 * time)
    return made


def speech(rng: np.random.Generator) -> np.ndarray:
    """A sentence by espeak-ng (Debian package), which has to be installed."""
    voice, pace, pitch = rng.choice(VOICES), rng.integers(130, 210), rng.integers(20, 80)
    command = ["espeak-ng", "-v", str(voice), "-s", str(pace), "-p", str(pitch), "--stdout"]
    told = subprocess.run([*command, str(rng.choice(SENTENCES))], capture_output=True, check=True)
    with wave.open(io.BytesIO(told.stdout)) as file:
        rate = file.getframerate()
        said = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
    places = np.arange(0, len(said) - 1, rate / RATE)
    said = np.interp(places, np.arange(len(said)), said)
    return np.roll(fitted(said), int(rng.integers(RATE)))
