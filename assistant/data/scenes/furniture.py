"""What the objects of a first-person clip stand on: tables, shelves, boxes and rugs in a row."""

from dataclasses import dataclass

import numpy as np

from assistant.data.scenes.world import Solid, Vector

SURFACES = {"table": 1.45, "shelf": 2.05, "box": 0.85, "rug": 0.08}  # height of the top
HALF_WIDTH, HALF_DEPTH = 2.0, 0.9
PAINTS: tuple[Vector, ...] = (  # paler than objects are; no color belongs to a kind
    (0.78, 0.66, 0.50),
    (0.46, 0.35, 0.27),
    (0.84, 0.83, 0.79),
    (0.55, 0.61, 0.68),
    (0.62, 0.69, 0.58),
    (0.72, 0.58, 0.57),
    (0.38, 0.42, 0.45),
)
LEG, BOARD = 0.13, 0.09  # half the thickness
BACK = 0.75  # how far a shelf's sides and back rise above its board


@dataclass(frozen=True)
class Surface:
    """One of the row: ``x`` is its middle, ``height`` that of the top."""

    kind: str
    x: float
    height: float
    paint: Vector

    @property
    def answer(self) -> str:
        return f"on the {self.kind}"

    def solids(self) -> tuple[Solid, ...]:
        return _BUILDERS[self.kind](self)


def block(
    low: tuple[float, float, float],
    high: tuple[float, float, float],
    paint: np.ndarray,
    shades: bool = False,
) -> Solid:
    """An upright box between two corners."""
    corners = np.array((low, high), np.float32)
    rotation, half = np.eye(3, dtype=np.float32), (corners[1] - corners[0]) / 2
    return Solid("cube", corners.mean(axis=0), half, rotation, paint, shades)


def _table(surface: Surface) -> tuple[Solid, ...]:
    paint = np.array(surface.paint, np.float32)
    under = surface.height - 2 * BOARD
    reach, deep = HALF_WIDTH - LEG, HALF_DEPTH - LEG
    legs = [
        block((x - LEG, y - LEG, 0), (x + LEG, y + LEG, under), 0.85 * paint)
        for x in (surface.x - reach, surface.x + reach)
        for y in (-deep, deep)
    ]
    return (_board(surface, surface.height, paint, shades=True), *legs)


def _shelf(surface: Surface) -> tuple[Solid, ...]:
    """Two boards between two sides, before a back; objects stand on the upper board."""
    paint = np.array(surface.paint, np.float32)
    top = surface.height + BACK
    sides = [
        block((x - BOARD, -HALF_DEPTH, 0), (x + BOARD, HALF_DEPTH, top), 0.9 * paint)
        for x in (surface.x - HALF_WIDTH, surface.x + HALF_WIDTH)
    ]
    left, right = surface.x - HALF_WIDTH, surface.x + HALF_WIDTH
    back = block((left, HALF_DEPTH - BOARD, 0), (right, HALF_DEPTH, top), 0.72 * paint)
    lower = _board(surface, surface.height / 2, paint)
    return (_board(surface, surface.height, paint, shades=True), lower, *sides, back)


def _box(surface: Surface) -> tuple[Solid, ...]:
    """A crate with a lid that juts out."""
    paint = np.array(surface.paint, np.float32)
    inset, under = 0.1, surface.height - BOARD
    crate = block(
        (surface.x - HALF_WIDTH + inset, -HALF_DEPTH + inset, 0),
        (surface.x + HALF_WIDTH - inset, HALF_DEPTH - inset, under),
        0.8 * paint,
    )
    return (_board(surface, surface.height, paint, shades=True), crate)


def _rug(surface: Surface) -> tuple[Solid, ...]:
    """A plain middle in a darker border."""
    paint = np.array(surface.paint, np.float32)
    border = 0.22
    middle = block(
        (surface.x - HALF_WIDTH + border, -HALF_DEPTH + border, 0),
        (surface.x + HALF_WIDTH - border, HALF_DEPTH - border, surface.height),
        paint,
    )
    return (_board(surface, surface.height - 0.02, 0.6 * paint), middle)


def _board(surface: Surface, height: float, paint: np.ndarray, shades: bool = False) -> Solid:
    """As wide and deep as the surface, with its upper side at ``height``."""
    low = (surface.x - HALF_WIDTH, -HALF_DEPTH, max(0.0, height - 2 * BOARD))
    return block(low, (surface.x + HALF_WIDTH, HALF_DEPTH, height), paint, shades)


_BUILDERS = {"table": _table, "shelf": _shelf, "box": _box, "rug": _rug}
