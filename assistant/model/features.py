"""Clip features: what the frozen encoder saw of a clip, computed once and kept.

``FeatureStore`` keeps them in memory and, capped in bytes, on disk; the key holds everything that
decides their value, so that a hit is always right. What sources said lies beside them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING
from uuid import uuid4

from assistant.core.progress import report
from assistant.core.resources import cache_dir
from assistant.core.shortage import pass_on_memory
from assistant.errors import VideoError
from assistant.model.source_files import read_source, source_bytes, source_file
from assistant.weights.cache import LOCKS, cache_folder

if TYPE_CHECKING:
    import torch

    from assistant.model.sight import Sight
    from assistant.sources import Source

LAYOUT = 2  # of the files on disk; a new number leaves the old files to the cap
STALE_SECONDS = 3600.0  # a temporary file older than this belongs to a process that died
_TENSORS = ("patches", "classes")
_DETAILS = ("seconds", "digest", "start", "end", "duration", "encoder", "warnings")


@dataclass(frozen=True, eq=False)
class ClipFeatures:
    """The frozen encoder's output for the sampled frames of one clip, on the CPU."""

    patches: torch.Tensor  # (T, K, Dv) fp16, T frames of K patches
    classes: torch.Tensor  # (T, 1000) fp32, ImageNet-1k probabilities
    seconds: tuple[float, ...]  # (T,) presentation times on the clip's own clock
    digest: str  # sha256 of the clip's content
    start: float  # the range that was sampled, seconds
    end: float
    duration: float  # of the whole clip, seconds
    encoder: str  # fingerprint of the encoder
    warnings: tuple[str, ...] = ()  # what the decoder had to say


