"""One thread that computes, and the line before it: a question waits and can tell its place.

Only a visitor's question, or clip, is urgent. Other work is an iterator: between two of its steps
it goes back into the line while somebody waits for something urgent. What takes minutes is long: it
comes last of all, and in the middle of it everybody else is served (`Job.breathe`).
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import takewhile
from queue import Empty, SimpleQueue
from typing import Any

from assistant.core.shortage import is_memory, shortage_of
from assistant.errors import AssistantError, InputError, ResourceError

PATIENCE = 5.0  # seconds that a running job has to stop: a container that is stopped has 10
LOOK = 0.25  # seconds between two looks at the place in line
OUR_FAULT = "Something went wrong on our side. Please try again; the log says what it was."


class Left(Exception):
    """Long work was asked to stop in the middle."""


class Waiting:
    """An update: how many people are served first; 0: it is this one's turn."""

    def __init__(self, ahead: int) -> None:
        self.ahead = ahead


class Failed:
    """The last update of a job that failed: one line for the person."""

    def __init__(self, message: str, memory: bool = False) -> None:
        self.message, self.memory = message, memory


class Job:
    """Work in the line. Iterate for its updates; leaving early asks it to stop."""

    def __init__(self, line: Line, work: Work, owner: object, urgent: bool, long: bool) -> None:
        self.urgent, self.owner, self.long = urgent, owner, long
        self.stop = threading.Event()  # set it to have the work left
        self.ended = threading.Event()
        self.updates: SimpleQueue[Any] = SimpleQueue()
        self._line, self._work = line, work
        self._steps: Iterator[Any] | None = None  # what is left of work that gave way

    def put(self, update: Any) -> None:
        """Tell the reader something."""
        self.updates.put(update)

    def breathe(self) -> None:
        """In the middle of long work: whoever waits for anything shorter is served first.

        Raises:
            Left: it was asked to stop.
        """
        if not self.stop.is_set():
            self._line.serve_others()
        if self.stop.is_set():
            raise Left

    def __iter__(self) -> Iterator[Any]:
        """``Waiting`` while others are served, then what the work puts, ``Failed`` last."""
        told = 0
        try:
            while True:
                try:
                    update = self.updates.get(timeout=LOOK)
                except Empty:
                    ahead = self._line.ahead_of(self)
                    if ahead != told and not self.stop.is_set():
                        yield Waiting(ahead)
                    told = ahead
                    if self.stop.is_set():
                        return
                    continue
                if update is self:  # the end
                    return
                told = 0
                yield update
        finally:
            self.stop.set()

    def run(self, gives_way: Callable[[], bool]) -> bool:
        """Work to the end (True) or until it gives way; what goes wrong is the last update."""
        try:
            if not self.stop.is_set():
                self._steps = self._steps or iter(self._work(self) or ())
                for _ in self._steps:
                    if self.stop.is_set():
                        break
                    if gives_way():
                        return False
        except Left:
            pass
        except AssistantError as error:
            self.put(Failed(str(error), isinstance(error, ResourceError)))
        except Exception as error:
            told = shortage_of(error)
            if told is None:
                traceback.print_exc(file=sys.stderr)
            self.put(Failed(told or OUR_FAULT, is_memory(error)))
        self._steps = None
        self.ended.set()
        self.put(self)
        return True


Work = Callable[[Job], Iterator[Any] | None]


class Line:
    """Jobs run one at a time, first come, first served; those that are not urgent come last.

    All of them run on one thread, so that the model's own threads and memory are made once.
    """

    def __init__(self, most: int = 200) -> None:
        self.most = most
        self._waiting: deque[Job] = deque()
        self._running: list[Job] = []  # the last one, amid those that breathe
        self._closed = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def join(
        self, work: Work, owner: object = None, *, urgent: bool = True, long: bool = False
    ) -> Job:
        """Put ``work`` at the end of the line.

        Args:
            owner: the person it is for; None: nobody who is here already.
            long: it is not urgent, and breathes.
        Raises:
            InputError: too many are waiting.
        """
        job = Job(self, work, owner or object(), urgent and not long, long)
        with self._changed:
            if job.urgent and len(_people(self._waiting)) >= self.most:
                raise InputError("Too many people are waiting; try again in a minute.")
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="model", daemon=True)
                self._thread.start()
            self._waiting.append(job)
            self._changed.notify()
        return job

    def close(self) -> None:
        """Serve nobody any more; the job that runs is asked to stop and waited for a while."""
        with self._changed:
            self._closed = True
            for job in (*self._waiting, *self._running):
                job.stop.set()
            self._waiting.clear()
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(PATIENCE)

    def ahead_of(self, job: Job) -> int:
        """How many people are served before ``job``'s; what gives way to it does not count."""
        with self._changed:
            if job not in self._waiting:
                return 0
            before = takewhile(lambda other: other is not job, self._waiting)
            first = [*(before if job.urgent else self._waiting), *self._running]
            return len(_people(first) - {job.owner})

    def _gives_way(self, job: Job) -> bool:
        with self._changed:
            return not job.urgent and bool(_people(self._waiting))

    def serve_others(self) -> None:
        """Whoever waits for something that is not long; for the line's own thread."""
        while self._serve_next(long=False):
            pass

    def _serve(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    if self._closed:
                        return
                    self._changed.wait()
            self._serve_next(long=True)

    def _serve_next(self, *, long: bool) -> bool:
        """Run the job that is first, also a ``long`` one; whether there was any."""
        with self._changed:
            served = [job for job in self._waiting if long or not job.long]
            if not served:
                return False
            job = min(served, key=lambda job: (job.long, not job.urgent))  # the first of its kind
            self._waiting.remove(job)
            self._running.append(job)
        ended = job.run(partial(self._gives_way, job))
        with self._changed:
            self._running.remove(job)
            if not ended:
                self._waiting.appendleft(job)
        return True


def _people(jobs: Iterable[Job]) -> set[object]:
    """Who waits for something urgent."""
    return {job.owner for job in jobs if job.urgent and not job.stop.is_set()}
