"""Generated clips as training data, drawn at the frames that are looked at and nowhere else.

``assistant scenes --kind clips`` (or ``ego``) writes the same clips as files; drawing 8 of their 24
(or 48) frames, and neither writing nor reading them, takes a quarter of the time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from tqdm import tqdm

from assistant.data.items import Item
from assistant.data.scenes.clips import ClipExample
from assistant.data.scenes.dataset import CLIPS, SIZE, SPLITS
from assistant.data.scenes.ego_questions import neighbors
from assistant.data.scenes.furniture import SURFACES
from assistant.data.scenes.questions import Question
from assistant.data.scenes.render import render
from assistant.data.scenes.walk import Walk
from assistant.data.scenes.world import COLORS, SHAPES, SceneObject
from assistant.errors import InputError
from assistant.media.sampling import centres
from assistant.training.losses.motion import Moved
from assistant.training.losses.walking import BETWEEN, UNTOLD, Walked

__all__ = ["KIND_OF_TASK", "draw_clip", "generated_items", "is_generated", "known_of"]

KIND_OF_TASK = {"motion": "clips", "egoqa": "ego"}
"""What is generated to finetune a task on; for others there is nothing."""

# Of the paths that stand for generated clips: generated/SEED/SPLIT/INDEX of kind "clips", of any
# other kind generated/KIND/SEED/SPLIT/INDEX.
ROOT = "generated"
PLAIN = "clips"
NEAR = 1.6  # world units from the middle of a surface that count as before it
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
    root, *between = video.parts or ("",)
    return root == ROOT and (len(between) == 3 or (len(between) == 4 and between[0] in CLIPS))


def draw_clip(video: Path, frames: int) -> np.ndarray:
    """Its frames ``(T, H, W, 3)`` uint8 RGB at the centres of T equal segments."""
    clip = _example(video).clip
    times = centres(0.0, clip.seconds, frames)
    return np.stack([render(clip.at(time), SIZE) for time in times])


def known_of(video: Path, frames: int) -> dict[str, Moved | Walked]:
    """By question what is known of those frames of a generated clip."""
    example = _example(video)
    times = centres(0.0, example.clip.seconds, frames)
    places = [[(float(x), float(y)) for x, y in example.clip.at(time).places] for time in times]
    if isinstance(example.clip, Walk):
        return _walked(example, times, places)
    starts = [1.0] * len(example.clip.scene.objects)
    for move in example.clip.moves:
        starts[move.index] = move.start / example.clip.seconds
    return {asked.question: Moved(places, asked.about, starts) for asked in example.questions}


def _walked(
    example: ClipExample[Walk],
    times: Sequence[float],
    places: Sequence[Sequence[tuple[float, float]]],
) -> dict[str, Moved | Walked]:
    walk = example.clip
    things = range(len(walk.spots))
    kinds = [list(SURFACES).index(surface.kind) for surface in walk.surfaces]
    picks = [walk.pick_of(index) for index in things]
    looks = [_looks_of(thing) for thing in walk.scene.objects]
    beside = [neighbors(walk, index) for index in things]
    handled = [pick.index for pick in walk.picks]
    held = [
        [pick is not None and pick.lift <= time <= pick.drop for pick in picks] for time in times
    ]
    before = []
    for time in times:
        x = walk.camera(time).position[0]
        away, place = min(
            (abs(surface.x - x), place) for place, surface in enumerate(walk.surfaces)
        )
        before.append(kinds[place] if away < NEAR else BETWEEN)
    stood = [
        (kinds[walk.spots[index].surface], kinds[walk.last_spot(index).surface]) for index in things
    ]
    lifted = [1.0 if pick is None else pick.lift / walk.seconds for pick in picks]
    return {
        asked.question: Walked(
            places=places,
            held=held,
            looks=looks,
            beside=beside,
            handled=handled,
            before=before,
            stood=stood,
            lifted=lifted,
            about=asked.about,
            right=asked.right,
            answer=_answer_of(asked, walk),
        )
        for asked in example.questions
    }


def _answer_of(asked: Question, walk: Walk) -> tuple[int, int, int, int]:
    """The place, number, color and shape that an answer says."""
    places = [f"on the {kind}" for kind in SURFACES]
    place = places.index(asked.answer) if asked.answer in places else UNTOLD
    number = int(asked.answer) if asked.type == "count" else UNTOLD
    color = shape = UNTOLD
    if asked.type in ("beside", "picked"):
        color, shape = _looks_of(walk.scene.objects[asked.right[0]])
    return place, number, color, shape


def _looks_of(thing: SceneObject) -> tuple[int, int]:
    """Numbers of its color and shape."""
    return list(COLORS).index(thing.color), SHAPES.index(thing.shape)


@lru_cache(maxsize=1 << 16)  # sampling a clip takes 30 ms, keeping it a few KB
def _example(video: Path) -> ClipExample:
    *kind, seed, split, index = video.parts[1:]
    draw = CLIPS[kind[0] if kind else PLAIN]
    return draw(int(index), int(seed), SPLITS.index(split), split)
