"""Puts objects before a camera at random, so that each of them can be seen."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from assistant.data.scenes.render import visibility
from assistant.data.scenes.world import (
    COLORS,
    HELD_OUT_PAIRS,
    MATERIALS,
    SHAPES,
    SIZES,
    TEST_COLORS,
    TEST_SHAPES,
    Camera,
    Light,
    Scene,
    SceneObject,
    Surroundings,
    Vector,
)

Pair = tuple[str, str]  # color and shape

COUNTS = (1, 2, 3, 4, 5, 6)
COUNT_SHARES = (0.09, 0.13, 0.19, 0.21, 0.19, 0.19)
GAP = 0.14  # free ground between two objects
EDGE = 0.02  # free share of the picture at its edges
MIN_SEEN = 0.4  # share of an object that others must leave in sight
MIN_AREA = 0.005  # share of the picture that each object must fill (16 x 16 of 224 x 224 pixels)
HELD_OUT_SHARE = 0.3  # of the objects of a test scene beyond the first
TONE = 0.09  # spread of the logarithm of an object's tone, per channel
CHECK_SIZE = 112  # pixels of the picture in which visibility is measured


def allowed_pairs(split: str) -> tuple[Pair, ...]:
    """Color and shape pairs that pictures and questions of a split may use."""
    if split == "test":
        return tuple((color, shape) for color in TEST_COLORS for shape in TEST_SHAPES)
    known = HELD_OUT_PAIRS[split].union(_plain_pairs(COLORS, SHAPES))
    return tuple((color, shape) for color in COLORS for shape in SHAPES if (color, shape) in known)


def _plain_pairs(colors: Iterable[str], shapes: Iterable[str]) -> tuple[Pair, ...]:
    """Pairs that every split may use."""
    held_out = frozenset[Pair]().union(*HELD_OUT_PAIRS.values())
    return tuple((c, s) for c in colors for s in shapes if (c, s) not in held_out)


def sample_scene(rng: np.random.Generator, split: str) -> Scene:
    """A scene of 1 to 6 objects; in the test split at least one is of a held-out pair."""
    count = int(rng.choice(COUNTS, p=COUNT_SHARES))
    kinds = sample_kinds(rng, split, count)
    while True:  # ends: a crowded draw is rare and the next one is independent of it
        camera, light, surroundings = sample_view(rng)
        objects = place_objects(rng, kinds, camera, TONE if split != "test" else 0.0)
        scene = Scene(objects, camera, light, surroundings)
        if len(objects) == count and _all_visible(scene):
            return scene


def sample_kinds(rng: np.random.Generator, split: str, count: int) -> list[tuple[Pair, str]]:
    """Pair and material of each object; some scenes repeat kinds, so that counts go above one."""
    varied = split != "test"
    plain = _plain_pairs(COLORS, SHAPES) if varied else _plain_pairs(TEST_COLORS, TEST_SHAPES)
    held_out = sorted(HELD_OUT_PAIRS[split])
    repeats = rng.random() < 0.5
    kinds: list[tuple[Pair, str]] = []
    for index in range(count):
        use_held_out = bool(held_out) and (index == 0 or rng.random() < HELD_OUT_SHARE)
        pairs = held_out if use_held_out else plain
        if repeats and kinds and rng.random() < 0.6:
            color, shape = kinds[rng.integers(len(kinds))][0]
            keep = ("color", "shape", "both")[rng.integers(3)]
            near = [
                pair
                for pair in pairs
                if (keep == "shape" or pair[0] == color) and (keep == "color" or pair[1] == shape)
            ]
            pairs = near or pairs
        colors = _weighted(sorted({color for color, _ in pairs}), TEST_COLORS if varied else ())
        color = colors[rng.integers(len(colors))]  # drawn first: all colors are equally common
        shapes = [shape for other, shape in pairs if other == color]
        shapes = _weighted(shapes, TEST_SHAPES if varied else ())
        pair = (color, shapes[rng.integers(len(shapes))])
        kinds.append((pair, MATERIALS[rng.integers(len(MATERIALS))]))
    return kinds


def _weighted(names: list[str], twice: Sequence[str]) -> list[str]:
    return names + [name for name in names if name in twice]


def sample_view(rng: np.random.Generator) -> tuple[Camera, Light, Surroundings]:
    tilt = np.radians(rng.uniform(22, 38))
    distance = rng.uniform(7.2, 8.4)
    target = (0.0, 0.0, float(rng.uniform(0.5, 1.0)))
    position = (0.0, float(-distance * np.cos(tilt)), float(target[2] + distance * np.sin(tilt)))
    bearing, climb = np.radians(rng.uniform(-195, 15)), np.radians(rng.uniform(38, 62))
    lamp = (np.cos(climb) * np.cos(bearing), np.cos(climb) * np.sin(bearing), np.sin(climb))
    strength = rng.uniform(0.55, 0.72)
    shade = rng.uniform(0.58, 0.86)
    hue = rng.uniform(-0.05, 0.05, size=3)
    ground, backdrop = _vector(shade + hue), _vector(rng.uniform(0.5, 0.95) + 0.7 * hue)
    return (
        Camera(position, target),
        Light(_vector(lamp), strength=float(strength)),
        Surroundings(ground, backdrop),
    )


def _vector(values: ArrayLike) -> Vector:
    x, y, z = np.asarray(values, float).tolist()
    return x, y, z


def place_objects(
    rng: np.random.Generator, kinds: list[tuple[Pair, str]], camera: Camera, tone: float
) -> tuple[SceneObject, ...]:
    """Objects on free ground inside the picture; fewer than asked where no room was found."""
    placed: list[SceneObject] = []
    for (color, shape), material in kinds:
        size = float(SIZES[rng.integers(len(SIZES))])
        shade = sample_tone(rng, tone)
        for _ in range(40):
            x, y = ground_place(rng, camera)
            yaw = rng.uniform(0, np.pi / 2)
            thing = SceneObject(shape, color, material, size, x, y, float(yaw), shade)
            if _fits(thing, placed, camera):
                placed.append(thing)
                break
    return tuple(placed)


def sample_tone(rng: np.random.Generator, spread: float) -> Vector:
    """Factors of an object's color, or ones where there is no spread."""
    return _vector(np.exp(rng.normal(0.0, spread, 3))) if spread else (1.0, 1.0, 1.0)


def ground_place(rng: np.random.Generator, camera: Camera) -> tuple[float, float]:
    """A point on the ground that the camera sees."""
    y = rng.uniform(-2.9, 2.6)
    width = (y - camera.position[1]) * np.tan(np.radians(camera.field_of_view) / 2)
    return float(rng.uniform(-0.95, 0.95) * width), float(y)


def _fits(thing: SceneObject, placed: list[SceneObject], camera: Camera) -> bool:
    places = camera.project(thing.corners)[0]
    if places.min() < EDGE or places.max() > 1 - EDGE:
        return False
    return all(
        np.hypot(thing.x - other.x, thing.y - other.y) > radius_of(thing) + radius_of(other) + GAP
        for other in placed
    )


def radius_of(thing: SceneObject) -> float:
    """Radius of the circle around the object's footprint."""
    half = float(thing.half_extents[0])
    return half * float(np.sqrt(2)) if thing.shape in ("cube", "pyramid") else half


def _all_visible(scene: Scene) -> bool:
    found = visibility(scene, CHECK_SIZE)
    enough = MIN_AREA * CHECK_SIZE**2
    return all(
        seen >= enough and seen >= MIN_SEEN * alone
        for seen, alone in zip(found.seen, found.alone, strict=True)
    )
