"""What the training of an action recogniser does in a step, and what is measured of it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from assistant.actions.gates import SelfGate
from assistant.actions.head import ActionHead, ActionHeadConfig, new_network, score_states
from assistant.actions.losses import class_loss, image_loss, text_loss
from assistant.actions.recogniser import ActionNetwork
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
    """B clips of this process, on its device."""

    rows: Tensor  # (B,) places, on the CPU
    seen: Tensor  # (B, T, ...)
    there: Tensor  # (B, T') 1 where the patches have a time
    motion: Tensor | None = None  # (B, T, Dm)


@dataclass(frozen=True, eq=False)
class Goal:
    """What B clips are to become, on the device; None: a loss is left out."""

    labels: Tensor  # (B,)
    texts: tuple[Tensor, Tensor] | None = None  # (B, P), (B, K) places
    drawn: tuple[int, ...] = ()  # times that are compared with the teacher's
    cells: Tensor | None = None  # (B, drawn, K', Ec)
    mask: Tensor | None = None  # (B, drawn, K')


class Learner(nn.Module):
    """All that learns, from a batch to the loss: several processes average its gradients."""

    def __init__(
        self,
        config: ActionsConfig,
        network: ActionNetwork,
        distiller: Distiller | None,
        texts: Tensor,
    ) -> None:
        """``texts``: ``(C M, E)``, which do not learn."""
        super().__init__()
        self.config, self.network, self.distiller = config, network, distiller
        self.texts = texts

    def forward(self, batch: Batch, goal: Goal) -> Tensor:
        network, config = self.network, self.config
        states = network.states(batch.seen, batch.there, batch.motion)
        summary = network.summary(states, batch.there)
        loss = summary.new_zeros(())
        if "ce" in config.losses:
            loss = loss + class_loss(network.logits(summary), goal.labels)
        if goal.texts is not None:
            own = network.embed(summary)
            loss = loss + text_loss(own, self.texts, *goal.texts, config.tau)
        if self.distiller is not None and goal.cells is not None:
            some = list(goal.drawn)
            video = self.distiller.to_teacher(network.patches(states)[:, some])
            gated = self.distiller.gate(goal.cells)
            there = batch.there[:, some]
            loss = loss + config.alpha * image_loss(video, gated, there, goal.mask)
        return loss


class ActionsTrainer(Trainable[Batch]):
    """What is kept is the epoch with the most right on dev."""

    def __init__(
        self, config: ActionsConfig, data: Data, made: ActionHeadConfig, accelerator: Accelerator
    ) -> None:
        """``made``: of the recogniser, as far as it is known."""
        self.config, self.settings, self.data, self.made = config, config, data, made
        self.accelerator, self.device = accelerator, accelerator.device
        self.size = config.batch * accelerator.num_processes
        self.identity = {
            "recipe": repr(config),
            "joint space": made.space,
            "encoder": made.encoder,
            "data": data.digest,
            "motion adapter": made.motion,
            "number of processes": str(accelerator.num_processes),
        }
        self.phases = max(config.epochs, -(-config.least_steps // self.steps(0)))
        torch.manual_seed(config.seed)
        self.network = new_network(made, copy.deepcopy(data.video))
        if config.checkpointing:
            self.network.checkpoint()
        self.class_texts = data.described.vectors.to(self.device)
        distiller = None
        if "image" in config.losses:
            assert data.taught.cells is not None
            width = self.network.norm.weight.shape[0]
            distiller = Distiller(width, data.taught.cells.shape[-1], config.gate)
        texts = data.texts.to(self.device)
        learner = Learner(config, self.network, distiller, texts).to(self.device)
        self.fused = data.video is not None
        self.trained = dict(self.network.named_parameters())
        if distiller is not None:
            own = distiller.named_parameters()
            self.trained |= {f"distiller.{name}": value for name, value in own}
        self.wrapped = accelerator.prepare(learner)

    def steps(self, phase: int) -> int:
        return -(-self.data.learned // self.size)

    def lr(self, phase: int, step: int) -> float:
        steps = self.steps(phase)
        return warmup_cosine(self.config.lr, (phase * steps + step) / (self.phases * steps))

    def batches(self, phase: int, first: int) -> Iterator[Batch]:
        """Each clip once a phase; this process's share of each batch, of which the last one is
        filled up with its last clip."""
        rng = np.random.default_rng((self.config.seed, phase))
        order = torch.from_numpy(rng.permutation(self.data.learned))
        own, count = self.accelerator.process_index, self.accelerator.num_processes
        for step in range(first, self.steps(phase)):
            rows = order[step * self.size : (step + 1) * self.size]
            more = rows[-1:].expand(-len(rows) % count)
            yield self.batch(torch.cat([rows, more])[own::count])

    def batch(self, rows: Tensor) -> Batch:
        seen, there = self.data.seen(rows, self.network.frames)
        seen = seen.to(self.device)
        motion = self.data.motion
        return Batch(
            rows,
            seen if seen.dtype == torch.uint8 else seen.float(),
            there.to(self.device),
            None if motion is None else motion.rows[rows, : there.shape[1]].float().to(self.device),
        )

    def losses(self, batch: Batch, phase: int, rng: np.random.Generator) -> Iterator[Tensor]:
        self.wrapped.train()
        yield self.wrapped(batch, self.goal(batch, rng))

    def goal(self, batch: Batch, rng: np.random.Generator) -> Goal:
        """What a batch is to become; of L_image a few times, drawn for the step: of the mean over
        steps all count alike."""
        data, device = self.data, self.device
        goal = Goal(data.truth[batch.rows].to(device))
        if data.assigned is not None:
            places = (data.assigned.positive[batch.rows], data.assigned.negative[batch.rows])
            goal = replace(goal, texts=(places[0].to(device), places[1].to(device)))
        if "image" not in self.config.losses:
            return goal
        cells, masks = data.taught.cells, data.taught.mask
        assert cells is not None
        count = batch.there.shape[1]
        drawn = np.sort(rng.choice(count, min(self.config.distilled, count), replace=False))
        some = torch.from_numpy(cells[batch.rows.numpy()][:, drawn].astype(np.float32))
        return replace(
            goal,
            drawn=tuple(drawn.tolist()),
            cells=some.to(device),
            mask=None if masks is None else masks[batch.rows][:, drawn].to(device),
        )

    @torch.no_grad()
    def scores(self, rows: Tensor) -> Tensor:
        """``(N, C)`` log-scores of clips."""
        head, found = ActionHead(self.made, self.network, self.class_texts), []
        for some in rows.split(self.config.batch):
            batch = self.batch(some)
            states = self.network.states(batch.seen, batch.there, batch.motion)
            found.append(score_states(head, states, batch.there).cpu())
        return torch.cat(found)

    @property
    def dev(self) -> Tensor:
        """Rows of dev."""
        return torch.arange(self.data.learned, len(self.data.keys))

    def dev_figures(self, phase: int) -> dict[str, float]:
        self.dev_scores = self.scores(self.dev)
        return figures(self.dev_scores, self.data.truth[self.dev])

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
