"""When a clip shows none of the labels: how ``none_of_these.yaml`` beside the joint space was
chosen, and how well it tells.

    python benchmarks/none_of_these.py FLICKR8K [--photos 600] [--measure DATA[=BANK] ...]

FLICKR8K holds the photos (a zip), captions.tsv and dev.txt. A clip is a photo of dev, panned over;
labels are activities of the lexicon: absent ones, that none of the photo's five captions says, and
present ones, that three say. Sets of 2 to 50 absent labels, and the same with a present one among
them: of each its likeliest label's cosine, less what is usual of it. Printed, for shares of the
absent sets that stay below a bound: that bound, and how many of the others reach it; and the line
through the bounds of a share by how often the number of labels doubles, which is what is kept.
Captions leave out much of what a photo shows, so that some of the absent labels are there.

``--measure``, of JSONL or folders as `assistant evaluate events` reads them; nothing is chosen on
them: each segment with its own label among others of the data, and with others alone; how many of
each are told to show none, and the area under the curve.
"""

from __future__ import annotations

import argparse
import io
import random
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from moments import SAID, pan, said
from PIL import Image
from torch import Tensor

from assistant.actions.bank import Bank, bare_bank, read_bank
from assistant.actions.looking import FRAMES, features_of, look_of
from assistant.actions.zero_shot import NoneRule, descriptions_of
from assistant.data.segments import labels_of, read_segments
from assistant.model.features import FeatureStore
from assistant.model.sight import Sight
from assistant.model.sight_loading import load_sight
from assistant.model.space.base import mean_of
from assistant.model.space.seeing import look_at
from assistant.sources.lexicon import ACTIVITIES, load_lexicon
from assistant.training.pretraining.captions import read_captions, read_split

PANNED, SIZES, TRIES, TESTED = 4, (2, 5, 10, 20, 50), 3, 10
BELOW = (0.80, 0.87, 0.95)
KEPT = 0.80


def panned(folder: Path, names: Sequence[str], sight: Sight, rng: random.Random) -> Tensor:
    """``(N, E)`` of photos of dev."""
    found = []
    with zipfile.ZipFile(next(folder.glob("*.zip"))) as archive:
        members = {Path(member).name: member for member in archive.namelist()}
        for name in names:
            photo = Image.open(io.BytesIO(archive.read(members[name]))).convert("RGB")
            with torch.inference_mode():
                look = look_at(sight, pan(photo, PANNED, rng), range(PANNED))
                found.append(mean_of(sight.space.embed_frames(look)).float().clone())
    return torch.stack(found)


def segments(data: Path, sight: Sight) -> tuple[Tensor, list[str], list[str]]:
    """``(N, E)``, the label of each, and all labels."""
    clips, store = read_segments(data), FeatureStore()
    vectors, truth = [], []
    for clip in clips:
        for one in clip.segments:
            seen = features_of(clip.video, sight, store, FRAMES, one.start, one.end)
            look = look_of(seen.patches, seen.classes, sight, clip.video, one.start, one.end)
            with torch.inference_mode():
                vectors.append(mean_of(sight.space.embed_frames(look)).float().clone())
            truth.append(one.label)
    return torch.stack(vectors), truth, sorted(labels_of(clips))


def nearness(sight: Sight, bank: Bank, seen: Tensor) -> np.ndarray:
    """``(N, C)``."""
    return descriptions_of(sight.space, bank).nearness(seen).numpy()


def drawn(
    scores: np.ndarray,
    there: Sequence[Sequence[int]],
    absent: Sequence[Sequence[int]],
    count: int,
    tries: int,
    rng: random.Random,
) -> tuple[np.ndarray, np.ndarray]:
    """The best score of each set of ``count`` labels with one that is there, and without."""
    with_one, without = [], []
    for row, own, others in zip(scores, there, absent, strict=True):
        if len(others) < count:
            continue
        for _ in range(tries):
            some = rng.sample(others, count)
            without.append(row[some].max())
            if own:
                with_one.append(row[[rng.choice(own), *some[1:]]].max())
    return np.array(with_one), np.array(without)


