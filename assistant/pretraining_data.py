"""What pretraining learns from: features of photos and scenes, and an endless, seeded sampler."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from assistant.captions import (
    flip_safe,
    make_questions,
    read_captions,
    read_split,
    things_in,
)
from assistant.errors import InputError
from assistant.model.attributes import attribute_text
from assistant.model.cells import SceneObjects, scene_objects
from assistant.model.efficientnet import CLASSES
from assistant.model.vision import CHUNK, ImageEncoder
from assistant.scenes import SceneExample, ask, generate
from assistant.templates import TaskPrompt, load_prompt

__all__ = [
    "FeatureTable",
    "Photos",
    "Sample",
    "Sampler",
    "match_samples",
    "photo_samples",
    "photo_views",
    "scene_samples",
]

PICTURE_WORDS = ("picture", "image", "photo", "video", "clip", "scene")
PICTURE = re.compile(r"\b(picture|image|photo|video|clip)\b")
KINDS = {"caption": "caption", "list": "list", "yes/no": "yes/no"}  # of types; others: question
LIST_PROMPTS = (
    "What is in the picture?",
    "What is in the picture?",
    "Which things are in the picture?",
    "What can you see in the picture?",
    "Name the things in the picture.",
)
MATCH_PROMPTS = ("Is this true: {}", "Does the picture show this: {}")
CROPS = (0.7, 0.95)  # side of a crop as a share of the photo's
ROUNDS = 3  # of questions about each generated scene


@dataclass(frozen=True)
class Sample:
    """One question about one picture.

    ``bag`` holds the words that describe the picture whatever the question is.
    """

    picture: str
    question: str
    answer: str
    type: str
    choices: tuple[str, ...] = ()
    bag: tuple[str, ...] = ()
    flips: bool = False  # still true in the mirror
    crops: bool = False  # has a cropped view
    held_out: bool = False
    about: tuple[tuple[int, ...], ...] = ()  # objects of a scene that each phrase names
    history: tuple[tuple[str, str], ...] = ()  # an earlier question and answer, oldest first
    fused: str = ""  # attributes for the Q-Former
    seen: str = ""  # attributes for the LLM

    @property
    def fusion(self) -> str:
        """What the Q-Former reads, as in chat."""
        previous = " ".join(self.history[-1]) if self.history else ""
        return chat_prompt().render_fusion(
            question=self.question, previous=previous, attributes=self.fused, dialogue=""
        )

    @property
    def prompt(self) -> str:
        """What the LLM reads after the visual tokens, as in chat."""
        return chat_prompt().render_prompt(
            question=self.question, attributes=self.seen, dialogue=""
        )

    def blind(self) -> Sample:
        """The question alone."""
        return replace(self, fused="", seen="")


@cache
def chat_prompt() -> TaskPrompt:
    return load_prompt("chat")


class Photos:
    """Flickr8k's folder: ``images_224.zip`` (or any zip of JPEG), ``captions.tsv``, split lists."""

    def __init__(self, folder: Path) -> None:
        archives = sorted(folder.glob("*.zip"))
        if not archives:
            raise InputError(
                f"{folder}: holds no zip of photos; give Flickr8k's folder (images zip, "
                "captions.tsv, train.txt, dev.txt, test.txt)"
            )
        self.archive = archives[0]
        self.captions = read_captions(folder / "captions.tsv")
        self.splits = {
            split: tuple(n for n in read_split(folder / f"{split}.txt") if n in self.captions)
            for split in ("train", "dev", "test")
        }

    def pictures(self, names: Iterable[str]) -> Iterator[tuple[str, np.ndarray]]:
        """``(name, (H, W, 3) uint8)`` of each photo."""
        with zipfile.ZipFile(self.archive) as archive:
            members = {Path(member).name: member for member in archive.namelist()}
            for name in names:
                if name not in members:
                    raise InputError(f"{self.archive}: lacks {name}; the archive is incomplete")
                data = io.BytesIO(archive.read(members[name]))
                yield name, np.asarray(Image.open(data).convert("RGB"))

    def captions_of(self, split: str) -> dict[str, tuple[str, ...]]:
        return {name: self.captions[name] for name in self.splits[split]}


