"""What the frozen image encoders know, before any training of ours: linear probes.

    python benchmarks/encoders.py --photos FLICKR8K

One row per encoder and input size: milliseconds per frame; nouns of captions read from the mean and
maximum of a photo's patches (mean average precision over dev photos, ridge regression); color,
shape and material of generated objects read from the patch under an object's center (dev scenes).
"""

from __future__ import annotations

import argparse
import re
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from assistant.core.config import EfficientNetConfig, ModelConfig
from assistant.data.scenes import generate
from assistant.model.encoders.base import Encoder
from assistant.model.encoders.loading import load_encoder
from assistant.model.placement import choose_precision
from assistant.training.pretraining.examples import STOP
from assistant.training.pretraining.photos import Photos

WORDS, RIDGE = 200, 30.0
ENCODERS = (
    ("efficientnet-lite0", 224),
    ("efficientnet-lite0", 288),
    ("efficientnet-lite2", 224),
    ("efficientnet-lite2", 288),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--train", type=int, default=3000, help="training photos (3000)")
    parser.add_argument("--scenes", type=int, default=800, help="training scenes (800)")
    args = parser.parse_args()
    photos = Photos(args.photos)
    train, dev = photos.splits["train"][: args.train], photos.splits["dev"][:500]
    targets = word_targets(photos, [*train, *dev])
    pictures = [picture for _, picture in photos.pictures([*train, *dev])]
    scenes = [*generate(args.scenes, 1, "train"), *generate(args.scenes // 4, 1, "dev")]
    print("| encoder | size | ms/frame | nouns mAP | color | shape | material |")
    print("|---|---|---|---|---|---|---|")
    for weights, size in ENCODERS:
        config = ModelConfig(
            "probe", encoder=replace(EfficientNetConfig(), weights=weights, size=size)
        )
        encoder = load_encoder(config, choose_precision("auto"))
        began = time.perf_counter()
        features = torch.stack([pooled(patches) for patches in encode(encoder, pictures)])
        spent = 1000 * (time.perf_counter() - began) / len(pictures)
        scores = ridge(features[: len(train)], targets[: len(train)], features[len(train) :])
        precision = mean_average_precision(scores, targets[len(train) :])
        objects = object_accuracies(encoder, scenes, args.scenes)
        shares = " | ".join(f"{100 * share:.1f}" for share in objects)
        print(f"| {weights} | {size} | {spent:.1f} | {precision:.3f} | {shares} |", flush=True)


def encode(encoder: Encoder, pictures: list[np.ndarray]) -> list[Tensor]:
    """Patches ``(K, Dv)`` of each picture, fp32."""
    rows: list[Tensor] = []
    for start in range(0, len(pictures), 16):
        batch = pictures[start : start + 16]
        square = batch[0].shape if len({p.shape for p in batch}) == 1 else None
        parts = [np.stack(batch)] if square else [picture[None] for picture in batch]
        rows += [patches.float() for part in parts for patches in encoder(part).patches]
    return rows


def pooled(patches: Tensor) -> Tensor:
    return torch.cat([patches.mean(0), patches.amax(0)])


def word_targets(photos: Photos, names: list[str]) -> Tensor:
    """The most frequent words that at least two captions of a photo share; ``(N, WORDS)`` 0/1."""
    shared = []
    for name in names:
        counts = Counter(
            w for text in photos.captions[name] for w in set(re.findall("[a-z]+", text.lower()))
        )
        shared.append({w for w, n in counts.items() if n >= 2} - STOP)
    words = [w for w, _ in Counter(w for some in shared for w in some).most_common(WORDS)]
    return torch.tensor([[float(w in some) for w in words] for some in shared])


def ridge(x: Tensor, y: Tensor, new: Tensor) -> Tensor:
    """Predictions at ``new`` of a ridge regression with standardised inputs."""
    mean, std = x.mean(0), x.std(0) + 1e-3
    x, new = (x - mean) / std, (new - mean) / std
    centre = y.mean(0)
    gram = x.T @ x + RIDGE * len(x) ** 0.5 * torch.eye(x.shape[1])
    return new @ torch.linalg.solve(gram, x.T @ (y - centre)) + centre


def mean_average_precision(scores: Tensor, truth: Tensor) -> float:
    found = []
    for score, right in zip(scores.T, truth.T, strict=True):
        if right.sum() >= 3:
            hits = right[score.argsort(descending=True)]
            precision = hits.cumsum(0) / torch.arange(1, len(hits) + 1)
            found.append(float((precision * hits).sum() / hits.sum()))
    return float(np.mean(found))


def object_accuracies(encoder: Encoder, scenes: list, train: int) -> list[float]:
    """Color, shape and material read from the patch under each object's center."""
    patches = encode(encoder, [scene.image for scene in scenes])
    rows, labels, is_train = [], [], []
    for index, (grid, item) in enumerate(zip(patches, scenes, strict=True)):
        for thing, place in zip(item.scene.objects, item.scene.places, strict=True):
            column, row = (np.clip(place, 0, 0.999) * encoder.side).astype(int)
            rows.append(grid[row * encoder.side + column])
            labels.append((thing.color, thing.shape, thing.material))
            is_train.append(index < train)
    x, known = torch.stack(rows), torch.tensor(is_train)
    shares = []
    for kind in range(3):
        names = sorted({label[kind] for label in labels})
        y = torch.tensor([names.index(label[kind]) for label in labels])
        scores = ridge(x[known], torch.eye(len(names))[y[known]], x[~known])
        shares.append(float((scores.argmax(1) == y[~known]).float().mean()))
    return shares


if __name__ == "__main__":
    main()
