"""Freed memory back to the system."""

import ctypes
from functools import lru_cache


def trim_heap() -> None:
    """Give back what glibc holds of what was freed: threads that free tensors of many sizes leave
    its arenas full of holes. Elsewhere nothing is done. Takes milliseconds."""
    trim = _trim()
    if trim is not None:
        trim(0)


@lru_cache(maxsize=1)
def _trim() -> "ctypes._NamedFuncPointer | None":
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library, or none that is shared
        return None
