"""The loop of ``assistant finetune``: everything frozen but one adapter."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.utils import is_tensorboard_available
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from assistant.errors import InputError
from assistant.model.assistant import VideoAssistant
from assistant.model.lora import count_trainable
from assistant.tasks.recipes import Recipe
from assistant.training.clips import ClipTable
from assistant.training.examples import Asked, Example, draw, steps_per_epoch
from assistant.training.learner import CHOSEN, Learner, accuracies
from assistant.training.losses.motion import MotionSupervision, Moved
from assistant.training.losses.naming import NamedChoice
from assistant.training.losses.slots import WordSlots
from assistant.training.losses.walking import Walked, WalkSupervision

__all__ = ["CHECKPOINT", "LOG", "Finetuner"]

CHECKPOINT, LOG = "checkpoint.pt", "log.jsonl"
TENSORBOARD = "tensorboard"  # folder of its logs, where it is installed (extra "train")
SAVE_EVERY = 120.0  # seconds
HEADS = "heads."  # begins the names of heads that are no part of the adapter
LEAST_RATE = 0.02  # share of the rate at the end


@dataclass
class Progress:
    """Where a run is."""

    epoch: int = 0
    step: int = 0  # within the epoch
    best: float = -math.inf  # the deciding figure, higher is better
    best_epoch: int = -1
    stale: int = 0  # epochs since


class Finetuner:
    """Trains one adapter; can stop and go on at any step, to the same weights bit by bit.

    What a step does depends on the recipe's seed, the epoch and the step alone.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: VideoAssistant,
        table: ClipTable | None,
        train: Sequence[Example],
        dev: Sequence[Example],
        digest: str,
        out: Path,
    ) -> None:
        """``digest``: of the data, so that a run goes on with its own."""
        self.recipe, self.model, self.out = recipe, model, out
        self.train_set, self.dev_set, self.digest = train, dev, digest
        self.accelerator = Accelerator(
            cpu=not torch.cuda.is_available(),
            log_with="tensorboard" if is_tensorboard_available() else None,
            project_dir=out,
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
        )
        self.accelerator.init_trackers(TENSORBOARD)
        self.name = recipe.task
        if recipe.training.shard and self.accelerator.num_processes > 1:
            model.llm.shard(self.accelerator.device)
        model.to(self.accelerator.device)
        dtype = model.llm.network.dtype  # fp16 has no range for gradients
        model.qformer.to(torch.float32 if dtype == torch.float16 else dtype)  # what learns is fp32
        model.llm.let_learn(checkpointing=recipe.training.checkpointing)
        model.adapters.add(self.name, recipe.lora, recipe.transfer)
        learner = Learner(model, recipe, table, self.name)
        if recipe.training.slots or recipe.training.silent_epochs:
            texts = {e.answer for e in (*train, *dev)}.union(*(e.choices for e in (*train, *dev)))
            slots = WordSlots(model.llm, texts, (), repeated=recipe.training.repeated)
            learner.slots = slots.to(self.accelerator.device)
        only = recipe.training.only
        self.trained = model.adapters.trainable(self.name, lora=recipe.lora.train, only=only)
        if not self.trained:
            raise InputError(f"only {only!r}: nothing that learns is called so; leave it out")
        if recipe.training.motion:  # its heads learn with the adapter and are not part of it
            shape = model.qformer.config
            known = {type(example.known) for example in train}
            if Moved in known:
                learner.motion = MotionSupervision(shape.queries, shape.width)
                self._add_head("motion.", learner.motion)
            if Walked in known:
                learner.walking = WalkSupervision(shape.queries, shape.width)
                self._add_head("walking.", learner.walking)
        if recipe.training.naming:
            learner.naming = NamedChoice(model.qformer.config.width)
            self._add_head("naming.", learner.naming)
        decay = recipe.training.weight_decay
        matrices = [p for p in self.trained.values() if p.ndim > 1]
        rest = [p for p in self.trained.values() if p.ndim <= 1]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": decay},
                {"params": rest, "weight_decay": 0.0},
            ],
            betas=tuple(recipe.training.betas),
        )
        self.learner = learner
        same = [name for name, p in learner.named_parameters() if not p.requires_grad]
        same += [name for name, _ in learner.named_buffers()]
        leave = DistributedDataParallel._set_params_and_buffers_to_ignore_for_model
        leave(learner, same)  # every process has loaded them, or holds its shard
        self.wrapped = self.accelerator.prepare(learner)
        self.progress = Progress()
        self._moving = False  # between two whole states
        self.size = (
            recipe.training.batch * recipe.training.accumulate * self.accelerator.num_processes
        )
        self.steps = steps_per_epoch(len(train), self.size, recipe.training)

    def _add_head(self, name: str, head: nn.Module) -> None:
        head.to(self.accelerator.device)
        self.trained |= {HEADS + name + own: p for own, p in head.named_parameters()}

    @property
    def parameters(self) -> int:
        """How many numbers of the adapter learn."""
        own = {n: p for n, p in self.trained.items() if not n.startswith(HEADS)}
        return count_trainable(own)

    def run(self) -> None:
        """Train to the end; Ctrl-C saves first. Then :meth:`end`."""
        try:
            while self.progress.epoch < self.recipe.training.epochs and not self._is_stale():
                self._run_epoch()
                self._end_epoch()
        except KeyboardInterrupt:
            if not self._moving:  # else the last checkpoint stands
                self.save()
            raise

    def end(self) -> None:
        """Close the logs, and what joins this process to the others."""
        self.accelerator.end_training()

    def _is_stale(self) -> bool:
        patience = self.recipe.training.patience
        return bool(patience) and self.progress.stale >= patience

    def _run_epoch(self) -> None:
        progress, saved = self.progress, time.monotonic()
        title = f"epoch {progress.epoch + 1} of {self.recipe.training.epochs}"
        batches = draw(self.train_set, self.recipe, self.size, progress.epoch)
        losses: list[float] = []
        with tqdm(
            total=self.steps,
            initial=progress.step,
            desc=title,
            unit="step",
            disable=not self.accelerator.is_main_process,
        ) as bar:
            for batch in islice(batches, progress.step, None):
                losses.append(self._step(batch))
                progress.step += 1
                self._moving = False
                bar.update()
                bar.set_postfix(loss=f"{losses[-1]:.3f}")
                if len(losses) == 20 or progress.step == self.steps:
                    self.log(loss=sum(losses) / len(losses))
                    losses = []
                if time.monotonic() - saved > SAVE_EVERY:
                    self.save()
                    saved = time.monotonic()

    def _step(self, batch: list[Asked]) -> float:
        """One step of the optimizer over this process's share of the batch."""
        training, progress = self.recipe.training, self.progress
        self._set_rate(progress.epoch * self.steps + progress.step)
        rng = np.random.default_rng((training.seed, progress.epoch, progress.step))
        torch.manual_seed(int(rng.integers(2**31)))  # dropout, the same after a resume
        self.wrapped.train()
        total = 0.0
        several = self.accelerator.num_processes > 1
        with self.accelerator.split_between_processes(batch, apply_padding=several) as mine:
            parts = list(_chunks(mine, training.batch))
            for number, part in enumerate(parts, 1):
                more = number < len(parts)
                whole = self.accelerator.no_sync(self.wrapped) if more else nullcontext()
                with whole:
                    with self._precision():
                        loss = self.wrapped(part, self._silent, self._sparse)
                    loss = loss * (len(part) / len(mine))
                    self.accelerator.backward(loss)
                total += float(loss.detach())
        self.accelerator.clip_grad_norm_(self.trained.values(), training.clip_norm)
        self._moving = True
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if several:
            every = self.accelerator.reduce(
                torch.tensor(total, device=self.accelerator.device), "mean"
            )
            return float(every)
        return total

    def _precision(self) -> torch.autocast:
        """What learns is kept in fp32 and computed with in the frozen parts' bf16."""
        dtype = self.model.llm.network.dtype
        return torch.autocast(
            self.accelerator.device.type, torch.bfloat16, enabled=dtype == torch.bfloat16
        )

    @property
    def _silent(self) -> bool:
        return self.progress.epoch < self.recipe.training.silent_epochs

    @property
    def _sparse(self) -> bool:
        return self.progress.epoch < self.recipe.training.sparse_epochs

    def _set_rate(self, step: int) -> None:
        """Warm-up, then a cosine to almost nothing: without the LLM, and again through it."""
        training = self.recipe.training
        silent = self.steps * training.silent_epochs
        begin, end, rate = 0, silent, training.rate
        if step >= silent:
            begin, end = silent, self.steps * training.epochs
            rate *= training.llm_rate if silent else 1.0
        share = (step + 1 - begin) / (end - begin)
        rise = min(1.0, share / training.warmup) if training.warmup else 1.0
        fall = max(LEAST_RATE, 0.5 * (1.0 + math.cos(math.pi * share)))
        for group in self.optimizer.param_groups:
            group["lr"] = rate * rise * fall

    def _end_epoch(self) -> None:
        """Measure on dev, keep the best, write the checkpoint; done again after a stop within it.

        Epochs that skip the LLM are not compared with those that do not.
        """
        now = self.progress
        figures = self.dev_figures()
        self.log(**figures)
        after = replace(now, epoch=now.epoch + 1, step=0)
        figure = figures.get(CHOSEN, -figures.get("dev loss", -float(now.epoch)))
        if not self._silent or now.epoch + 1 == self.recipe.training.epochs:
            after.stale = now.stale + 1
            if figure > now.best:
                self.keep_best(figures)
                after.best, after.best_epoch, after.stale = figure, now.epoch, 0
        self.progress = after
        self.save()

    def keep_best(self, figures: dict[str, float]) -> None:
        """Called with each better epoch; `assistant.training.finetune` writes the adapter."""

    @torch.no_grad()
    def dev_figures(self) -> dict[str, float]:
        """Loss, and accuracy by choices overall and per type; nothing without dev examples."""
        self.learner.eval()
        asked = [Asked(example, example.shown) for example in self.dev_set]
        losses: list[float] = []
        size = self.recipe.training.batch
        for batch in _chunks(asked, size):
            losses += [float(self.learner(batch, self._silent))] * len(batch)
        figures = {"dev loss": sum(losses) / len(losses)} if losses else {}
        return figures | accuracies(self.learner, asked, size, self._silent)

    def log(self, **values: float) -> None:
        """Append one line to ``log.jsonl``."""
        if not self.accelerator.is_main_process:
            return
        where = {"epoch": self.progress.epoch + 1, "step": self.total_step}
        line = {**where, "time": round(time.time()), **values}
        with (self.out / LOG).open("a") as file:
            file.write(json.dumps(line) + "\n")
        self.accelerator.log(values, step=self.total_step)

    @property
    def total_step(self) -> int:
        """Steps since the beginning."""
        return self.progress.epoch * self.steps + self.progress.step

    def save(self) -> None:
        """Write the checkpoint, atomically."""
        if not self.accelerator.is_main_process:
            return
        state: dict[str, Any] = {
            "recipe": repr(self.recipe),
            "data": self.digest,
            "progress": vars(self.progress),
            "trained": {name: p.detach().cpu() for name, p in self.trained.items()},
            "optimizer": self.optimizer.state_dict(),
        }
        part = self.out / (CHECKPOINT + ".part")
        torch.save(state, part)
        part.replace(self.out / CHECKPOINT)

    @torch.no_grad()
    def load(self) -> None:
        """Go on where the checkpoint stopped.

        Raises:
            InputError: it was written with another recipe, or from other data.
        """
        path = self.out / CHECKPOINT
        state = torch.load(path, weights_only=True)
        for what, own in (("recipe", repr(self.recipe)), ("data", self.digest)):
            if state[what] != own:
                raise InputError(
                    f"{path}: was written with another {what}; take the same, or another --out"
                )
        for name, parameter in self.trained.items():
            parameter.copy_(state["trained"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.progress = Progress(**state["progress"])


def _chunks(asked: Sequence[Asked], size: int) -> Iterator[Sequence[Asked]]:
    for start in range(0, len(asked), size):
        yield asked[start : start + size]
