"""The loop of every training: steps, learning rate, log, dev figures, checkpoint, resume.

A run can stop and go on at any step, to the same weights bit by bit: what a step does depends on
the seed, the phase and the step alone.
"""

import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.utils import is_tensorboard_available
from torch import Tensor
from tqdm import tqdm

from assistant.core.shortage import pass_on_memory
from assistant.errors import InputError, ModelError

CHECKPOINT, LOG = "checkpoint.pt", "log.jsonl"
TENSORBOARD = "tensorboard"  # folder of its logs, where it is installed (extra "train")
SAVE_EVERY = 120.0  # seconds
LOG_EVERY = 20  # steps
WARMUP = 0.05  # share of the steps
LEAST = 0.02  # share of the learning rate at the end
CLIP_NORM = 1.0

B = TypeVar("B")
Keep = Callable[[int, dict[str, float]], None]


class Settings(Protocol):
    """Of the optimizer, as a recipe has them."""

    @property
    def seed(self) -> int: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def betas(self) -> tuple[float, ...]: ...


class Trainable(ABC, Generic[B]):
    """What a loop trains: how a batch is drawn, what it loses, and what is measured."""

    settings: Settings
    phases: int  # stretches of training, one after the other
    unit = "epoch"  # what a phase is called
    restarts = False  # each phase begins with a new optimizer
    fused = False  # the optimizer moves all that learns at once: faster where that is much
    trained: dict[str, Tensor]  # what the optimizer moves
    paces: Mapping[str, float] = {}  # of that, by name: times the learning rate, else 1
    identity: dict[str, str]  # what a run must have in common with the one that it goes on with

    def beside(self) -> dict[str, Tensor]:
        """What else a resumed run goes on with."""
        return {}

    @abstractmethod
    def steps(self, phase: int) -> int: ...

    @abstractmethod
    def lr(self, phase: int, step: int) -> float: ...

    @abstractmethod
    def batches(self, phase: int, first: int) -> Iterator[B]:
        """One of each step of a phase, from the step ``first``."""

    @abstractmethod
    def losses(self, batch: B, phase: int, rng: np.random.Generator) -> Iterator[Tensor]:
        """Scalars whose sum a step is to lower; each is backpropagated before the next one."""

    def moved(self, step: int) -> None:
        """After each step of the optimizer."""

    def dev_every(self, phase: int) -> int:
        """Steps between dev figures, which are measured at a phase's end in any case."""
        return self.steps(phase)

    def dev_figures(self, phase: int) -> dict[str, float]:
        return {}

    def score(self, phase: int, figures: dict[str, float]) -> float | None:
        """What decides whether a phase's weights are kept, higher is better; None: they are not."""
        return None


@dataclass
class Progress:
    """Where a run is."""

    phase: int = 0
    step: int = 0  # within the phase
    best: float = -math.inf  # score so far


