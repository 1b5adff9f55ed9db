"""Clips whose objects hum, beep or click when they move, stop or collide.

Objects take turns, so that a sound belongs to what moves at that moment. Which sound an object
makes is drawn apart from what it is and does: only who looks and listens knows who beeped.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from assistant.data.scenes.choreography import SECONDS, Event, sample_event, sample_moving_scene
from assistant.data.scenes.kinds import pick
from assistant.data.scenes.motion import Move, MovingScene
from assistant.data.scenes.timbres import KINDS, RATE, TIMBRES, Timbre, tone
from assistant.data.scenes.world import Scene

TURNS, TURN_SHARES = (2, 3), (0.75, 0.25)
TURN_EVENTS, TURN_EVENT_SHARES = ("move", "enter", "leave", "hit"), (0.6, 0.1, 0.1, 0.2)
LATE = 0.35  # seconds after the beginning of its turn by which an object moves
PAUSE = 0.2  # seconds between turns
SILENT = 0.25  # share of the turns in which nothing sounds
AT_MOMENT = 0.35  # share of the clips whose sounds mark a stop or a hit; else they are of a move
REPEATS = (1, 2, 3)  # beeps and clicks of one move
LENGTHS = {"hum": (0.25, 0.35), "beep": (0.11, 0.2), "click": (0.05, 0.08)}  # seconds, of one
LOUDNESS = (0.25, 0.8)  # peak
FLOOR = (0.0005, 0.004)  # of the noise under everything


@dataclass(frozen=True)
class Sound:
    """What one object lets be heard, once or several times."""

    index: int  # of the object
    occasion: str  # move, stop or hit
    timbre: Timbre
    pitch: float  # Hz
    loudness: float  # peak
    onsets: tuple[float, ...]  # seconds
    length: float  # of each, seconds

    @property
    def kind(self) -> str:
        return self.timbre.kind

    @property
    def start(self) -> float:
        return self.onsets[0]


@dataclass(frozen=True)
class SoundingScene:
    """What a clip shows and lets be heard."""

    moving: MovingScene
    sounds: tuple[Sound, ...]  # in their order
    floor: float  # of the noise under everything
    noise_seed: int

    @property
    def seconds(self) -> float:
        return self.moving.seconds

    @property
    def scene(self) -> Scene:
        return self.moving.scene

    @property
    def moves(self) -> tuple[Move, ...]:
        return self.moving.moves

    def at(self, seconds: float) -> Scene:
        """The scene at one moment."""
        return self.moving.at(seconds)

    def sound(self) -> np.ndarray:
        """(n,) float32 mono in [-1, 1], RATE samples a second."""
        rng = np.random.default_rng(self.noise_seed)
        track = self.floor * rng.standard_normal(round(self.seconds * RATE))
        for sound in self.sounds:
            for onset in sound.onsets:
                first = round(onset * RATE)
                wave = sound.loudness * tone(sound.timbre, sound.pitch, sound.length, rng)
                wave = wave[: max(0, len(track) - first)]
                track[first : first + len(wave)] += wave
        return np.clip(track, -1, 1).astype(np.float32)


def sample_sounding_scene(rng: np.random.Generator, split: str) -> SoundingScene:
    """2 or 3 turns of moves and hits; objects and timbres as the split has them."""
    moving = sample_moving_scene(rng, split, _sample_turns)
    hits = {hit.second for hit in moving.collisions}
    turns = sorted((m for m in moving.moves if m.index not in hits), key=lambda move: move.start)
    at_moment = bool(rng.random() < AT_MOMENT)  # of all: how long one is does not tell whose it is
    heard = [move for move in turns if rng.random() >= SILENT]
    sounds = [_sample_sound(rng, moving, move, split, at_moment) for move in heard]
    floor = float(np.exp(rng.uniform(*np.log(FLOOR))))
    return SoundingScene(moving, tuple(sounds), floor, int(rng.integers(2**31)))


def _sample_turns(rng: np.random.Generator, count: int) -> list[Event]:
    free = rng.permutation(count).tolist()
    turns = min(int(rng.choice(TURNS, p=TURN_SHARES)), count)
    borders = np.linspace(0.0, SECONDS, turns + 1).tolist()
    events = []
    for begin, end in pairwise(borders):
        if not free:
            break
        name = str(rng.choice(TURN_EVENTS, p=TURN_EVENT_SHARES))
        if turns > min(TURNS) and name == "hit":  # two paths do not fit into a third of the clip
            name = "move"
        event = sample_event(rng, name, free)
        events.append(replace(event, begins=(begin, begin + LATE), ends=end - PAUSE))
    return events


def _sample_sound(
    rng: np.random.Generator, moving: MovingScene, move: Move, split: str, at_moment: bool
) -> Sound:
    kind = pick(rng, KINDS)
    timbre = pick(rng, [one for one in TIMBRES[split] if one.kind == kind])
    length = float(rng.uniform(*LENGTHS[kind]))
    hit = any(hit.first == move.index for hit in moving.collisions)
    occasion = "move"
    onsets: tuple[float, ...] = (move.start,)
    if at_moment:
        occasion, onsets = ("hit" if hit else "stop"), (move.stop,)
    elif kind == "hum":
        length = move.stop - move.start
    else:
        repeats = pick(rng, REPEATS)
        gap = max(1.3 * length, (move.stop - move.start) / repeats)
        onsets = tuple(move.start + number * gap for number in range(repeats))
    return Sound(
        index=move.index,
        occasion=occasion,
        timbre=timbre,
        pitch=float(np.exp(rng.uniform(*np.log(timbre.pitch)))),
        loudness=float(rng.uniform(*LOUDNESS)),
        onsets=onsets,
        length=length,
    )
