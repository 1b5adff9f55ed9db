"""What the sources say of photos, worked out once and kept; and notes that are not all true."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm import tqdm

from assistant.sources import Look, perceiver
from assistant.training.features import FeatureTable, whole_lines

if TYPE_CHECKING:
    from assistant.model.assistant import VideoAssistant

Notes = dict[str, str]  # text by source
STILL = (0.0,)  # seconds


class PhotoNotes:
    """Texts of sources by photo, kept in one file of lines."""

    def __init__(self, folder: Path, model: VideoAssistant, sources: Sequence[str]) -> None:
        self.model, self.sources = model, tuple(sources)
        told = json.dumps([model.fingerprint, self._fingerprints()])
        name = hashlib.sha256(told.encode()).hexdigest()[:16]
        self._path = folder / f"notes-{name}.jsonl"
        self._known: dict[str, Notes] = {}
        for line in whole_lines(self._path):
            row = json.loads(line)
            self._known[row["photo"]] = row["notes"]

    def _fingerprints(self) -> dict[str, str]:
        empty = torch.zeros(1, self.model.encoder.patch_count, self.model.encoder.width)
        look = look_at(self.model, empty, torch.zeros(1, self.model.encoder.class_count))
        return {name: perceiver(name).fingerprint(look) for name in self.sources}

    def of(self, key: str) -> Notes:
        return self._known[key]

    def add(self, photos: Mapping[str, tuple[FeatureTable, str]]) -> None:
        """Perceive the photos that are not known: by key, where their features are."""
        missing = [key for key in photos if key not in self._known]
        if not missing:
            return
        with self._path.open("a") as lines, torch.inference_mode():
            for key in tqdm(missing, desc="taking notes", mininterval=30):
                table, name = photos[key]
                look = look_at(self.model, table.clip(name), table.classes(name))
                notes = {name: perceiver(name).look_at(name, look).text for name in self.sources}
                self._known[key] = notes
                lines.write(json.dumps({"photo": key, "notes": notes}) + "\n")


def look_at(model: VideoAssistant, patches: torch.Tensor, classes: torch.Tensor) -> Look:
    """A photo as sources perceive it; ``(1, K, Dv)`` and ``(1, C)``."""
    return Look(
        patches,
        classes,
        model.class_names,
        STILL,
        model.encoder_fingerprint,
        _no_pictures,
        lambda: model.space,
    )


def _no_pictures(count: int, max_side: int) -> tuple[np.ndarray, Sequence[float]]:
    raise ValueError("a source that looks at pictures is not read in this training")


def shown(
    notes: Notes,
    other: Callable[[], Notes],
    rng: np.random.Generator,
    *,
    kept: float,
    unread: float,
    wrong: float,
) -> Notes:
    """Notes as an example has them: some sources left out, some words of ``other``'s photo.

    Args:
        kept: share of sources that are read. unread: of examples without any. wrong: of examples
            with words of another photo.
    """
    if rng.random() < unread:
        return {}
    found = {name: text for name, text in notes.items() if rng.random() < kept}
    if rng.random() < wrong:
        strange = other()
        found = {name: mixed(text, strange.get(name, ""), rng) for name, text in found.items()}
    return found


def mixed(text: str, strange: str, rng: np.random.Generator) -> str:
    """A line of notes in which one word of each group may be another photo's."""
    others = dict(map(_group, strange.split("; "))) if strange else {}
    return "; ".join(_mixed_groups(text, others, rng))


def _mixed_groups(
    text: str, others: Mapping[str, list[str]], rng: np.random.Generator
) -> Iterator[str]:
    for part in filter(None, text.split("; ")):
        name, words = _group(part)
        if others.get(name) and rng.random() < 0.5:
            words[int(rng.integers(len(words)))] = others[name][
                int(rng.integers(len(others[name])))
            ]
        yield f"{name} {', '.join(words)}".strip()


def _group(part: str) -> tuple[str, list[str]]:
    """``doing a, b?`` -> ("doing", ["a", "b?"]); a line without groups has the name ""."""
    from assistant.sources.phrases import HINTS

    name, _, rest = part.partition(" ")
    named = name in {told for told, _ in HINTS.values()}
    return (name, rest.split(", ")) if named else ("", part.split(", "))
