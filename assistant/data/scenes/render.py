"""Draws a scene: ray casting in plain numpy, restricted to the box around each object."""

from dataclasses import dataclass

import numpy as np

from assistant.data.scenes.shapes import enter, normals
from assistant.data.scenes.world import Scene, SceneObject, Solid

SUPERSAMPLE = 2  # rays per pixel and axis
SHADOW = 0.58  # share of the light that a shadow takes from the ground
LAMP_WIDTH = 0.06  # radius of the lamp as seen from the ground, which softens shadows
LAMP_SPOTS = tuple(  # spiral over the lamp
    (np.sqrt(n / 8) * np.cos(2.4 * n), np.sqrt(n / 8) * np.sin(2.4 * n), 0.0) for n in range(9)
)
TUBES = 2  # lamps around that metal mirrors
NEAR, FAR = 5.0, 26.0  # distances between which the ground turns into the backdrop


@dataclass(frozen=True)
class Finish:
    """What a surface does with light, as shares of it."""

    diffuse: float
    mirror: float
    glint: float  # of the lamp's own reflection
    sharpness: int  # of the glint: a high power is a small spot


FINISHES = {"rubber": Finish(1.0, 0.0, 0.05, 6), "metal": Finish(0.3, 0.85, 0.95, 50)}


@dataclass(frozen=True, eq=False)
class Visibility:
    """What of each object is seen, in pixels."""

    owner: np.ndarray  # (H, W) int, index of the body seen, objects first; -1 for none
    alone: tuple[int, ...]  # pixels of each body if nothing stood before it
    seen: tuple[int, ...]  # pixels of each body that are seen


def render(scene: Scene, size: int = 224) -> np.ndarray:
    """The picture of a scene, (size, size, 3) uint8 RGB."""
    fine = size * SUPERSAMPLE
    rays = scene.camera.rays(size, slice(None), slice(None))
    image = _ground(scene, rays)
    for thing in scene.bodies:
        if thing.shades_ground:
            _cast_shadow(scene, thing, image, rays)
    image = image.repeat(SUPERSAMPLE, axis=0).repeat(SUPERSAMPLE, axis=1)
    rays = scene.camera.rays(fine, slice(None), slice(None))
    distance, seen = _nearest(scene, rays)
    for index, thing in enumerate(scene.bodies):
        if not seen.seen[index]:
            continue
        rows, columns = _box(scene, thing.corners, fine)
        mine = seen.owner[rows, columns] == index
        its_rays = rays[rows, columns][mine]
        points = scene.camera.position + its_rays * distance[rows, columns][mine][:, None]
        image[rows, columns][mine] = _shade(scene, thing, points.astype(np.float32), its_rays)
    step = SUPERSAMPLE
    parts = [image[i::step, j::step] for i in range(step) for j in range(step)]
    mean = sum(parts[1:], start=parts[0].copy()) / len(parts)
    return (np.clip(mean, 0, 1) * 255 + 0.5).astype(np.uint8)


def visibility(scene: Scene, size: int = 224) -> Visibility:
    """Which object is seen at each pixel of a size x size picture, and how much of each."""
    return _nearest(scene, scene.camera.rays(size, slice(None), slice(None)))[1]


def _nearest(scene: Scene, rays: np.ndarray) -> tuple[np.ndarray, Visibility]:
    """Distance to the nearest body along each pixel's ray (H, W), and whose it is."""
    size = len(rays)
    nearest = np.full((size, size), np.inf, np.float32)
    owner = np.full((size, size), -1, np.int8)
    alone = []
    for index, thing in enumerate(scene.bodies):
        rows, columns = _box(scene, thing.corners, size)
        towards = rays[rows, columns]
        if not towards.size:
            alone.append(0)
            continue
        met = enter(thing, scene.camera.position, towards.reshape(-1, 3))
        met = met.reshape(towards.shape[:2])
        alone.append(int(np.isfinite(met).sum()))
        closer = met < nearest[rows, columns]
        nearest[rows, columns][closer] = met[closer]
        owner[rows, columns][closer] = index
    seen = tuple(int((owner == index).sum()) for index in range(len(alone)))
    return nearest, Visibility(owner, tuple(alone), seen)


def _box(scene: Scene, points: np.ndarray, size: int) -> tuple[slice, slice]:
    """Rows and columns of the picture that enclose the points; all where one is behind it."""
    places, depths = scene.camera.project(points)
    if depths.min() <= 0.01:
        return slice(0, size), slice(0, size)
    low = np.clip(np.floor(places.min(axis=0) * size), 0, size).astype(int)
    high = np.clip(np.ceil(places.max(axis=0) * size) + 1, 0, size).astype(int)
    return slice(low[1], max(high[1], low[1])), slice(low[0], max(high[0], low[0]))


def _ground(scene: Scene, rays: np.ndarray) -> np.ndarray:
    """Ground and backdrop without objects along rays (H, W, 3), (H, W, 3) float32."""
    x, y, height = scene.camera.position
    reach = height / np.maximum(-rays[..., 2], 1e-4)  # distance along the ray to the ground
    across, away = x + rays[..., 0] * reach, y + rays[..., 1] * reach
    light = np.array(scene.light.direction, np.float32)
    pool = np.exp(-((across - 1.5 * light[0]) ** 2 + (away - 1.5 * light[1]) ** 2) / 40)
    bright = (0.80 + 0.26 * pool)[..., None]
    haze = np.clip((reach - NEAR) / (FAR - NEAR), 0, 1)[..., None]
    haze = haze * haze * (3 - 2 * haze)
    ground = np.array(scene.surroundings.ground, np.float32) * bright
    rise = np.clip(rays[..., 2:] * 1.6, 0, 1)
    backdrop = np.array(scene.surroundings.backdrop, np.float32) * (1 - 0.3 * rise)
    return ((1 - haze) * ground + haze * backdrop).astype(np.float32)


