"""The branches that tell which event a range of a clip shows (Cross-modal Knowledge Mining, 5.1).

- mean pooling: z_v, the mean of the frames, against the labels' texts;
- video: z_e, frames weighed by their saliency, of the words that are told of the range (3.5), as a
  timeline has it; or of each label's own words, label by label (as in BIKE, Wu et al., CVPR 2023);
- attributes: what is told of the range, as sentences, matched with the labels as text by MiniLM;
- trained: z_e by a head that ``assistant finetune events`` wrote, where one is given;
- fusion: probabilities of video and attributes, added; their weight, and how steep those of the
  attributes are, are chosen on dev.

Views: 1x1 is one look at the whole frames, as a timeline has them; 4x3 the mean over four parts in
time and three square crops.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm import tqdm

from assistant.data.segments import labels_of, read_segments
from assistant.evaluation.event_clips import look_at
from assistant.evaluation.segments import membership, top_hits
from assistant.media.windows import FRAMES, centres, shown_at
from assistant.model.sentences import sentence_encoder
from assistant.model.space.seeing import Seen, see, side_of
from assistant.timeline.events import zero_shot
from assistant.timeline.knowledge import sentences_of
from assistant.timeline.ranges import Ranges
from assistant.timeline.saliency import event_vector, late_fusion, saliency, video_vector
from assistant.timeline.types import Knowledge

if TYPE_CHECKING:
    from assistant.model.sight import Sight
    from assistant.timeline.events import EventHead
    from assistant.timeline.making import Looks

MEAN, VIDEO, OWN = "mean pooling", "video branch", "video branch by label"
ATTRIBUTES, FUSION, TRAINED = "attribute branch", "late fusion", "trained head"
VIEWS = ("1x1", "4x3")
PARTS, CROPS = 4, 3  # of 4x3
STEEPNESS = 20.0  # of MiniLM's cosines, as it was trained (sentence-transformers' scale)
STEEPNESSES = (2.0, 5.0, 10.0, 20.0, 40.0)  # tried on dev
WEIGHTS = tuple(round(0.05 * n, 2) for n in range(21))  # of the video branch, tried on dev


class Branches:
    """One set of labels in one joint space."""

    def __init__(
        self,
        sight: Sight,
        labels: Sequence[str],
        steepness: float = STEEPNESS,
        trained: EventHead | None = None,
    ) -> None:
        self.steepness, self.labels = steepness, list(labels)
        self.space = space = sight.space
        self.head = zero_shot(space, labels)
        self.trained = None if trained is None else _ordered(trained, self.labels)
        self._tau = 1 / space.scale
        with torch.inference_mode():
            words, self._there = space.embed_words(labels)
        self._words, self._ranges = words.float(), Ranges(sight)
        self._sentences = sentence_encoder()
        self._texts = self._sentences(self.labels)  # (L, D)

    def __call__(self, views: Sequence[Seen]) -> dict[str, np.ndarray]:
        """Probabilities ``(L,)`` by branch, in the mean over the views."""
        each = [self._branches(view) for view in views]
        return {name: np.mean([one[name] for one in each], axis=0) for name in each[0]}

    def _branches(self, view: Seen) -> dict[str, np.ndarray]:
        told = self.told(view)
        found = {
            MEAN: self.pooled(view),
            VIDEO: self.salient(view, told.words),
            OWN: self.salient_by_label(view),
            ATTRIBUTES: self.attributes(told),
        }
        if self.trained is not None:
            event = self._ranges.event(view, told.words)
            found[TRAINED] = self.trained.probabilities(event).numpy()
        return found

    def pooled(self, view: Seen) -> np.ndarray:
        return self.head.probabilities(video_vector(view.frames)).numpy()

    def salient(self, view: Seen, told: Sequence[str]) -> np.ndarray:
        return self.head.probabilities(self._ranges.event(view, told)).numpy()

    def salient_by_label(self, view: Seen) -> np.ndarray:
        """Each label is judged by its own z_e."""
        events = torch.stack(
            [
                event_vector(view.frames, saliency(view.frames, words, there, self._tau))
                for words, there in zip(self._words, self._there, strict=True)
            ]
        )
        return ((events * self.head.weights).sum(1) + self.head.bias).softmax(0).numpy()

    def attributes(self, told: Knowledge) -> np.ndarray:
        """Where nothing is told, all labels are alike."""
        text = " ".join(sentences_of(told))
        if not text:
            return np.full(len(self.labels), 1 / len(self.labels), np.float32)
        cosines = self._texts @ self._sentences([text])[0]
        return torch.from_numpy(self.steepness * cosines).softmax(0).numpy()

    def told(self, view: Seen) -> Knowledge:
        """What is told of a range, as words."""
        return self._ranges.told(view)


def _ordered(head: EventHead, labels: Sequence[str]) -> EventHead:
    places = [head.names.index(label) for label in labels]
    return replace(head, names=tuple(labels), weights=head.weights[places], bias=head.bias[places])


def fused(scores: Mapping[str, np.ndarray], weight: float) -> np.ndarray:
    """Late fusion of the video branch, with its weight, and the attribute branch."""
    return late_fusion(scores[VIDEO], scores[ATTRIBUTES], weight)


@dataclass(frozen=True)
class Fusion:
    """What was chosen on dev."""

    steepness: float
    weight: float  # of the video branch


def choose_fusion(
    scores: Mapping[str, np.ndarray], truth: Sequence[Collection[str]], branches: Branches
) -> Fusion:
    """On scores ``(N, L)`` of ``branches``: that steepness which makes the attributes likeliest,
    and that weight with the most right first labels; of equals, with the most among the first five,
    then the one in the middle."""
    labels, right = branches.labels, membership(truth, branches.labels)
    logits = torch.from_numpy(np.log(scores[ATTRIBUTES] + 1e-12)) / branches.steepness
    steep = {one: (one * logits).softmax(1).numpy() for one in STEEPNESSES}
    likely = {one: np.log((own * right).sum(1) + 1e-12).mean() for one, own in steep.items()}
    steepness = max(likely, key=lambda one: likely[one])

    def worth(weight: float) -> tuple[int, int]:
        both = late_fusion(scores[VIDEO], steep[steepness], weight)
        first, five = (int(top_hits(both, truth, labels, k).sum()) for k in (1, 5))
        return first, five

    found = [worth(weight) for weight in WEIGHTS]
    best = [w for w, own in zip(WEIGHTS, found, strict=True) if own == max(found)]
    return Fusion(steepness, best[len(best) // 2])


def fusion_on(assistant: Looks, dev: Path) -> Fusion:
    """See :func:`choose_fusion`; ``dev``: labelled clips. Raises InputError, VideoError."""
    clips = read_segments(dev, "dev")
    looked = [look_at(assistant, clip) for clip in tqdm(clips, desc="looking at dev clips")]
    branches = Branches(assistant.sight, labels_of(clips))
    rows = [branches([one.seen(span)]) for one in looked for span in one.spans]
    truth = [own for one in looked for own in one.truth]
    scores = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    return choose_fusion(scores, truth, branches)


def many_views(path: Path, start: float, end: float, sight: Sight) -> list[Seen]:
    """4x3. Raises VideoError: nothing can be decoded there."""
    from assistant.media.video import read_clip

    count = PARTS * FRAMES
    clip = read_clip(path, frames=count, start=start, end=end, max_side=side_of(sight.space))
    moments = centres(start, end, count)
    places = [shown_at(clip.seconds, moment) for moment in moments]
    views = []
    for crop in square_crops(clip.frames):
        seen = see(sight, crop, clip.seconds)
        views += [seen.some(places[n : n + FRAMES]) for n in range(0, count, FRAMES)]
    return views


def square_crops(frames: np.ndarray) -> list[np.ndarray]:
    """``(T, H, W, 3)`` -> three of ``(T, S, S, 3)``: the beginning, the middle and the end of the
    longer side."""
    height, width = frames.shape[1:3]
    side = min(height, width)
    shifts = [round(n * (max(height, width) - side) / (CROPS - 1)) for n in range(CROPS)]
    down, right = (1, 0) if height > width else (0, 1)
    return [
        np.ascontiguousarray(frames[:, down * s : down * s + side, right * s : right * s + side])
        for s in shifts
    ]
