"""What pretraining asks about photos and generated scenes."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from assistant.core.files import write_whole
from assistant.data.scenes import SceneExample, ask, example, generate
from assistant.model.encoders.base import Encoder
from assistant.sources import lines_of
from assistant.tasks.prompts import TaskPrompt, load_prompt
from assistant.training.features import FeatureTable
from assistant.training.losses.cells import SceneObjects, scene_objects
from assistant.training.pretraining.captions import flip_safe, make_questions, things_in
from assistant.training.pretraining.photos import Photos

KINDS = {"caption": "caption", "list": "list", "yes/no": "yes/no"}  # of types; others: question
LIST_PROMPTS = (
    "What is in the picture?",
    "What is in the picture?",
    "Which things are in the picture?",
    "What can you see in the picture?",
    "Name the things in the picture.",
)
LISTED_SUPPORT = 2  # captions that name a thing before a list does
UNSEEN = 8  # pixels, of scenes of which only the objects count
MATCH_PROMPTS = ("Is this true: {}", "Does the picture show this: {}")
STOP_WORDS = """
    a an the and or of in on at to with by for from into onto over under up down out off is are was
    be being it its his her their he she they them this that these those while as near next there
    has have having very some
"""
STOP = frozenset(STOP_WORDS.split())


@dataclass(frozen=True)
class PretrainExample:
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
    also: tuple[str, ...] = ()  # further answers that are as good
    history: tuple[tuple[str, str], ...] = ()  # an earlier question and answer, oldest first
    fused: str = ""  # attributes for the Q-Former
    seen: str = ""  # attributes for the LLM
    read: str = ""  # lines of all sources instead, for one that learned to read them

    @property
    def qformer_text(self) -> str:
        """What the Q-Former reads, as in chat."""
        previous = " ".join(self.history[-1]) if self.history else ""
        return chat_prompt().render_qformer_text(
            question=self.question,
            previous=previous,
            sources=lines_of({"attributes": self.fused}),
            dialogue="",
        )

    @property
    def prompt(self) -> str:
        """What the LLM reads after the visual tokens, as in chat."""
        sources = self.read or lines_of({"attributes": self.seen})
        return chat_prompt().render_prompt(question=self.question, sources=sources, dialogue="")

    def blind(self) -> PretrainExample:
        """The question alone."""
        return replace(self, fused="", seen="", read="")


@cache
def chat_prompt() -> TaskPrompt:
    return load_prompt("chat")


def photo_samples(
    photos: Photos, split: str, prompts: Sequence[str], seed: int, path: Path
) -> dict[str, list[PretrainExample]]:
    """Caption and question samples of one split, by kind; kept at ``path``."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_samples(path, _photo_samples(photos, split, prompts, seed))
    kinds: dict[str, list[PretrainExample]] = {
        "caption": [],
        "list": [],
        "yes/no": [],
        "question": [],
    }
    for sample in read_samples(path):
        kinds[KINDS.get(sample.type, "question")].append(sample)
    return kinds