@dataclass(frozen=True)
class FeatureKey:
    """Everything that decides the features of a clip."""

    digest: str
    start: float | None
    end: float | None
    frames: int
    decoder: str
    encoder: str
    language: str | None = None  # the person's, which chooses among video tracks

    @property
    def stem(self) -> str:
        """With which the names of its files begin."""
        text = json.dumps([LAYOUT, asdict(self)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def file_name(self) -> str:
        return f"{self.stem}.safetensors"


class FeatureStore:
    """Features in memory and on disk; on both sides the least recently used leave first.

    Files are written beside their place and renamed into it, so any number of processes may share
    the folder, and threads the store. A file that does not hold what was written is removed and
    counts as absent.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        disk_bytes: int = 2 * 1024**3,
        memory_bytes: int = 256 * 1024**2,
    ) -> None:
        self.folder = cache_dir() / "features" if folder is None else folder
        self._in_cache = folder is None
        self.disk_bytes = disk_bytes
        self.memory_bytes = memory_bytes
        self._memory: OrderedDict[FeatureKey, ClipFeatures] = OrderedDict()
        self._lock = Lock()  # of what is in memory

    def get(self, key: FeatureKey) -> ClipFeatures | None:
        """The features of ``key``, or None. OSError: the folder is there and cannot be read."""
        with self._lock:
            if key in self._memory:
                self._memory.move_to_end(key)
                return self._memory[key]
        path = self.folder / key.file_name
        found = _read(path, key)
        if found is not None:
            touch(path)
            self._remember(key, found)
        return found

    def put(self, key: FeatureKey, clip: ClipFeatures) -> None:
        """Keep ``clip`` under ``key``. OSError: in memory it is kept, on disk it is not."""
        self._remember(key, clip)
        if _size(clip) <= self.disk_bytes:
            self.write(key.file_name, _serialise(clip))

    def get_source(self, key: FeatureKey, name: str, fingerprint: str) -> Source | None:
        """What the source ``name`` said of the clip of ``key``, or None. OSError: as `get`."""
        path = self.folder / source_file(key, name, fingerprint)
        found = read_source(path, key, name, fingerprint)
        if found is not None:
            touch(path)
        return found

    def put_source(self, key: FeatureKey, source: Source, fingerprint: str) -> None:
        """Keep what it said beside the clip's features. OSError: it is not kept."""
        content = source_bytes(source, key, fingerprint)
        if len(content) <= self.disk_bytes:
            self.write(source_file(key, source.name, fingerprint), content)

    def write(self, name: str, content: bytes) -> None:
        """Keep a file, whole. OSError: it is not kept."""
        if self._in_cache:
            cache_folder("features")
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.folder / f"{uuid4().hex}.part"
        try:
            temporary.write_bytes(content)
            temporary.replace(self.folder / name)
        finally:
            temporary.unlink(missing_ok=True)
        self._trim()

    def _remember(self, key: FeatureKey, clip: ClipFeatures) -> None:
        with self._lock:
            self._memory[key] = clip
            self._memory.move_to_end(key)
            sizes = list(map(_size, self._memory.values()))  # the least recently used first
            while len(sizes) > 1 and sum(sizes) > self.memory_bytes:
                self._memory.popitem(last=False)
                del sizes[0]

    def _trim(self) -> None:
        from filelock import FileLock, Timeout

        try:
            with FileLock(self.folder / LOCKS, timeout=0):
                self._remove_oldest()
        except Timeout:
            return  # another process is trimming this folder just now

    def _remove_oldest(self) -> None:
        for part in self.folder.glob("*.part"):
            stat = _stat(part)
            if stat is not None and time.time() - stat.st_mtime > STALE_SECONDS:
                part.unlink(missing_ok=True)
        kinds = ("*.safetensors", "*.json")
        files = [(path, _stat(path)) for kind in kinds for path in self.folder.glob(kind)]
        kept = [(stat.st_mtime_ns, stat.st_size, path) for path, stat in files if stat is not None]
        total = sum(size for _, size, _ in kept)
        for _, size, path in sorted(kept):
            if total <= self.disk_bytes:
                return
            path.unlink(missing_ok=True)
            total -= size


def encode_clip(path: Path, key: FeatureKey, sight: Sight) -> ClipFeatures:
    """What ``sight`` sees of the clip at ``path``, as ``key`` says.

    Raises:
        VideoError: nothing could be decoded, or the file is no longer that of ``key``.
    """
    from assistant.media.video import read_clip

    report("Reading the frames", 0.0)
    clip = read_clip(path, frames=key.frames, start=key.start, end=key.end, decoder=key.decoder)
    if clip.digest != key.digest:
        raise VideoError(f"{path.name} changed while it was open; open it again")
    report("Looking at the frames", 0.5)
    seen = sight.encoder(clip.frames)
    return ClipFeatures(
        patches=seen.patches.cpu(),
        classes=seen.classes.cpu(),
        seconds=clip.seconds,
        digest=clip.digest,
        start=clip.start,
        end=clip.end,
        duration=clip.duration,
        encoder=sight.encoder_fingerprint,
        warnings=clip.warnings,
    )


def check_file(path: Path) -> None:
    """
    Raises:
        VideoError: ``path`` is no file.
    """
    if not path.is_file():
        what = "is no file" if path.exists() else "is not there"
        raise VideoError(f"{path}: {what}; give the path of a video or picture file")


def content_digest(path: Path) -> str:
    """sha256 of a clip's content.

    Raises:
        VideoError: no such file, or it cannot be read.
    """
    check_file(path)
    total = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(2**20):
                total.update(block)
    except OSError as error:
        raise VideoError(f"{path}: cannot be read ({error.strerror}); check its rights") from error
    return total.hexdigest()


def touch(path: Path) -> None:
    """Its last use, for the cap."""
    with contextlib.suppress(OSError):  # gone already, or a folder we may only read
        os.utime(path)


def _size(clip: ClipFeatures) -> int:
    return clip.patches.nbytes + clip.classes.nbytes


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:  # another process removed it
        return None


def _checksum(tensors: Mapping[str, torch.Tensor]) -> str:
    import torch

    total = hashlib.sha256()
    for name in _TENSORS:
        total.update(tensors[name].view(torch.uint8).numpy().data)
    return total.hexdigest()


def _serialise(clip: ClipFeatures) -> bytes:
    from safetensors.torch import save

    tensors = {name: getattr(clip, name).contiguous() for name in _TENSORS}
    details = {name: getattr(clip, name) for name in _DETAILS}
    return save(tensors, {"clip": json.dumps(details), "sha256": _checksum(tensors)})


def _read(path: Path, key: FeatureKey) -> ClipFeatures | None:
    """The features in ``path``; None, and the file is gone, when it is damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name).clone() for name in _TENSORS}
        if metadata["sha256"] != _checksum(tensors):
            raise ValueError("checksum")
        details = json.loads(metadata["clip"])
        details |= {name: tuple(details[name]) for name in ("seconds", "warnings")}
        clip = ClipFeatures(**tensors, **details)
        if (clip.digest, clip.encoder) != (key.digest, key.encoder):
            raise ValueError("another clip")
    except FileNotFoundError:
        return None
    except RuntimeError:  # another process removed it while it was opened
        if path.exists():
            raise
        return None
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        pass_on_memory(error)
        path.unlink(missing_ok=True)
        return None
    return clip
