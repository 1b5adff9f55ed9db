"""What the training of an action recogniser does in a step, and what is measured of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from assistant.actions.gates import SelfGate
from assistant.actions.head import ActionHead, ActionHeadConfig, score_states
from assistant.actions.losses import class_loss, image_loss, text_loss
from assistant.actions.recogniser import Recogniser
from assistant.training.actions.config import ActionsConfig
from assistant.training.actions.features import Data
from assistant.training.loop import Trainable, warmup_cosine

TIE = 1e-3  # of the dev loss, which decides between epochs with as many right


class Distiller(nn.Module):
    """What L_image needs beside the recogniser, which is not kept: a map to the teacher's width,
    and the gate."""

    def __init__(self, width: int, taught: int, gate: str) -> None:
        super().__init__()
        self.to_teacher = nn.Linear(width, taught)
        self.gate = SelfGate(taught, width) if gate == "self" else nn.Identity()


@dataclass(frozen=True, eq=False)
class Batch:
    """B clips."""

    rows: Tensor  # (B,) places
    patches: Tensor  # (B, T, K, Dv)
    there: Tensor  # (B, T) 1 where there is a frame


class ActionsTrainer(Trainable[Batch]):
    """What is kept is the epoch with the most right on dev."""

    def __init__(
        self, config: ActionsConfig, data: Data, made: ActionHeadConfig, accelerator: Accelerator
    ) -> None:
        """``made``: of the recogniser, as far as it is known."""
        self.config, self.settings, self.data, self.made = config, config, data, made
        self.identity = {
            "recipe": repr(config),
            "joint space": made.space,
            "encoder": made.encoder,
            "data": data.digest,
        }
        self.device = accelerator.device
        self.phases = max(config.epochs, -(-config.least_steps // self.steps(0)))
        torch.manual_seed(config.seed)
        classes = len(made.labels)
        self.network = Recogniser(config.recogniser, made.patch_width, classes, made.text_width)
        self.network.to(self.device)
        self.texts = data.texts.to(self.device)
        self.class_texts = data.described.vectors.to(self.device)
        self.trained = dict(self.network.named_parameters())
        if "image" in config.losses:
            assert data.taught.cells is not None
            taught = data.taught.cells.shape[-1]
            self.distiller = Distiller(config.recogniser.width, taught, config.gate)
            self.distiller.to(self.device)
            own = self.distiller.named_parameters()
            self.trained |= {f"distiller.{name}": value for name, value in own}

    def steps(self, phase: int) -> int:
        return -(-self.data.learned // self.config.batch)

    def lr(self, phase: int, step: int) -> float:
        steps = self.steps(phase)
        return warmup_cosine(self.config.lr, (phase * steps + step) / (self.phases * steps))

    def batches(self, phase: int, first: int) -> Iterator[Batch]:
        """Each clip once a phase."""
        rng = np.random.default_rng((self.config.seed, phase))
        order = torch.from_numpy(rng.permutation(self.data.learned))
        for step in range(first, self.steps(phase)):
            yield self.batch(order[step * self.config.batch : (step + 1) * self.config.batch])

    def batch(self, rows: Tensor) -> Batch:
        frames = torch.arange(self.config.recogniser.frames).expand(len(rows), -1)
        keys = [self.data.keys[row] for row in rows.tolist()]
        patches, there = self.data.table.patches(keys, frames)
        return Batch(rows, patches.to(self.device).float(), there.to(self.device))

    def losses(self, batch: Batch, phase: int, rng: np.random.Generator) -> Iterator[Tensor]:
        network, config, data = self.network.train(), self.config, self.data
        states = network.states(batch.patches, batch.there)
        summary = network.summary(states, batch.there)
        loss = summary.new_zeros(())
        if "ce" in config.losses:
            labels = data.truth[batch.rows].to(self.device)
            loss = loss + class_loss(network.logits(summary), labels)
        if data.assigned is not None:
            drawn, pushed = data.assigned.positive[batch.rows], data.assigned.negative[batch.rows]
            chosen = drawn.to(self.device), pushed.to(self.device)
            loss = loss + text_loss(network.embed(summary), self.texts, *chosen, config.tau)
        if "image" in config.losses:
            loss = loss + config.alpha * self.image(states, batch, rng)
        yield loss

    def image(self, states: Tensor, batch: Batch, rng: np.random.Generator) -> Tensor:
        """L_image of a few frames, drawn for the step; of the mean over steps all count alike."""
        cells, masks = self.data.taught.cells, self.data.taught.mask
        assert cells is not None
        count = states.shape[1]
        drawn = np.sort(rng.choice(count, min(self.config.distilled, count), replace=False))
        rows = batch.rows.numpy()
        taught = torch.from_numpy(cells[rows][:, drawn].astype(np.float32)).to(self.device)
        mask = None if masks is None else masks[batch.rows][:, drawn].to(self.device)
        video = self.distiller.to_teacher(states[:, drawn])
        return image_loss(video, self.distiller.gate(taught), batch.there[:, drawn], mask)

    @torch.no_grad()
    def scores(self, rows: Tensor) -> Tensor:
        """``(N, C)`` log-scores of clips."""
        head, found = ActionHead(self.made, self.network, self.class_texts), []
        for some in rows.split(self.config.batch):
            batch = self.batch(some)
            states = self.network.states(batch.patches, batch.there)
            found.append(score_states(head, states, batch.there).cpu())
        return torch.cat(found)

    @property
    def dev(self) -> Tensor:
        """Rows of dev."""
        return torch.arange(self.data.learned, len(self.data.keys))

    def dev_figures(self, phase: int) -> dict[str, float]:
        return figures(self.scores(self.dev), self.data.truth[self.dev])

    def score(self, phase: int, figures: dict[str, float]) -> float:
        return figures["top-1"] - TIE * min(figures["dev loss"], 1 / TIE)


def figures(logits: Tensor, truth: Tensor) -> dict[str, float]:
    """``(N, C)`` and ``(N,)``; shares in per cent, and the mean of the labels' recalls."""
    order = logits.argsort(1, descending=True)
    top1, top5 = ((order[:, :k] == truth[:, None]).any(1).float() for k in (1, 5))
    recalls = [top1[truth == label].mean() for label in truth.unique()]
    return {
        "top-1": 100 * float(top1.mean()),
        "top-5": 100 * float(top5.mean()),
        "mean of labels": 100 * float(torch.stack(recalls).mean()),
        "dev loss": float(class_loss(logits, truth)),
    }
