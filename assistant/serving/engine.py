"""One thread that computes: questions that wait for it are answered together.

Whoever waits longest comes first, with as many others as fit into a pass of the model; what they
ask about is looked at once where it is the same. A question that nobody waits beside is streamed.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import TYPE_CHECKING, Any, TypeVar

from assistant.core.heap import trim_heap
from assistant.serving.problems import Problem
from assistant.vqa.answer import AT_ONCE, answer_together

if TYPE_CHECKING:
    from assistant.vqa.answer import Answer

LOOK = 1.0  # seconds between two looks at whether anybody still waits
T = TypeVar("T")


@dataclass(frozen=True)
class Answered:
    """A whole answer."""

    text: str
    record: dict[str, Any]  # of `Answer.as_dict`
    shares: dict[str, float] | None  # probability of each choice


@dataclass(eq=False)
class Job:
    """A question in the line."""

    begin: Callable[[], Answer]  # opens and looks; for the model's thread
    weigh: bool  # also what each frame weighs
    loop: asyncio.AbstractEventLoop
    told: asyncio.Queue[str | Answered | Exception] = field(default_factory=asyncio.Queue)
    left: Event = field(default_factory=Event)  # nobody waits for it any more

    def tell(self, what: str | Answered | Exception) -> None:
        """A piece, or the last of it; from any thread."""
        self.loop.call_soon_threadsafe(self.told.put_nowait, what)


class Engine:
    """Use ``ask`` and ``run`` in an event loop; ``close`` ends the thread."""

    def __init__(self, on_pass: Callable[[int], None] = lambda count: None) -> None:
        """``on_pass`` gets how many questions were answered together."""
        self._on_pass = on_pass
        self._thread = ThreadPoolExecutor(1, "model")
        self._waiting: deque[Job] = deque()
        self._lock = Lock()
        self._pace = 1.0  # seconds of the thread for one answer, of late

    def seconds_for(self, waiting: int) -> int:
        """How long ``waiting`` requests may take; at least 1."""
        return max(1, round(self._pace * waiting))

    def close(self) -> None:
        """Whoever waits is answered first."""
        self._thread.shutdown(wait=True)

    async def run(self, work: Callable[[], T]) -> T:
        """What ``work`` returns, on the thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def ask(
        self,
        begin: Callable[[], Answer],
        *,
        weigh: bool,
        seconds: float,
        gone: Callable[[], Awaitable[bool]],
    ) -> AsyncGenerator[str | Answered]:
        """Pieces of an answer as they are made, and the whole last.

        Args:
            begin: asks a session. weigh: also what each frame weighs.
            gone: whether who asked has left.
        Raises:
            Problem: it takes longer than ``seconds``, or nobody waits for it. Whatever asking
                raises.
        """
        loop = asyncio.get_running_loop()
        job, deadline = Job(begin, weigh, loop), loop.time() + seconds
        with self._lock:
            self._waiting.append(job)
        self._thread.submit(self._serve)
        try:
            while True:
                try:
                    what = await asyncio.wait_for(job.told.get(), LOOK)
                except TimeoutError:
                    if await gone():
                        raise Problem(499, "who asked has left") from None
                    if loop.time() > deadline:
                        raise too_slow(seconds, self.seconds_for(len(self._waiting))) from None
                    continue
                if isinstance(what, Exception):
                    raise what
                yield what
                if isinstance(what, Answered):
                    return
        finally:
            job.left.set()

    def _serve(self) -> None:
        """Each that joins the line calls it, so there may be nobody left."""
        self._answer_some()
        trim_heap()  # when what was computed is let go

    def _answer_some(self) -> None:
        with self._lock:
            some = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
        began = time.perf_counter()
        asked = [(job, answer) for job in some if (answer := _begun(job)) is not None]
        seen = [answer for _, answer in asked if answer.query.model is not None]
        if len(seen) > 1:
            try:
                answer_together(seen)
            except Exception:  # of one of them: each is asked alone, and is told what it meets
                asked = [(job, answer) for job, _ in asked if (answer := _begun(job)) is not None]
        for job, answer in asked:
            _finish(job, answer)
        if asked:
            self._on_pass(len(asked))
            own = (time.perf_counter() - began) / len(asked)
            self._pace += 0.2 * (own - self._pace)


def too_slow(seconds: float, retry_after: int) -> Problem:
    """What takes longer than it may."""
    return Problem(
        408,
        f"the answer took longer than {seconds:g} s; ask about a shorter clip, or again later",
        code="timeout",
        retry_after=retry_after,
    )


def _begun(job: Job) -> Answer | None:
    if job.left.is_set():
        return None
    try:
        return job.begin()
    except Exception as error:
        _fail(job, error)
        return None


def _finish(job: Job, answer: Answer) -> None:
    try:
        if answer.is_complete:
            job.tell(answer.text)
        for piece in answer:
            job.tell(piece)
            if job.left.is_set():
                answer.close()
                return
        if job.weigh:
            for part in answer.basis.clips:
                part.evidence()
            answer.evidence()
        job.tell(Answered(answer.text, answer.as_dict(), answer.probabilities))
    except Exception as error:
        _fail(job, error)


def _fail(job: Job, error: Exception) -> None:
    traceback.clear_frames(error.__traceback__)  # or what it computed with stays in memory
    job.tell(error)
