"""One of the workers of `assistant.core.workers`, in a process of its own."""

from __future__ import annotations

import os
import pickle
import socket
import traceback
from collections import Counter
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from assistant.core.shortage import shortage_of
from assistant.errors import AssistantError, InputError, ResourceError

DISTRIBUTION = "video-assistant"
TRIES = 3  # of an item, and of beginning a worker, until it is given up

Work = Callable[[Any], Any]
"""Does an item; both and what comes of it can be pickled. An exception ends the whole run."""


@dataclass(frozen=True)
class Done:
    """What came of an item."""

    place: int  # of the item, from 0
    value: Any = None
    fault: str = ""  # why there is no value: it killed the workers that it was given to


@dataclass(frozen=True)
class Surroundings:
    """What a worker shares with the process that began the run."""

    version: str
    folder: str
    variables: dict[str, str]

    @classmethod
    def here(cls, cores: int) -> Surroundings:
        own = {name: told for name, told in os.environ.items() if name.startswith("ASSISTANT_")}
        # Read when torch is imported, which is later: one thread for each core of the worker.
        own["OMP_NUM_THREADS"] = str(cores)
        return cls(metadata.version(DISTRIBUTION), os.getcwd(), own)  # noqa: PTH109

    def enter(self) -> None:
        """Raises InputError: another version is installed here."""
        there = metadata.version(DISTRIBUTION)
        if there != self.version:
            raise InputError(
                f"{socket.gethostname()} has {DISTRIBUTION} {there}, and the run was begun with "
                f"{self.version}; install the same on all machines"
            )
        os.environ.update(self.variables)
        with suppress(OSError):  # what is named by its whole path is found all the same
            os.chdir(self.folder)


class Tries:
    """How often something was begun and not ended; it outlives the workers."""

    def __init__(self) -> None:
        self._begun: Counter[Hashable] = Counter()

    def begin(self, what: Hashable) -> bool:
        """Whether it may be tried (again)."""
        self._begun[what] += 1
        return self._begun[what] <= TRIES

    def end(self, what: Hashable) -> None:
        del self._begun[what]


@dataclass(frozen=True)
class SharedTries:
    """`Tries` in a process of their own, as a worker asks them."""

    actor: Any

    def begin(self, what: Hashable) -> bool:
        import ray

        return ray.get(self.actor.begin.remote(what))

    def end(self, what: Hashable) -> None:
        import ray

        ray.get(self.actor.end.remote(what))


class Worker:
    """Does items, in a process of its own."""

    def __init__(
        self, make: Callable[[], Work], tries: Tries | SharedTries, surroundings: Surroundings
    ) -> None:
        """Makes nothing yet: what is wrong with it is to come as an answer."""
        self._make, self._tries, self._surroundings = make, tries, surroundings
        self._work: Work | None = None

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        place = int(row["place"])
        try:
            told: Done | Exception = self._done(place, pickle.loads(row["item"]))
        except Exception as error:
            told = _sendable(error)
        return {"place": place, "told": pickle.dumps(told)}

    def _done(self, place: int, item: Any) -> Done:
        work = self._work = self._work or self._begun()
        if not self._tries.begin(place):
            return Done(place, fault=f"the process that worked on it died, {TRIES} times")
        done = Done(place, work(item))
        self._tries.end(place)
        return done

    def _begun(self) -> Work:
        own = _name_of_this_worker()
        if not self._tries.begin(own):
            raise ResourceError(
                f"a worker on {socket.gethostname()} died {TRIES} times while its model was "
                "loaded, perhaps for want of memory; let there be fewer with --ray-cores"
            )
        self._surroundings.enter()
        work = self._make()
        self._tries.end(own)
        return work


def _name_of_this_worker() -> str:
    """It stays when the worker is begun anew."""
    import ray

    return ray.get_runtime_context().get_actor_id()


def _sendable(error: Exception) -> Exception:
    """As the process that began the run is to raise it; libraries' own may not bear pickling."""
    if isinstance(error, AssistantError):
        return error
    if told := shortage_of(error):
        return ResourceError(told)
    sent = RuntimeError(f"{type(error).__name__}: {error}")
    sent.add_note("".join(traceback.format_exception(error)))
    return sent
