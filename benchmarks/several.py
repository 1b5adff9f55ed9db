"""Which of two clips shows what is asked for: right answers, how many are sure, and what it would
be to ask each alone and take the higher "yes".

    python benchmarks/several.py DATA --fit               # weights, by dev pairs
    python benchmarks/several.py DATA [--count N]         # test pairs, through `open([a, b]).ask`
    python benchmarks/several.py DATA --more [--count N]  # "Do both ...?" and "What differs?"

DATA holds flickr8k, coco, scenes15 and clips_named. Of each pair one shows what is asked for, by
what people said of it: a phrase that three captions of a photo say and no caption of the other, a
whole caption, the answer to a question of COCO-QA, a room or a place outdoors, the label of a clip.
Photos of a split's list, or by name one in twenty, that nothing was trained on; clips by a half.
Each pair is asked in both orders: "moved" counts those whose answer does not follow the clip.
"""

from __future__ import annotations

import argparse
import math
import random
import re
import sys
import tempfile
from collections import Counter, defaultdict
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
from assistant.vqa.assistants import Assistant
from assistant.vqa.candidates import with_article
from assistant.vqa.several.asking import WHICH, Sought, compared_by
from assistant.vqa.several.comparing import judge
from assistant.vqa.several.shown import see

SEED, MOST_OF_PHRASE, SAID = 7, 4, 3
SCALES = np.array([10.0, 0.5])  # of likeness and log-odds, before they are fitted
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
CLIPS = "clips, by label"
ASKED = {
    "things": "Which of the two shows {thing}?",
    "objects": "Which of the two shows {thing}?",
    "scenes": "Which of the two shows {thing}?",
    "activities": "In which of the two is somebody {name}?",
    "indoors, outdoors": "Which of the two is {name}?",
    "caption": "Which of the two shows {name}?",
    CLIPS: "Which of the two shows {name}?",
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

    @property
    def asks(self) -> Sought:
        found = compared_by(self.question)
        assert found is not None and found.sought is not None, self.question
        return found.sought


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
    clips = [row for row in clips if crc32(row[0].encode()) % 2 == half]
    for name, _, label in clips:
        others = [one for one, _, kind in clips if not set(kind.split()) & set(label.split())]
        for other in rng.sample(others, 4):
            folder = Path("clips_named", "clips")
            yield Pair(CLIPS, label, folder / name, folder / other)


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
    """``(N, 2, 2)``: likeness and log-odds of the phrase, of photos, the right one first;
    ``(N,)``: whether there is a phrase."""
    sight = load_sight("mini")
    wanted = [path for pair in pairs for path in (pair.right, pair.wrong)]
    looks: dict[Path, Look] = {
        path: look_at(sight, picture[None], (0.0,)) for path, picture in pictures(data, wanted)
    }
    found, known = [], []
    for pair in pairs:
        both = [see(sight.space, looks[path], pair.asks.text) for path in (pair.right, pair.wrong)]
        known.append(both[0].phrase is not None)
        found.append(
            [
                (one.likeness.mean(), 0.0 if one.phrase is None else one.phrase.mean())
                for one in both
            ]
        )
    return np.array(found), np.array(known)


def fit(data: Path) -> None:
    """Print the weights for ``shown.yaml``, and what they are worth by cross-validation."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_predict

    pairs = [one for one in pairs_of(data, "dev", 400) if one.kind != CLIPS]
    found, known = features(data, pairs)
    told, odds = {}, np.zeros((len(pairs), 2))
    for name, mask in (("phrase", known), ("text", ~known)):
        rows = np.concatenate(found[mask].transpose(1, 0, 2)) * SCALES
        there = np.repeat([1, 0], mask.sum())
        groups = np.tile(np.arange(mask.sum()), 2)
        line = LogisticRegression(C=10.0)
        held = cross_val_predict(
            line, rows, there, groups=groups, cv=GroupKFold(10), method="decision_function"
        )
        odds[mask] = held.reshape(2, -1).T
        line.fit(rows, there)
        likeness, phrase = (line.coef_[0] * SCALES).round(2).tolist()
        constant = round(float(line.intercept_[0]), 2)
        told[name] = {"likeness": likeness, "phrase": phrase, "constant": constant}
    table = Table()
    for pair, own in zip(pairs, odds.tolist(), strict=True):
        verdict = judge(WHICH, own)
        table.add(pair.kind, verdict.places == (0,), verdict.sure)
    table.show()
    print(yaml.safe_dump(told, sort_keys=False))


def test(data: Path, split: str, count: int, alone: int) -> None:
    """Print what the front door answers to pairs, in both orders."""
    pairs = pairs_of(data, split, count)
    table, asked = Table(), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        wanted = [path for pair in pairs for path in (pair.right, pair.wrong)]
        places = written(data, wanted, Path(folder))
        assistant = load("mini", store=FeatureStore(Path(folder, "features")))
        for number, pair in enumerate(pairs):
            right, wrong = places[pair.right], places[pair.wrong]
            said = [named(assistant, order, pair) for order in ((right, wrong), (wrong, right))]
            for path, sure in said:
                table.add(pair.kind, path == right, sure)
            table.moved[pair.kind] += said[0] != said[1]
            asked[pair.kind] += 1
            if asked[pair.kind] <= alone:
                yes = [said_alone(assistant, path, pair) for path in (right, wrong)]
                table.alone[pair.kind].append(yes[0] > yes[1])
            if number % 20 == 0:
                print(f"{number} of {len(pairs)} pairs", file=sys.stderr, flush=True)
    table.show()


def named(assistant: Assistant, order: Sequence[Path], pair: Pair) -> tuple[Path | None, bool]:
    """The clip that the answer names, None for neither or both; and whether it is sure."""
    session = assistant.open(list(order))
    answer = session.ask(pair.question)
    shares = answer.probabilities
    assert shares is not None, pair.question
    best = max(shares, key=shares.__getitem__)
    by_name = dict(zip(map(str, session.names), order, strict=True))
    return by_name.get(best), answer.reason is None


def said_alone(assistant: Assistant, path: Path, pair: Pair) -> float:
    """The share of "yes" that the model gives the clip alone."""
    answer = assistant.open(path).ask(pair.asks.question, choices=["yes", "no"])
    assert answer.probabilities is not None
    return answer.probabilities["yes"]


def more(data: Path, split: str, count: int) -> None:
    """Print what is answered to "Do both show ...?" about pairs of which both do or one, and what
    is told to differ between two photos that each have five captions."""
    rng = random.Random(SEED)
    by_name: dict[tuple[str, str], list[Pair]] = defaultdict(list)
    for pair in pairs_of(data, split, sys.maxsize):
        if pair.kind in ("things", "objects", "scenes"):
            by_name[pair.kind, pair.name].append(pair)
    able = [some for some in by_name.values() if len({one.right for one in some}) > 1]
    asked = []
    for some in rng.sample(able, min(count, len(able))):
        first, other = rng.sample(some, 2)
        asked += [(first, first.right, other.right, True), (first, first.right, first.wrong, False)]
    captions = {
        Path("flickr8k", name): told
        for name, told in read_captions(data / "flickr8k" / "captions.tsv").items()
    }
    names = sorted(read_split(data / "flickr8k" / f"{split}.txt"))
    photos = [Path("flickr8k", name) for name in rng.sample(names, 2 * count)]
    table, told, held, denied, silent = Table(), 0, 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        places = written(data, [p for _, a, b, _ in asked for p in (a, b)] + photos, Path(folder))
        assistant = load("mini", now=False, store=FeatureStore(Path(folder, "features")))
        for pair, one, other, both in asked:
            answer = assistant.open([places[one], places[other]]).ask(
                f"Do both show {with_article(pair.name)}?"
            )
            said = "yes" in answer.text.lower()
            table.add("both do" if both else "one does", said == both, answer.reason is None)
        for one, other in zip(photos[:count], photos[count:], strict=True):
            answer = assistant.open([places[one], places[other]]).ask("What differs?")
            own = [list(part.seen) for part in answer.basis.clips]
            silent += not any(own)
            for things, mine, others in zip(own, (one, other), (other, one), strict=True):
                told += len(things)
                held += sum(held_by(thing, captions[mine]) for thing in things)
                denied += sum(held_by(thing, captions[others]) for thing in things)
    table.show()
    print(
        f"what differs: {count} pairs, {silent} without a difference that is sure, {told} things; "
        f"{held} of them are in the photo's own captions, {denied} in the other's"
    )


def held_by(thing: str, captions: Sequence[str]) -> bool:
    """Whether captions say a thing, or what else its phrase is called."""
    groups = load_lexicon().groups.values()
    others = [more for group in groups for name, more in group.phrases.items() if name == thing]
    names = [thing, *(one for some in others for one in some)]
    return _said(names, [text.lower() for text in captions]) > 0


def written(data: Path, paths: Sequence[Path], folder: Path) -> dict[Path, Path]:
    """Photos as files of their own, by where they are under ``data``; clips are there."""
    places = {path: data / path for path in paths}
    for path, picture in pictures(data, paths):
        places[path] = folder / f"{path.parts[0]}-{path.stem}.png"
        Image.fromarray(picture).save(places[path])
    return places


class Table:
    """What was answered, by kind."""

    def __init__(self) -> None:
        self.rows: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
        self.alone: dict[str, list[bool]] = defaultdict(list)
        self.moved: Counter[str] = Counter()

    def add(self, kind: str, right: bool, sure: bool) -> None:
        self.rows[kind].append((right, sure))

    def show(self) -> None:
        print(
            "| asked for | answers | right | sure | right of the sure | each alone (of) | moved |"
        )
        print("|---|---|---|---|---|---|---|")
        for kind in [*self.rows, "all"]:
            own = [kind] if kind in self.rows else [*self.rows]
            rows = [row for one in own for row in self.rows[one]]
            alone = [right for one in own for right in self.alone[one]]
            moved = sum(self.moved[one] for one in own)
            right, sure = np.array(rows).T
            shares = [right.mean(), sure.mean(), right[sure].mean() if sure.any() else math.nan]
            told = [f"{100 * share:.0f}" for share in shares]
            told.append(f"{100 * np.mean(alone):.0f} ({len(alone)})" if alone else "-")
            print(f"| {kind} | {len(rows)} | {' | '.join(told)} | {moved} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=Raw)
    parser.add_argument("data", type=Path)
    parser.add_argument("--fit", action="store_true", help="weights, by dev pairs of photos")
    parser.add_argument("--more", action="store_true", help="other questions about pairs of photos")
    parser.add_argument("--split", choices=("dev", "test"), default="test")
    parser.add_argument("--count", type=int, default=60, help="test pairs of each kind (60)")
    parser.add_argument("--alone", type=int, default=30, help="of these asked alone, too (30)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.fit:
        fit(args.data)
    elif args.more:
        more(args.data, args.split, args.count)
    else:
        test(args.data, args.split, args.count, args.alone)
