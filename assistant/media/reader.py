"""One reader's process for many small files: starting one takes several times as long as a photo.

It only ever saves time. Where anything is wrong, its process ends, and one of the file's own, see
`assistant.media.video.ask`, says what.
"""

from __future__ import annotations

import json
import os
import select
import struct
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from assistant.errors import VideoError
from assistant.media.video import MAGIC, Limits, ask, started, unpacked, within_own

SECONDS = 10.0  # for one file
MOST = 500  # files of one process, should a decoder keep some memory of each


class Reader:
    """Used by one thread at a time; :meth:`close` may come from any."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._asked = 0
        self._closing = threading.Lock()

    def ask(
        self, path: Path, task: str, limits: Limits, **options: Any
    ) -> tuple[dict[str, Any], memoryview]:
        """As :func:`assistant.media.video.ask`."""
        own = within_own(limits)
        try:
            reply = self._reply(json.dumps(options | request_of(path, task, own)).encode() + b"\n")
            return unpacked(path, reply, 0, own)
        except (OSError, EOFError, VideoError):
            self.close()
            return ask(path, task, limits, **options)

    def close(self) -> None:
        """Its process ends; the next file starts another."""
        with self._closing:
            process, self._process, self._asked = self._process, None, 0
        if process is not None:
            process.kill()  # whoever waits for it gets the end of its output
            process.wait()

    def _reply(self, request: bytes) -> bytes:
        """Raises OSError, EOFError: it does not come, or not in time."""
        if self._asked >= MOST:
            self.close()
        process = self._process = self._process or started("--many")
        self._asked += 1
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(request)
        process.stdin.flush()
        source, until = process.stdout.fileno(), time.monotonic() + SECONDS
        head = _read(source, len(MAGIC) + 4, until)
        header = _read(source, struct.unpack_from("<I", head, len(MAGIC))[0], until)
        return head + header + _read(source, json.loads(header)["payload"], until)


def request_of(path: Path, task: str, limits: Limits) -> dict[str, Any]:
    """What a reader is told of every file."""
    told = {"task": task, "path": str(path.absolute())}
    return told | {"seconds": limits.seconds, "memory_mb": limits.memory_mb}


def _read(source: int, count: int, until: float) -> bytes:
    """So many bytes. Raises TimeoutError, EOFError."""
    found = bytearray()
    while len(found) < count:
        if not select.select([source], [], [], max(0.0, until - time.monotonic()))[0]:
            raise TimeoutError
        if not (part := os.read(source, min(count - len(found), 1 << 20))):
            raise EOFError
        found += part
    return bytes(found)