def _photo_samples(
    photos: Photos, split: str, prompts: Sequence[str], seed: int
) -> list[PretrainExample]:
    captions = photos.captions_of(split)
    bags = {name: content_words(texts) for name, texts in captions.items()}
    rng = np.random.default_rng(seed)
    described = [
        PretrainExample(
            picture=name,
            question=prompts[int(rng.integers(len(prompts)))],
            answer=tidy(text),
            also=tuple(tidy(other) for other in texts if other is not text),
            type="caption",
            bag=bags[name],
            flips=flip_safe(text),
            crops=True,
        )
        for name, texts in captions.items()
        for text in texts
    ]
    listed = [
        PretrainExample(
            picture=name,
            question=LIST_PROMPTS[int(rng.integers(len(LIST_PROMPTS)))],
            answer=", ".join(things),
            type="list",
            bag=bags[name],
            flips=True,
            crops=True,
        )
        for name, texts in captions.items()
        if (things := things_in(texts, LISTED_SUPPORT))
    ]
    asked = [
        PretrainExample(
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


def match_samples(photos: Photos, split: str, seed: int) -> list[PretrainExample]:
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

    def sample(name: str, text: str, answer: str) -> PretrainExample:
        question = MATCH_PROMPTS[int(rng.integers(len(MATCH_PROMPTS)))].format(tidy(text))
        return PretrainExample(
            picture=name,
            question=question,
            answer=answer,
            type="match",
            choices=("yes", "no"),
            bag=bags[name],
            flips=flip_safe(text),
        )

    samples: list[PretrainExample] = []
    for name, texts in captions.items():
        for text in texts:
            samples.append(sample(name, text, "yes"))
            wrong = captions[other(name)]
            samples.append(sample(name, wrong[int(rng.integers(len(wrong)))], "no"))
    return samples


def scene_samples(
    root: Path, encoder: Encoder, count: int, seed: int, split: str, rounds: int = 1
) -> tuple[FeatureTable, list[PretrainExample], dict[str, SceneObjects]]:
    """``count`` generated scenes: encoded, asked about so many times, and their objects.

    ``root`` keeps them.
    """
    kept = root / f"scenes-{split}-{count}-{seed}-{rounds}.jsonl"
    objects_kept = kept.with_suffix(".objects.json")
    if not objects_kept.exists():
        root.mkdir(parents=True, exist_ok=True)
        found: list[PretrainExample] = []
        told: dict[str, SceneObjects] = {}
        for index, scene in enumerate(generate(count, seed, split, size=UNSEEN)):
            name = f"{split}-{index}"
            told[name] = scene_objects(scene.scene)
            found += _asked_about(scene, name, split, (seed, index), rounds)
        write_samples(kept, found)
        write_whole(objects_kept, json.dumps(told))
    objects = json.loads(objects_kept.read_text())

    def read(keys: list[str]) -> Iterator[np.ndarray]:
        places = (int(key.rpartition("-")[2]) for key in keys)
        return (example(place, seed, split).image[None] for place in places)

    table = FeatureTable.open(
        root, encoder, 1, objects, read, source=("scenes", seed), what=f"{split} scenes"
    )
    return table, read_samples(kept), objects


def _asked_about(
    example: SceneExample, name: str, split: str, seed: tuple[int, int], rounds: int
) -> list[PretrainExample]:
    """The example's own questions, and those of further rounds, each once."""
    rng = np.random.default_rng(seed)
    bag = tuple(dict.fromkeys(word for o in example.scene.objects for word in o.pair))
    found: dict[str, PretrainExample] = {}
    for turn in range(rounds):
        for q in example.questions if turn == 0 else ask(example.scene, rng, split):
            sample = PretrainExample(
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


def write_samples(path: Path, samples: Iterable[PretrainExample]) -> None:
    """One sample a line."""
    write_whole(path, "".join(json.dumps(asdict(sample)) + "\n" for sample in samples))


def read_samples(path: Path) -> list[PretrainExample]:
    """What :func:`write_samples` wrote (samples without history)."""
    rows = map(json.loads, path.read_text().splitlines())
    return [
        PretrainExample(
            **row
            | {key: tuple(row[key]) for key in ("choices", "bag", "also", "history")}
            | {"about": tuple(tuple(indices) for indices in row["about"])}
        )
        for row in rows
    ]


def begun_with(names: Sequence[str], things: str) -> str:
    """A list of things, begun with ``names``: what the encoder's classifier is sure of."""
    said = {word for name in names for word in name.lower().split()}
    others = (thing for thing in things.split(", ") if thing and thing not in said)
    return ", ".join([*names, *others])


def tidy(caption: str) -> str:
    """A caption as a sentence: one space between words, a capital and a full stop."""
    text = re.sub(r"\s+([.,!?'])", r"\1", " ".join(caption.split())).strip(" .")
    return text[:1].upper() + text[1:] + "."


def content_words(captions: Sequence[str], support: int = 2) -> tuple[str, ...]:
    """Words that at least ``support`` captions share, the most shared first."""
    counts = Counter(
        word for text in captions for word in set(re.findall(r"[a-z]+", text.lower())) - STOP
    )
    shared = [word for word, count in counts.items() if count >= support and len(word) > 1]
    return tuple(sorted(shared, key=lambda word: (-counts[word], word)))
