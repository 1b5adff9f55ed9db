"""``assistant pretrain``: the image Q-Former, first without the LLM, then through it."""

from __future__ import annotations

import json
import math
import random
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
import yaml
from torch import Tensor
from tqdm import tqdm

from assistant.config import ModelConfig, from_yaml
from assistant.errors import InputError
from assistant.model.assistant import VideoAssistant
from assistant.model.loading import (
    BASE_CONFIG,
    BASE_WEIGHTS,
    build_model,
    save_trained,
    trained_names,
)
from assistant.model.slots import WordSlots
from assistant.pretraining_data import (
    FeatureTable,
    Photos,
    Sample,
    Sampler,
    photo_samples,
    scene_samples,
    with_mirrors,
)

__all__ = ["Phase", "PretrainConfig", "run"]

CHECKPOINT, LOG = "checkpoint.pt", "log.jsonl"
BASE_RECIPE = "pretrain.yaml"
SAVE_EVERY = 240.0  # seconds
DEV_SAMPLES = 192  # per kind


@dataclass(frozen=True)
class Phase:
    """One stretch of training."""

    samples: int
    batch: int
    rate: float
    mix: dict[str, float]  # kind of sample: weight
    slots: float  # weight of the word-slot loss
    llm: float  # weight of the LLM's loss; 0 leaves the LLM out
    warmup: float = 0.05  # share of the steps
    blind: float = 0.06  # share of batches that see no picture
    follow_ups: float = 0.1  # share of samples with an earlier turn
    dev_every: int = 1000  # steps

    @property
    def steps(self) -> int:
        return self.samples // self.batch


@dataclass(frozen=True)
class PretrainConfig:
    """Everything that the weights depend on, beside the data."""

    model: ModelConfig
    phases: tuple[Phase, ...]
    prompts: tuple[str, ...]  # that ask for a description
    scenes: int = 10000
    dev_scenes: int = 300
    seed: int = 7
    weight_decay: float = 0.05
    dropout: float = 0.1  # inside the Q-Former
    patches_kept: float = 0.7  # share of a picture's patches that a training step shows
    betas: tuple[float, ...] = field(default=(0.9, 0.98))
    clip_norm: float = 1.0


@dataclass(frozen=True)
class Data:
    """Tables of features and what is asked about them."""

    tables: tuple[FeatureTable, ...]
    train: dict[str, list[Sample]]
    dev: dict[str, list[Sample]]

    def patches(self, samples: Sequence[Sample]) -> Tensor:
        """``(B, 1, K, Dv)``."""
        rows = [self._table(s.picture).patches([s.picture]) for s in samples]
        return torch.cat(rows)

    def _table(self, name: str) -> FeatureTable:
        return next(table for table in self.tables if name in table.rows)


def run(config_file: Path, photos: Path, out: Path, *, resume: bool = False) -> Path:
    """Pretrain as ``config_file`` says; returns the folder of the finished weights.

    ``out`` holds the feature tables, the checkpoint, ``log.jsonl`` and at the end ``base/``.

    Raises:
        InputError: ``out`` holds a run and ``resume`` is False.
    """
    config = from_yaml(PretrainConfig, config_file)
    checkpoint = out / CHECKPOINT
    if checkpoint.exists() and not resume:
        raise InputError(f"{out}: holds a run already; go on with --resume or choose another --out")
    seed_everything(config.seed)
    model = build_model(config.model, attention="eager", seed=config.seed)
    data = prepare(config, model, photos, out)
    trainer = Trainer(config, model, data, out)
    if checkpoint.exists():
        trainer.load(checkpoint)
    trainer.run()
    base = out / "base"
    base.mkdir(exist_ok=True)
    save_trained(trainer.masters, base / BASE_WEIGHTS)
    model_yaml = yaml.safe_dump(asdict(config.model), sort_keys=False)  # nothing left to defaults
    (base / BASE_CONFIG).write_text(model_yaml)
    shutil.copyfile(config_file, base / BASE_RECIPE)
    return base


