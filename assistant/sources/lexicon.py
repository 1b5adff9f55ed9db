"""The words that clips are described with: ``lexicon.yaml`` beside this file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from assistant.core.config import from_yaml
from assistant.errors import ConfigError

WHO, ACTIVITIES, SCENES = "who", "activities", "scenes"  # groups that sentences are made of


@dataclass(frozen=True)
class Group:
    """Phrases of one kind."""

    templates: tuple[str, ...]  # a phrase's vector is their mean
    phrases: dict[str, tuple[str, ...]]  # each with what else captions call it
    seldom_said: bool = False  # that captions are silent does not make it false

    def __post_init__(self) -> None:
        if wrong := [template for template in self.templates if "{}" not in template]:
            raise ConfigError(f"templates: {wrong[0]!r} has no {{}} for the phrase")
        if not self.templates or not self.phrases:
            raise ConfigError("a group needs templates and phrases")


@dataclass(frozen=True)
class Sentences:
    """What of the groups goes together in a sentence."""

    animals: tuple[str, ...]  # of WHO
    vehicles: tuple[str, ...]
    animal_activities: tuple[str, ...]
    vehicle_activities: tuple[str, ...]
    never_people: tuple[str, ...]  # activities that are only of those
    where: dict[str, str]  # of SCENES, with preposition


@dataclass(frozen=True)
class Lexicon:
    """All of it."""

    groups: dict[str, Group]
    sentences: Sentences

    def __post_init__(self) -> None:
        told = self.sentences
        parts = {
            WHO: (*told.animals, *told.vehicles),
            ACTIVITIES: (
                *told.animal_activities,
                *told.vehicle_activities,
                *told.never_people,
            ),
            SCENES: tuple(told.where),
        }
        for group, phrases in parts.items():
            known = self.groups[group].phrases if group in self.groups else {}
            if lost := [phrase for phrase in phrases if phrase not in known]:
                raise ConfigError(f"sentences: {lost[0]!r} is no phrase of {group}; add it there")

    @property
    def phrases(self) -> tuple[tuple[str, str], ...]:
        """Group and name of each, P."""
        return tuple((kind, name) for kind, group in self.groups.items() for name in group.phrases)

    @property
    def digest(self) -> str:
        """Of all that decides the phrases' vectors."""
        told = repr([(kind, g.templates, tuple(g.phrases)) for kind, g in self.groups.items()])
        return hashlib.sha256(told.encode()).hexdigest()[:16]


@cache
def load_lexicon() -> Lexicon:
    """The shipped one."""
    return from_yaml(Lexicon, Path(str(files("assistant.sources"))) / "lexicon.yaml")
