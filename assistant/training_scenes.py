"""Generated clips as training data, drawn at the frames that are looked at and nowhere else.

``assistant scenes --kind clips`` writes the same clips as files; drawing 8 of their 24 frames, and
neither writing nor reading them, takes a quarter of the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from assistant.model.motion import Moved
from assistant.scenes.clips import ClipExample, clip_example
from assistant.scenes.dataset import SIZE, SPLITS
from assistant.scenes.render import render
from assistant.training_data import Item
from assistant.video_sampling import centres

__all__ = ["draw_clip", "generated_items", "is_generated", "motion_of"]

ROOT = "generated"  # of the paths that stand for generated clips: generated/SEED/SPLIT/INDEX


def generated_items(count: int, seed: int, split: str) -> Iterator[Item]:
    """The questions about ``count`` clips of a split."""
    for index in range(count):
        video = Path(ROOT, str(seed), split, str(index))
        example = _example(video)
        for number, asked in enumerate(example.questions):
            yield Item(
                id=f"{split}-{index:06d}-{number}",
                video=video,
                question=asked.question,
                answer=asked.answer,
                choices=asked.choices or None,
                type=asked.type,
                split=split,
                held_out=asked.held_out,
            )


def is_generated(video: Path) -> bool:
    """Whether a path stands for a generated clip."""
    return len(video.parts) == 4 and video.parts[0] == ROOT


def draw_clip(video: Path, frames: int) -> np.ndarray:
    """Its frames ``(T, H, W, 3)`` uint8 RGB at the centres of T equal segments."""
    clip = _example(video).clip
    times = centres(0.0, clip.seconds, frames)
    return np.stack([render(clip.at(time), SIZE) for time in times])


def motion_of(video: Path, frames: int) -> dict[str, Moved]:
    """By question what its objects do in those frames."""
    example = _example(video)
    times = centres(0.0, example.clip.seconds, frames)
    places = [[(float(x), float(y)) for x, y in example.clip.at(time).places] for time in times]
    return {asked.question: Moved(places, asked.about) for asked in example.questions}


def _example(video: Path) -> ClipExample:
    _, seed, split, index = video.parts
    return clip_example(int(index), int(seed), SPLITS.index(split), split)
