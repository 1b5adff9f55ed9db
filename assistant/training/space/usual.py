"""The bank of queries by which a search tells what is near to everything: training captions, and
training photos, as centres of k-means with their shares (`assistant.model.space.usual`)."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch
import yaml
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from assistant.core.files import write_whole
from assistant.model.space.mini import CHUNK, MiniSpace
from assistant.model.space.usual import CONFIG, WEIGHTS, UsualConfig
from assistant.model.weight_files import save_weights
from assistant.training.space.judged import pictures
from assistant.training.space.trainer import Data

CENTRES = 500  # of texts, and of photos; chosen on dev, as the steepness is
STEEPNESS = 20.0
SHARE = 0.5  # as good as all of it for sentences, and does less harm to bare labels
ROUNDS = 12


def fit_usual(space: MiniSpace, data: Data, folder: Path, seed: int) -> None:
    """Write the bank of ``space`` to ``folder``: of the sets with captions, or else of all."""
    told = [name for name, photos in data.sets.items() if not photos.labels] or list(data.sets)
    photos = torch.cat([pictures(space, data, name, "train") for name in told])
    texts = [
        text
        for name in told
        for key in data.sets[name].splits["train"]
        for text in data.sets[name].texts[key]
    ]
    steps = tqdm(range(0, len(texts), CHUNK), desc="embedding captions", leave=False)
    vectors = torch.cat([space.embed_texts(texts[first : first + CHUNK]) for first in steps])
    state: dict[str, Tensor] = {}
    for name, own in (("texts", vectors), ("photos", photos)):
        state[name], state[f"{name}_shares"] = centres_of(own, CENTRES, seed)
    save_weights(state, folder / WEIGHTS)
    config = UsualConfig(space.fingerprint, STEEPNESS, SHARE)
    write_whole(
        folder / CONFIG, yaml.safe_dump(asdict(config), sort_keys=False)
    )  # last: it is whole


def centres_of(vectors: Tensor, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """``(N, E)`` of length 1 -> means ``(K, E)`` of K clusters or fewer, and their log shares.

    Spherical k-means. The means keep their lengths, below 1: so the mean over a cluster is theirs.
    """
    rng = torch.Generator().manual_seed(seed)
    directions = vectors[torch.randperm(len(vectors), generator=rng)[:count]]
    for _ in range(ROUNDS):
        nearest = torch.cat([(some @ directions.T).argmax(1) for some in vectors.split(4096)])
        sizes = nearest.bincount(minlength=len(directions))
        sums = torch.zeros_like(directions).index_add(0, nearest, vectors)
        sums, sizes = sums[sizes > 0], sizes[sizes > 0]
        directions = F.normalize(sums, dim=1)
    return sums / sizes[:, None], (sizes / len(vectors)).log()