class FeatureTable:
    """Patches ``(N, K, Dv)`` and classes ``(N, 1000)`` of many pictures, fp16, memory-mapped."""

    def __init__(self, path: Path) -> None:
        self.names: list[str] = json.loads(path.with_suffix(".json").read_text())
        self.rows = {name: row for row, name in enumerate(self.names)}
        self.array = np.load(path, mmap_mode="r")
        self.classes = np.load(path.with_suffix(".classes.npy"), mmap_mode="r")

    def attributes(self, name: str, encoder: ImageEncoder) -> str:
        """What the encoder's classifier finds in a picture, as the models read it."""
        classes = torch.from_numpy(self.classes[self.rows[name]][None].astype(np.float32))
        return attribute_text(encoder.attributes(classes))

    def patches(self, names: Sequence[str]) -> torch.Tensor:
        """``(B, 1, K, Dv)``: still pictures are clips of one frame."""
        return torch.from_numpy(np.stack([self.array[self.rows[name]] for name in names]))[:, None]

    @classmethod
    def open(
        cls,
        path: Path,
        encoder: ImageEncoder,
        pictures: Iterable[tuple[str, np.ndarray]],
        count: int,
        what: str,
    ) -> FeatureTable:
        """The table at ``path``, encoded first where it is not there yet."""
        if not path.with_suffix(".json").exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            shape = (count, encoder.patch_count, encoder.width)
            array = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
            classes = np.zeros((count, CLASSES), np.float16)
            names: list[str] = []
            with tqdm(total=count, desc=f"encoding {what}", unit="picture") as bar:
                for batch in _batched(pictures, CHUNK):
                    seen = encoder(np.stack([picture for _, picture in batch]))
                    rows = slice(len(names), len(names) + len(batch))
                    array[rows], classes[rows] = seen.patches.numpy(), seen.classes.numpy()
                    names += [name for name, _ in batch]
                    bar.update(len(batch))
            array.flush()
            np.save(path.with_suffix(".classes.npy"), classes)
            path.with_suffix(".json").write_text(
                json.dumps(names)
            )  # written last: the table is whole
        return cls(path)


