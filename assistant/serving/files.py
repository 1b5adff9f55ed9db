"""Clips and pictures that were uploaded: each key sees its own, for as long as the server runs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import uuid4

from assistant.serving.limits import Limits
from assistant.serving.problems import Problem

PREFIX = "file-"


@dataclass(frozen=True)
class Stored:
    """One file."""

    id: str
    path: Path
    name: str  # as its owner calls it
    size: int  # bytes
    purpose: str
    created: int  # Unix time

    def as_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "file",
            "bytes": self.size,
            "created_at": self.created,
            "filename": self.name,
            "purpose": self.purpose,
            "status": "processed",
        }


class Files:
    """Files by owner; an id of another's is as unknown as one that never was."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._folder, self._limits = folder, limits
        self._owned: dict[str, dict[str, Stored]] = {}
        self._lock = Lock()

    def add(
        self, owner: str, name: str, purpose: str, size: int, write: Callable[[Path], None]
    ) -> Stored:
        """Keep a file, which ``write`` puts into its place and checks.

        Raises:
            Problem: the owner keeps too much. Whatever ``write`` raises.
        """
        key = f"{PREFIX}{uuid4().hex}"
        # a folder of its own: nothing of another's lies beside it
        path = self._folder / key / f"clip{suffix_of(name)}"
        stored = Stored(key, path, name, size, purpose, int(time.time()))
        with self._lock:
            own = self._owned.setdefault(owner, {})
            total = sum(one.size for one in own.values())
            if len(own) >= self._limits.files or total + size > self._limits.stored_bytes:
                raise Problem(
                    413,
                    f"{len(own)} files with {total >> 20} MB are kept for this key; at most "
                    f"{self._limits.files} with {self._limits.stored_bytes >> 20} MB are: delete "
                    "some",
                    code="too_much_stored",
                )
            own[key] = stored  # its room is taken
        try:
            stored.path.parent.mkdir(parents=True)
            write(stored.path)
        except BaseException:
            self.delete(owner, key)
            raise
        return stored

    def of(self, owner: str) -> list[Stored]:
        """All of an owner's, the newest first."""
        with self._lock:
            return list(self._owned.get(owner, {}).values())[::-1]

    def find(self, owner: str, key: str) -> Stored:
        """Raises Problem: the owner has none of this id."""
        with self._lock:
            found = self._owned.get(owner, {}).get(key)
        if found is None:
            raise Problem(
                404, f"no such file: {key[:60]!r}; upload it to /v1/files", code="file_not_found"
            )
        return found

    def delete(self, owner: str, key: str) -> None:
        """Raises Problem: the owner has none of this id."""
        found = self.find(owner, key)
        with self._lock:
            self._owned[owner].pop(key, None)
        shutil.rmtree(found.path.parent, ignore_errors=True)


def suffix_of(name: str) -> str:
    """That of a clip's or picture's name; "" of any other."""
    from assistant.media.files import CLIPS, PICTURES

    suffix = Path(name).suffix.lower()
    return suffix if suffix in CLIPS | PICTURES else ""