def seed_everything(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def prepare(config: PretrainConfig, model: VideoAssistant, folder: Path, out: Path) -> Data:
    """Encode photos and scenes where that was not done yet, and make the questions."""
    photos = Photos(folder)
    features = out / "features"
    train, dev = photos.splits["train"], photos.splits["dev"]

    def pictures() -> Iterator[tuple[str, np.ndarray]]:
        yield from with_mirrors(photos.pictures(train))
        yield from photos.pictures(dev)

    photo_table = FeatureTable.open(
        features / "photos.npy", model.encoder, pictures(), 2 * len(train) + len(dev), "photos"
    )
    seed = config.seed

    def asked(split: str) -> dict[str, list[Sample]]:
        return photo_samples(
            photos, split, config.prompts, seed, features / f"photos-{split}.jsonl"
        )

    scenes, scene_train = scene_samples(
        features / "scenes-train.npy", model.encoder, config.scenes, seed, "train"
    )
    scenes_dev, scene_dev = scene_samples(
        features / "scenes-dev.npy", model.encoder, config.dev_scenes, seed, "dev"
    )
    return Data(
        tables=(photo_table, scenes, scenes_dev),
        train={**asked("train"), "scene": scene_train},
        dev={**asked("dev"), "scene": scene_dev},
    )


class Trainer:
    """Runs the phases; can stop and go on at any step."""

    def __init__(
        self, config: PretrainConfig, model: VideoAssistant, data: Data, out: Path
    ) -> None:
        self.config, self.model, self.data, self.out = config, model, data, out
        samples = [s for kind in (data.train, data.dev) for part in kind.values() for s in part]
        self.slots = WordSlots(
            model.llm, {s.answer for s in samples}, {word for s in samples for word in s.bag}
        )
        names = set(trained_names(model.qformer))
        self.masters = {  # fp32 copies that the optimizer moves; the model computes in bf16
            n: p.detach().clone().float() for n, p in model.qformer.named_parameters() if n in names
        }
        model.qformer.to(torch.bfloat16)
        self.trained = {n: p for n, p in model.qformer.named_parameters() if n in names}
        for name, parameter in model.qformer.named_parameters():
            parameter.requires_grad_(name in names)
        for module in model.qformer.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = config.dropout
        self.phase, self.step = 0, 0
        self.optimizer = self._optimizer()

    def _optimizer(self) -> torch.optim.Optimizer:
        groups = [
            {
                "params": [p for p in self.masters.values() if p.ndim > 1],
                "weight_decay": self.config.weight_decay,
            },
            {"params": [p for p in self.masters.values() if p.ndim <= 1], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, betas=tuple(self.config.betas))

    def run(self) -> None:
        """Train from the current step to the end; Ctrl-C saves first."""
        try:
            while self.phase < len(self.config.phases):
                self._run_phase(self.config.phases[self.phase])
                self.phase, self.step = self.phase + 1, 0
                self.optimizer = self._optimizer()
                self.save()
        except KeyboardInterrupt:
            self.save()
            raise

    def _run_phase(self, phase: Phase) -> None:
        sampler = Sampler(
            self.data.train, phase.mix, self.config.seed + 1000 * self.phase, phase.follow_ups
        )
        saved = time.monotonic()
        title = f"phase {self.phase + 1} of {len(self.config.phases)}"
        losses: list[float] = []
        with tqdm(total=phase.steps, initial=self.step, desc=title, unit="step") as bar:
            while self.step < phase.steps:
                losses.append(self._train_step(phase, sampler))
                self.step += 1
                bar.update()
                if self.step % 50 == 0:
                    mean = sum(losses) / len(losses)
                    bar.set_postfix(loss=f"{mean:.3f}")
                    self.log(loss=mean)
                    losses = []
                if self.step % phase.dev_every == 0 or self.step == phase.steps:
                    self.log(**self.dev_losses(phase))
                if time.monotonic() - saved > SAVE_EVERY:
                    self.save()
                    saved = time.monotonic()

    def _train_step(self, phase: Phase, sampler: Sampler) -> float:
        self.model.qformer.train()
        share = (self.step + 1) / phase.steps
        rise = min(1.0, share / phase.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = phase.rate * rise * max(0.02, 0.5 * (1 + math.cos(math.pi * share)))
        batch = sampler.batch(self.step, phase.batch)
        rng = np.random.default_rng((self.config.seed, self.phase, self.step))
        torch.manual_seed(int(rng.integers(2**31)))  # dropout, the same after a resume
        patches = None
        if rng.random() >= phase.blind:
            patches = self.data.patches(batch)
            count = patches.shape[2]
            kept = np.sort(rng.permutation(count)[: round(count * self.config.patches_kept)])
            patches = patches[:, :, torch.from_numpy(kept)]
        loss = self._loss(phase, batch, patches)
        loss.backward()
        for name, parameter in self.trained.items():
            if parameter.grad is not None:  # cross-attention has none in a blind batch
                self.masters[name].grad = parameter.grad.float()
                parameter.grad = None
        torch.nn.utils.clip_grad_norm_(self.masters.values(), self.config.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._copy_masters()
        return float(loss.detach())

    @torch.no_grad()
    def _copy_masters(self) -> None:
        for name, parameter in self.trained.items():
            parameter.copy_(self.masters[name])

    def _loss(self, phase: Phase, batch: Sequence[Sample], patches: Tensor | None) -> Tensor:
        visual = self.model.visual_tokens(patches, [s.fusion for s in batch])
        loss = phase.slots * self.slots(visual, [s.answer for s in batch], [s.bag for s in batch])
        if phase.llm:
            llm = self.model.llm
            prompts = [llm.prompt_ids(s.question, s.history) for s in batch]
            answers = [llm.answer_ids(s.answer) for s in batch]
            loss = loss + phase.llm * llm.token_losses(visual, prompts, answers).mean()
        return loss

    @torch.no_grad()
    def dev_losses(self, phase: Phase) -> dict[str, float]:
        """Mean loss per kind on the same dev samples every time."""
        self.model.qformer.eval()
        found = {}
        for kind in phase.mix:
            batch = Sampler(self.data.dev, {kind: 1.0}, self.config.seed).batch(0, DEV_SAMPLES)
            plain = [s for s in batch if "|mirror" not in s.picture]
            parts = [plain[i : i + 32] for i in range(0, len(plain), 32)]
            losses = [self._loss(phase, part, self.data.patches(part)) for part in parts]
            found[f"dev {kind}"] = float(torch.stack(losses).mean())
        return found

    def log(self, **values: float) -> None:
        """Append one line to ``log.jsonl``."""
        line = {"phase": self.phase + 1, "step": self.step, "time": round(time.time()), **values}
        with (self.out / LOG).open("a") as file:
            file.write(json.dumps(line) + "\n")

    def save(self) -> None:
        """Write the checkpoint atomically."""
        part = self.out / (CHECKPOINT + ".part")
        torch.save(
            {
                "phase": self.phase,
                "step": self.step,
                "trained": self.masters,
                "optimizer": self.optimizer.state_dict(),
            },
            part,
        )
        part.replace(self.out / CHECKPOINT)

    def load(self, path: Path) -> None:
        """Go on where the checkpoint stopped."""
        state = torch.load(path, weights_only=True)
        for name, master in self.masters.items():
            master.copy_(state["trained"][name])
        self._copy_masters()
        self.phase, self.step = state["phase"], state["step"]
        self.optimizer.load_state_dict(state["optimizer"])