def _cast_shadow(
    scene: Scene, thing: SceneObject | Solid, image: np.ndarray, all_rays: np.ndarray
) -> None:
    """Darkens the ground where a body keeps the light away, softly: the lamp has a width."""
    size = image.shape[0]
    light = np.array(scene.light.direction, np.float32)
    spots = LAMP_SPOTS[::2] if isinstance(thing, Solid) else LAMP_SPOTS  # large: fewer will do
    lamps = [light + LAMP_WIDTH * np.array(spot, np.float32) for spot in spots]
    feet, heights = thing.corners * (1, 1, 0), thing.corners[:, 2:]
    tips = [thing.corners - heights / lamp[2] * lamp for lamp in lamps]
    rows, columns = _box(scene, np.concatenate((feet, *tips)), size)
    rays = all_rays[rows, columns].reshape(-1, 3)
    down = np.minimum(rays[:, 2:], -1e-4)
    points = np.array(scene.camera.position, np.float32) - rays * (scene.camera.position[2] / down)
    dark = sum(np.isfinite(enter(thing, points, lamp)).astype(np.float32) for lamp in lamps)
    dark *= (rays[:, 2] < 0) * (SHADOW / len(lamps))
    view = image[rows, columns]
    view *= 1 - dark.reshape(*view.shape[:2], 1)


def _shade(
    scene: Scene, thing: SceneObject | Solid, points: np.ndarray, rays: np.ndarray
) -> np.ndarray:
    """Colors (N, 3) of surface points seen along unit rays."""
    finish = FINISHES[thing.material]
    color = thing.paint
    light = np.array(scene.light.direction, np.float32)
    normal = normals(thing, points)
    lit = ~_in_shadow(scene, thing, points + 1e-3 * normal)
    facing = -np.einsum("ij,ij->i", normal, rays)[:, None]
    mirrored = rays + 2 * facing * normal
    height = np.clip((points[:, 2] - thing.foot) / (2 * thing.half_extents[2]), 0, 1)
    ambient = scene.light.ambient * (0.65 + 0.35 * height)  # less of it reaches the foot
    diffuse = ambient + scene.light.strength * np.maximum(normal @ light, 0) * lit
    glint = (np.maximum(mirrored @ light, 0) * lit) ** finish.sharpness
    shade = finish.diffuse * color * diffuse[:, None] + finish.glint * glint[:, None]
    if finish.mirror:
        edge = (1 - np.clip(facing, 0, 1)) ** 4  # at a flat angle every mirror is white
        tint = color + (1 - color) * (0.12 + 0.4 * edge)
        shade += (
            finish.mirror
            * tint
            * _mirrored(scene, (points[:, 2] - thing.foot) / thing.size, mirrored)
        )
    return shade


def _in_shadow(scene: Scene, thing: SceneObject | Solid, points: np.ndarray) -> np.ndarray:
    """Whether another body stands between each point and the light, (N,) bool."""
    light = np.array(scene.light.direction, np.float32)
    dark = np.zeros(len(points), bool)
    for other in scene.bodies:
        offset = other.center - thing.center
        ahead = float(offset @ light)
        aside = float(np.linalg.norm(offset - ahead * light))
        if (
            other is thing
            or not other.shades
            or ahead <= 0
            or aside > _reach(thing) + _reach(other)
        ):
            continue
        if isinstance(thing, Solid):  # large: most of it is far from a shadow
            near = _beside(other, points, light)
            dark[near] |= np.isfinite(enter(other, points[near], light))
        else:
            dark |= np.isfinite(enter(other, points, light))
    return dark


def _reach(thing: SceneObject | Solid) -> float:
    """Radius of a ball around the body."""
    return float(np.linalg.norm(thing.half_extents))


def _beside(thing: SceneObject | Solid, points: np.ndarray, light: np.ndarray) -> np.ndarray:
    """Which points (N, 3) the body may shade: indices."""
    offset = points - thing.center
    ahead = offset @ light
    aside = np.einsum("ij,ij->i", offset, offset) - ahead * ahead
    return np.flatnonzero(aside < _reach(thing) ** 2)


def _mirrored(scene: Scene, heights: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """What a mirror shows along each ray, (N, 3): ground, sky and studio lamps.

    ``heights`` (N,) are those at which the rays start, in sizes of the object.
    The ground is dark where the mirror stands on it; the lamps are upright tubes all around, which
    draw the streaks that tell metal from rubber on flat and on round faces.
    """
    rise = rays[:, 2]
    reach = heights / np.maximum(-rise, 1e-3)  # to the ground
    near = np.clip(reach / 1.9, 0, 1)
    ground = np.array(scene.surroundings.ground, np.float32) * (0.15 + 0.95 * near)[:, None]
    sky = (0.25 + 1.1 * np.clip(rise, 0, 1))[:, None]
    seen = np.where(rise[:, None] < 0, ground, sky)
    light = scene.light.direction
    around = np.arctan2(rays[:, 1], rays[:, 0]) - np.arctan2(light[1], light[0])
    tubes = np.clip(np.cos(TUBES * around) - 0.7, 0, 1) * (1 - rise**2)
    return seen + (2.6 * tubes)[:, None]
