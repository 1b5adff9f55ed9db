"""What the training of a fusion head does in a step, and what is measured of it.

Loss: symmetric InfoNCE (UniEvent-LVLM, 3.4). A step has one query and one key of each event, of
modalities drawn for the step, that share no part: a caption finds its photo, a photo with a caption
finds the clip, and so on. Half of the steps have one modality on either side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from assistant.retrieval.fusion import MODALITIES, FusionNetwork, Tokens
from assistant.training.loop import Trainable, warmup_cosine
from assistant.training.retrieval.config import RetrievalConfig
from assistant.training.retrieval.events import Event, Kinds, Pair, is_plain, pairs_of
from assistant.training.retrieval.features import Table

CHUNK = 256  # items measured at once
RANKS = (1, 5, 10)


@dataclass(frozen=True, eq=False)
class Data:
    """Events, and the tokens of their parts."""

    splits: Mapping[str, Sequence[Event]]
    tables: Mapping[str, Table]  # by modality
    digest: str

    def items(self, parts: Sequence[Mapping[str, int]], kinds: Kinds) -> dict[str, Tokens]:
        """Of items which have all of ``kinds``, by the numbers of their parts."""
        return {name: self.tables[name].batch([own[name] for own in parts]) for name in kinds}


@dataclass(frozen=True, eq=False)
class Batch:
    """Item n of the one belongs to item n of the other."""

    queries: dict[str, Tokens]
    keys: dict[str, Tokens]


class RetrievalTrainer(Trainable[Batch]):
    """What is kept is the weights' running average."""

    def __init__(
        self,
        config: RetrievalConfig,
        network: FusionNetwork,
        data: Data,
        accelerator: Accelerator,
        space: str,
    ) -> None:
        """``space``: fingerprint of the one that made the tables."""
        self.config, self.settings, self.data = config, config, data
        self.identity = {"recipe": repr(config), "joint space": space, "data": data.digest}
        self.device = accelerator.device
        self.network = network.to(self.device)
        self.phases = config.epochs
        self.pairs = pairs_of(data.splits["train"])
        self.chances = chances(self.pairs)
        self.trained = dict(network.named_parameters())
        self.averages = {name: p.detach().clone() for name, p in self.trained.items()}

    def beside(self) -> dict[str, Tensor]:
        return self.averages

    def steps(self, phase: int) -> int:
        return -(-len(self.data.splits["train"]) // self.config.batch)

    def lr(self, phase: int, step: int) -> float:
        steps = self.steps(phase)
        return warmup_cosine(self.config.lr, (phase * steps + step) / (self.phases * steps))

    def batches(self, phase: int, first: int) -> Iterator[Batch]:
        for step in range(first, self.steps(phase)):
            yield self.draw(np.random.default_rng((self.config.seed, phase, step)))

    def draw(self, rng: np.random.Generator) -> Batch:
        """Events that allow what is asked of them in this step."""
        names = list(self.pairs)
        pair = names[rng.choice(len(names), p=self.chances)]
        able = self.pairs[pair]
        chosen = rng.choice(able, min(self.config.batch, len(able)), replace=False)
        parts = [draw_parts(self.data.splits["train"][n], pair, rng) for n in chosen]
        queries, keys = zip(*parts, strict=True)
        made = (self.data.items(queries, pair[0]), self.data.items(keys, pair[1]))
        return Batch(*(self._fewer_words(items, rng) for items in made))

    def _fewer_words(self, items: dict[str, Tokens], rng: np.random.Generator) -> dict[str, Tokens]:
        if "text" not in items:
            return items
        text = items["text"]
        kept = torch.from_numpy(rng.random(text.there.shape) < self.config.words_kept)
        kept[:, 0] = True  # the text itself
        return items | {"text": replace(text, there=text.there & kept)}

    def losses(self, batch: Batch, phase: int, rng: np.random.Generator) -> Iterator[Tensor]:
        self.network.train()
        queries, keys = (self.network(self._placed(own)) for own in (batch.queries, batch.keys))
        config = self.config
        yield info_nce(queries, keys, config.temperature, config.negatives, config.share)

    def _placed(self, items: dict[str, Tokens]) -> dict[str, Tokens]:
        return {
            name: Tokens(own.values.to(self.device), own.there.to(self.device))
            for name, own in items.items()
        }

    @torch.no_grad()
    def moved(self, step: int) -> None:
        decay = min(self.config.average, (step + 1) / (step + 10))  # a short memory at first
        for name, average in self.averages.items():
            average.lerp_(self.trained[name].detach(), 1 - decay)

    def dev_figures(self, phase: int) -> dict[str, float]:
        """Of the averaged weights, on the events for dev."""
        own = {name: p.detach().clone() for name, p in self.trained.items()}
        self._take(self.averages)
        try:
            return figures(self.network, self.data, "dev", self.device)
        finally:
            self._take(own)

    @torch.no_grad()
    def _take(self, weights: Mapping[str, Tensor]) -> None:
        for name, value in weights.items():
            self.trained[name].copy_(value)

    def score(self, phase: int, figures: dict[str, float]) -> float:
        """The mean of all recalls."""
        return sum(figures.values()) / len(figures)


def chances(pairs: Mapping[Pair, Sequence[int]]) -> np.ndarray:
    """How likely a step asks for each: by how many events allow it, and as likely one modality on
    either side, two different ones, as anything else."""
    counts = np.array([len(able) for able in pairs.values()], float)
    plain = np.array([is_plain(pair) for pair in pairs])
    for some in (plain, ~plain):
        if some.any():
            counts[some] /= counts[some].sum()
    return counts / counts.sum()


def draw_parts(
    event: Event, pair: Pair, rng: np.random.Generator
) -> tuple[dict[str, int], dict[str, int]]:
    """A query and what it is to find, of parts that differ."""
    query: dict[str, int] = {}
    wanted: dict[str, int] = {}
    for name in MODALITIES:
        own = event.parts.get(name, ())
        sides = [side for side, kinds in ((query, pair[0]), (wanted, pair[1])) if name in kinds]
        for side, place in zip(sides, rng.permutation(len(own)), strict=False):
            side[name] = own[place]
    return query, wanted


def info_nce(
    queries: Tensor, keys: Tensor, temperature: float, negatives: str, share: float
) -> Tensor:
    """``(B, E)`` twice -> a scalar: both ways, each against B - 1 negatives or some of them.

    "hard": the ``share`` of them that is most similar; "semi-hard": that of those which are less
    similar than the positive (FaceNet, Schroff et al. 2015).
    """
    scores = queries @ keys.T / temperature
    itself = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    loss = scores.new_zeros(())
    for own in (scores, scores.T):
        positive = own.diagonal()
        others = own.masked_fill(itself, -torch.inf)
        if negatives == "semi-hard":
            others = others.masked_fill(others >= positive[:, None], -torch.inf)
        if negatives != "random":
            others = others.topk(max(1, round(share * (len(own) - 1))), dim=1).values
        every = torch.cat([positive[:, None], others], dim=1)
        loss = loss + (every.logsumexp(1) - positive).mean() / 2
    return loss


@torch.inference_mode()
def figures(
    network: FusionNetwork, data: Data, split: str, device: torch.device
) -> dict[str, float]:
    """Recall of each modality by each other one, among all parts of the split, in per cent."""
    network.eval()
    events = data.splits[split]
    found: dict[str, float] = {}
    vectors: dict[str, Tensor] = {}
    owners: dict[str, Tensor] = {}
    for name in MODALITIES:
        parts = [(n, part) for n, event in enumerate(events) for part in event.parts.get(name, ())]
        if parts:
            vectors[name] = embed(network, data, [{name: part} for _, part in parts], device)
            owners[name] = torch.tensor([n for n, _ in parts])
    for query in vectors:
        for wanted in vectors:
            if query != wanted:
                ranks = ranks_of(vectors[query] @ vectors[wanted].T, owners[query], owners[wanted])
                if len(ranks):
                    found |= {f"{query} to {wanted}: R@{k}": recall(ranks, k) for k in RANKS}
    return found


def embed(
    network: FusionNetwork, data: Data, parts: Sequence[Mapping[str, int]], device: torch.device
) -> Tensor:
    """``(N, E)`` of items of the same modalities."""
    kinds = tuple(parts[0])
    found = []
    for first in range(0, len(parts), CHUNK):
        items = data.items(parts[first : first + CHUNK], kinds)
        placed = {n: Tokens(x.values.to(device), x.there.to(device)) for n, x in items.items()}
        found.append(network(placed).cpu())
    return torch.cat(found)


def ranks_of(scores: Tensor, owners: Tensor, wanted: Tensor) -> Tensor:
    """How many others are nearer than the nearest key of a query's own event; of queries that have
    one.

    Args:
        scores: ``(Q, N)``. owners: ``(Q,)``, events. wanted: ``(N,)``, events.
    """
    own = owners[:, None] == wanted
    best = scores.masked_fill(~own, -torch.inf).amax(1)
    ranks = (scores.masked_fill(own, -torch.inf) > best[:, None]).sum(1)
    return ranks[own.any(1)]


def recall(ranks: Tensor, k: int) -> float:
    return 100 * float((ranks < k).float().mean())
