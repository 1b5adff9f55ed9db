"""How much a caption agrees with others of its photo: CIDEr under fixed word weights.

Source: Vedantam et al. 2015, CIDEr. ``metrics.caption_scores`` measures a corpus of answers; this
weighs single captions in training.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache

from assistant.evaluation.metrics import plain_tokens

ORDERS = 4  # n-grams of 1 to 4 words
SIGMA = 6.0  # words by which lengths may differ, as in CIDEr-D
FLOOR = 0.2  # so that a caption like no other still counts
END = "<end>"  # a word of its own, so that a caption that stops halfway loses by it

NGram = tuple[str, ...]
Vector = tuple[list[dict[NGram, float]], list[float], int]  # weights and norm per order, length


class Consensus:
    """CIDEr of a caption against those of its photo; words weigh what they do in ``corpus``."""

    def __init__(self, corpus: Iterable[Sequence[str]]) -> None:
        """``corpus``: the captions of each photo of a training set."""
        self.photos = 0
        self.frequency: Counter[NGram] = Counter()  # photos that have an n-gram
        for texts in corpus:
            self.photos += 1
            self.frequency.update({gram for text in texts for gram in ngrams(text)})
        self._vector = lru_cache(maxsize=1 << 16)(self._weigh)

    def __call__(self, caption: str, references: Sequence[str]) -> float:
        """0 for nothing shared; people's captions of one photo reach about 1 with each other."""
        if not references:
            return 0.0
        told = self._vector(caption)
        wanted = [self._vector(reference) for reference in references]
        return 10.0 * sum(_likeness(told, vector) for vector in wanted) / len(wanted)

    def weights(self, captions: Sequence[str]) -> list[float]:
        """One weight per caption of a photo, of mean 1: more for what the others say too."""
        found = [
            FLOOR + self(text, [*captions[:place], *captions[place + 1 :]])
            for place, text in enumerate(captions)
        ]
        return [weight * len(found) / sum(found) for weight in found]

    def _weigh(self, text: str) -> Vector:
        counts = ngrams(text)
        weights: list[dict[NGram, float]] = [{} for _ in range(ORDERS)]
        for gram, count in counts.items():
            rarity = math.log(self.photos / max(1, self.frequency[gram]))
            weights[len(gram) - 1][gram] = count * rarity
        norms = [math.sqrt(sum(w * w for w in part.values())) for part in weights]
        return weights, norms, sum(n for gram, n in counts.items() if len(gram) == 2)


def ngrams(text: str) -> Counter[NGram]:
    """The n-grams of a caption and how often each is there."""
    words = [*plain_tokens(text), END]
    return Counter(
        tuple(words[start : start + n])
        for n in range(1, ORDERS + 1)
        for start in range(len(words) - n + 1)
    )


def _likeness(told: Vector, wanted: Vector) -> float:
    """Mean over the orders of the clipped cosine, less for unlike lengths."""
    total = 0.0
    for ours, theirs, norm, other in zip(told[0], wanted[0], told[1], wanted[1], strict=True):
        if norm and other:
            both = ((w, theirs[gram]) for gram, w in ours.items() if gram in theirs)
            shared = sum(min(w, other_w) * other_w for w, other_w in both)
            total += shared / (norm * other)
    return total / ORDERS * math.exp(-((told[2] - wanted[2]) ** 2) / (2 * SIGMA**2))