def area(with_one: np.ndarray, without: np.ndarray) -> float:
    """Under the curve: how often one with a present label scores higher."""
    places = np.concatenate([with_one, without]).argsort().argsort()[: len(with_one)]
    return (places.mean() - (len(with_one) - 1) / 2) / len(without)


def choose(folder: Path, photos: int, seed: int, sight: Sight) -> dict[float, NoneRule]:
    """By the share of the absent that stays below."""
    rng = random.Random(seed)
    captions, names = read_captions(folder / "captions.tsv"), sorted(read_split(folder / "dev.txt"))
    rng.shuffle(names)
    names = names[:photos]
    phrases = load_lexicon().groups[ACTIVITIES].phrases
    counts = np.array(
        [[said((one, *more), captions[name]) for one, more in phrases.items()] for name in names]
    )
    scores = nearness(sight, bare_bank([*phrases]), panned(folder, names, sight, rng))
    there = [np.flatnonzero(row >= SAID).tolist() for row in counts]
    absent = [np.flatnonzero(row == 0).tolist() for row in counts]
    print(f"{len(names)} photos of dev, {len(phrases)} labels\n")
    print("labels | area |" + " | ".join(f" below {b:.0%}: bound, others reach it" for b in BELOW))
    bounds: dict[float, list[float]] = {below: [] for below in BELOW}
    for size in SIZES:
        with_one, without = drawn(scores, there, absent, size, TRIES, rng)
        cells = []
        for below in BELOW:
            bound = float(np.quantile(without, below))
            bounds[below].append(bound)
            cells.append(f"{bound:.3f}, {np.mean(with_one >= bound):.2f}")
        print(f"{size} | {area(with_one, without):.3f} | {' | '.join(cells)}", flush=True)
    rules = {}
    for below, own in bounds.items():
        slope, start = np.polyfit(np.log2(SIZES), own, 1)
        rule = NoneRule(sight.space.fingerprint, round(float(start), 3), round(float(slope), 3))
        print(f"{below:.0%}{', kept' if below == KEPT else ''}: {rule}")
        rules[below] = rule
    return rules


def measure(named: str, rules: dict[float, NoneRule], sight: Sight, seed: int) -> None:
    data, _, bank_name = named.partition("=")
    seen, truth, labels = segments(Path(data), sight)
    banks = {"names": bare_bank(labels)}
    if bank_name:
        banks[bank_name] = read_bank(bank_name).of(labels)
    print(f"\n{data}: {len(truth)} segments, {len(labels)} labels")
    told = " | ".join(f"{below:.0%}: without its label, with it" for below in rules)
    print(f"labels | described by | area | told to show none, {told}")
    for name, bank in banks.items():
        scores = nearness(sight, bank, seen)
        there = [[labels.index(one)] for one in truth]
        absent = [[n for n in range(len(labels)) if n != own[0]] for own in there]
        for size in (*SIZES, len(labels) - 1):
            with_one, without = drawn(scores, there, absent, size, TESTED, random.Random(seed))
            bounds = [rule.bound(size) for rule in rules.values()]
            cells = [f"{np.mean(without < b):.2f}, {np.mean(with_one < b):.2f}" for b in bounds]
            print(f"{size} | {name} | {area(with_one, without):.3f} | {' | '.join(cells)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FLICKR8K")
    parser.add_argument("--photos", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--measure", nargs="+", metavar="DATA[=BANK]", default=())
    args = parser.parse_args()
    torch.set_num_threads(1)
    sight = load_sight("mini")
    rules = choose(args.folder, args.photos, args.seed, sight)
    for named in args.measure:
        measure(named, rules, sight, args.seed)


if __name__ == "__main__":
    main()