def photo_samples(
    photos: Photos, split: str, prompts: Sequence[str], seed: int, path: Path
) -> dict[str, list[Sample]]:
    """Caption and question samples of one split, by kind; kept at ``path``."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_samples(path, _photo_samples(photos, split, prompts, seed))
    kinds: dict[str, list[Sample]] = {"caption": [], "list": [], "yes/no": [], "question": []}
    for sample in read_samples(path):
        kinds[KINDS.get(sample.type, "question")].append(sample)
    return kinds


def _photo_samples(photos: Photos, split: str, prompts: Sequence[str], seed: int) -> list[Sample]:
    captions = photos.captions_of(split)
    bags = {name: content_words(texts) for name, texts in captions.items()}
    rng = np.random.default_rng(seed)
    described = [
        Sample(
            picture=name,
            question=prompts[int(rng.integers(len(prompts)))],
            answer=tidy(text),
            type="caption",
            bag=bags[name],
            flips=flip_safe(text),
            crops=True,
        )
        for name, texts in captions.items()
        for text in texts
    ]
    listed = [
        Sample(
            picture=name,
            question=LIST_PROMPTS[int(rng.integers(len(LIST_PROMPTS)))],
            answer=", ".join(things),
            type="list",
            bag=bags[name],
            flips=True,
            crops=True,
        )
        for name, texts in captions.items()
        if (things := things_in(texts))
    ]
    asked = [
        Sample(
            picture=q.photo,
            question=q.question,
            answer=q.answer,
            type=q.type,
            choices=tuple(q.choices),
            bag=bags[q.photo],
            flips=flip_safe(q.question) and flip_safe(q.answer),
            crops=q.type not in ("number", "place"),
        )
        for q in make_questions(captions, seed)
    ]
    return described + listed + asked


def match_samples(photos: Photos, split: str, seed: int) -> list[Sample]:
    """Captions to be told from those of other photos, half of which share a word with this one."""
    captions = photos.captions_of(split)
    bags = {name: content_words(texts) for name, texts in captions.items()}
    words = {name: frozenset(bag) for name, bag in bags.items()}
    names = list(captions)
    rng = np.random.default_rng((seed, 1))

    def other(name: str) -> str:
        while True:
            found = names[int(rng.integers(len(names)))]
            if found != name and (rng.random() < 0.05 or words[name] & words[found]):
                return found

    def sample(name: str, text: str, answer: str) -> Sample:
        question = MATCH_PROMPTS[int(rng.integers(len(MATCH_PROMPTS)))].format(tidy(text))
        return Sample(
            picture=name,
            question=question,
            answer=answer,
            type="match",
            choices=("yes", "no"),
            bag=bags[name],
            flips=flip_safe(text),
        )

    samples: list[Sample] = []
    for name, texts in captions.items():
        for text in texts:
            samples.append(sample(name, text, "yes"))
            wrong = captions[other(name)]
            samples.append(sample(name, wrong[int(rng.integers(len(wrong)))], "no"))
    return samples


def scene_samples(
    path: Path, encoder: ImageEncoder, count: int, seed: int, split: str, rounds: int = 1
) -> tuple[FeatureTable, list[Sample], dict[str, SceneObjects]]:
    """Generate ``count`` scenes; keep their features at ``path``, samples and objects beside it."""
    kept = path.with_suffix(".objects.json")
    if not path.with_suffix(".json").exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        samples: list[Sample] = []
        objects: dict[str, SceneObjects] = {}

        def pictures() -> Iterator[tuple[str, np.ndarray]]:
            for index, example in enumerate(generate(count, seed, split)):
                name = f"{split}-{index}"
                objects[name] = scene_objects(example.scene)
                samples.extend(_asked_about(example, name, split, (seed, index), rounds))
                yield name, example.image
            write_samples(path.with_suffix(".jsonl"), samples)
            kept.write_text(json.dumps(objects))

        FeatureTable.open(path, encoder, pictures(), count, f"{split} scenes")
    objects = json.loads(kept.read_text())
    return FeatureTable(path), read_samples(path.with_suffix(".jsonl")), objects


def _asked_about(
    example: SceneExample, name: str, split: str, seed: tuple[int, int], rounds: int
) -> list[Sample]:
    """The example's own questions, and those of further rounds, each once."""
    rng = np.random.default_rng(seed)
    bag = tuple(dict.fromkeys(word for o in example.scene.objects for word in o.pair))
    found: dict[str, Sample] = {}
    for turn in range(rounds):
        for q in example.questions if turn == 0 else ask(example.scene, rng, split):
            sample = Sample(
                picture=name,
                question=q.question,
                answer=q.answer,
                type=q.type,
                choices=q.choices,
                bag=bag,
                held_out=q.held_out,
                about=q.about,
            )
            found.setdefault(q.question, sample)
    return list(found.values())


def write_samples(path: Path, samples: Iterable[Sample]) -> None:
    """One sample a line."""
    path.write_text("".join(json.dumps(asdict(sample)) + "\n" for sample in samples))


def read_samples(path: Path) -> list[Sample]:
    """What :func:`write_samples` wrote (samples without history)."""
    rows = map(json.loads, path.read_text().splitlines())
    return [
        Sample(
            **row
            | {"choices": tuple(row["choices"]), "bag": tuple(row["bag"]), "history": ()}
            | {"about": tuple(tuple(indices) for indices in row["about"])}
        )
        for row in rows
    ]


