"""What the machine denies a program: memory, space, rights. No file and no bug is to blame then."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path

from assistant.errors import ResourceError

NEEDED = "mini wants 3 GB, a paper-scale model more (docs/models.md)"
MORE_MEMORY = "allow more (ulimit -v), close other programs, or ask with fewer --frames"
# As the system, torch and its allocators, and safetensors say it.
NO_MEMORY = (
    "cannot allocate memory",
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "memory allocation of",
    "bad_alloc",
)
# May have other reasons where memory is not limited: the loader of shared libraries, threads.
NO_ROOM = ("failed to map segment", "can't start new thread")
MARGIN = 16 << 20  # bytes: with less left, whatever fails fails for want of memory
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_RIGHTS = (errno.EACCES, errno.EPERM, errno.EROFS)
NO_PLACE = (errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.EIO, errno.ENXIO)


def shortage_of(error: BaseException) -> str | None:
    """What was denied and what to do, in one line; None: the error has another reason."""
    if is_memory(error):
        return f"there is not enough memory ({memory_allowed()}; {NEEDED}): {MORE_MEMORY}"
    for one in _chain(error):
        code, path = (one.errno, one.filename) if isinstance(one, OSError) else (None, None)
        where = f"{os.fsdecode(path)}: " if isinstance(path, str | bytes) else ""  # or a number
        if code in NO_SPACE or os.strerror(errno.ENOSPC) in str(one):
            reason = os.strerror(code or errno.ENOSPC).lower()
            return f"{where}nothing more can be written ({reason}); free some space and try again"
        if code in NO_RIGHTS:
            reason = os.strerror(code).lower()
            what = f"{where}is" if where else "a file is"
            return f"{what} not yours to read or write ({reason}); ask for the rights"
        if where and code in NO_PLACE:
            return f"{where}cannot be used ({os.strerror(code).lower()}); give another path"
    return None


def is_memory(error: BaseException) -> bool:
    """Whether it, or what led to it, is for want of memory."""
    left = memory_left()
    told = NO_MEMORY if left == float("inf") else NO_MEMORY + NO_ROOM
    return left < MARGIN or any(
        isinstance(one, MemoryError)
        or (isinstance(one, OSError) and one.errno == errno.ENOMEM)
        or any(said in str(one).lower() for said in told)
        for one in _chain(error)
    )


def pass_on_memory(error: BaseException) -> None:
    """
    Raises:
        ResourceError: ``error`` is for want of memory, and says nothing about the file just read.
    """
    if is_memory(error):
        raise ResourceError(shortage_of(error)) from error


def memory_allowed() -> str:
    """How much this process may take, in words."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        return f"this process may take {limit / 1e9:.1f} GB"
    import psutil

    return f"{psutil.virtual_memory().available / 1e9:.1f} GB are free"


def memory_left() -> float:
    """Bytes of address space that this process may still take."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return float("inf")
    used = int(Path("/proc/self/statm").read_text().split()[0])
    return limit - used * resource.getpagesize()


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
