"""What is heard in the clips of a training set, encoded once and kept like what is seen in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from assistant.errors import InputError, VideoError
from assistant.model.audio import Ear
from assistant.model.encoders.base import FrameFeatures
from assistant.model.hearing import Heard, together
from assistant.training.features import FeatureTable


class Sounding(Protocol):
    """A clip."""

    def sound(self, windows: int) -> np.ndarray:
        """As `assistant.model.audio.in_windows` has it."""


class ListeningEncoder:
    """An ear as the table takes it: "patches" are a window's tokens, each with its mask behind."""

    class_count, names = 0, ()

    def __init__(self, ear: Ear) -> None:
        self.ear, self.patch_count, self.width = ear, ear.tokens, ear.encoder.width + 1
        self.fingerprint = ear.fingerprint

    def __call__(self, windows: np.ndarray) -> FrameFeatures:
        """Of one clip's sound ``(T, n)``."""
        heard = self.ear.hear(windows)
        tokens = torch.cat([heard.tokens, heard.mask[..., None].half()], dim=-1)
        return FrameFeatures(tokens, torch.zeros(len(windows), 0))


def sound_table(root: Path, ear: Ear, clips: Mapping[str, Sounding], windows: int) -> FeatureTable:
    """The sound of these clips, by their keys, in so many windows each.

    Raises:
        InputError: clips that cannot be read; all of them are named.
    """

    def read(keys: list[str]) -> Iterator[np.ndarray]:
        problems = []
        for key in keys:
            try:
                sound = clips[key].sound(windows)
            except VideoError as error:
                problems.append(str(error))
                continue
            if not problems:
                yield sound
        if problems:
            raise InputError("\n  ".join(["clips that cannot be heard; mend them", *problems]))

    return FeatureTable.open(root, ListeningEncoder(ear), windows, clips, read, what="sounds")


def heard_in(table: FeatureTable, keys: Sequence[str], frames: int) -> Heard | None:
    """What is heard beside the first ``frames`` of these clips' windows; None: nothing."""
    found = [table.clip(key)[:frames] for key in keys]
    return together([Heard(one[..., :-1], one[..., -1].long()) for one in found])
