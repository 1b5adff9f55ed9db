"""One thread that computes, and the line before it: a question waits and can tell its place."""

from __future__ import annotations

import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import Any

from assistant.errors import AssistantError, InputError

PATIENCE = 5.0  # seconds that a running job has to stop: a container that is stopped has 10
NO_MEMORY = ("not enough memory", "can't allocate memory", "out of memory")  # as torch says it
LOOK = 0.25  # seconds between two looks at the place in line
OUR_FAULT = "Something went wrong on our side. Please try again; the log says what it was."


class Waiting:
    """An update: how many are served first; 0: it is this one's turn."""

    def __init__(self, ahead: int) -> None:
        self.ahead = ahead


class Failed:
    """The last update of a job that failed: one line for the person."""

    def __init__(self, message: str, memory: bool = False) -> None:
        self.message, self.memory = message, memory


class Job:
    """Work in the line. Iterate for its updates; leaving early asks it to stop."""

    def __init__(self, line: Line, work: Callable[[Job], None], urgent: bool) -> None:
        self.urgent = urgent
        self.stop = threading.Event()  # set it to have the work left
        self.ended = threading.Event()
        self.updates: SimpleQueue[Any] = SimpleQueue()
        self._line, self._work = line, work

    def put(self, update: Any) -> None:
        """Tell the reader something."""
        self.updates.put(update)

    def __iter__(self) -> Iterator[Any]:
        """``Waiting`` while others are served, then what the work puts, ``Failed`` last."""
        told = None
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
                yield update
        finally:
            self.stop.set()

    def run(self) -> None:
        """The work; what goes wrong becomes the last update."""
        try:
            if not self.stop.is_set():
                self._work(self)
        except AssistantError as error:
            self.put(Failed(str(error)))
        except MemoryError as error:
            said = f" ({error})" if str(error) else ""
            self.put(Failed(f"There was not enough memory{said}.", memory=True))
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            memory = any(said in str(error) for said in NO_MEMORY)
            self.put(Failed("There was not enough memory." if memory else OUR_FAULT, memory))
        finally:
            self.ended.set()
            self.put(self)


class Line:
    """Jobs run one at a time, first come, first served; those that are not urgent come last.

    All of them run on one thread, so that the model's own threads and memory are made once.
    """

    def __init__(self, most: int = 200) -> None:
        self.most = most
        self._waiting: deque[Job] = deque()
        self._running: Job | None = None
        self._closed = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def join(self, work: Callable[[Job], None], *, urgent: bool = True) -> Job:
        """Put ``work`` at the end of the line.

        Raises:
            InputError: too many are waiting.
        """
        job = Job(self, work, urgent)
        with self._changed:
            if len(self._waiting) >= self.most:
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
            for job in (*self._waiting, *filter(None, [self._running])):
                job.stop.set()
            self._waiting.clear()
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(PATIENCE)

    def ahead_of(self, job: Job) -> int:
        """How many jobs run before ``job`` does."""
        with self._changed:
            if job not in self._waiting:
                return 0
            before = list(self._waiting)[: self._waiting.index(job)]
            others = [other for other in self._waiting if other is not job]
            first = [other for other in (before if job.urgent else others) if other.urgent]
            later = [] if job.urgent else [other for other in before if not other.urgent]
            return len(first) + len(later) + (self._running is not None)

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._running = None
                while not self._waiting:
                    if self._closed:
                        return
                    self._changed.wait()
                job = next((job for job in self._waiting if job.urgent), self._waiting[0])
                self._waiting.remove(job)
                self._running = job
            job.run()
