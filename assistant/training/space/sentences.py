"""What chance composed sentences have to be right: a logistic model of dev photos."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from assistant.model.space.mini import MiniSpace
from assistant.sources import Look
from assistant.sources.bank import Bank
from assistant.sources.captions import Composed, chance, compose, features, rank
from assistant.sources.lexicon import Lexicon
from assistant.training.space.judged import NEVER, Photos, threshold
from assistant.training.space.trainer import Data

PHOTOS = 200  # of dev that sentences are composed for, 64 each
WEIGHTS = (40.0, 20.0, 10.0, 5.0, 2.5, 0.0)  # of similarity beside the parts' log-probabilities
TOLD = 0.2  # least share of photos that get a sentence


@dataclass(frozen=True)
class SentenceFit:
    """How sentences are judged and ranked; see `assistant.sources.bank.PhraseConfig`."""

    sentence: tuple[float, ...] = (0.0, 0.0, 0.0)
    sentence_weight: float = 0.0
    sentence_floor: float = NEVER


def fit_sentences(
    space: MiniSpace,
    bank: Bank,
    data: Data,
    dev: Mapping[str, Photos],
    lexicon: Lexicon,
    seed: int,
) -> SentenceFit:
    """The chance that a sentence is right: captions say each of its parts. Of the weights of
    similarity the largest with which enough photos get a first sentence that is precise."""
    from sklearn.linear_model import LogisticRegression

    seen = list(composed_for_dev(space, bank, data, dev, lexicon, seed))
    right = np.concatenate([true for _, _, true in seen]) if seen else np.zeros(0, bool)
    if right.all() or not right.any():
        return SentenceFit()
    x = torch.cat([features(sentences, similarity) for sentences, similarity, _ in seen])
    line = LogisticRegression(C=1e4).fit(x.numpy(), right)
    found = (*line.coef_[0].tolist(), float(line.intercept_[0]))
    for weight in WEIGHTS:
        chances, true = np.zeros(len(seen)), np.zeros(len(seen), bool)
        for place, (sentences, similarity, own) in enumerate(seen):
            best = int(rank(sentences, similarity, weight).argmax())
            chances[place] = chance(sentences, similarity, found)[best]
            true[place] = own[best]
        floor = threshold(chances, true)
        if (chances >= floor).mean() >= TOLD:
            return SentenceFit(found, weight, floor)
    return SentenceFit()


def composed_for_dev(
    space: MiniSpace,
    bank: Bank,
    data: Data,
    dev: Mapping[str, Photos],
    lexicon: Lexicon,
    seed: int,
) -> Iterator[tuple[list[Composed], Tensor, np.ndarray]]:
    """Sentences, their similarities ``(N,)``, and which are right, of some photos with captions."""
    told = [
        (name, place)
        for name, photos in dev.items()
        if not data.sets[name].labels
        for place in range(len(photos.vectors))
    ]
    order = np.random.default_rng(seed).permutation(len(told))[:PHOTOS]
    for name, place in tqdm([told[i] for i in order], desc="composing sentences"):
        photos = dev[name]
        patches, classes = data.pictures(name, data.sets[name].splits["dev"][place : place + 1])
        look = Look(patches, classes, (), (0.0,), "", _no_pictures, lambda: space)
        sentences = compose(bank, photos.vectors[place : place + 1], lexicon)
        similarity = space.compare(look, [one.text for one in sentences])[0]
        right = [bool(photos.true[place, list(one.parts)].all()) for one in sentences]
        yield sentences, similarity, np.array(right)


def _no_pictures(count: int, side: int) -> NoReturn:
    raise ValueError("a table of features holds no pictures")
