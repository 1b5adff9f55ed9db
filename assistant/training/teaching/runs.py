"""The training of a teaching set: ``assistant finetune`` in a process of its own, one at a time.

What is known of it lies beside the set (``run.json``, ``train.log``), so that a page that is loaded
again, another visitor's, or that of a server which was started since, sees the same.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from pathlib import Path

from assistant.core.files import write_whole
from assistant.core.results import held_alone
from assistant.errors import AssistantError, InputError
from assistant.training.teaching.sets import (
    LABELS,
    TeachingSet,
    find_set,
    installed,
    list_sets,
    teaching_dir,
)

RUN, LOG, CHECKPOINT = "run.json", "train.log", "checkpoint.pt"
RUNNING, STOPPED, FAILED, DONE, NEW = "running", "stopped", "failed", "done", "new"
MILD = 10  # niceness: whoever asks comes first
PATIENCE = 20.0  # seconds that a training has to write its checkpoint
PROGRAM = (sys.executable, "-m", "assistant")
STARTING = "a training is being started; look again in a moment"
TOLD = "assistant: "  # begins the line of an error
STOPPED_BY = 128  # and a signal's number: the exit code of who was asked to stop


@dataclass(frozen=True)
class Run:
    """What ``run.json`` holds."""

    pid: int
    born: float  # of the process, as the system tells it: another may get its number
    began: float  # seconds since the epoch
    digest: str  # of the set: with another one it cannot go on
    code: int | None = None  # the process's exit code; None: it runs, or nobody saw it end


class Trainer:
    """Starts and stops trainings; ``options``: of ``assistant finetune``, for all of them."""

    def __init__(self, options: Sequence[str] = (), model: str = "mini") -> None:
        self.options, self.model = tuple(options), model
        self._own: dict[str, threading.Thread] = {}  # each waits for a training, by its set's name

    def start(self, taught: TeachingSet, *, resume: bool = False) -> None:
        """Begin the training of ``taught``, or go on with it.

        Raises:
            InputError: the set is too little, another one is trained, or there is nothing to go on
                with.
        """
        taught.check_enough()
        with held_alone(teaching_dir() / ".lock", STARTING):
            if busy := self.running():
                raise InputError(f"{busy} is being trained; stop it, or wait for its end")
            if resume and not can_resume(taught):
                raise InputError(f"{taught.name} has no training to go on with; train it anew")
            if not resume:
                _clear(taught, self.model)
            digest = taught.digest()
            command = self.command(taught, resume)
            with (taught.folder / LOG).open("wb") as log:
                process = _started(command, log.fileno())
            run = Run(process.pid, _born(process.pid), time.time(), digest)
            _write(taught, run)
            waits = threading.Thread(target=_wait, args=(taught, process, run), daemon=True)
            self._own[taught.name] = waits
            waits.start()

    def command(self, taught: TeachingSet, resume: bool = False) -> list[str]:
        """Of the training, after ``assistant``."""
        if taught.kind == LABELS:
            data = str(taught.write_segments())
            own = ["actions", "--data", data, "--name", taught.name]
        else:
            prompt = str(taught.prompt().save(taught.folder))
            own = [taught.name, "--data", str(taught.data), "--prompt", prompt]
            own += ["--config", str(answers_recipe())]
        go_on = ["--resume"] if resume else []
        return ["finetune", *own, "--out", str(taught.run), *go_on, *self.options]

    def stop(self, taught: TeachingSet) -> None:
        """Ask the training of ``taught`` to end; its checkpoint stays."""
        run = read_run(taught)
        if run is not None and _lives(run):
            with suppress(ProcessLookupError):
                os.kill(run.pid, signal.SIGTERM)

    def remove(self, taught: TeachingSet) -> None:
        """The set with its clips and its run; the task that was taught stays.

        Raises:
            InputError: it is trained, or removed already.
        """
        with held_alone(teaching_dir() / ".lock", STARTING):
            taught = find_set(taught.name)
            if self._runs(taught):
                raise InputError(f"{taught.name} is being trained; stop that first")
            shutil.rmtree(taught.folder)

    def running(self) -> str | None:
        """The name of the set that is being trained, by whichever process."""
        return next((name for name in list_sets() if self._runs(find_set(name))), None)

    def state(self, taught: TeachingSet) -> str:
        """How far its training is: RUNNING, STOPPED, FAILED, DONE, or NEW: there was none of it."""
        if self._runs(taught):
            return RUNNING
        run = read_run(taught)
        if run is None:
            return NEW
        if run.digest == taught.digest() and self._is_done(taught, run):
            return DONE
        if failure(taught):
            return FAILED
        return STOPPED if can_resume(taught) else NEW

    def close(self) -> None:
        """Stop what this process started, and wait until that is in order."""
        waiting = {name: waits for name, waits in self._own.items() if waits.is_alive()}
        for name in waiting:
            with suppress(AssistantError):  # it was removed
                self.stop(find_set(name))
        for waits in waiting.values():
            waits.join(PATIENCE)

    def _runs(self, taught: TeachingSet) -> bool:
        """Until its exit code is known, where this process started it."""
        run, waits = read_run(taught), self._own.get(taught.name)
        return run is not None and (_lives(run) or (waits is not None and waits.is_alive()))

    def _is_done(self, taught: TeachingSet, run: Run) -> bool:
        place = installed(taught, self.model)
        if place is None:
            return False
        return run.code == 0 or (run.code is None and place.stat().st_mtime >= run.began)


def answers_recipe() -> Path:
    """How questions and answers are learned."""
    return Path(str(files("assistant.training.teaching") / "answers.yaml"))


def can_resume(taught: TeachingSet) -> bool:
    """Whether its last training can go on: it wrote a checkpoint, and teaches the same."""
    run = read_run(taught)
    if run is None or run.code == 0 or run.digest != taught.digest():
        return False
    return (taught.run / CHECKPOINT).is_file()


def failure(taught: TeachingSet) -> str:
    """Why its last training failed, in a line; "": it did not, or was stopped."""
    run = read_run(taught)
    if run is None or run.code == 0 or (run.code or 0) >= STOPPED_BY:
        return ""
    if run.code is not None and run.code < 0:
        name = signal.Signals(-run.code).name
        return f"the training was ended by {name}; is there memory enough for it?"
    _, said, why = (taught.folder / LOG).read_text("utf-8", "replace").rpartition(TOLD)
    if run.code is None and (not said or why.startswith("stopped")):
        return ""  # nobody saw it end; it may have been stopped with the machine
    if not said:
        return f"the training ended with {run.code}; {LOG} in the set's folder says more"
    return " ".join(why.split())


def read_run(taught: TeachingSet) -> Run | None:
    """Its last training; None: there was none, or what is known of it is damaged."""
    try:
        return Run(**json.loads((taught.folder / RUN).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _write(taught: TeachingSet, run: Run) -> None:
    write_whole(taught.folder / RUN, json.dumps(asdict(run)))


def _clear(taught: TeachingSet, model: str) -> None:
    """Away with the run before, and with its recogniser, whose name the new one takes."""
    shutil.rmtree(taught.run, ignore_errors=True)
    (taught.folder / RUN).unlink(missing_ok=True)
    place = installed(taught, model)
    if place is not None and taught.kind == LABELS:  # an adapter is replaced at the end
        shutil.rmtree(place)


def _wait(taught: TeachingSet, process: subprocess.Popen[bytes], run: Run) -> None:
    code = process.wait()
    with suppress(OSError):  # the set was removed
        _write(taught, replace(run, code=code))


def _started(command: Sequence[str], log: int) -> subprocess.Popen[bytes]:
    """``assistant`` on half of the cores, milder than whoever asks, out of a terminal's reach."""
    threads = max(1, (os.cpu_count() or 1) // 2)
    own = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONSAFEPATH": "1"}
    own |= {"OMP_NUM_THREADS": str(threads)}
    process = subprocess.Popen(
        [*PROGRAM, *command],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env=os.environ | own,
        start_new_session=True,
    )
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, process.pid, MILD)
    return process


def _born(pid: int) -> float:
    import psutil

    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:  # it ended at once
        return 0.0


def _lives(run: Run) -> bool:
    import psutil

    if run.code is not None:
        return False
    try:
        process = psutil.Process(run.pid)
        return process.create_time() == run.born and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
