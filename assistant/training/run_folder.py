"""The folder of a training run: one run's, and one at a time."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from assistant.core.resources import first_process
from assistant.core.results import held_alone
from assistant.errors import InputError
from assistant.training.loop import CHECKPOINT

LOCK = ".lock"


def check_run(out: Path, resume: bool) -> None:
    """
    Raises:
        InputError: ``out`` holds a run and this one does not ``resume`` it, or the other way round.
    """
    there = (out / CHECKPOINT).exists()
    if there and not resume:
        raise InputError(f"{out}: holds a run already; go on with --resume or choose another --out")
    if resume and not there:
        raise InputError(f"{out}: holds no run to resume; leave --resume out")


@contextmanager
def run_folder(out: Path, resume: bool) -> Iterator[None]:
    """The folder of one run, made where it is not there; while the run lasts no other uses it.

    Raises:
        InputError: another one does, or it holds a run and this one does not ``resume`` it.
    """
    out.mkdir(parents=True, exist_ok=True)
    told = f"{out}: another run trains in it; wait for it, or choose another --out"
    with held_alone(out / LOCK, told) if first_process() else nullcontext():
        if not resume:
            check_run(out, resume)
        yield
