"""A scripted model: it answers what the test says and remembers what it was asked.

Its features are the numbers drawn into the frames of ``clips.make_clip``, so that a test can see
which frames a question was about.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import numpy as np
import pytest
import torch
from clips import number_of
from torch import Tensor

import assistant.sources
from assistant.errors import InputError
from assistant.sources import SOURCES, Kind, Look, Perceived, Perceiver
from assistant.tasks import prompts

Script = Callable[["Asked"], str]


@dataclass(frozen=True)
class Asked:
    """One question of ``generate_batch`` or ``score_batch``."""

    numbers: list[int]  # of the frames
    qformer_text: str
    prompt: str
    history: tuple[tuple[str, str], ...]
    max_new_tokens: int | None = None
    beams: int | None = None


def name_the_frames(asked: Asked) -> str:
    """The default script: "I see 3 9 15"."""
    return "I see " + " ".join(map(str, asked.numbers))


@dataclass
class ScriptedModel:
    """What a session needs of a ``VideoAssistant``."""

    script: Script = name_the_frames
    scores: Mapping[str, float] = field(default_factory=dict)  # log-probability of an answer
    blind_scores: Mapping[str, float] = field(default_factory=dict)  # the same without the clip
    found: tuple[Perceived, ...] = ()  # what the encoder recognises
    choice_prior: float = 0.0
    reads: tuple[str, ...] = ()
    reading: Path | None = None
    room: int = 512  # words that fit into the fusion text
    name: str = "scripted"
    fingerprint: str = "scripted-1"
    loaded_adapters: tuple[str, ...] = ()
    encoder_fingerprint: str = "scripted-encoder-1"
    encoded: list[list[int]] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    blind: list[Asked] = field(default_factory=list)  # scored without the clip
    together: list[int] = field(default_factory=list)  # questions of each pass of the Q-Former
    occluded: list[tuple[str, bool]] = field(default_factory=list)  # answers weighed frame by frame

    def encoder(self, frames: np.ndarray) -> SimpleNamespace:
        assert frames.dtype == np.uint8 and frames.ndim == 4
        numbers = [number_of(frame) for frame in frames]
        self.encoded.append([-1 if number is None else number for number in numbers])
        patches = torch.tensor(self.encoded[-1], dtype=torch.float16)
        classes = torch.zeros(len(frames), max(5, len(self.found)))
        for place, item in enumerate(self.found):
            classes[:, place] = item.probability
        return SimpleNamespace(patches=patches[:, None, None], classes=classes)

    @property
    def space(self) -> NoReturn:
        raise InputError("a scripted model has no joint space; name one with --space")

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(item.name for item in self.found)

    def visual_tokens(
        self,
        patches: Tensor | None,
        qformer_text: Sequence[str],
        adapter: str | None = None,
        heard: object = None,
        expected: object = None,
    ) -> list[tuple[Tensor | None, str]]:
        rows = [None] * len(qformer_text) if patches is None else list(patches)
        self.together.append(len(qformer_text))
        return list(zip(rows, qformer_text, strict=True))

    def parameters(self) -> list[Tensor]:
        return []

    def generate_batch(
        self, visual, prompts, histories, max_new_tokens=None, beams=None, adapter=None
    ):
        return [
            self._words(
                Asked(numbers_in(patches), text, prompt, tuple(history), max_new_tokens, beams)
            )
            for (patches, text), prompt, history in zip(visual, prompts, histories, strict=True)
        ]

    def _words(self, asked: Asked) -> Iterator[str]:
        self.asked.append(asked)
        words = self.script(asked).split()
        return (word if i == 0 else " " + word for i, word in enumerate(words))

    def score_batch(
        self, visual, prompts, histories, answers, adapter=None, choosing=False
    ) -> list[list[float]]:
        found = []
        for (patches, text), prompt, history, some in zip(
            visual, prompts, histories, answers, strict=True
        ):
            texts = [answer for answer, _ in some]
            asked = Asked(numbers_in(patches), text, prompt, tuple(history))
            if patches is None:
                self.blind.append(asked)
                found.append([self.blind_scores.get(answer, -9.0) for answer in texts])
                continue
            if len(texts) > 1:
                self.asked.append(asked)
            found.append([self.scores.get(answer, -1.0) for answer in texts])
        return found

    def occlusion(
        self,
        patches: Tensor,
        *,
        qformer_text: str,
        prompt: str,
        answer: str,
        history: Sequence[tuple[str, str]] = (),
        adapter: str | None = None,
        choosing: bool = False,
        ended: bool = True,
        heard: object = None,
        expected: object = None,
    ) -> list[float]:
        self.occluded.append((answer, ended))
        return [number / 100 for number in numbers_in(patches)]

    def routing(self, patches: Tensor | None, **options: object) -> list:
        return []

    def fit_qformer_text(self, parts: Sequence[str]) -> tuple[str, int]:
        kept: list[str] = []
        for part in parts:
            if len(" ".join([*kept, part]).split()) > self.room:
                break
            kept.append(part)
        return "\n".join(kept), len(parts) - len(kept)


def numbers_in(patches: Tensor | None) -> list[int]:
    return [] if patches is None else [int(value) for value in patches.flatten()]


def install(monkeypatch: pytest.MonkeyPatch, model: ScriptedModel) -> list[dict]:
    """Let ``assistant.load`` find ``model``; the returned list gets the options of every load.

    What looks alone is the model, too, and is no load.
    """
    loads: list[dict] = []

    def load_model(name: str = "mini", **options: object) -> ScriptedModel:
        loads.append({"name": name, **options})
        return model

    monkeypatch.setattr("assistant.model.sight_loading.load_sight", lambda name, **options: model)
    monkeypatch.setitem(
        sys.modules, "assistant.model.loading", SimpleNamespace(load_model=load_model)
    )
    return loads


@dataclass
class ScriptedSource(Perceiver):
    """A source that perceives what the test says, and counts how often."""

    items: tuple[Perceived, ...] = ()
    lacks: str = ""  # what `missing` says
    version: str = "1"
    costs: bool = False  # seconds: so that a question must want it
    looks: list[Look] = field(default_factory=list)

    def missing(self) -> str:
        return self.lacks

    def fingerprint(self, look: Look) -> str:
        return self.version

    def wanted(self, question: str) -> bool:
        return not self.costs

    def perceive(self, look: Look) -> tuple[Perceived, ...]:
        self.looks.append(look)
        return self.items

    def as_text(self, items: Sequence[Perceived]) -> str:
        return ", ".join(item.name for item in items)


SHIPPED = frozenset(SOURCES)


def leave_sources(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Of those that are shipped only these are there."""
    kept = {name: kind for name, kind in SOURCES.items() if name in names or name not in SHIPPED}
    for name in reversed([*SOURCES]):  # all, so that they come back in their order
        monkeypatch.delitem(SOURCES, name)
    for name, kind in kept.items():
        monkeypatch.setitem(SOURCES, name, kind)


def add_source(monkeypatch: pytest.MonkeyPatch, name: str, source: Perceiver) -> None:
    """List ``source`` as ``name``, with its name in capitals before its words."""
    kind = Kind(f"scripted_{name}", name.upper(), f"{name} of the test", "when the test says", "x")
    monkeypatch.setitem(assistant.sources.SOURCES, name, kind)
    monkeypatch.setattr(prompts, "VARIABLES", (*prompts.VARIABLES, name))
    module = f"assistant.sources.{kind.module}"
    monkeypatch.setitem(sys.modules, module, SimpleNamespace(PERCEIVER=source))
