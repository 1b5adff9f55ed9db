"""Where a film's scenes begin, and when something said in words counts as seen: how the penalty of
a border and the thresholds of ``moments.yaml`` were chosen.

    python benchmarks/moments.py FLICKR8K [--films 24] [--split dev] [--seed 0] [--kinds CALTECH101]

FLICKR8K holds the photos (a zip), captions.tsv and the lists of the splits. A film is 14 photos of
the split, each panned and zoomed over for 3 to 9 frames of 1.25 s. Nothing is trained; no clip is
written.

Printed: F1 of borders between the right frames, and of segments at an overlap of .7, by penalty;
for sentences (captions of a photo of the film, or of another film) and for phrases of the lexicon
(which three of a photo's five captions say, or none of the film's do): how many of those that are
there are found at the threshold below which 80 and 87 % of the absent ones stay, how often the best
frame is of the right photo, and by how much scores vary within it. With ``--kinds``, photos with a
label each (a zip and labels.tsv): of 700 of them, the shares of their own kind and of others that
reach a probability of the image encoder's classes.
"""

from __future__ import annotations

import argparse
import io
import random
import re
import zipfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from assistant.model.sight import Sight
from assistant.model.sight_loading import load_sight
from assistant.model.space.seeing import see
from assistant.sources.lexicon import load_lexicon
from assistant.sources.wording import classes_of, phrase_of
from assistant.timeline.borders import change_points
from assistant.timeline.moments import Finder, smooth
from assistant.training.pretraining.captions import read_captions, read_split

PHOTOS, SIDE, CHUNK, KINDS = 14, 224, 24, 700
PENALTIES = (0.4, 0.6, 0.8, 1.0, 1.3, 1.6, 2.0, 2.5, 3.0)
ABSENT = (0.80, 0.87, 0.95)
SAID, OF_ABSENT = 3, 0.05  # captions that say a phrase; share of the absent phrases that is tried
GROUPS = ("activities", "scenes", "things")


@dataclass(frozen=True, eq=False)
class Film:
    frames: Tensor  # (T, E)
    once: Tensor
    scenes: list[slice]
    captions: list[list[str]]  # of each scene


def pan(photo: Image.Image, count: int, rng: random.Random) -> np.ndarray:
    """A crop that moves over a photo and zooms: ``(count, SIDE, SIDE, 3)``."""
    size, zoom = rng.uniform(0.55, 0.85), rng.uniform(0.9, 1.15)
    ends = [rng.uniform(0, 1 - size) for _ in range(4)]
    pictures = []
    for number in range(count):
        along = number / max(1, count - 1)
        own = min(0.95, size * (1 + (zoom - 1) * along))
        x, y = (min(a + (b - a) * along, 1 - own) for a, b in (ends[:2], ends[2:]))
        box = [round(v * s) for v, s in zip((x, y, x + own, y + own), photo.size * 2, strict=True)]
        pictures.append(np.asarray(photo.crop(box).resize((SIDE, SIDE))))
    return np.stack(pictures)


def make_films(folder: Path, split: str, count: int, seed: int, sight: Sight) -> list[Film]:
    captions, names = read_captions(folder / "captions.tsv"), read_split(folder / f"{split}.txt")
    rng = random.Random(seed)
    names = sorted(names)
    rng.shuffle(names)
    films = []
    with zipfile.ZipFile(next(folder.glob("*.zip"))) as archive:
        members = {Path(member).name: member for member in archive.namelist()}
        for number in range(count):
            own = names[number * PHOTOS : (number + 1) * PHOTOS]
            lengths = [rng.randint(3, 9) for _ in own]
            photos = [Image.open(io.BytesIO(archive.read(members[n]))).convert("RGB") for n in own]
            pictures = np.concatenate(
                [pan(p, length, rng) for p, length in zip(photos, lengths, strict=True)]
            )
            parts = [pictures[at : at + CHUNK] for at in range(0, len(pictures), CHUNK)]
            seen = [see(sight, part, range(len(part))) for part in parts]
            edges = [0, *accumulate(lengths)]
            films.append(
                Film(
                    torch.cat([one.frames for one in seen]).float().clone(),
                    torch.cat([one.once for one in seen]).float().clone(),
                    [slice(*pair) for pair in pairwise(edges)],
                    [list(captions[name]) for name in own],
                )
            )
            print(f"film {number + 1}: {len(pictures)} frames", flush=True)
    return films


def overlap(one: slice, other: slice) -> float:
    inside = min(one.stop, other.stop) - max(one.start, other.start)
    return inside / (max(one.stop, other.stop) - min(one.start, other.start))


