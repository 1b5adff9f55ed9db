"""Runs of what holds, in a row of yes and no."""

from collections.abc import Iterable, Iterator


def runs(held: Iterable[bool]) -> Iterator[tuple[int, int]]:
    """First place, and that after the last, of each run of true ones."""
    start = None
    for place, holds in enumerate([*held, False]):
        if holds and start is None:
            start = place
        elif not holds and start is not None:
            yield start, place
            start = None
