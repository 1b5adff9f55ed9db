"""What is told of a range, as words and as sentences, by what costs next to nothing: the encoder's
classifier and the lexicon's phrases in the joint space. The prompts are ``prompts.yaml``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.core.config import from_yaml
from assistant.errors import ConfigError
from assistant.sources.bank import Bank, alike
from assistant.sources.captions import fits
from assistant.sources.lexicon import ACTIVITIES, WHO, load_lexicon
from assistant.sources.phrases import LIKELY, SAME
from assistant.sources.seen import likeliest
from assistant.timeline.types import Knowledge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

ASPECTS = ("scene", "objects", "activities", "environment")


@dataclass(frozen=True)
class Aspect:
    """One kind of knowledge."""

    groups: tuple[str, ...]  # of the lexicon
    most: int  # words
    prompt: str
    classifier: bool = False  # what the encoder names belongs to it, too


@dataclass(frozen=True)
class Prompts:
    """All of the file."""

    aspects: dict[str, Aspect]
    interactions: int
    events: tuple[str, ...]
    unknown: str

    def __post_init__(self) -> None:
        if set(self.aspects) != set(ASPECTS):
            raise ConfigError(
                f"aspects: {', '.join(self.aspects)}, and wanted are {', '.join(ASPECTS)}"
            )
        told = [aspect.prompt for aspect in self.aspects.values()] + list(self.events)
        if wrong := [text for text in told if text.count("{}") != 1]:
            raise ConfigError(f"{wrong[0]!r}: wanted a text with one {{}} for the words")


@cache
def load_prompts() -> Prompts:
    """The shipped ones."""
    return from_yaml(Prompts, Path(str(files("assistant.timeline"))) / "prompts.yaml")


def knowledge_of(
    bank: Bank, chances: Tensor, classes: Tensor, class_names: Sequence[str]
) -> Knowledge:
    """Of some frames: ``chances`` ``(T, P)`` of the bank's phrases, ``classes`` ``(T, C)``."""
    mean, prompts = chances.mean(0), load_prompts()
    likely = {place: float(mean[place]) for place in (mean >= LIKELY).nonzero()[:, 0].tolist()}
    found = {}
    for name, aspect in prompts.aspects.items():
        named = [one.name for one in likeliest(classes, class_names)] if aspect.classifier else []
        names = [*named, *_likely(bank, likely, aspect.groups)]
        found[name] = tuple(dict.fromkeys(names))[: aspect.most]
    lexicon = load_lexicon()
    pairs = product(_likely(bank, likely, (WHO,)), found["activities"])
    going = [f"{who} {act}" for who, act in pairs if fits({WHO: who, ACTIVITIES: act}, lexicon)]
    return Knowledge(**found, interactions=tuple(going[: prompts.interactions]))


def _likely(bank: Bank, likely: Mapping[int, float], groups: Sequence[str]) -> list[str]:
    """Of phrases, by number, those of some groups, likeliest first, each meaning once."""
    places = [place for place in likely if bank.phrases[place][0] in groups]
    places.sort(key=lambda place: -likely[place])
    names = [bank.phrases[place][1] for place in places]
    return [names[number] for number in alike(names, bank.weights[places], SAME)]


def sentences_of(knowledge: Knowledge) -> list[str]:
    """As sentences, one for each aspect that has words, and each interaction."""
    told = []
    for name, aspect in load_prompts().aspects.items():
        if words := getattr(knowledge, name):
            told.append(aspect.prompt.format(", ".join(words)))
    return [*told, *knowledge.interactions]


def as_line(knowledge: Knowledge) -> str:
    """``a man playing the guitar; banjo, guitar; stage``, for a person."""
    acts = knowledge.interactions[:1] or knowledge.activities[:2]
    parts = (acts, knowledge.objects[:3], knowledge.scene[:1], knowledge.environment[:1])
    told = "; ".join(", ".join(words) for words in parts if words)
    return told or load_prompts().unknown
