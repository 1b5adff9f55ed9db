"""What ``assistant finetune`` trains: everything frozen but one adapter and its losses' heads."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from itertools import islice

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from assistant.errors import ConfigError, InputError
from assistant.model.assistant import VideoAssistant
from assistant.model.lora import count_trainable
from assistant.model.quantization import precision_of
from assistant.tasks.recipes import Recipe, Training
from assistant.training.examples import DrawnExample, Example, draw, steps_per_epoch
from assistant.training.features import FeatureTable
from assistant.training.learner import CHOSEN, Learner, accuracies
from assistant.training.loop import Trainable, warmup_cosine
from assistant.training.losses import LOSSES
from assistant.training.losses.base import Loss, Setting

HEADS = "heads."  # begins the names of heads that are no part of the adapter


class Finetuner(Trainable[list[DrawnExample]]):
    """One adapter's training; a batch is that of all processes."""

    def __init__(
        self,
        recipe: Recipe,
        model: VideoAssistant,
        table: FeatureTable | None,
        train: Sequence[Example],
        dev: Sequence[Example],
        digest: str,
        accelerator: Accelerator,
    ) -> None:
        """``digest``: of the data, so that a run goes on with its own."""
        self.recipe, self.model, self.accelerator = recipe, model, accelerator
        self.train_set, self.dev_set, self.digest = train, dev, digest
        self.name, self.settings, self.phases = recipe.task, recipe.training, recipe.training.epochs
        self.identity = {
            "recipe": repr(recipe),
            "data": digest,
            "base": repr((model.fingerprint, model.encoder_fingerprint, model.config)),
            "precision": precision_of(model.llm.network),
            "number of processes": str(accelerator.num_processes),
        }
        if recipe.training.shard and accelerator.num_processes > 1:
            model.llm.shard(accelerator.device)
        model.to(accelerator.device)
        dtype = model.llm.network.dtype  # fp16 has no range for gradients
        model.qformer.to(torch.float32 if dtype == torch.float16 else dtype)  # what learns is fp32
        model.llm.let_learn(checkpointing=recipe.training.checkpointing)
        model.adapters.add(self.name, recipe.lora, recipe.transfer)
        own = model.adapters.trainable(self.name, lora=recipe.lora.train)
        self.parameters = count_trainable(own)  # how many numbers of the adapter learn
        texts = {e.answer for e in (*train, *dev)}.union(*(e.choices for e in (*train, *dev)))
        losses = {
            name: kind.build(Setting(model, recipe.training, texts)).to(accelerator.device)
            for name, kind in losses_of(recipe.training).items()
            if any(name in example.known for example in train)
        }
        if not losses:
            known = ", ".join(losses_of(recipe.training))
            raise InputError(f"no example concerns the losses {known}; weigh others in the recipe")
        learner = self.learner = Learner(model, recipe, table, self.name, losses)
        heads = {HEADS + name: p for name, p in learner.heads.named_parameters()}
        self.trained = {**own, **heads}
        same = [name for name, p in learner.named_parameters() if not p.requires_grad]
        same += [name for name, _ in learner.named_buffers()]
        leave = DistributedDataParallel._set_params_and_buffers_to_ignore_for_model
        leave(learner, same)  # every process has loaded them, or holds its shard
        self.wrapped = accelerator.prepare(learner)
        self.size = recipe.training.batch * recipe.training.accumulate * accelerator.num_processes
        self.per_epoch = steps_per_epoch(len(train), self.size, recipe.training)

    def steps(self, phase: int) -> int:
        return self.per_epoch

    def lr(self, phase: int, step: int) -> float:
        """A warm-up and a cosine without the LLM, and again through it."""
        training = self.recipe.training
        begin, end, lr = 0, training.silent_epochs, training.lr
        if not self._silent(phase):
            begin, end = end, training.epochs
            lr *= training.llm_lr if begin else 1.0
        done = (phase - begin) * self.per_epoch + step + 1
        return warmup_cosine(lr, done / ((end - begin) * self.per_epoch))

    def batches(self, phase: int, first: int) -> Iterator[list[DrawnExample]]:
        return islice(draw(self.train_set, self.recipe, self.size, phase), first, None)

    def losses(
        self, batch: list[DrawnExample], phase: int, rng: np.random.Generator
    ) -> Iterator[Tensor]:
        """Of this process's share of the batch, part by part."""
        self.wrapped.train()
        several = self.accelerator.num_processes > 1
        with self.accelerator.split_between_processes(batch, apply_padding=several) as mine:
            parts = list(_chunks(mine, self.recipe.training.batch))
            for number, part in enumerate(parts, 1):
                more = number < len(parts)
                with self.accelerator.no_sync(self.wrapped) if more else nullcontext():
                    with self._precision():
                        loss = self.wrapped(part, self._silent(phase))
                    yield loss * (len(part) / len(mine))

    def _precision(self) -> torch.autocast:
        """What learns is kept in fp32 and computed with in the frozen parts' bf16."""
        dtype = self.model.llm.network.dtype
        return torch.autocast(
            self.accelerator.device.type, torch.bfloat16, enabled=dtype == torch.bfloat16
        )

    def _silent(self, phase: int) -> bool:
        return phase < self.recipe.training.silent_epochs

    @torch.no_grad()
    def dev_figures(self, phase: int) -> dict[str, float]:
        """Loss, and accuracy by choices overall and per type; nothing without dev examples."""
        self.learner.eval()
        asked = [DrawnExample(example, example.shown) for example in self.dev_set]
        losses: list[float] = []
        size, silent = self.recipe.training.batch, self._silent(phase)
        for batch in _chunks(asked, size):
            losses += [float(self.learner(batch, silent))] * len(batch)
        figures = {"dev loss": sum(losses) / len(losses)} if losses else {}
        return figures | accuracies(self.learner, asked, size, silent)

    def score(self, phase: int, figures: dict[str, float]) -> float | None:
        """Epochs that skip the LLM are not compared with those that do not."""
        if self._silent(phase) and phase + 1 < self.phases:
            return None
        return figures.get(CHOSEN, -figures.get("dev loss", -float(phase)))


def losses_of(training: Training) -> Mapping[str, type[Loss]]:
    """Those with a weight, by their key.

    Raises:
        ConfigError: there is no loss of that key.
    """
    for name in training.losses:
        if name not in LOSSES:
            raise ConfigError(f"losses: unknown key {name!r}; known are {', '.join(LOSSES)}")
    if training.silent_epochs and not training.losses["slots"]:
        raise ConfigError(
            "losses: slots is 0, but silent_epochs learn the answer by it alone; give it a weight, "
            "or no silent_epochs"
        )
    return {name: kind for name, kind in LOSSES.items() if training.losses.get(name)}


def _chunks(asked: Sequence[DrawnExample], size: int) -> Iterator[Sequence[DrawnExample]]:
    for start in range(0, len(asked), size):
        yield asked[start : start + size]
