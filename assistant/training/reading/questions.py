"""What is asked about photos with captions, questions, labels or boxes."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np

from assistant.errors import InputError
from assistant.sources.objects import WORDS
from assistant.training.pretraining.captions import (
    make_questions,
    read_captions,
    read_lines,
    read_split,
    things_in,
)
from assistant.training.pretraining.examples import LIST_PROMPTS, tidy
from assistant.training.reading.config import AskedSet
from assistant.training.space.photos import read_labels
from assistant.vqa.candidates import with_article

SPLITS = ("train", "dev", "test")
HELD_OUT = 10  # of a set without lists, one photo in so many is for dev or test: what a joint
# space was not trained on either (`assistant.training.space.photos`)
SURE, HIDDEN = 0.45, 0.25  # score of a box that is there; below the second it is not
NUMBERS = 4  # of things that are counted, at most
CANNOT_TELL = "I cannot tell."
LABELLED = "told"  # kind of a description that is made of a label
COLUMN = re.compile(r"\s+")
Key = str  # SET/PHOTO


@dataclass(frozen=True)
class Asking:
    """One question about one photo."""

    photo: Key
    question: str
    answers: tuple[str, ...]  # each as good
    kind: str
    choices: tuple[str, ...] = ()  # of "told": the label alone
    split: str = ""  # where its file names one

    @property
    def answer(self) -> str:
        return self.answers[0]


def split_of(name: str, lists: Mapping[str, Collection[str]]) -> str:
    """The split of a photo: its set's own, else a part by its name."""
    if lists:
        return next((split for split, names in lists.items() if name in names), "")
    place, rest = divmod(crc32(name.encode()), HELD_OUT)
    return "train" if rest else ("dev", "test")[place % 2]


def read_set(folder: Path, config: AskedSet, prompts: Sequence[str], seed: int) -> list[Asking]:
    """All that is asked about the photos of one set, of every split.

    Raises:
        InputError: a file is missing or not as wanted.
    """
    found: list[Asking] = []
    rng = np.random.default_rng((seed, crc32(folder.name.encode())))
    captions: dict[str, tuple[str, ...]] = {}
    for file in config.captions:
        for name, told in read_captions(folder / file).items():
            captions[name] = captions.get(name, ()) + told
    for name, told in captions.items():
        sentences = tuple(dict.fromkeys(map(tidy, told)))
        found.append(Asking(_key(folder, name), _one(prompts, rng), sentences, "caption"))
        if things := things_in(told, min(2, len(told))):
            asked = _one(LIST_PROMPTS, rng)
            found.append(Asking(_key(folder, name), asked, (", ".join(things),), "list"))
    for q in make_questions(captions, seed):
        kind = "yes/no" if q.type == "yes/no" else "question"
        answer = _worded(q.answer)
        choices = tuple(map(_worded, q.choices))
        found.append(Asking(_key(folder, q.photo), q.question, (answer,), kind, choices))
    if config.questions:
        found += _asked(folder, config.questions)
    if config.labels:
        for name, named in read_labels(folder / config.labels).items():
            label = config.renamed.get(named, named)
            if config.asked:
                answer = config.answer.format(label)
                asked = _one(config.asked, rng)
                found.append(Asking(_key(folder, name), asked, (answer,), "label"))
            if config.told:
                told_now = _one(config.told, rng).format(label, a=with_article(label))
                asked = _one(prompts, rng)
                told = (tidy(told_now),)
                found.append(Asking(_key(folder, name), asked, told, LABELLED, (label,)))
    return found


def _asked(folder: Path, file: str) -> Iterator[Asking]:
    """Lines of name, question, answer (several by commas) and perhaps more."""
    for number, line in enumerate(read_lines(folder / file), start=1):
        if not line.strip():
            continue
        columns = line.split("\t")
        if len(columns) < 3:
            raise InputError(
                f"{folder / file}:{number} reads {line[:60]!r}, wanted "
                "'photo.jpg<TAB>question<TAB>answer': correct or remove the line"
            )
        name, question, answer = (COLUMN.sub(" ", text).strip() for text in columns[:3])
        told = ", ".join(_worded(one.strip().replace("_", " ")) for one in answer.split(","))
        split = columns[3].strip() if len(columns) > 3 else ""
        split = split if split in SPLITS else ""
        yield Asking(_key(folder, name), as_question(question), (told,), folder.name, split=split)


def as_question(text: str) -> str:
    """With a capital and a question mark."""
    text = text.strip().rstrip("?").strip()
    return text[:1].upper() + text[1:] + "?"


