"""Scenes in motion: where every object of a clip is at every moment."""

from dataclasses import dataclass, replace

import numpy as np

from assistant.data.scenes.world import Scene

DIRECTIONS = {  # on the ground, as the camera sees it
    "left": (-1.0, 0.0),
    "right": (1.0, 0.0),
    "away": (0.0, 1.0),
    "closer": (0.0, -1.0),
}


@dataclass(frozen=True)
class Move:
    """Straight, even motion of one object, between two moments in seconds."""

    index: int  # of the object
    start: float
    stop: float
    velocity: tuple[float, float]  # across and away, world units per second

    @property
    def direction(self) -> str:
        """The nearest of ``DIRECTIONS``."""
        return max(DIRECTIONS, key=lambda name: float(np.dot(DIRECTIONS[name], self.velocity)))

    @property
    def path(self) -> np.ndarray:
        """From where it starts to where it stops, (2,)."""
        return np.array(self.velocity) * (self.stop - self.start)

    def offsets(self, moments: np.ndarray) -> np.ndarray:
        """How far it has come at each moment, (N, 2)."""
        spent = np.clip(moments, self.start, self.stop) - self.start
        return spent[:, None] * np.array(self.velocity)


@dataclass(frozen=True)
class Collision:
    """One object meets a standing one, which goes on in its place."""

    first: int
    second: int
    seconds: float


@dataclass(frozen=True)
class MovingScene:
    """What a clip shows; an object moves once or stands."""

    scene: Scene  # at the first moment
    seconds: float
    moves: tuple[Move, ...] = ()
    collisions: tuple[Collision, ...] = ()
    parted: tuple[tuple[int, int], ...] = ()  # objects that touch at first and do not collide

    def places(self, moments: np.ndarray) -> np.ndarray:
        """Where on the ground each of M objects is at each moment, (N, M, 2)."""
        first = np.array([(thing.x, thing.y) for thing in self.scene.objects])
        places = np.repeat(first[None], len(moments), axis=0)
        for move in self.moves:
            places[:, move.index] += move.offsets(moments)
        return places

    def at(self, seconds: float) -> Scene:
        """The scene at one moment."""
        (places,) = self.places(np.array([seconds])).tolist()
        objects = zip(self.scene.objects, places, strict=True)
        moved = tuple(replace(thing, x=x, y=y) for thing, (x, y) in objects)
        return replace(self.scene, objects=moved)
