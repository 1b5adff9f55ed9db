"""The lexicon's phrases as classifiers in a trained space, calibrated and with thresholds.

Similarities of different phrases cannot be compared as they are. Each phrase is a logistic
classifier of pictures' vectors that begins as its own vector, standardised over the training
photos, and is drawn to it; photos whose captions say it move it. What is rare stays where it began.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
import yaml
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from assistant.core.files import write_whole
from assistant.model.space.mini import MiniSpace
from assistant.model.weight_files import save_weights
from assistant.sources.bank import CONFIG, WEIGHTS, Bank, PhraseConfig, embed
from assistant.sources.lexicon import Lexicon, load_lexicon
from assistant.training.space.judged import NEVER, Photos, columns, read_photos, threshold
from assistant.training.space.sentences import SentenceFit, fit_sentences
from assistant.training.space.trainer import Data

EPOCHS, BATCH = 12, 1024
LR, SHARED_LR = 0.02, 0.05
STAY = 0.3  # penalty on how far a classifier has moved; .1 to 1 measure alike on dev
FIRST_SLOPE, FIRST_BIAS = 1.5, -6.0  # of a phrase's standardised similarity


@dataclass(frozen=True, eq=False)
class Classifiers:
    """``vectors @ weights.T + bias`` are logits ``(N, P)``."""

    weights: Tensor  # (P, E)
    bias: Tensor  # (P,)

    def logits(self, vectors: Tensor) -> Tensor:
        return vectors @ self.weights.T + self.bias


def train_classifiers(vectors: Tensor, photos: Photos, lexicon: Lexicon, seed: int) -> Classifiers:
    """
    Args:
        vectors: ``(P, E)`` of the phrases.
    """
    rng = torch.Generator().manual_seed(seed)
    kinds = {kind: place for place, kind in enumerate(lexicon.groups)}
    kind = torch.tensor([kinds[kind] for kind, _ in lexicon.phrases])
    similarity = photos.vectors @ vectors.T
    mean, spread = similarity.mean(0), similarity.std(0)
    true, known = photos.true.float(), photos.known.float()
    slope = torch.full((len(kinds),), FIRST_SLOPE, requires_grad=True)
    shift = torch.full((len(kinds),), FIRST_BIAS, requires_grad=True)
    moved = torch.zeros_like(vectors, requires_grad=True)
    bias = torch.zeros(len(vectors), requires_grad=True)
    count = len(photos.vectors)
    steps = EPOCHS * -(-count // BATCH)

    def classifiers() -> Classifiers:
        steep = slope[kind] / spread
        return Classifiers(steep[:, None] * vectors + moved, shift[kind] - steep * mean + bias)

    optimizer = torch.optim.Adam(
        [{"params": [slope, shift], "lr": SHARED_LR}, {"params": [moved, bias], "lr": LR}]
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / (steps + 1))
    for _ in tqdm(range(EPOCHS), desc="training phrases"):
        for some in torch.randperm(count, generator=rng).split(BATCH):
            logits = classifiers().logits(photos.vectors[some])
            loss = F.binary_cross_entropy_with_logits(logits, true[some], reduction="none")
            away = STAY * (moved.pow(2).sum() + bias.pow(2).sum()) / count
            optimizer.zero_grad()
            ((loss * known[some]).sum() / len(some) + away).backward()
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        return classifiers()


def calibrate(
    found: Classifiers, dev: Photos, lexicon: Lexicon
) -> tuple[Classifiers, dict[str, float]]:
    """Logits that are log-odds on dev (Platt 1999), a line for each group, and each group's
    threshold: the lowest at which what is said of dev photos is right in `PRECISION`."""
    from sklearn.linear_model import LogisticRegression

    weights, bias = found.weights.clone(), found.bias.clone()
    logits = found.logits(dev.vectors)
    thresholds: dict[str, float] = {}
    for kind, own in columns(lexicon).items():
        known = dev.known[:, own]
        scores, true = logits[:, own][known].numpy(), dev.true[:, own][known].numpy()
        if true.min(initial=True) == true.max(initial=False):  # all or nothing: no line to fit
            thresholds[kind] = NEVER
            continue
        line = LogisticRegression(C=1e4).fit(scores[:, None], true)
        slope, shift = float(line.coef_[0, 0]), float(line.intercept_[0])
        weights[own] *= slope
        bias[own] = slope * bias[own] + shift
        thresholds[kind] = threshold(
            torch.from_numpy(slope * scores + shift).sigmoid().numpy(), true
        )
    return Classifiers(weights, bias), thresholds


def measure(
    found: Classifiers, thresholds: Mapping[str, float], photos: Photos, lexicon: Lexicon
) -> dict[str, dict[str, float]]:
    """Of each group: precision and recall in per cent, and how many phrases a photo gets, of all
    that is known of the photos."""
    chances = found.logits(photos.vectors).sigmoid()
    figures: dict[str, dict[str, float]] = {}
    for kind, own in columns(lexicon).items():
        known, true = photos.known[:, own], photos.true[:, own]
        said = (chances[:, own] >= thresholds[kind]) & known
        right = int((said & true).sum())
        figures[kind] = {
            "precision": 100 * right / max(1, int(said.sum())),
            "recall": 100 * right / max(1, int((true & known).sum())),
            "a photo": int(said.sum()) / len(photos.vectors),
        }
    return figures


def fit_phrases(space: MiniSpace, data: Data, folder: Path, seed: int) -> str:
    """Train, calibrate and write the phrases of ``space`` to ``folder``; returns their figures."""
    lexicon = load_lexicon()
    vectors = embed(space, lexicon)
    parts = read_photos(space, data, lexicon, "train")
    train = Photos.joined(list(parts.values()))
    dev = read_photos(space, data, lexicon, "dev")
    found = train_classifiers(vectors, train, lexicon, seed)
    found, thresholds = calibrate(found, Photos.joined(list(dev.values())), lexicon)
    usual = torch.stack([found.logits(some.vectors).mean(0) for some in parts.values()]).mean(0)
    fit = SentenceFit()
    config = PhraseConfig(space.fingerprint, lexicon.digest, thresholds, **vars(fit))
    bank = Bank(lexicon.phrases, found.weights, found.bias, config)
    fit = fit_sentences(space, bank, data, dev, lexicon, seed)
    config = replace(config, **vars(fit))
    state = {"weights": found.weights, "bias": found.bias, "usual": usual}
    save_weights(state, folder / WEIGHTS)
    told = yaml.safe_dump(asdict(config), sort_keys=False)
    write_whole(folder / CONFIG, told)  # last: it says that the weights are whole
    return "\n".join(
        f"{name} dev, {kind}: " + ", ".join(f"{what} {value:.2f}" for what, value in own.items())
        for name, photos in dev.items()
        for kind, own in measure(found, thresholds, photos, lexicon).items()
        if own["a photo"]
    )