def box_questions(
    boxes: Path, classes: Mapping[str, Sequence[str]], sets: Sequence[str], seed: int
) -> list[Asking]:
    """Count, existence, place and what cannot be told, of things with boxes.

    Args:
        classes: by name, what each is called: the plural first.
    """
    rows = [json.loads(line) for line in read_lines(boxes) if line.strip()]
    rows = [row for row in rows if row["set"] in sets]
    sure = [Counter(b[0] for b in row["boxes"] if b[1] >= SURE) for row in rows]
    often = Counter(name for names in sure for name in names)
    known = sorted(often)
    shares = np.array([often[name] for name in known], float)
    shares /= shares.sum()
    found: list[Asking] = []
    for row, there in zip(rows, sure, strict=True):
        rng = np.random.default_rng((seed, crc32(row["name"].encode()), 1))
        key = f"{row['set']}/{row['name']}"
        perhaps = {b[0] for b in row["boxes"] if b[1] >= HIDDEN}
        absent = [n for n in rng.choice(known, 4, p=shares).tolist() if n not in perhaps]
        for name in list(there)[:2]:
            found.append(_exists(key, name, "yes", rng))
        for name in dict.fromkeys(absent[:2]):
            found.append(_exists(key, name, "no", rng))
        unsure = Counter(b[0] for b in row["boxes"])
        for name, count in there.items():
            if count <= NUMBERS and unsure[name] == count:
                found.append(_counted(key, _plural(name, classes), count, rng))
            if count == 1 and unsure[name] == 1:
                box = next(b for b in row["boxes"] if b[0] == name)
                found.append(_placed(key, name, (box[2] + box[4]) / 2, rng))
        if absent:
            found.append(_untold(key, absent[0], rng))
    return _balanced(found, "count")


def _balanced(found: Sequence[Asking], kind: str) -> list[Asking]:
    """Of the commonest answer of a kind only as many as there are of the next."""
    counts = Counter(reading.answer for reading in found if reading.kind == kind)
    (most, _), (_, room), *_ = [*counts.most_common(2), ("", 0), ("", 0)]
    kept: list[Asking] = []
    for reading in found:
        if (reading.kind, reading.answer) == (kind, most):
            room -= 1
            if room < 0:
                continue
        kept.append(reading)
    return kept


def _exists(key: Key, name: str, answer: str, rng: np.random.Generator) -> Asking:
    thing = with_article(name)
    forms = ("Is there {} in the picture?", "Is there {}?", "Can you see {}?", "Do you see {}?")
    return Asking(key, _one(forms, rng).format(thing), (answer,), "yes/no", ("yes", "no"))


def _counted(key: Key, plural: str, count: int, rng: np.random.Generator) -> Asking:
    forms = ("How many {} are there?", "How many {} are in the video?", "How many {} do you see?")
    choices = tuple(WORDS[1 : NUMBERS + 1])
    return Asking(key, _one(forms, rng).format(plural), (WORDS[count],), "count", choices)


def _placed(key: Key, name: str, middle: float, rng: np.random.Generator) -> Asking:
    forms = ("Where in the picture is the {}?", "On which side is the {}?")
    place = "on the left" if middle < 0.4 else "on the right" if middle > 0.6 else "in the middle"
    choices = ("on the left", "in the middle", "on the right")
    return Asking(key, _one(forms, rng).format(name), (place,), "where", choices)


def _untold(key: Key, name: str, rng: np.random.Generator) -> Asking:
    forms = (
        "What color is the {}?",
        "Where is the {}?",
        "What is the {} doing?",
        "Whose {} is it?",
    )
    return Asking(key, _one(forms, rng).format(name), (CANNOT_TELL,), "untold")


def _plural(name: str, classes: Mapping[str, Sequence[str]]) -> str:
    told = classes.get(name) or (name + "s",)
    return "people" if name == "person" else told[0]


def _worded(answer: str) -> str:
    """A small number as a word."""
    return WORDS[int(answer)] if answer.isdigit() and int(answer) < len(WORDS) else answer


def _one(texts: Sequence[str], rng: np.random.Generator) -> str:
    return texts[int(rng.integers(len(texts)))]


def _key(folder: Path, name: str) -> Key:
    return f"{folder.name}/{name}"


def by_split(root: Path, found: Sequence[Asking]) -> dict[str, list[Asking]]:
    """The readings of each split; photos that no list of their set has are left out.

    A test photo by its file is for test, whatever else asks about it; the others go by name.
    """
    for_test = {reading.photo for reading in found if reading.split == "test"}
    lists: dict[str, dict[str, frozenset[str]]] = {}
    told: dict[str, list[Asking]] = {split: [] for split in SPLITS}
    for reading in found:
        folder, _, name = reading.photo.partition("/")
        if folder not in lists:
            files = {split: root / folder / f"{split}.txt" for split in SPLITS}
            own = all(file.is_file() for file in files.values())
            lists[folder] = {s: frozenset(read_split(f)) for s, f in files.items()} if own else {}
        split = "test" if reading.photo in for_test else split_of(name, lists[folder])
        if split:
            told[split].append(reading)
    return told
