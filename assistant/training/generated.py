"""Generated clips as training data, drawn at the frames that are looked at and nowhere else.

``assistant scenes --kind clips`` (or ``ego``) writes the same clips as files; drawing 8 of their 24
(or 48) frames, and neither writing nor reading them, takes a quarter of the time.
"""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from tqdm import tqdm

from assistant.data.items import Item
from assistant.data.scenes.clips import ClipExample
from assistant.data.scenes.dataset import CLIPS, SIZE, SPLITS
from assistant.data.scenes.render import render
from assistant.data.scenes.timbres import RATE
from assistant.errors import InputError
from assistant.media.sampling import centres
from assistant.model.audio import in_windows

KIND_OF_TASK = {"motion": "clips", "egoqa": "ego", "sound": "sounding"}
"""What is generated to finetune a task on; for others there is nothing."""

# Of the paths that stand for generated clips: generated/SEED/SPLIT/INDEX of kind "clips", of any
# other kind generated/KIND/SEED/SPLIT/INDEX.
ROOT = "generated"
PLAIN = "clips"
SHOWN_FROM = 200  # clips whose drawing is worth a progress bar


def generated_items(count: int, seed: int, split: str, kind: str = PLAIN) -> Iterator[Item]:
    """The questions about ``count`` clips of a split.

    Raises:
        InputError: an unknown kind of clips.
    """
    if kind not in CLIPS:
        raise InputError(f"unknown kind of clips {kind!r}: choose {' or '.join(CLIPS)}")
    folder = Path(ROOT) if kind == PLAIN else Path(ROOT, kind)
    few = count < SHOWN_FROM
    for index in tqdm(range(count), desc=f"{split} clips", unit="clip", disable=few):
        video = folder / str(seed) / split / str(index)
        example = generated_clip(video)
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
    root, *between = video.parts or ("",)
    return root == ROOT and (len(between) == 3 or (len(between) == 4 and between[0] in CLIPS))


def draw_clip(video: Path, frames: int) -> np.ndarray:
    """Its frames ``(T, H, W, 3)`` uint8 RGB at the centres of T equal segments."""
    clip = generated_clip(video).clip
    times = centres(0.0, clip.seconds, frames)
    return np.stack([render(clip.at(time), SIZE) for time in times])


def draw_sound(video: Path, windows: int) -> np.ndarray:
    """As `assistant.model.audio.in_windows` has it."""
    example = generated_clip(video)
    sound = example.sound()
    nothing = np.full(round(example.clip.seconds * RATE), np.nan, np.float32)
    return in_windows(nothing if sound is None else sound, windows)


@lru_cache(maxsize=1 << 16)  # sampling a clip takes 30 ms, keeping it a few KB
def generated_clip(video: Path) -> ClipExample:
    """The clip that a path stands for, with its questions."""
    *kind, seed, split, index = video.parts[1:]
    draw = CLIPS[kind[0] if kind else PLAIN]
    return draw(int(index), int(seed), SPLITS.index(split), split)
