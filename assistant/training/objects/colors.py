"""Colors of things, as captions and questions tell them: weak labels."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from assistant.model.objects.config import ObjectsConfig
from assistant.training.objects.photos import BoxedPhotos

CAPTIONS, QUESTIONS = "captions.tsv", "qa.tsv"
ASKED = re.compile(r"what is the color of the (.+)")


@dataclass(frozen=True)
class ColoredThing:
    """One thing of a photo and its color."""

    key: str  # of the photo
    kind: int  # class
    color: int
    asked: bool  # a question's answer; else a caption's words


def colored_things(photos: BoxedPhotos, config: ObjectsConfig) -> list[ColoredThing]:
    """All that the texts beside the photos tell of things that have a box there."""
    things, colors = words_of(config), _inverse(config.colors)
    order = {name: i for i, name in enumerate(config.classes)}
    shades = {name: i for i, name in enumerate(config.colors)}
    found = []
    for folder in photos.archives:
        for name, thing, color, asked in _told(photos.root / folder, things, colors):
            key, kind = f"{folder}/{name}", order[things[thing]]
            if key in photos.boxes and kind in photos.boxes[key][:, 0]:
                found.append(ColoredThing(key, kind, shades[colors[color]], asked))
    return found


def words_of(config: ObjectsConfig) -> dict[str, str]:
    """Class by each of its words, those of what has its color among them."""
    return _inverse(config.parts) | _inverse(config.classes)


def _inverse(names: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    return {word: name for name, words in names.items() for word in (*words, name)}


def _told(
    folder: Path, things: Mapping[str, str], colors: Mapping[str, str]
) -> Iterator[tuple[str, str, str, bool]]:
    """Photo, thing, color, whether it was asked for."""
    for name, question, answer, kind in _rows(folder / QUESTIONS, 4):
        asked = ASKED.fullmatch(question)
        if kind == "color" and asked and asked[1] in things and answer in colors:
            yield name, asked[1], answer, True
    thing_words = "|".join(sorted(map(re.escape, things), key=len, reverse=True))
    pattern = re.compile(rf"\b({'|'.join(colors)}) (?:[a-z]+ )?({thing_words})\b")
    for caption, text in _rows(folder / CAPTIONS, 2):
        for match in pattern.finditer(text.lower()):
            yield caption.rpartition("#")[0], match[2], match[1], False


def _rows(path: Path, columns: int) -> Iterator[list[str]]:
    if not path.is_file():
        return
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            if len(row) == columns:
                yield row


def box_of(labels: np.ndarray, kind: int) -> np.ndarray:
    """``(4,)``: of the boxes of a class the one that a text about it means: sure and large."""
    own = labels[labels[:, 0] == kind]
    sides = np.sqrt((own[:, 4:] - own[:, 2:4]).clip(min=0).prod(1))
    return np.asarray(own[np.argmax(own[:, 1] * sides), 2:])
