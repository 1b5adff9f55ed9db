"""The cache's folders: made with a tag, listed, cleared.

Only folders that carry the tag (https://bford.info/cachedir/) are ever listed or cleared, so that
an ``ASSISTANT_CACHE`` pointing at a folder with other things in it costs nobody a file. The tag
also tells backup programs to leave the cache out.
"""

import os
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from assistant.core.resources import cache_dir
from assistant.errors import WeightsError

KINDS = ("weights", "features")
TAG = "CACHEDIR.TAG"
SIGNATURE = "Signature: 8a477f597d28d172789f06886806bc55\n"
LOCKS = ".locks"  # stays: removing a lock file that another process waits for would split the lock


def cache_folder(kind: str) -> Path:
    """``cache_dir()/kind``, made and tagged when absent; ``kind`` is one of `KINDS`."""
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is not a folder of the cache; known are {', '.join(KINDS)}")
    folder = cache_dir() / kind
    if not (folder / TAG).is_file():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / TAG).write_text(SIGNATURE, encoding="ascii")
    return folder


def lock_file(name: str) -> Path:
    """The file that whoever fetches ``name`` holds locked."""
    folder = cache_folder("weights") / LOCKS
    folder.mkdir(exist_ok=True)
    return folder / f"{name}.lock"


@dataclass(frozen=True)
class CacheEntry:
    """One thing in the cache, as `clear_cache` would remove it."""

    kind: str  # one of KINDS
    name: str
    path: Path
    size: int  # bytes


def cache_entries() -> tuple[CacheEntry, ...]:
    """Everything that `clear_cache` would remove, weights first."""
    return tuple(
        CacheEntry(kind, path.name, path, folder_size(path))
        for kind in KINDS
        if (cache_dir() / kind / TAG).is_file()
        for path in sorted((cache_dir() / kind).iterdir())
        if path.name not in (TAG, LOCKS)
    )


def clear_cache() -> tuple[CacheEntry, ...]:
    """Remove every entry of the cache and return them; links are removed, never followed.

    Raises:
        WeightsError: another process is fetching; nothing was removed.
    """
    with ExitStack() as held:
        for path in sorted((cache_dir() / "weights" / LOCKS).glob("*.lock")):
            try:
                held.enter_context(FileLock(path, timeout=0))
            except Timeout as error:
                raise WeightsError(
                    f"another process is fetching {path.stem}; wait for it, then clear the cache"
                ) from error
        entries = cache_entries()
        for entry in entries:
            if entry.path.is_dir() and not entry.path.is_symlink():
                shutil.rmtree(entry.path)
            else:
                entry.path.unlink(missing_ok=True)
    return entries


def folder_size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder, which may come and go meanwhile."""
    if path.is_symlink() or not path.is_dir():
        return _file_size(path)
    return sum(_file_size(Path(root, name)) for root, _, names in os.walk(path) for name in names)


def _file_size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:  # removed or renamed since it was listed
        return 0
