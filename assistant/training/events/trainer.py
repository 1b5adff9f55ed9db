"""What the training of a head of events does in a step, and what is measured of it.

L = L_align + L_scene + L_event (Cross-modal Knowledge Mining, 3.8). Both classifiers begin as the
labels' texts, and the map of the vectors as nothing, so that the first figures are zero-shot ones;
without texts the classifiers begin as zeros.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional as F

from assistant.evaluation.ranks import rank_all
from assistant.evaluation.segments import top_hits
from assistant.timeline.events import EventHead
from assistant.timeline.saliency import scene_vector
from assistant.training.events.config import EventsConfig
from assistant.training.events.features import Data, Rows
from assistant.training.loop import Trainable, warmup_cosine

TIE = 1e-3  # of the dev loss, which decides between epochs with as many right


class EventNetwork(nn.Module):
    """W, b of events and W_c, b_c of scenes, over vectors that turn a little."""

    def __init__(self, start: EventHead, scale: float, rank: int) -> None:
        super().__init__()
        self.names, self.several, self.scale = start.names, start.several, scale
        labels, width = start.weights.shape
        self.register_buffer("weights", start.weights.clone(), persistent=False)
        self.register_buffer("bias", start.bias.clone(), persistent=False)
        self.down = nn.Parameter(torch.randn(width, rank) / width**0.5)
        self.up = nn.Parameter(torch.zeros(rank, width))
        self.event_weights = nn.Parameter(torch.zeros(labels, width))
        self.event_bias = nn.Parameter(torch.zeros(labels))
        self.scene_weights = nn.Parameter(torch.zeros(labels, width))
        self.scene_bias = nn.Parameter(torch.zeros(labels))

    def turned(self, vectors: Tensor) -> Tensor:
        """``(N, E)`` -> ``(N, E)``."""
        return vectors + vectors @ self.down @ self.up

    def events(self, vectors: Tensor) -> Tensor:
        """Logits ``(N, K)`` of turned z_e."""
        weights = self.weights + self.scale * self.event_weights
        return vectors @ weights.T + self.bias + self.event_bias

    def scenes(self, vectors: Tensor) -> Tensor:
        """Logits ``(N, K)`` of z_s."""
        weights = self.weights + self.scale * self.scene_weights
        return vectors @ weights.T + self.bias + self.scene_bias

    @torch.no_grad()
    def head(self) -> EventHead:
        """The classifier of events with the map folded in: W (I + D U), b."""
        weights = self.weights + self.scale * self.event_weights
        weights = weights + (weights @ self.up.T) @ self.down.T
        bias = self.bias + self.event_bias
        return EventHead(self.names, weights, bias, several=self.several)


class EventsTrainer(Trainable[Rows]):
    """What is kept is the epoch with the most right on dev."""

    def __init__(
        self, config: EventsConfig, data: Data, accelerator: Accelerator, space: str, scale: float
    ) -> None:
        """``space``: fingerprint of the one that made the vectors, and ``scale``, its own."""
        self.config, self.settings, self.data = config, config, data
        self.identity = {"recipe": repr(config), "joint space": space, "data": data.digest}
        self.device, self.phases = accelerator.device, config.epochs
        self.scale = scale
        torch.manual_seed(config.seed)
        self.start = started(data)
        first = self.start if config.texts else blank(self.start)
        self.network = EventNetwork(first, scale, config.rank).to(self.device)
        self.texts = data.texts.to(self.device)
        self.trained = dict(self.network.named_parameters())
        self.main = "mAP" if self.start.several else "top-1"

    def steps(self, phase: int) -> int:
        return -(-len(self.data.train.truth) // self.config.batch)

    def lr(self, phase: int, step: int) -> float:
        steps = self.steps(phase)
        return warmup_cosine(self.config.lr, (phase * steps + step) / (self.phases * steps))

    def batches(self, phase: int, first: int) -> Iterator[Rows]:
        """Each segment once a phase."""
        rng = np.random.default_rng((self.config.seed, phase))
        order = torch.from_numpy(rng.permutation(len(self.data.train.truth)))
        for step in range(first, self.steps(phase)):
            own = order[step * self.config.batch : (step + 1) * self.config.batch]
            yield self._placed(self.data.train.some(own))

    def losses(self, batch: Rows, phase: int, rng: np.random.Generator) -> Iterator[Tensor]:
        network, config = self.network.train(), self.config
        video = network.turned(batch.video)
        loss = label_loss(network.events(network.turned(batch.event)), batch.truth, network.several)
        if "align" in config.losses:
            texts = F.normalize(batch.truth, p=1, dim=1) @ self.texts + batch.text
            loss = loss + align_loss(video, texts, batch.truth, self.scale)
        if "scene" in config.losses:
            told = batch.text.any(1, keepdim=True)
            scenes = torch.where(told, scene_vector(video, batch.text, config.alpha), video)
            loss = loss + label_loss(network.scenes(scenes), batch.truth, network.several)
        yield loss

    def _placed(self, rows: Rows) -> Rows:
        device = self.device
        return Rows(
            rows.video.to(device),
            rows.event.to(device),
            rows.text.to(device),
            rows.truth.to(device),
        )

    def dev_figures(self, phase: int) -> dict[str, float]:
        return figures(self.network.head(), self.data.dev)

    def score(self, phase: int, figures: dict[str, float]) -> float:
        return figures[self.main] - TIE * min(figures["dev loss"], 1 / TIE)


def started(data: Data) -> EventHead:
    """Zero-shot; where labels may be true at once, as likely in the mean as they are in train."""
    start, truth = data.start, data.train.truth
    if not (truth.sum(1) > 1).any():
        return start
    logits = data.train.event @ start.weights.T + start.bias
    shift = truth.mean().clamp(0.01, 0.99).logit() - logits.mean()
    return EventHead(start.names, start.weights, start.bias + shift, several=True)


def blank(head: EventHead) -> EventHead:
    """The same labels, all as likely."""
    zeros = torch.zeros_like(head.weights), torch.zeros_like(head.bias)
    return EventHead(head.names, *zeros, several=head.several)


def align_loss(video: Tensor, texts: Tensor, truth: Tensor, scale: float) -> Tensor:
    """Symmetric InfoNCE (3.8) of clips and what is said of them, ``(N, E)`` each, directions alone;
    all that share a label belong together, and count in the mean."""
    scores = scale * F.normalize(video, dim=1) @ F.normalize(texts, dim=1).T
    same = ((truth @ truth.T) > 0).to(scores.dtype)
    share = same / same.sum(1, keepdim=True)
    both = [-(share * own.log_softmax(1)).sum(1).mean() for own in (scores, scores.T)]
    return (both[0] + both[1]) / 2


def label_loss(logits: Tensor, truth: Tensor, several: bool) -> Tensor:
    """``(N, K)`` each: cross-entropy, or of labels that may be true at once the binary one, summed
    over them."""
    if several:
        return F.binary_cross_entropy_with_logits(logits, truth, reduction="sum") / len(logits)
    return F.cross_entropy(logits, truth)


def figures(head: EventHead, rows: Rows) -> dict[str, float]:
    """Of a head on segments; shares in per cent."""
    cpu = EventHead(head.names, head.weights.cpu(), head.bias.cpu(), several=head.several)
    logits = rows.event @ cpu.weights.T + cpu.bias
    truth = [
        {name for name, true in zip(cpu.names, row, strict=True) if true} for row in rows.truth
    ]
    scores = logits.numpy()
    top1, top5 = (100 * float(top_hits(scores, truth, cpu.names, k).mean()) for k in (1, 5))
    there = rows.truth.any(0).numpy()
    right = rows.truth.numpy().astype(bool).T[there]
    average = 100 * float(rank_all(scores.T[there], right).precision.mean())
    loss = float(label_loss(logits, rows.truth, cpu.several))
    return {"top-1": top1, "top-5": top5, "mAP": average, "dev loss": loss}