class Loop(Generic[B]):
    """Trains to the end; ``out`` holds the checkpoint and the log."""

    def __init__(
        self, trainable: Trainable[B], out: Path, accelerator: Accelerator, keep: Keep | None = None
    ) -> None:
        """``keep``: called with each phase of a better score, and its dev figures."""
        self.trainable, self.out, self.accelerator, self.keep = trainable, out, accelerator, keep
        self.progress = Progress()
        self.optimizer = self._new_optimizer()
        self._moving = False  # between two whole states

    def _new_optimizer(self) -> torch.optim.Optimizer:
        run = self.trainable
        settings = run.settings
        found: dict[tuple[float, bool], list[Tensor]] = {}
        for name, moved in run.trained.items():
            found.setdefault((run.paces.get(name, 1.0), moved.ndim > 1), []).append(moved)
        groups = [
            {"params": some, "pace": pace, "weight_decay": settings.weight_decay if wide else 0.0}
            for (pace, wide), some in sorted(found.items(), key=lambda one: one[0], reverse=True)
        ]
        return torch.optim.AdamW(groups, betas=tuple(settings.betas), fused=run.fused or None)

    def run(self) -> None:
        """Train to the end; Ctrl-C saves first. Then :meth:`end`."""
        try:
            while self.progress.phase < self.trainable.phases:
                self._run_phase()
                self._end_phase()
        except KeyboardInterrupt:
            if not self._moving:  # else the last checkpoint stands
                self.save()
            raise

    def end(self) -> None:
        """Close the logs, and what joins this process to the others."""
        self.accelerator.end_training()

    def _run_phase(self) -> None:
        now, run, saved = self.progress, self.trainable, time.monotonic()
        steps, dev_every = run.steps(now.phase), run.dev_every(now.phase)
        losses: list[float] = []
        with tqdm(
            total=steps,
            initial=now.step,
            desc=f"{run.unit} {now.phase + 1} of {run.phases}",
            unit="step",
            disable=not self.accelerator.is_main_process,
        ) as bar:
            for batch in run.batches(now.phase, now.step):
                losses.append(self.step(batch))
                now.step += 1
                self._moving = False
                bar.update()
                bar.set_postfix(loss=f"{losses[-1]:.3f}")
                if len(losses) == LOG_EVERY or now.step == steps:
                    self.log(loss=sum(losses) / len(losses))
                    losses = []
                if now.step % dev_every == 0 and now.step < steps:
                    self.log(**self._dev_figures())
                if time.monotonic() - saved > SAVE_EVERY:
                    self.save()
                    saved = time.monotonic()

    def step(self, batch: B) -> float:
        """One step of the optimizer; the loss. Raises ModelError: it has diverged."""
        now, run, several = self.progress, self.trainable, self.accelerator.num_processes > 1
        for group in self.optimizer.param_groups:
            group["lr"] = run.lr(now.phase, now.step) * group.get("pace", 1.0)
        rng = np.random.default_rng((run.settings.seed, now.phase, now.step))
        torch.manual_seed(int(rng.integers(2**31)))  # dropout, the same after a resume
        total = 0.0
        for loss in run.losses(batch, now.phase, rng):
            self.accelerator.backward(loss)
            total += float(loss.detach())
        norm = float(self.accelerator.clip_grad_norm_(run.trained.values(), CLIP_NORM))
        if several:
            whole = torch.tensor(total, device=self.accelerator.device)
            total = float(self.accelerator.reduce(whole, "mean"))
        self._check_finite({"loss": total, "gradient": norm})  # of all processes: all stop
        self._moving = True
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        run.moved(now.step)
        return total

    def _check_finite(self, figures: dict[str, float]) -> None:
        """
        Raises:
            ModelError: one of the figures is not finite. The weights are as before this step.
        """
        now, run = self.progress, self.trainable
        for name, value in figures.items():
            if not math.isfinite(value):
                raise ModelError(
                    f"{run.unit} {now.phase + 1}, step {now.step + 1}: the {name} is {value}, so "
                    "training stopped; start again with a lower lr, or mend the data"
                )

    def _end_phase(self) -> None:
        """Measure on dev, keep the best, write the checkpoint; after a stop within it, again."""
        now, run = self.progress, self.trainable
        figures = self._dev_figures()
        self.log(**figures)
        after = Progress(now.phase + 1, best=now.best)
        score = run.score(now.phase, figures)
        if self.keep is not None and score is not None and score > now.best:
            self.keep(now.phase, figures)
            after.best = score
        self.progress = after
        if run.restarts:
            self.optimizer = self._new_optimizer()
        self.save()

    def _dev_figures(self) -> dict[str, float]:
        """Raises ModelError: one of them is not finite."""
        figures = self.trainable.dev_figures(self.progress.phase)
        self._check_finite(figures)
        return figures

    def log(self, **values: float) -> None:
        """Append one line to ``log.jsonl``; its step is counted from the run's beginning."""
        if not self.accelerator.is_main_process:
            return
        now, run = self.progress, self.trainable
        step = sum(map(run.steps, range(now.phase))) + now.step
        line = {run.unit: now.phase + 1, "step": step, "time": round(time.time()), **values}
        with (self.out / LOG).open("a") as file:
            file.write(json.dumps(line) + "\n")
        self.accelerator.log(values, step=step)

    def save(self) -> None:
        """Write the checkpoint, atomically."""
        if not self.accelerator.is_main_process:
            return
        run = self.trainable
        state: dict[str, Any] = {
            "identity": run.identity,
            "progress": vars(self.progress),
            "trained": {name: p.detach().cpu() for name, p in run.trained.items()},
            "beside": {name: value.cpu() for name, value in run.beside().items()},
            "optimizer": self.optimizer.state_dict(),
        }
        part = self.out / (CHECKPOINT + ".part")
        with part.open("wb") as file:  # Python's own: a full disk is an OSError that says so
            torch.save(state, file)
        part.replace(self.out / CHECKPOINT)

    @torch.no_grad()
    def load(self) -> None:
        """Go on where the checkpoint stopped.

        Raises:
            InputError: it was written with another recipe, from other data, or by a version whose
                checkpoints differ.
        """
        path = self.out / CHECKPOINT
        run = self.trainable
        try:
            state = torch.load(path, weights_only=True)
        except Exception as error:  # of several kinds
            pass_on_memory(error)
            raise InputError(
                f"{path}: is damaged ({error}); begin anew with another --out"
            ) from error
        parts = (("trained", run.trained), ("beside", run.beside()))
        identity = state.get("identity", {})
        same = identity.keys() == run.identity.keys()
        for what, own in run.identity.items():
            if same and identity[what] != own:
                raise InputError(
                    f"{path}: was written with another {what}; take the same, or another --out"
                )
        if not same or any(state.get(part, {}).keys() != own.keys() for part, own in parts):
            raise InputError(f"{path}: is of another version; take that one, or another --out")
        for part, tensors in parts:
            for name, value in tensors.items():
                value.copy_(state[part][name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.progress = Progress(**state["progress"])


def new_accelerator(out: Path) -> Accelerator:
    """This process's device and, where several train together, what joins it to the others."""
    accelerator = Accelerator(
        cpu=not torch.cuda.is_available(),
        log_with="tensorboard" if is_tensorboard_available() else None,
        project_dir=out,
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    accelerator.init_trackers(TENSORBOARD)
    return accelerator


def warmup_cosine(lr: float, share: float) -> float:
    """The learning rate once ``share`` of the steps is done: a warm-up, then a cosine."""
    rise = min(1.0, share / WARMUP)
    return lr * rise * max(LEAST, 0.5 * (1.0 + math.cos(math.pi * share)))