class Sampler:
    """Batches that depend only on ``(seed, step)``, so that a resumed run sees the same data."""

    def __init__(
        self,
        kinds: Mapping[str, Sequence[Sample]],
        mix: Mapping[str, float],
        seed: int,
        *,
        follow_ups: float = 0.0,
        attributes: Callable[[str], str] = lambda picture: "",
        attributes_kept: float = 1.0,
        views: bool = False,
    ) -> None:
        """
        Args:
            mix: weight of each kind. follow_ups: share of samples with an earlier turn.
            attributes: of a picture. attributes_kept: share of samples that show them to the
                Q-Former, and, drawn by itself, to the LLM.
            views: show mirrored and cropped photos too.
        """
        self.pools: dict[str, list[list[Sample]]] = {}
        self.shares: dict[str, np.ndarray] = {}
        self.by_picture: dict[str, list[Sample]] = defaultdict(list)
        asked = [samples for kind, samples in kinds.items() if kind != "match"]
        once = {id(sample): sample for samples in asked for sample in samples}
        for sample in once.values():
            self.by_picture[sample.picture].append(sample)
        for kind, samples in kinds.items():
            by_type: dict[str, list[Sample]] = {}
            for sample in samples:
                by_type.setdefault(sample.type, []).append(sample)
            self.pools[kind] = list(by_type.values())
            sizes = np.sqrt([len(pool) for pool in self.pools[kind]])
            self.shares[kind] = sizes / sizes.sum()
        self.follow_ups, self.views = follow_ups, views
        self.attributes, self.attributes_kept = attributes, attributes_kept
        self.kinds = list(mix)
        weights = np.array([mix[kind] for kind in self.kinds], dtype=float)
        self.weights = weights / weights.sum()
        self.seed = seed

    def batch(self, step: int, size: int) -> list[Sample]:
        """``size`` samples; a type's share of its kind goes with the root of its size."""
        rng = np.random.default_rng((self.seed, step))
        picked = rng.choice(len(self.kinds), size=size, p=self.weights)
        return [self._one(self.kinds[kind], rng) for kind in picked]

    def _one(self, kind: str, rng: np.random.Generator) -> Sample:
        pools = self.pools[kind]
        pool = pools[rng.choice(len(pools), p=self.shares[kind])]
        sample = pool[rng.integers(len(pool))]
        word = PICTURE_WORDS[rng.integers(len(PICTURE_WORDS))]
        sample = replace(sample, question=PICTURE.sub(word, sample.question))
        if rng.random() < self.follow_ups:
            others = self.by_picture[sample.picture]
            earlier = others[rng.integers(len(others))]
            flips = sample.flips and earlier.flips
            sample = replace(sample, history=((earlier.question, earlier.answer),), flips=flips)
        if self.views:
            cropped = sample.crops and rng.random() < 0.5
            turned = sample.flips and rng.random() < 0.5
            sample = replace(sample, picture=view_name(sample.picture, cropped, turned))
        fused, seen = rng.random(2) < self.attributes_kept
        text = self.attributes(sample.picture) if fused or seen else ""
        return replace(sample, fused=text if fused else "", seen=text if seen else "")


def view_name(photo: str, cropped: bool, turned: bool) -> str:
    """Name of a photo's cropped or mirrored view in the feature table."""
    return photo + ("|crop" if cropped else "") + ("|mirror" if turned else "")


def photo_views(
    pictures: Iterable[tuple[str, np.ndarray]], seed: int
) -> Iterator[tuple[str, np.ndarray]]:
    """Each photo, a random crop of it, and the mirror images of both: four views."""
    for index, (name, picture) in enumerate(pictures):
        crop = _random_crop(picture, np.random.default_rng((seed, index)))
        for cropped, view in ((False, picture), (True, crop)):
            yield view_name(name, cropped, False), view
            yield view_name(name, cropped, True), np.ascontiguousarray(view[:, ::-1])


def _random_crop(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A part of the picture, scaled back to its size."""
    height, width = picture.shape[:2]
    share = rng.uniform(*CROPS)
    tall, wide = round(height * share), round(width * share)
    top, left = rng.integers(height - tall + 1), rng.integers(width - wide + 1)
    part = Image.fromarray(picture[top : top + tall, left : left + wide])
    return np.asarray(part.resize((width, height), Image.Resampling.BICUBIC))


def tidy(caption: str) -> str:
    """A caption as a sentence: one space between words, a capital and a full stop."""
    text = re.sub(r"\s+([.,!?'])", r"\1", " ".join(caption.split())).strip(" .")
    return text[:1].upper() + text[1:] + "."


STOP_WORDS = """
    a an the and or of in on at to with by for from into onto over under up down out off is are was
    be being it its his her their he she they them this that these those while as near next there
    has have having very some
"""
STOP = frozenset(STOP_WORDS.split())


def content_words(captions: Sequence[str], support: int = 2) -> tuple[str, ...]:
    """Words that at least ``support`` captions share, the most shared first."""
    counts = Counter(
        word for text in captions for word in set(re.findall(r"[a-z]+", text.lower())) - STOP
    )
    shared = [word for word, count in counts.items() if count >= support and len(word) > 1]
    return tuple(sorted(shared, key=lambda word: (-counts[word], word)))


def _batched(
    items: Iterable[tuple[str, np.ndarray]], size: int
) -> Iterator[list[tuple[str, np.ndarray]]]:
    batch: list[tuple[str, np.ndarray]] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
