"""Generated clips: moving scenes, their pictures over time and what is asked about them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from assistant.data.scenes.choreography import sample_moving_scene
from assistant.data.scenes.clip_questions import ask_clip
from assistant.data.scenes.motion import MovingScene
from assistant.data.scenes.questions import Question
from assistant.data.scenes.render import render
from assistant.data.scenes.sound_questions import ask_sounding
from assistant.data.scenes.sounding import SoundingScene, sample_sounding_scene
from assistant.data.scenes.world import Scene

FRAME_RATE = 6  # pictures a second
STREAM, SOUND_STREAM = 7, 13  # keep clips from repeating the random numbers of pictures


class Clip(Protocol):
    """What can be drawn at every moment."""

    @property
    def seconds(self) -> float: ...

    def at(self, seconds: float) -> Scene:
        """The scene at one moment."""


ClipT = TypeVar("ClipT", bound=Clip, covariant=True)


@dataclass(frozen=True, eq=False)
class ClipExample(Generic[ClipT]):
    """One clip with its questions."""

    clip: ClipT
    questions: tuple[Question, ...]

    def frames(self, size: int, rate: int = FRAME_RATE) -> Iterator[np.ndarray]:
        """(size, size, 3) uint8 RGB, ``rate`` a second."""
        for number in range(round(self.clip.seconds * rate)):
            yield render(self.clip.at((number + 0.5) / rate), size)

    def sound(self) -> np.ndarray | None:
        """(n,) float32 mono in [-1, 1], `timbres.RATE` samples a second; None: it has none."""
        return self.clip.sound() if isinstance(self.clip, SoundingScene) else None


def clip_example(index: int, seed: int, split_number: int, split: str) -> ClipExample[MovingScene]:
    """Clip ``index`` of a split; it depends on nothing but these arguments."""
    rng = np.random.default_rng([seed, split_number, index, STREAM])
    clip = sample_moving_scene(rng, split)
    return ClipExample(clip, ask_clip(clip, rng))


def sounding_example(
    index: int, seed: int, split_number: int, split: str
) -> ClipExample[SoundingScene]:
    """Clip ``index`` with sound of a split; it depends on nothing but these arguments."""
    rng = np.random.default_rng([seed, split_number, index, SOUND_STREAM])
    clip = sample_sounding_scene(rng, split)
    return ClipExample(clip, ask_sounding(clip, rng))
