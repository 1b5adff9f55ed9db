"""Files of one JSON object a line: the output of a batch, which is appended to and resumed.

What is no file (a pipe, ``/dev/stdout``, ``/dev/null``) is only written to.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from assistant.core.jsonl import is_id, json_object
from assistant.errors import InputError

STREAMS = {"/dev/stdout": 1, "/dev/stderr": 2}
DESCRIPTOR = re.compile(r"/(?:dev|proc/self|proc/thread-self)/fd/(\d+)")


class Results:
    """The output file, held by one process; use it as a context."""

    def __init__(self, path: Path, *, retry: bool = False) -> None:
        """``retry``: forget the records with an error, so that they are asked again."""
        self.path = path
        self.done: set[str | int] = set()  # ids that need no asking
        self.errors = 0  # records with an error
        self._retry = retry
        self._open = ExitStack()

    def __enter__(self) -> Results:
        """
        Raises:
            InputError: held by another process, not writable, or no result file.
        """
        with self._open as held, self._file_errors():
            stream = open_stream(self.path)
            self._file = held.enter_context(stream or self._own_file(held))
            self._open = held.pop_all()
        return self

    def _own_file(self, held: ExitStack) -> IO[bytes]:
        """The file, ready to be appended to; its lock is ``held``."""
        lock = self.path.with_name(f".{self.path.name}.lock")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        told = f"{self.path}: another batch is writing it; wait for it"
        held.enter_context(held_alone(lock, told))
        held.callback(lock.unlink, missing_ok=True)  # while the lock is still ours
        self._read()
        return self.path.open("ab")

    def __exit__(self, *_: object) -> None:
        with self._file_errors():
            self._open.close()

    def write(self, *records: dict[str, Any]) -> None:
        """Append records, at once: they are in the file when this returns, or none of them is."""
        with self._file_errors():
            text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
            self._file.write(text.encode(errors="replace"))  # a path need not be Unicode
            self._file.flush()
        for record in records:
            self._count(record)

    def _count(self, record: dict[str, Any]) -> None:
        self.done.add(record["id"])
        self.errors += "error" in record

    def _read(self) -> None:
        """Take the ids in the file; what a killed run left of its last line is removed."""
        if not self.path.exists():
            return
        *lines, last = self.path.read_bytes().split(b"\n")
        torn = bool(last) and _is_torn(last)
        if last and not torn:
            lines.append(last)
        kept = []
        for number, line in enumerate(lines, 1):
            record = _record(line)
            if record is None:
                raise InputError(
                    f"{self.path}: line {number} is no result of this command; choose another file"
                )
            if not (self._retry and "error" in record):
                kept.append(line)
                self._count(record)
        if last or len(kept) < len(lines):
            part = self.path.with_name(f".{self.path.name}.part")
            part.write_bytes(b"".join(line + b"\n" for line in kept))
            part.replace(self.path)

    @contextmanager
    def _file_errors(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:  # the reader has left, which is no mistake
            raise
        except OSError as error:
            raise InputError(
                f"{self.path}: cannot be written ({error.strerror}); mend that and run it again"
            ) from error


def open_stream(path: Path) -> IO[bytes] | None:
    """``path`` to write to where it is a stream: one that this process has open, a pipe, a device.

    None: it is a file, or will be one.
    """
    name = os.path.normpath(path.absolute())
    found = DESCRIPTOR.fullmatch(name)
    number = int(found[1]) if found else STREAMS.get(name)
    if number is not None:
        return os.fdopen(os.dup(number), "wb")
    if not path.exists() or path.is_file() or path.is_dir():
        return None
    return path.open("wb")


@contextmanager
def held_alone(lock: Path, told: str) -> Iterator[None]:
    """The file ``lock`` is this process's own. Raises InputError, ``told``: it is another's."""
    from filelock import FileLock, Timeout

    try:
        held = FileLock(lock).acquire(timeout=0)
    except Timeout as error:
        raise InputError(told) from error
    with held:
        yield


def _is_torn(last: bytes) -> bool:
    """Whether a last line without its end is what a killed run left of a record."""
    begins = b'{"id": '
    if not (last.startswith(begins) or begins.startswith(last)):
        return False
    try:
        json.loads(last.decode())
    except ValueError:
        return True
    return False


def _record(line: bytes) -> dict[str, Any] | None:
    """A line of the output; None if it is something else."""
    try:
        record = json_object(line)
    except InputError:
        return None
    return record if is_id(record.get("id")) and {"answer", "error"} & set(record) else None
