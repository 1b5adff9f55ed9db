"""One run of `Index.add`: files are read ahead, windows written some at a time."""

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
from assistant.core.shortage import shortage_of
from assistant.errors import AssistantError, DialogueError, InputError, VideoError
from assistant.media.files import CLIPS, File, find_files, under
from assistant.retrieval.rows import Row
from assistant.retrieval.store import Store

if TYPE_CHECKING:
    from assistant.retrieval.embedding import Embedder
    from assistant.retrieval.listening import HasEars, Listened
    from assistant.retrieval.windows import Opened

INDEXING = "Indexing"  # as `assistant.core.progress.report` tells it
READERS, AHEAD = 2, 4  # files begun while one is looked at: most of a picture's time is reading it
ROWS, SECONDS = 256, 5.0  # written at once: so many, or after so long
BEGUN = 1 << 20  # bytes that beginning to read a clip or a picture counts as, for the time left


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
    ) -> None:
        """``ears``: what listens to clips, too."""
        self._store, self._embedder, self._watch, self._ears = store, embedder, watch, ears
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
            for file, opening in opened_ahead(fresh, self._embedder.side):
                report(INDEXING, done, total)
                self._one(file, opening, done, total)
                done += _work(file)
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

    def _one(self, file: File, opening: Future[Opened], done: int, total: int) -> None:
        """``done`` of ``total`` bytes are, before it."""
        from assistant.retrieval.windows import rows_of

        first, added = self._begun(file), 0
        try:
            opened = opening.result()
            for rows in rows_of(file, opened, self._embedder, first, self._listened(opened)):
                self._rows += rows
                added += len(rows)
                if len(self._rows) >= ROWS or time.monotonic() - self._written >= SECONDS:
                    self._write()
                if opened.clip is not None and rows[-1].end is not None:
                    share = rows[-1].end / opened.clip.duration
                    report(INDEXING, done + share * _work(file), total)
        except Exception as error:
            if not added and file.path in self._known and not first:
                self._outdated.add(file.path)  # it has changed into what cannot be read
            self._fail(file.path, fault_of(error, file.path))
            return
        self._done += 1
        self._windows += added
        self._watch(Outcome(file.path, added))

    def _listened(self, opened: Opened) -> Listened | None:
        """What is heard in a clip; None: nobody listens, or it is no clip."""
        from assistant.media.windows import is_still
        from assistant.retrieval.listening import Listened, listen

        clip = opened.clip
        if self._ears is None or clip is None:
            return None
        found = Listened() if is_still(clip) else listen(clip.path, opened.lines, self._ears)
        if found.fault:
            self._watch(Outcome(str(clip.path), fault=found.fault))
        return found

    def _begun(self, file: File) -> int:
        """How many of its windows are there, of a run that was stopped; others leave."""
        known = self._known.get(file.path)
        if known is None:
            return 0
        if not known.complete and _same(known, file) and not self._to_be_heard(file):
            return self._store.windows_of(file.path)
        self._outdated.add(file.path)
        return 0

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


def fault_of(error: Exception, path: str) -> str:
    """What is wrong with a file. What is wrong with all of them is raised again."""
    if isinstance(error, VideoError | DialogueError):
        return str(error).removeprefix(f"{path}: ")
    if isinstance(error, AssistantError):
        raise error
    return shortage_of(error) or f"internal error ({type(error).__name__}: {error})"


def _work(file: File) -> int:
    """How much there is to do, in bytes."""
    return file.size + (0 if file.is_text else BEGUN)


def _same(known: Any, file: File) -> bool:
    return (known.size, known.mtime) == (file.size, file.mtime)
