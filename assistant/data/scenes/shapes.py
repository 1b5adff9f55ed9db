"""Where rays meet an object, and which way its surface faces there.

Each object is a unit shape (sphere, cube, cylinder, cone, pyramid) under an affine map, so the map
is applied to the ray and the unit shape is met; distances along the ray stay what they were.
"""

import numpy as np
from numpy.typing import ArrayLike

from assistant.data.scenes.world import SceneObject, Solid

BEVEL = 0.06  # width of the slanted edges, as a share of half an extent
_FLAT = np.float32(1e-7)  # stands in for a zero in a divisor


def enter(thing: SceneObject | Solid, origin: ArrayLike, direction: ArrayLike) -> np.ndarray:
    """Distance at which each ray enters the object, (N,); inf where it misses or starts inside.

    ``origin`` and ``direction`` are (N, 3), or (3,) where all rays share one.
    """
    to_unit = _to_unit(thing)
    start = ((np.asarray(origin, np.float32) - thing.center) @ to_unit.T).T
    along = (np.asarray(direction, np.float32) @ to_unit.T).T
    if thing.shape == "sphere":
        near, far = _ball(start, along)
    elif thing.shape == "cube":
        near, far = _slab(start[0], along[0])
        for axis in (1, 2):
            near, far = _both(near, far, *_slab(start[axis], along[axis]))
    elif thing.shape == "cylinder":
        near, far = _both(*_ball(start[:2], along[:2]), *_slab(start[2], along[2]))
    elif thing.shape == "cone":
        near, far = _both(*_cone(start, along), *_slab(start[2], along[2]))
    else:
        near, far = _slab(start[2], along[2])
        for axis in (0, 1):
            for sign in (-1, 1):  # a slanted side: sign * x <= (1 - z) / 2
                offset = sign * start[axis] - (1 - start[2]) / 2
                near, far = _both(near, far, *_half(offset, sign * along[axis] + along[2] / 2))
    return np.where((near <= far) & (near > 0), near, np.float32(np.inf))


def normals(thing: SceneObject | Solid, points: np.ndarray) -> np.ndarray:
    """Unit outward normals (N, 3) at points (N, 3) of the object's surface."""
    to_unit = _to_unit(thing)
    local = (points - thing.center) @ to_unit.T
    if thing.shape == "cube":
        size = np.abs(local)
        local = np.sign(local) * (size >= size.max(axis=1, keepdims=True) - BEVEL)
    elif thing.shape == "cylinder":
        ahead = np.abs(local[:, 2]) - np.hypot(local[:, 0], local[:, 1])
        local = local * np.stack((ahead < BEVEL, ahead < BEVEL, ahead > -BEVEL), axis=1)
    elif thing.shape in ("cone", "pyramid"):
        aside = np.stack((local[:, 0], local[:, 1]), axis=1)
        if thing.shape == "pyramid":
            size = np.abs(aside)
            aside = np.sign(aside) * (size >= size.max(axis=1, keepdims=True) - BEVEL)
        aside /= np.maximum(np.linalg.norm(aside, axis=1, keepdims=True), _FLAT)
        local = np.concatenate((aside, np.full_like(aside[:, :1], 0.5)), axis=1)
    outward = local @ to_unit
    return outward / np.sqrt(np.einsum("ij,ij->i", outward, outward))[:, None]


def _to_unit(thing: SceneObject | Solid) -> np.ndarray:
    return thing.rotation.T / thing.half_extents[:, None]


def _ball(start: np.ndarray, along: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Entry and exit of a unit ball (3 axes) or of an endless unit cylinder (2 axes)."""
    a = np.maximum(sum(axis * axis for axis in along), _FLAT)
    b = sum(first * second for first, second in zip(start, along, strict=True))
    c = sum(axis * axis for axis in start) - 1
    inside = b * b - a * c
    root = np.sqrt(np.maximum(inside, 0))
    missed = inside < 0
    return np.where(missed, np.float32(np.inf), (-b - root) / a), (-b + root) / a


def _cone(start: np.ndarray, along: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Entry and exit of the endless cone below its tip (0, 0, 1), of radius 1 at z = -1."""
    radius, growth = (1 - start[2]) / 2, -along[2] / 2
    a = along[0] ** 2 + along[1] ** 2 - growth**2
    a = np.where(np.abs(a) < _FLAT, _FLAT, a)
    b = start[0] * along[0] + start[1] * along[1] - radius * growth
    c = start[0] ** 2 + start[1] ** 2 - radius**2
    inside = b * b - a * c
    root = np.sqrt(np.maximum(inside, 0))
    low, high = (
        np.minimum((-b - root) / a, (-b + root) / a),
        np.maximum((-b - root) / a, (-b + root) / a),
    )
    infinite = np.float32(np.inf)
    steep = a < 0  # the ray crosses both halves of the double cone and stays in one
    near = np.where(steep, np.where(growth > 0, high, -infinite), low)
    far = np.where(steep, np.where(growth > 0, infinite, low), high)
    upper = ~steep & (radius + growth * (low + high) / 2 < 0)
    return np.where((inside < 0) | upper, infinite, near), far


def _half(offset: np.ndarray, growth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Entry and exit of the half space where ``offset + t * growth <= 0``."""
    growth = np.where(np.abs(growth) < _FLAT, _FLAT, growth)
    border, infinite = -offset / growth, np.float32(np.inf)
    return np.where(growth < 0, border, -infinite), np.where(growth < 0, infinite, border)


def _slab(start: np.ndarray, along: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Entry and exit of the space between two parallel unit planes."""
    inverse = 1 / np.where(np.abs(along) < _FLAT, _FLAT, along)
    first, second = (-1 - start) * inverse, (1 - start) * inverse
    return np.minimum(first, second), np.maximum(first, second)


def _both(
    near: np.ndarray, far: np.ndarray, other_near: np.ndarray, other_far: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Entry and exit of what lies in both."""
    return np.maximum(near, other_near), np.minimum(far, other_far)
