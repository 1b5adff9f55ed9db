"""What the training of a joint space does in a step, and what is measured of it.

Loss: symmetric InfoNCE (CLIP, Radford et al. 2021) in which equal texts are positives of each
other, over whole vectors, over single words' best patches (FILIP, Yao et al. 2022), and over the
sum of both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from torch.nn import functional as F

from assistant.model.space.network import SpaceNetwork, unit, word_similarity
from assistant.training.features import FeatureTable
from assistant.training.loop import Trainable, warmup_cosine
from assistant.training.pretraining.captions import flip_safe
from assistant.training.pretraining.photos import VIEWS, view_name
from assistant.training.space.config import SpaceTrainingConfig
from assistant.training.space.photos import PhotoSet
from assistant.training.space.texts import TokenStates

CHUNK = 100  # pictures or texts measured at once
RANKS = (1, 5, 10)


@dataclass(frozen=True)
class Data:
    """Photos, what is said of them, and the frozen features of both."""

    sets: Mapping[str, PhotoSet]
    tables: Mapping[str, FeatureTable]  # by set
    texts: TokenStates

    def pictures(self, name: str, keys: Sequence[str]) -> tuple[Tensor, Tensor]:
        """``(B, K, Dv)`` and ``(B, C)`` of photos, or of their views, of the set ``name``."""
        table = self.tables[name]
        return table.stills(keys)[:, 0], torch.cat([table.classes(key) for key in keys])


@dataclass(frozen=True)
class Batch:
    """Pictures and texts, and who belongs to whom."""

    patches: Tensor  # (B, K', Dv)
    classes: Tensor  # (B, C)
    texts: list[str]  # N
    owners: Tensor  # (N,) the picture of each text


class SpaceTrainer(Trainable[Batch]):
    """One member after the other; what is kept is the weights' running average."""

    unit, restarts = "member", True

    def __init__(
        self,
        config: SpaceTrainingConfig,
        network: SpaceNetwork,
        data: Data,
        accelerator: Accelerator,
        encoder: str,
    ) -> None:
        """``encoder``: fingerprint of the one that made the tables."""
        self.config, self.settings, self.data = config, config, data
        self.identity = {"recipe": repr(config), "encoder": encoder}
        self.identity |= {f"set {name}": photos.digest for name, photos in data.sets.items()}
        self.device = accelerator.device
        self.network = network.to(self.device)
        self.phases = config.space.members
        self._member = 0  # the one that is trained
        self.trained = dict(network.named_parameters())
        self.averages = {name: p.detach().clone() for name, p in self.trained.items()}

    def beside(self) -> dict[str, Tensor]:
        return self.averages

    def steps(self, phase: int) -> int:
        return self.config.steps

    def lr(self, phase: int, step: int) -> float:
        return warmup_cosine(self.config.lr, step / self.config.steps)

    def dev_every(self, phase: int) -> int:
        return self.config.dev_every

    def batches(self, phase: int, first: int) -> Iterator[Batch]:
        for step in range(first, self.config.steps):
            yield self.draw(np.random.default_rng((self.config.seed, phase, step)))

    def draw(self, rng: np.random.Generator) -> Batch:
        """A batch: of each set its share, each photo in one of its views, with some texts."""
        patches, classes = [], []
        texts: list[str] = []
        owners: list[int] = []
        count = 0
        for name, size in self._sizes().items():
            photos = self.data.sets[name]
            keys = []
            for index in rng.choice(len(photos.splits["train"]), size, replace=False):
                photo = photos.splits["train"][index]
                cropped, turned = VIEWS[rng.integers(len(VIEWS))]
                told = [t for t in photos.texts[photo] if not turned or flip_safe(t)]
                if not told:
                    turned, told = False, list(photos.texts[photo])
                keys.append(view_name(photo, cropped, turned))
                some = rng.permutation(len(told))[: self.config.texts]
                texts += [told[i] for i in some]
                owners += [count] * len(some)
                count += 1
            found = self.data.pictures(name, keys)
            patches.append(found[0])
            classes.append(found[1])
        kept = rng.permutation(patches[0].shape[1])
        kept = kept[: max(1, round(self.config.patches_kept * len(kept)))]
        return Batch(
            torch.cat([some[:, kept] for some in patches]).float(),
            torch.cat(classes),
            texts,
            torch.tensor(owners),
        )

    def _sizes(self) -> dict[str, int]:
        """Photos of each set in a batch, by its share."""
        total = sum(one.share for one in self.config.sets.values())
        return {
            name: min(
                max(1, round(self.config.batch * one.share / total)),
                len(self.data.sets[name].splits["train"]),
            )
            for name, one in self.config.sets.items()
        }

    def losses(self, batch: Batch, phase: int, rng: np.random.Generator) -> Iterator[Tensor]:
        self.network.train()
        states, there = self.data.texts.batch(batch.texts)
        kept = torch.from_numpy(rng.random(there.shape) < self.config.words_kept)
        kept[:, 0] = True
        there &= kept
        self._member = phase
        member = self.network.members[phase]
        named = self.network.named(batch.classes.to(self.device))
        whole, patches = member.embed_picture(batch.patches.to(self.device), named)
        text, words, weights = member.embed_text(states.to(self.device), there.to(self.device))
        scale, words_scale = member.scales()
        by_whole = scale * whole @ text.T  # (B, N)
        by_words = words_scale * word_similarity(patches, words, weights)
        loss = by_whole.new_zeros(())
        wanted = [target.to(self.device) for target in self._targets(batch, states, there)]
        for scores in (by_whole, by_words, by_whole + by_words):
            for found, target in zip((scores, scores.T), wanted, strict=True):
                loss = loss - (target * found.log_softmax(1)).sum(1).mean() / 2
        yield loss

    def _targets(self, batch: Batch, states: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        """What each picture's texts should be, ``(B, N)``, and each text's pictures, ``(N, B)``:
        its own, those of equal texts, in part those of texts alike, and all a little."""
        config = self.config
        match = matches(batch.texts, batch.owners, len(batch.patches))  # (B, N)
        mean = unit((states * there[..., None]).sum(1))  # of frozen states: lengths cancel out
        alike = (mean @ mean.T / config.alike_temperature).softmax(1)  # (N, N)
        own = F.one_hot(batch.owners, len(batch.patches)).float()  # (N, B)
        texts = own.T / own.T.sum(1, keepdim=True)
        near = (texts @ alike, alike @ own)
        found = []
        for exact, soft in zip((match, match.T), near, strict=True):
            target = exact / exact.sum(1, keepdim=True)
            target = (1 - config.alike) * target + config.alike * soft
            found.append((1 - config.smoothing) * target + config.smoothing / target.shape[1])
        return found[0], found[1]

    @torch.no_grad()
    def moved(self, step: int) -> None:
        decay = min(self.config.average, (step + 1) / (step + 10))  # a short memory at first
        own = f"members.{self._member}."
        for name, average in self.averages.items():
            if name.startswith(own):
                average.lerp_(self.trained[name].detach(), 1 - decay)

    def dev_figures(self, phase: int) -> dict[str, float]:
        """Of the averaged weights, on the photos for dev."""
        own = {name: p.detach().clone() for name, p in self.trained.items()}
        self._take(self.averages)
        try:
            return figures(self.network, self.data, "dev", slice(phase, phase + 1))
        finally:
            self._take(own)

    @torch.no_grad()
    def _take(self, weights: Mapping[str, Tensor]) -> None:
        for name, value in weights.items():
            self.trained[name].copy_(value)


def matches(texts: Sequence[str], owners: Tensor, count: int) -> Tensor:
    """``(count, N)``: 1 where text n was said of picture b, or equals one that was.

    Args:
        owners: ``(N,)``, the picture of each text.
    """
    kinds = {text: kind for kind, text in enumerate(dict.fromkeys(texts))}
    own = torch.tensor([kinds[text] for text in texts])
    has = torch.zeros(count, len(kinds))
    has[owners, own] = 1.0
    return has[:, own]


@torch.inference_mode()
def figures(network: SpaceNetwork, data: Data, split: str, some: slice) -> dict[str, float]:
    """Recall among all photos of a split of each set with captions, accuracy among the labels of
    the others, in per cent; by ``some`` of the members."""
    network.eval()
    found: dict[str, float] = {}
    for name, photos in data.sets.items():
        names = photos.splits[split]
        if not names:
            continue
        pictures = torch.cat(
            [
                network.embed_pictures(patches.float(), classes, some)
                for patches, classes in (
                    data.pictures(name, names[first : first + CHUNK])
                    for first in range(0, len(names), CHUNK)
                )
            ]
        )
        if photos.labels:
            found[f"label: {name}"] = label_accuracy(network, data, photos, names, pictures, some)
            continue
        owners = [index for index, photo in enumerate(names) for _ in photos.texts[photo]]
        texts = [text for photo in names for text in photos.texts[photo]]
        scores = pictures @ embed(network, data.texts, texts, some).T
        for what, ranks in recalls(scores, owners).items():
            found |= {f"{name}: {what} R@{k}": value for k, value in ranks.items()}
    return found


def embed(network: SpaceNetwork, states: TokenStates, texts: Sequence[str], some: slice) -> Tensor:
    """``(N, E)``."""
    parts = (texts[first : first + CHUNK] for first in range(0, len(texts), CHUNK))
    return torch.cat([network.embed_texts(*states.batch(part), some) for part in parts])


def label_accuracy(
    network: SpaceNetwork,
    data: Data,
    photos: PhotoSet,
    names: Sequence[str],
    pictures: Tensor,
    some: slice,
) -> float:
    """How many photos have the label whose first sentence is most similar, in per cent."""
    first = {label: photos.texts[photo][0] for photo, label in photos.labels.items()}
    labels = sorted(first)
    texts = embed(network, data.texts, [first[label] for label in labels], some)
    best = (pictures @ texts.T).argmax(1).tolist()
    right = [labels[b] == photos.labels[n] for b, n in zip(best, names, strict=True)]
    return 100 * sum(right) / len(right)


def recalls(scores: Tensor, owners: Sequence[int]) -> dict[str, dict[int, float]]:
    """Recall at each of ``RANKS`` from text to picture and from picture to text, in per cent.

    Args:
        scores: ``(I, N)`` of pictures and texts. owners: N, each text's picture.
    """
    owner = torch.tensor(owners)
    places = torch.arange(len(owners))
    text_rank = (scores > scores[owner, places]).sum(0)
    order = scores.argsort(1, descending=True)
    own = owner[order] == torch.arange(len(scores))[:, None]
    picture_rank = own.float().argmax(1)
    ranks = {"text to picture": text_rank, "picture to text": picture_rank}
    return {
        what: {k: 100 * float((rank < k).float().mean()) for k in RANKS}
        for what, rank in ranks.items()
    }
