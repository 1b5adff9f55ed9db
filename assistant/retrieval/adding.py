"""One run of `Index.add`: files are read ahead, or encoded elsewhere; windows are written some at a
time."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from assistant.core.progress import report
from assistant.errors import InputError, VideoError
from assistant.media.files import CLIPS, File, find_files, under
from assistant.retrieval.encoding import Encoded, Spread, Task, fault_of
from assistant.retrieval.rows import Row
from assistant.retrieval.store import Store

if TYPE_CHECKING:
    from assistant.retrieval.embedding import Embedder
    from assistant.retrieval.listening import HasEars
    from assistant.retrieval.windows import Opened

INDEXING = "Indexing"  # as `assistant.core.progress.report` tells it
READERS, AHEAD = 2, 4  # files begun while one is looked at: most of a picture's time is reading it
ROWS, SECONDS = 256, 5.0  # written at once: so many, or after so long
BEGUN = 1 << 20  # bytes that beginning to read a clip or a picture counts as, for the time left

Parts = Iterator[tuple[list[Row], float]]
"""Rows of a file, some at a time, and how much of it is done with them."""


@dataclass(frozen=True)
class Outcome:
    """What became of one file of `Index.add`."""

    file: str
    windows: int = 0  # that were added; 0 and no fault: it was there, unchanged
    fault: str = ""


@dataclass(frozen=True)
class Added:
    """What `Index.add` did."""

    files: int  # added, or anew since they had changed
    windows: int
    unchanged: int
    failed: tuple[tuple[str, str], ...]  # path and what is wrong with it
    gone: tuple[str, ...]  # in the index and under the paths, and no longer there


class Adding:
    """One run of `Index.add`."""

    def __init__(
        self,
        store: Store,
        embedder: Embedder,
        watch: Callable[[Outcome], None],
        ears: HasEars | None = None,
        spread: Spread | None = None,
    ) -> None:
        """``ears``: what listens to clips, too. ``spread``: encodes elsewhere; None: here."""
        self._store, self._embedder, self._watch, self._ears = store, embedder, watch, ears
        self._spread = spread
        self._known = store.known()
        self._rows: list[Row] = []  # to be written
        self._outdated: set[str] = set()  # whose rows of before leave first
        self._written = time.monotonic()
        self._windows = self._done = 0
        self._failed: list[tuple[str, str]] = []

    def run(self, paths: Sequence[str | Path]) -> Added:
        files = list(find_files(paths, self._fail))
        fresh = [file for file in files if not self._is_there(file)]
        if not files and not self._failed:
            told = ", ".join(map(str, paths))
            raise InputError(f"{told}: holds no clip, picture or text that is known by its name")
        total, done = sum(map(_work, fresh)), 0
        try:
            for task, parts in self._encoded([Task(file, self._first(file)) for file in fresh]):
                report(INDEXING, done, total)
                self._one(task, parts, done, total)
                done += _work(task.file)
        finally:  # stopped with Ctrl-C, too
            self._write()
        report(INDEXING, 1)
        self._store.tidy()
        there = {file.path for file in files}
        inside = {file for path in map(os.path.abspath, paths) for file in under(path, self._known)}
        return Added(
            files=self._done,
            windows=self._windows,
            unchanged=len(files) - len(fresh),
            failed=tuple(self._failed),
            gone=tuple(sorted(f for f in inside - there if not os.path.exists(f))),  # noqa: PTH110
        )

    def _is_there(self, file: File) -> bool:
        known = self._known.get(file.path)
        there = known is not None and known.complete and _same(known, file)
        return there and not self._to_be_heard(file)

    def _to_be_heard(self, file: File) -> bool:
        """Whether a clip is in the index and nobody listened to it."""
        is_clip = Path(file.path).suffix.lower() in CLIPS
        return self._ears is not None and is_clip and not self._known[file.path].heard

    def _encoded(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, Parts]]:
        """In their order, or in that in which they are done elsewhere."""
        if self._spread is not None:
            for encoded in self._spread(tasks):
                yield encoded.task, self._sent(encoded)
            return
        files = [task.file for task in tasks]
        for task, opening in zip(tasks, opened_ahead(files, self._embedder.side), strict=True):
            yield task, self._here(task, opening[1])

    def _sent(self, encoded: Encoded) -> Parts:
        if encoded.unheard:
            self._watch(Outcome(encoded.task.file.path, fault=encoded.unheard))
        if encoded.rows:
            yield [*encoded.rows], 1.0
        if encoded.fault:
            raise VideoError(encoded.fault)

    def _here(self, task: Task, opening: Future[Opened]) -> Parts:
        from assistant.retrieval.listening import listened
        from assistant.retrieval.windows import rows_of

        opened = opening.result()
        heard = listened(opened.clip, opened.lines, self._ears)
        if heard is not None and heard.fault:
            self._watch(Outcome(task.file.path, fault=heard.fault))
        length = opened.clip.duration if opened.clip is not None else 0.0
        for rows in rows_of(task.file, opened, self._embedder, task.first, heard):
            yield rows, (rows[-1].end or 0.0) / length if length else 0.0

    def _one(self, task: Task, parts: Parts, done: int, total: int) -> None:
        """``done`` of ``total`` bytes are, before it."""
        file, added = task.file, 0
        if not task.first and file.path in self._known:
            self._outdated.add(file.path)
        try:
            for rows, share in parts:
                self._rows += rows
                added += len(rows)
                if len(self._rows) >= ROWS or time.monotonic() - self._written >= SECONDS:
                    self._write()
                report(INDEXING, done + share * _work(file), total)
        except Exception as error:
            self._fail(file.path, fault_of(error, file.path))
            return
        self._done += 1
        self._windows += added
        self._watch(Outcome(file.path, added))

    def _first(self, file: File) -> int:
        """How many of its windows are there, of a run that was stopped; others leave."""
        known = self._known.get(file.path)
        unfinished = known is not None and not known.complete and _same(known, file)
        if not unfinished or self._to_be_heard(file):
            return 0
        return self._store.windows_of(file.path)

    def _write(self) -> None:
        if self._outdated:
            self._store.remove(self._outdated)
            self._outdated.clear()
        rows, self._rows = self._rows, []  # first: Ctrl-C may come when they are just written
        if rows:
            self._store.append(rows)
        self._written = time.monotonic()

    def _fail(self, path: str, fault: str) -> None:
        fault = " ".join(fault.split())
        self._failed.append((path, fault))
        self._watch(Outcome(path, fault=fault))


def opened_ahead(files: Iterable[File], side: int) -> Iterator[tuple[File, Future[Opened]]]:
    """Files in order, the next ones being read meanwhile by processes of their own."""
    from assistant.media.reader import Reader
    from assistant.retrieval.windows import open_file

    waiting: deque[tuple[File, Future[Opened]]] = deque()
    readers = [Reader() for _ in range(READERS)]
    free = SimpleQueue[Reader]()
    for reader in readers:
        free.put(reader)

    def opened(file: File) -> Opened:
        reader = free.get()
        try:
            return open_file(file, side, reader)
        finally:
            free.put(reader)

    pool = ThreadPoolExecutor(READERS)
    try:
        for file in files:
            waiting.append((file, pool.submit(opened, file)))
            if len(waiting) > AHEAD:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for reader in readers:
            reader.close()


def _work(file: File) -> int:
    """How much there is to do, in bytes."""
    return file.size + (0 if file.is_text else BEGUN)


def _same(known: Any, file: File) -> bool:
    return (known.size, known.mtime) == (file.size, file.mtime)
