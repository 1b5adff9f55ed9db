"""What the training of an object head does in a step, and what it measures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from torch.nn import functional as F

from assistant.model.objects.network import Maps, ObjectNet
from assistant.training.features import FeatureTable
from assistant.training.loop import Trainable, warmup_cosine
from assistant.training.objects.colors import ColoredThing, box_of
from assistant.training.objects.config import ObjectsRecipe
from assistant.training.objects.evaluate import measure, predict
from assistant.training.objects.losses import detection_loss
from assistant.training.objects.photos import MIRROR, BoxedPhotos
from assistant.training.objects.targets import targets

Batch = list[str]  # keys of photos


@dataclass(frozen=True)
class ObjectData:
    """Photos, their features, and what texts tell of their colors."""

    photos: BoxedPhotos
    table: FeatureTable
    things: list[ColoredThing]

    def things_of(self, split: str) -> list[ColoredThing]:
        """Those of the photos of a split."""
        return [thing for thing in self.things if self.photos.split[thing.key] == split]


class ObjectTrainer(Trainable[Batch]):
    """Epochs over the photos, each as it is or mirrored; a running average is what is kept."""

    fused = True

    def __init__(
        self, recipe: ObjectsRecipe, net: ObjectNet, data: ObjectData, accelerator: Accelerator
    ) -> None:
        self.recipe, self.settings, self.data = recipe, recipe, data
        self.phases, self.device = recipe.epochs, accelerator.device
        self.net = net.to(self.device)
        self.trained = dict(net.named_parameters())
        self.averages = {name: p.detach().clone() for name, p in self.trained.items()}
        self.identity = {
            "recipe": repr(recipe),
            "set of photos": data.photos.digest,
            "set of colors": repr(data.things),
            "encoder": data.table.encoder.fingerprint,
        }
        self.keys = data.photos.keys("train")
        self.colors: dict[str, list[ColoredThing]] = {}
        for thing in data.things_of("train"):
            self.colors.setdefault(thing.key, []).append(thing)

    def beside(self) -> dict[str, Tensor]:
        return self.averages

    def steps(self, phase: int) -> int:
        return max(1, len(self.keys) // self.recipe.batch)

    def lr(self, phase: int, step: int) -> float:
        done = phase * self.steps(phase) + step + 1
        return warmup_cosine(self.recipe.lr, done / (self.phases * self.steps(phase)))

    def batches(self, phase: int, first: int) -> Iterator[Batch]:
        rng = np.random.default_rng((self.recipe.seed, phase))
        order, mirrored = rng.permutation(len(self.keys)), rng.random(len(self.keys)) < 0.5
        for step in range(first, self.steps(phase)):
            some = order[step * self.recipe.batch :][: self.recipe.batch]
            yield [self.keys[i] + MIRROR * bool(mirrored[i]) for i in some]

    def losses(self, batch: Batch, phase: int, rng: np.random.Generator) -> Iterator[Tensor]:
        self.net.train()
        config, recipe = self.net.config, self.recipe
        patches = self.data.table.stills(batch)[:, 0].to(self.device, torch.float32)
        with torch.autocast(self.device.type, torch.bfloat16):
            maps = self.net(patches)
        labels = [self.data.photos.labels(key) for key in batch]
        wanted = targets(labels, len(config.classes), 4 * config.side, config.levels)
        loss = detection_loss(maps, wanted.to(self.device), recipe.box_weight, recipe.count_weight)
        yield loss + recipe.color_weight * self._color_loss(batch, labels, maps)

    def _color_loss(self, batch: Batch, labels: list[np.ndarray], maps: Maps) -> Tensor:
        told = [
            (i, thing, box_of(labels[i], thing.kind))
            for i, key in enumerate(batch)
            for thing in self.colors.get(key.removesuffix(MIRROR), ())
        ]
        if not told:
            return maps.cells.new_zeros(())
        rows, things, boxes = zip(*told, strict=True)
        corners = torch.from_numpy(np.stack(boxes)).to(self.device)
        kinds = torch.tensor([thing.kind for thing in things], device=self.device)
        found = self.net.colors(maps.cells[list(rows)], corners, kinds)
        wanted = torch.tensor([thing.color for thing in things], device=self.device)
        weights = [self.recipe.asked_weight if thing.asked else 1.0 for thing in things]
        each = F.nll_loss(found.clamp(min=1e-6).log(), wanted, reduction="none")
        return (each * torch.tensor(weights, device=self.device)).sum() / len(batch)

    @torch.no_grad()
    def moved(self, step: int) -> None:
        decay = min(self.recipe.average, (1 + step) / (10 + step))
        averages, trained = list(self.averages.values()), list(self.trained.values())
        torch._foreach_lerp_(averages, trained, 1.0 - decay)

    @torch.no_grad()
    def dev_figures(self, phase: int) -> dict[str, float]:
        """Of the averaged weights."""
        net = ObjectNet(self.net.config).to(self.device)
        net.load_state_dict(self.averages)
        keys, data = self.data.photos.keys("dev"), self.data
        found = predict(net.eval(), data.table, keys, data.things_of("dev"))
        return measure(found, [data.photos.labels(key) for key in keys]).summary()
