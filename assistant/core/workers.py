"""Work spread over workers: processes of this machine, or of the machines of a Ray cluster.

Workers only compute. What they find comes to the one process that writes, each item once, in the
order in which it is done: how a command is resumed has nothing to do with them. An item whose
worker dies is given to another, or to the same when it is back; one that kills three is given up.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata, util
from typing import Any

from assistant.core.worker import (
    DISTRIBUTION,
    Done,
    SharedTries,
    Surroundings,
    Tries,
    Work,
    Worker,
)
from assistant.errors import InputError

LOCAL, AUTO = "local", "auto"  # in place of an address: this machine alone; a cluster it is in
EXTRA = "pip install 'video-assistant[ray]'"
CORES = 4  # of a worker without a GPU, where a machine has so many
LONGEST, LEAST = 16, 256  # items sent at once; more than one if each worker gets so many times
STORE = 256 << 20  # bytes of shared memory for what is on its way, of a Ray that we start
REACHED = 10.0  # seconds that an address has to answer
SETTINGS = {  # of Ray, unless the person says otherwise: quiet, and no slower than we are
    "RAY_worker_niceness": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # its news of dead workers would be among our results
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # as it will be: else it warns
}


def in_order(found: Iterable[Done]) -> Iterator[Done]:
    """By place, each as soon as all before it are there."""
    waiting: dict[int, Done] = {}
    wanted = 0
    for done in found:
        waiting[done.place] = done
        while wanted in waiting:
            yield waiting.pop(wanted)
            wanted += 1


@dataclass(frozen=True)
class Workers:
    """Where work is spread."""

    address: str = LOCAL  # of a Ray cluster: HOST:PORT, or "auto" on one of its machines
    cores: int | None = None  # of a worker; None: `CORES`, or its part of a machine with GPUs
    gpu: bool | None = False  # whether each has one; None: where the cluster has any

    def __post_init__(self) -> None:
        """Raises InputError: Ray is not installed, or cannot be reached so."""
        if util.find_spec("ray") is None:
            raise InputError(f"--ray needs the 'ray' extra: {EXTRA}")
        if self.address.startswith("ray://"):
            raise InputError(
                f"{self.address}: is for Ray's client, which cannot do this; run the command on a "
                "machine of the cluster, with --ray auto"
            )

    def spread(self, items: Sequence[Any], make: Callable[[], Work]) -> Iterator[Done]:
        """Each item once, in the order in which they are done.

        Args:
            make: called once in each worker, in the folder of this process and with its
                ``ASSISTANT_`` variables: loads what does the work.
        Raises:
            InputError: no cluster there, or no machine of it has what a worker needs. What ``make``
                and its work raise.
        """
        if not items:
            return
        with joined(self.address) as ray:
            count, cores, gpus = self._share(ray, len(items))
            tries = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Tries)
            context = ray.data.DataContext.get_current()
            context.enable_progress_bars = False
            at_once = max(1, min(LONGEST, len(items) // (LEAST * count)))
            rows = [{"place": n, "item": pickle.dumps(item)} for n, item in enumerate(items)]
            found = ray.data.from_items(rows, override_num_blocks=-(-len(rows) // at_once)).map(
                Worker,
                fn_constructor_args=(make, SharedTries(tries.remote()), Surroundings.here(cores)),
                num_cpus=cores,
                num_gpus=gpus,
                compute=ray.data.ActorPoolStrategy(size=count, max_tasks_in_flight_per_actor=1),
            )
            came: set[int] = set()
            for row in self._rows(ray, found):
                told = pickle.loads(row["told"])
                if isinstance(told, Exception):
                    raise told
                if told.place not in came:
                    came.add(told.place)
                    yield told

    def _rows(self, ray: Any, found: Any) -> Iterator[dict[str, Any]]:
        """Raises InputError: Ray cannot begin workers, or has lost its machines."""
        try:
            yield from found.iter_rows()
        except ray.exceptions.RayError as error:
            what = str(error).strip().splitlines()[-1][:200]
            raise InputError(
                f"Ray ({self.address}) cannot keep its workers ({what}); look that all machines "
                f"are there and have {DISTRIBUTION} {metadata.version(DISTRIBUTION)}"
            ) from error

    def _share(self, ray: Any, most: int) -> tuple[int, int, int]:
        """How many workers, at most ``most``, and cores and GPUs of each."""
        machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        has = [(int(m.get("CPU", 0)), int(m.get("GPU", 0))) for m in machines]
        by_gpu = self.gpu is not False and any(gpus for _, gpus in has)
        if self.gpu and not by_gpu:
            raise InputError(f"Ray ({self.address}) knows no GPU; leave out --device cuda")
        if by_gpu:
            own = min(cores // gpus for cores, gpus in has if gpus)
        else:
            own = min(CORES, max(cores for cores, _ in has))
        wanted = self.cores or max(1, own)
        count = sum(
            min(cores // wanted, gpus) if by_gpu else cores // wanted for cores, gpus in has
        )
        if not count:
            told = ", ".join(f"{cores} and {gpus}" for cores, gpus in has)
            raise InputError(
                f"a worker wants {wanted} cores and {int(by_gpu)} GPUs, and the machines of Ray "
                f"({self.address}) have {told}; give less with --ray-cores"
            )
        return min(count, most), wanted, int(by_gpu)


@contextmanager
def joined(address: str) -> Iterator[Any]:
    """Ray, with a cluster; one that this program has joined already stays so.

    Raises InputError: there is none."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    import ray
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    if address != LOCAL:
        _check_answers(address)
    if ray.is_initialized():
        yield ray
        return
    own: dict[str, Any] = {}
    if address == LOCAL:
        own = {"include_dashboard": False, "object_store_memory": STORE}
    try:
        with _own_signals(), _no_stderr():
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        what = next(iter(str(error).splitlines()), type(error).__name__)[:200].rstrip(".")
        raise InputError(
            f"Ray ({address}) cannot be joined: {what}; give the address that `ray start` tells, "
            "on one of the cluster's machines, or local (docs/scale.md)"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Raises InputError: nobody does at once; Ray would try for minutes."""
    host, found, port = _address_of(address).rpartition(":")
    if not found or not port.isdecimal():
        return  # what Ray knows by another name, or says itself that it does not
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACHED).close()
    except (OSError, OverflowError) as error:
        raise InputError(
            f"Ray does not answer at {host}:{port} ({error}); start it there with "
            "`ray start --head`"
        ) from error


def _address_of(address: str) -> str:
    """Where Ray would look for "auto": in RAY_ADDRESS, or where one was begun last, which may have
    ended since."""
    if address != AUTO:
        return address
    from ray._private.services import canonicalize_bootstrap_address_or_die

    with suppress(ConnectionError, ValueError):
        return canonicalize_bootstrap_address_or_die(AUTO)
    return address


@contextmanager
def _own_signals() -> Iterator[None]:
    """What ends this process stays as it is: Ray would have its own way."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, kept)


@contextmanager
def _no_stderr() -> Iterator[None]:
    """Ray's parts that are not Python tell there which log level they were told."""
    kept = os.dup(2)
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)
