"""An endless, seeded sampler of what pretraining asks."""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from assistant.sources.seen import sure_names
from assistant.training.pretraining.captions import flip_safe
from assistant.training.pretraining.examples import PretrainExample, begun_with
from assistant.training.pretraining.names import renamed
from assistant.training.pretraining.photos import view_name

PICTURE_WORDS = ("picture", "image", "photo", "video", "clip", "scene")
PICTURE = re.compile(r"\b(picture|image|photo|video|clip)\b")


class Sampler:
    """Batches that depend only on ``(seed, step)``, so that a resumed run sees the same data."""

    def __init__(
        self,
        kinds: Mapping[str, Sequence[PretrainExample]],
        mix: Mapping[str, float],
        seed: int,
        *,
        follow_ups: float = 0.0,
        attributes: Callable[[str], str] = lambda picture: "",
        attributes_kept: float = 1.0,
        names: Sequence[str] = (),
        renamed: float = 0.0,
        views: bool = False,
    ) -> None:
        """
        Args:
            mix: weight of each kind. follow_ups: share of samples with an earlier turn.
            attributes: of a picture. attributes_kept: share of samples that show them to the
                Q-Former, and, drawn by itself, to the LLM.
            names: of the classifier's classes. renamed: share of lists and captions that the LLM
                reads with a name drawn from them (`assistant.training.pretraining.names`).
            views: show mirrored and cropped photos too.
        """
        self.pools: dict[str, list[list[PretrainExample]]] = {}
        self.shares: dict[str, np.ndarray] = {}
        self.by_picture: dict[str, list[PretrainExample]] = defaultdict(list)
        asked = [samples for kind, samples in kinds.items() if kind != "match"]
        once = {id(sample): sample for samples in asked for sample in samples}
        for sample in once.values():
            self.by_picture[sample.picture].append(sample)
        for kind, samples in kinds.items():
            by_type: dict[str, list[PretrainExample]] = {}
            for sample in samples:
                by_type.setdefault(sample.type, []).append(sample)
            self.pools[kind] = list(by_type.values())
            sizes = np.sqrt([len(pool) for pool in self.pools[kind]])
            self.shares[kind] = sizes / sizes.sum()
        self.follow_ups, self.views = follow_ups, views
        self.attributes, self.attributes_kept = attributes, attributes_kept
        self.names, self.renamed = names, renamed
        self.kinds = list(mix)
        weights = np.array([mix[kind] for kind in self.kinds], dtype=float)
        self.weights = weights / weights.sum()
        self.seed = seed

    def batch(self, step: int, size: int) -> list[PretrainExample]:
        """``size`` samples; a type's share of its kind goes with the root of its size."""
        rng = np.random.default_rng((self.seed, step))
        picked = rng.choice(len(self.kinds), size=size, p=self.weights)
        return [self._one(self.kinds[kind], rng) for kind in picked]

    def _one(self, kind: str, rng: np.random.Generator) -> PretrainExample:
        pools = self.pools[kind]
        pool = pools[rng.choice(len(pools), p=self.shares[kind])]
        sample = pool[rng.integers(len(pool))]
        word = PICTURE_WORDS[rng.integers(len(PICTURE_WORDS))]
        sample = replace(sample, question=PICTURE.sub(word, sample.question))
        if rng.random() < self.follow_ups:
            others = self.by_picture[sample.picture]
            earlier = others[rng.integers(len(others))]
            flips = sample.flips and earlier.flips
            sample = replace(sample, history=((earlier.question, earlier.answer),), flips=flips)
        if self.views:
            cropped = sample.crops and rng.random() < 0.5
            turned = sample.flips and rng.random() < 0.5
            also = tuple(text for text in sample.also if not turned or flip_safe(text))
            picture = view_name(sample.picture, cropped, turned)
            sample = replace(sample, picture=picture, also=also)
        fused, seen = rng.random(2) < self.attributes_kept
        text = self.attributes(sample.picture) if fused or seen else ""
        if seen and self.renamed and rng.random() < self.renamed:
            sample, text = renamed(sample, text, self.names, rng)
        if sample.type == "list" and seen:
            sample = replace(sample, answer=begun_with(sure_names(text), sample.answer))
        return replace(sample, fused=text if fused else "", seen=text if seen else "")
