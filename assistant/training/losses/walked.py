"""What is known of a generated walk: where the camera, the hand and the objects are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from assistant.data.scenes.ego_questions import neighbors
from assistant.data.scenes.furniture import SURFACES
from assistant.data.scenes.questions import Question
from assistant.data.scenes.walk import Walk
from assistant.data.scenes.world import COLORS, SHAPES, SceneObject
from assistant.media.sampling import centres
from assistant.training.generated import generated_clip

KINDS = 4  # of surfaces
BETWEEN = KINDS  # the place of a frame that was taken on the way
SIDES = 2  # left and right
UNTOLD = -1
NEAR = 1.6  # world units from the middle of a surface that count as before it


@dataclass(frozen=True)
class Walked:
    """What is known about one question on one walk of T frames and M objects."""

    places: Sequence[Sequence[tuple[float, float]]]  # T x M, x and y as shares of the picture
    held: Sequence[Sequence[bool]]  # T x M, in the hand
    looks: Sequence[tuple[int, int]]  # M, numbers of color and shape
    beside: Sequence[Sequence[int | None]]  # M x SIDES, what is left and right of each
    handled: Sequence[int]  # objects in the order in which they are picked up
    before: Sequence[int]  # T, kind of surface before the camera, or BETWEEN
    stood: Sequence[tuple[int, int]]  # M, kind of surface at first and in the end
    lifted: Sequence[float]  # M, share of the walk after which each is picked up; 1: it never is
    about: Sequence[Sequence[int]]  # objects that each phrase of the question names
    right: Sequence[int]  # objects that the answer names
    answer: Sequence[int]  # place, number, color, shape: each its class, or UNTOLD

    def at(self, frames: Sequence[int]) -> Walked:
        """What is known of those frames alone."""
        places = [self.places[frame] for frame in frames]
        held = [self.held[frame] for frame in frames]
        before = [self.before[frame] for frame in frames]
        return replace(self, places=places, held=held, before=before)


@lru_cache(maxsize=16)  # a clip's questions come one after the other
def walked_of(video: Path, frames: int) -> Mapping[str, Walked]:
    """By question what is known of so many frames of a generated walk; nothing of other clips."""
    example = generated_clip(video)
    walk = example.clip
    if not isinstance(walk, Walk):
        return {}
    times = centres(0.0, walk.seconds, frames)
    places = [[(float(x), float(y)) for x, y in walk.at(time).places] for time in times]
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