def tell_borders(films: Sequence[Film]) -> None:
    print("\npenalty  F1 of borders  F1 of segments at .7")
    for penalty in PENALTIES:
        borders, segments = [], []
        for film in films:
            found = change_points(film.frames.numpy(), penalty)
            right = [scene.start for scene in film.scenes[1:]]
            hits = len(set(found) & set(right))
            borders.append(2 * hits / (len(found) + len(right)))
            parts = [slice(*pair) for pair in pairwise([0, *found, len(film.frames)])]
            met = sum(max(overlap(scene, part) for part in parts) >= 0.7 for scene in film.scenes)
            segments.append(2 * met / (len(parts) + len(film.scenes)))
        print(f"{penalty:7}  {np.mean(borders):13.3f}  {np.mean(segments):20.3f}")


def said(names: Sequence[str], captions: Sequence[str]) -> int:
    pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, names))})\b")
    return sum(bool(pattern.search(text.lower())) for text in captions)


def tell_rules(films: Sequence[Film], finder: Finder, rng: random.Random) -> None:
    lexicon = load_lexicon()
    there: dict[str, list[tuple[float, bool, float]]] = defaultdict(list)
    absent: dict[str, list[float]] = defaultdict(list)

    def judge(kind: str, scores: np.ndarray, film: Film, where: set[int]) -> None:
        scores = np.concatenate([smooth(scores[scene]) for scene in film.scenes])
        if not where:
            absent[kind].append(float(scores.max()))
            return
        best = next(n for n, s in enumerate(film.scenes) if scores.argmax() < s.stop)
        spread = float(np.mean([np.ptp(scores[film.scenes[n]]) for n in where]))
        there[kind].append((float(scores.max()), best in where, spread))

    for number, film in enumerate(films):
        others = [c for k, other in enumerate(films) if k != number for c in other.captions]
        for scene, captions in enumerate(film.captions):
            judge("text", finder.by_text(rng.choice(captions), film.frames), film, {scene})
            text = rng.choice(rng.choice(others))
            judge("text", finder.by_text(text, film.frames), film, set())
        for group in GROUPS:
            for name, more in lexicon.groups[group].phrases.items():
                counts = [said((name, *more), captions) for captions in film.captions]
                tried = max(counts) >= SAID or (not max(counts) and rng.random() < OF_ABSENT)
                if not tried:
                    continue
                where = {n for n, c in enumerate(counts) if c} if max(counts) else set()
                if (place := phrase_of(name)) is not None:
                    judge("phrase", finder.by_phrase(place, film.once), film, where)
                judge("phrase, by its text", finder.by_text(name, film.frames), film, where)
    for kind, found in there.items():
        scores, right, spread = (np.array(column) for column in zip(*found, strict=True))
        print(f"\n{kind}: {len(scores)} there, {len(absent[kind])} absent")
        print(f"  best frame of the right photo {right.mean():.3f}, spread {np.median(spread):.3f}")
        for share in ABSENT:
            least = np.quantile(absent[kind], share)
            found_there = float(np.mean(scores >= least))
            print(f"  {share:.0%} of the absent are below {least:.3f}: {found_there:.3f} found")


def tell_kinds(folder: Path, sight: Sight) -> None:
    rows = [line.split("\t") for line in (folder / "labels.tsv").read_text("utf-8").splitlines()]
    random.Random(0).shuffle(rows)
    names, labels = zip(*rows[:KINDS], strict=True)
    with zipfile.ZipFile(next(folder.glob("*.zip"))) as archive:
        members = {Path(member).name: member for member in archive.namelist()}
        photos = [Image.open(io.BytesIO(archive.read(members[Path(n).name]))) for n in names]
        pictures = [np.asarray(photo.convert("RGB").resize((SIDE, SIDE))) for photo in photos]
    parts = [np.stack(pictures[at : at + CHUNK]) for at in range(0, len(pictures), CHUNK)]
    classes = torch.cat([see(sight, part, range(len(part))).classes.float() for part in parts])
    own, other = [], []
    for label in sorted(set(labels)):
        if places := classes_of(label, sight.class_names):
            chances = classes[:, places].sum(1).numpy()
            is_own = np.array([one == label for one in labels])
            own.append(chances[is_own])
            other.append(chances[~is_own])
    print(f"\n{len(own)} kinds that are classes, {len(labels)} photos: share of own, of others")
    for least in (0.1, 0.2, 0.3, 0.5):
        shares = [np.mean(np.concatenate(one) >= least) for one in (own, other)]
        print(f"  from {least}: {shares[0]:.3f}, {shares[1]:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FLICKR8K")
    parser.add_argument("--films", type=int, default=24)
    parser.add_argument("--split", default="dev")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", type=Path, metavar="CALTECH101")
    args = parser.parse_args()
    sight = load_sight("mini")
    if args.kinds is not None:
        tell_kinds(args.kinds, sight)
    films = make_films(args.folder, args.split, args.films, args.seed, sight)
    tell_borders(films)
    tell_rules(films, Finder(sight.space), random.Random(args.seed))


if __name__ == "__main__":
    main()
