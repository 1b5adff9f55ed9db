"""Which of two clips shows what is asked for: right answers, how many are sure, and what it would be
to ask each alone and take the higher "yes".

    python benchmarks/several.py DATA --fit               # weights, by dev pairs
    python benchmarks/several.py DATA [--count N]         # test pairs, through `open([a, b]).ask`

DATA holds flickr8k, coco, scenes15 and clips_named. Of each pair one shows what is asked for, by
what people said of it: a phrase that three captions of a photo say and no caption of the other, a
whole caption, the answer to a question of COCO-QA, a room or a place outdoors, the label of a clip.
Photos of a split's list, or by name one in twenty, that nothing was trained on; clips by a half. Each
pair is asked in both orders: "moved" counts those whose answer does not follow the clip.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
import torch
import yaml
from PIL import Image
from source_facts import Raw

from assistant import load
from assistant.model.features import FeatureStore
from assistant.model.sight_loading import load_sight
from assistant.model.space.seeing import look_at
from assistant.sources import Look
from assistant.sources.lexicon import load_lexicon
from assistant.training.pretraining.captions import read_captions, read_split
from assistant.training.pretraining.photos import Archive
from assistant.training.reading.questions import split_of
from assistant.vqa.candidates import with_article
from assistant.vqa.several.asking import WHICH, compared_by
from assistant.vqa.several.comparing import judge
from assistant.vqa.several.shown import see

SEED, SIDE_OF_TWO, MOST_OF_PHRASE, SAID = 7, 2, 4, 3
INDOORS = re.compile(
    r"\b(?:kitchen|bedroom|bathroom|living room|restaurant|office|indoors?|couch|sofa|in a room|gym"
    r"|classroom|toilet)\b"
)
OUTDOORS = re.compile(
    r"\b(?:grass|beach|ocean|field|mountains?|snow|street|park|outdoors?|outside|river|lake|road"
    r"|sidewalk|woods|forest|sky|sand|rock|hill)\b"
)
ROOMS = ("bedroom", "kitchen", "living room", "office", "store")
NEITHER = ("industrial",)  # of scenes15: within and without
ASKED = {
    "things": "Which of the two shows {thing}?",
    "objects": "Which of the two shows {thing}?",
    "scenes": "Which of the two shows {thing}?",
    "activities": "In which of the two is somebody {name}?",
    "indoors, outdoors": "Which of the two is {name}?",
    "caption": "Which of the two shows {name}?",
    "clips, by label": "Which of the two shows {name}?",
}


@dataclass(frozen=True)
class Pair:
    kind: str  # of ASKED
    name: str  # what is asked for
    right: Path  # under DATA: the photo or clip that shows it
    wrong: Path

    @property
    def question(self) -> str:
        return ASKED[self.kind].format(name=self.name, thing=with_article(self.name))


def pairs_of(data: Path, split: str, count: int) -> list[Pair]:
    """At most ``count`` of each kind."""
    rng = random.Random(f"{SEED} {split}")
    found: dict[str, list[Pair]] = defaultdict(list)
    for pair in (*_captioned(data, split, rng), *_labelled(data, split, rng)):
        found[pair.kind].append(pair)
    for some in found.values():
        rng.shuffle(some)
    return [pair for kind in ASKED for pair in found[kind][:count]]


def _captioned(data: Path, split: str, rng: random.Random) -> Iterator[Pair]:
    told: dict[Path, list[str]] = {}
    flickr, coco = read_captions(data / "flickr8k" / "captions.tsv"), _coco(data)
    for name in sorted(read_split(data / "flickr8k" / f"{split}.txt")):
        told[Path("flickr8k", name)] = [text.lower() for text in flickr[name]]
    for name in sorted(read_captions(data / "coco" / "captions.tsv")):
        if split_of(name, {}) == split:
            told[Path("coco", name)] = [text.lower() for text in coco[name]]
    photos = list(told)
    lexicon = load_lexicon()
    for group in ("things", "scenes", "activities"):
        for name, more in lexicon.groups[group].phrases.items():
            counts = {photo: _said((name, *more), told[photo]) for photo in photos}
            right = [photo for photo, often in counts.items() if often >= SAID]
            wrong = [photo for photo, often in counts.items() if not often]
            for photo in rng.sample(right, min(MOST_OF_PHRASE, len(right))):
                yield Pair(group, name, photo, rng.choice(wrong))
    for photo in rng.sample(photos, min(400, len(photos))):
        other = rng.choice([one for one in photos if one != photo])
        yield Pair("caption", rng.choice(told[photo]).strip(" ."), photo, other)
    within, without = (
        [
            photo
            for photo in photos
            if sum(bool(one.search(text)) for text in told[photo]) >= SAID
            and not any(other.search(text) for text in told[photo])
        ]
        for one, other in ((INDOORS, OUTDOORS), (OUTDOORS, INDOORS))
    )
    for photo in within:
        other = rng.choice(without)
        yield Pair("indoors, outdoors", "indoors", photo, other)
        yield Pair("indoors, outdoors", "outdoors", other, photo)


def _labelled(data: Path, split: str, rng: random.Random) -> Iterator[Pair]:
    rows = _rows(data / "coco" / "qa.tsv")
    own = [row for row in rows if row[3] == "object" and split_of(row[0], {}) == split]
    about: dict[str, str] = defaultdict(str)
    for name, texts in _coco(data).items():
        about[name] += " ".join(texts).lower()
    for name, asked, answer, _ in rows:
        about[name] += f" {asked} {answer}".lower()
    for name, _, answer, _ in own:
        others = [row[0] for row in own if not re.search(rf"\b{answer}", about[row[0]])]
        yield Pair("objects", answer, Path("coco", name), Path("coco", rng.choice(others)))
    scenes = [row for row in _rows(data / "scenes15" / "labels.tsv") if row[1] not in NEITHER]
    scenes = [row for row in scenes if split_of(row[0], {}) == split]
    for name, label in scenes:
        word, other = ("indoors", "outdoors") if label in ROOMS else ("outdoors", "indoors")
        beside = rng.choice([one for one, kind in scenes if (kind in ROOMS) != (label in ROOMS)])
        yield Pair("indoors, outdoors", word, Path("scenes15", name), Path("scenes15", beside))
        yield Pair("indoors, outdoors", other, Path("scenes15", beside), Path("scenes15", name))
    half = ("dev", "test").index(split)
    clips = [row[:3] for row in _rows(data / "clips_named" / "clips.tsv")[1:]]
    clips = [row for row in clips if crc32(row[0].encode()) % SIDE_OF_TWO == half]
    for name, _, label in clips:
        others = [one for one, _, kind in clips if not set(kind.split()) & set(label.split())]
        for other in rng.sample(others, 4):
            folder = Path("clips_named", "clips")
            yield Pair("clips, by label", label, folder / name, folder / other)


def _rows(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text("utf-8").splitlines() if line.strip()]


def _coco(data: Path) -> dict[str, tuple[str, ...]]:
    return read_captions(data / "coco" / "captions.tsv")


def _said(names: Sequence[str], captions: Sequence[str]) -> int:
    pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, names))})(?:s|es)?\b")
    return sum(bool(pattern.search(text)) for text in captions)


def pictures(data: Path, paths: Sequence[Path]) -> Iterator[tuple[Path, np.ndarray]]:
    """The photos among them, ``(H, W, 3)`` uint8 each."""
    for folder in ("flickr8k", "coco", "scenes15"):
        names = sorted({path.name for path in paths if path.parts[0] == folder})
        for name, picture in Archive(data / folder, "photos").pictures(names):
            yield Path(folder, name), picture


def features(data: Path, pairs: Sequence[Pair]) -> tuple[np.ndarray, np.ndarray]:
    """``(N, 2, 3)``: likeness, log-odds of the phrase, of the object, right one first; ``(N, 2)``:
    whether there is a phrase, an object."""
    sight = load_sight("mini")
    photos = [pair for pair in pairs if pair.right.parts[0] != "clips_named"]
    looks: dict[Path, Look] = {
        path: look_at(sight, picture[None], (0.0,))
        for path, picture in pictures(data, [p for one in photos for p in (one.right, one.wrong)])
    }
    found, known = [], []
    for pair in photos:
        asks = compared_by(pair.question)
        assert asks is not None and asks.sought is not None, pair.question
        both = [see(sight.space, looks[path], asks.sought.text) for path in (pair.right, pair.wrong)]
        found.append([one.as_row() for one in both])
        known.append((both[0].phrase is not None, both[0].object is not None))
    return np.array(found), np.array(known)


def fit(data: Path) -> None:
    """Print the weights for ``shown.yaml``, and what they are worth by cross-validation."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_predict

    pairs = [one for one in pairs_of(data, "dev", 400) if one.kind != "clips, by label"]
    found, known = features(data, pairs)
    kinds = np.array([pair.kind for pair in pairs])
    scale = np.array([10.0, 0.5, 0.5])
    told = {}
    odds = np.zeros((len(pairs), 2))
    for name, mask in (
        ("phrase", known[:, 0] & ~known[:, 1]),
        ("both", known[:, 0] & known[:, 1]),
        ("object", ~known[:, 0] & known[:, 1]),
        ("text", ~known.any(1)),
    ):
        x = np.concatenate(found[mask].transpose(1, 0, 2)) * scale
        y = np.repeat([1, 0], mask.sum())
        groups = np.tile(np.arange(mask.sum()), 2)
        line = LogisticRegression(C=10.0)
        held = cross_val_predict(line, x, y, groups=groups, cv=GroupKFold(10), method="decision_function")
        odds[mask] = held.reshape(2, -1).T
        line.fit(x, y)
        weights = line.coef_[0] * scale
        told[name] = dict(zip(("likeness", "phrase", "object"), weights.round(3).tolist(), strict=True))
        told[name]["constant"] = round(float(line.intercept_[0]), 3)
        print(name, int(mask.sum()), told[name], f"alone right {(held > 0).astype(int).__eq__(y).mean():.3f}")
    for kind in dict.fromkeys(kinds):
        mask = kinds == kind
        sure = [judge(WHICH, own) for own in odds[mask].tolist()]
        right = np.array([one.places == (0,) for one in sure])
        told_sure = np.array([one.sure for one in sure])
        print(f"{kind}: {mask.sum()} pairs, right {right.mean():.3f}, sure {told_sure.mean():.3f}, of these {right[told_sure].mean():.3f}; higher {(odds[mask][:, 0] > odds[mask][:, 1]).mean():.3f}")
    print(yaml.safe_dump(told, sort_keys=False))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=Raw)
    parser.add_argument("data", type=Path)
    parser.add_argument("--fit", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    fit(args.data)
