"""How far long work is, for whoever waits: the work reports, and need not know who watches.

The watcher is that of the thread that works; without one a report costs nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Watcher = Callable[[str, float], None]
"""Gets what is being done, and how much of that is done (0 to 1)."""

_watcher: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


def report(doing: str, done: float, total: float = 1.0) -> None:
    """Tell that ``done`` of ``total`` is done."""
    if (watcher := _watcher.get()) is not None:
        watcher(doing, min(1.0, done / total) if total else 0.0)


def report_bytes(doing: str, done: float, total: float) -> None:
    """The same with megabytes and per cent."""
    share = min(1.0, done / total) if total else 0.0
    report(f"{doing}: {done / 1e6:.0f} of {total / 1e6:.0f} MB, {share:.0%}", share)


@contextmanager
def watched(watcher: Watcher, parts: int = 100) -> Iterator[None]:
    """Let ``watcher`` get what is reported inside, a report for each of ``parts`` done."""
    last: tuple[str, int] | None = None

    def tell(doing: str, share: float) -> None:
        nonlocal last
        if (now := (doing.partition(":")[0], round(parts * share))) != last:
            last = now
            watcher(doing, share)

    token = _watcher.set(tell)
    try:
        yield
    finally:
        _watcher.reset(token)
