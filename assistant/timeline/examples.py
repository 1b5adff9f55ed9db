"""Examples of events for few-shot: a folder for each label, with clips in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from assistant.errors import InputError
from assistant.timeline.events import check_labels
from assistant.timeline.saliency import video_vector
from assistant.timeline.track import track_of

if TYPE_CHECKING:
    from torch import Tensor

    from assistant.timeline.making import Looks


def find_examples(folder: Path) -> dict[str, list[Path]]:
    """Clips by label.

    Raises:
        InputError: there is no such folder, or a label has no clip, or there are fewer than two.
    """
    if not folder.is_dir():
        raise InputError(
            f"{folder}: is no folder; give one that holds LABEL/clip.mp4, a folder each"
        )
    found: dict[str, list[Path]] = {}
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        if place.name.startswith("."):
            continue
        files = sorted(p for p in place.iterdir() if p.is_file() and not p.name.startswith("."))
        if not files:
            raise InputError(f"{place}: holds no clip; put examples of {place.name!r} into it")
        found[place.name] = files
    check_labels(list(found), f"{folder} (a folder for each label)")
    return found


def embed_examples(examples: dict[str, list[Path]], assistant: Looks) -> dict[str, Tensor]:
    """z_v of each clip, ``(N, E)``, by label. Raises VideoError, InputError: one is no clip."""
    return {
        label: torch.stack(
            [video_vector(track_of(p, assistant.sight, assistant.store).frames) for p in paths]
        )
        for label, paths in examples.items()
    }
