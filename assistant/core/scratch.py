"""Folders that go with the process which made them, even where it was killed."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from glob import escape
from pathlib import Path
from uuid import uuid4

LOCK = ".lock"  # ends the name of the file that a living process holds locked


@contextlib.contextmanager
def scratch_folder(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """A new folder for this user alone, gone afterwards; before, those of dead processes go.

    Each has a lock beside it, which the system opens when its process dies, however it does.

    Args:
        prefix: begins its name. parent: where it lies; None: among the system's temporary files.
    """
    from filelock import FileLock

    parent = Path(tempfile.gettempdir()) if parent is None else parent
    _sweep(prefix, parent)
    folder = parent / f"{prefix}{uuid4().hex}"
    lock = folder.with_name(folder.name + LOCK)
    lock.touch()  # or says why not, where FileLock would wait for ever (/proc)
    with FileLock(lock):
        try:
            folder.mkdir(mode=0o700)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            lock.unlink(missing_ok=True)


def _sweep(prefix: str, parent: Path) -> None:
    from filelock import FileLock, Timeout

    for lock in parent.glob(f"{escape(prefix)}*{LOCK}"):
        with contextlib.suppress(Timeout, OSError), FileLock(lock, timeout=0):  # not ours: left
            shutil.rmtree(lock.with_name(lock.name.removesuffix(LOCK)), ignore_errors=True)
            lock.unlink(missing_ok=True)
