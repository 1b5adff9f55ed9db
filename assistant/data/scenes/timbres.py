"""Synthesised sounds: hums, beeps and clicks in several timbres, some of them kept for a split.

A timbre is a few numbers and one formula makes all of them; nothing is recorded.
"""

from dataclasses import dataclass

import numpy as np

RATE = 16_000  # samples a second
KINDS = ("hum", "beep", "click")
SAID = {"hum": "hummed", "beep": "beeped", "click": "clicked"}
FADE = {"hum": 0.03, "beep": 0.008, "click": 0.0005}  # seconds in and out
SEMITONE = 2 ** (1 / 12)


@dataclass(frozen=True)
class Timbre:
    """How one kind of sound is colored."""

    kind: str  # of KINDS
    name: str
    pitch: tuple[float, float]  # lowest and highest fundamental, Hz
    partials: tuple[tuple[float, float], ...] = ((1.0, 1.0),)  # ratio to the fundamental, strength
    noise: float = 0.0  # strength of white noise beside the partials
    wobble: tuple[float, float] = (0.0, 0.0)  # Hz, and share by which loudness falls and rises
    glide: float = 1.0  # the fundamental at the end, as a share of that at the start
    decay: float = 0.0  # seconds after which it has fallen to 1/e; 0: it does not


def _harmonics(count: int, fall: float, step: int = 1) -> tuple[tuple[float, float], ...]:
    """1, 1 + step, ... times the fundamental, weaker by the power ``fall``."""
    return tuple((float(n), n**-fall) for n in range(1, count * step + 1, step))


TIMBRES: dict[str, tuple[Timbre, ...]] = {
    "train": (
        Timbre("hum", "engine", (70, 110), _harmonics(12, 1.0), wobble=(12, 0.5)),
        Timbre("hum", "mains", (90, 130), _harmonics(8, 0.7, 2)),
        Timbre("hum", "organ", (130, 210), ((1, 1.0), (2, 0.6), (4, 0.3))),
        Timbre("hum", "drone", (80, 140), ((1, 1.0), (1.01, 1.0), (2, 0.5), (3.02, 0.4))),
        Timbre("hum", "fan", (90, 160), _harmonics(5, 1.2), noise=0.25, wobble=(7, 0.3)),
        Timbre("beep", "sine", (700, 1700)),
        Timbre("beep", "square", (500, 1300), _harmonics(5, 1.0, 2)),
        Timbre("beep", "bright", (600, 1200), _harmonics(6, 0.5)),
        Timbre("beep", "falling", (900, 1800), ((1, 1.0), (2, 0.2)), glide=0.75),
        Timbre("beep", "trill", (800, 1500), ((1, 1.0), (3, 0.2)), wobble=(30, 0.8)),
        Timbre("click", "tick", (2000, 4000), noise=1.5, decay=0.003),
        Timbre("click", "wood", (700, 1500), ((1, 1.0), (2.7, 0.4)), noise=0.1, decay=0.012),
        Timbre("click", "knock", (180, 380), ((1, 1.0), (1.6, 0.5)), noise=0.3, decay=0.02),
        Timbre("click", "snap", (1200, 2200), ((1, 0.4),), noise=1.0, decay=0.006),
    ),
    "dev": (
        Timbre("hum", "reed", (100, 180), _harmonics(7, 0.8), wobble=(5, 0.2)),
        Timbre("beep", "pulse", (650, 1400), _harmonics(4, 0.6), glide=1.1),
        Timbre("click", "cork", (450, 900), ((1, 1.0), (2.2, 0.3)), noise=0.2, decay=0.01),
    ),
    "test": (
        Timbre("hum", "purr", (75, 120), _harmonics(9, 0.9), noise=0.1, wobble=(20, 0.7)),
        Timbre("hum", "choir", (140, 220), _harmonics(4, 1.3), wobble=(6, 0.25), glide=1.06),
        Timbre("beep", "triangle", (750, 1600), _harmonics(4, 2.0, 2)),
        Timbre("beep", "rising", (600, 1300), ((1, 1.0), (2, 0.5), (3, 0.3)), glide=1.35),
        Timbre("click", "coin", (2200, 3600), ((1, 1.0), (1.47, 0.7), (2.1, 0.4)), decay=0.009),
        Timbre("click", "thud", (140, 260), ((1, 1.0), (2.3, 0.3)), noise=0.5, decay=0.016),
    ),
}
"""What each split is heard in; none is in two of them."""


def tone(timbre: Timbre, pitch: float, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """(n,) float32 of peak 1; ``rng`` draws the noise."""
    times = np.arange(max(1, round(seconds * RATE))) / RATE
    share = times / max(seconds, 1 / RATE)
    phase = 2 * np.pi * np.cumsum(pitch * timbre.glide**share) / RATE
    wave = np.zeros(len(times))
    for ratio, strength in timbre.partials:
        if ratio * pitch * max(1.0, timbre.glide) < RATE / 2:  # beyond that it would fold back
            wave += strength * np.sin(ratio * phase)
    wave += timbre.noise * rng.standard_normal(len(times))
    speed, depth = timbre.wobble
    wave *= 1 - depth * (0.5 - 0.5 * np.cos(2 * np.pi * speed * times))
    if timbre.decay:
        wave *= np.exp(-times / timbre.decay)
    fade = FADE[timbre.kind]
    wave *= np.clip(np.minimum(times, times[-1] - times) / fade, 0, 1)
    return (wave / max(np.abs(wave).max(), 1e-9)).astype(np.float32)
