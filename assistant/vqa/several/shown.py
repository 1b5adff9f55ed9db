"""How likely a clip shows what is said in words: "a dog", "somebody dances", "outdoors".

The log-odds are linear in how like the frames are to the words in the joint space and, where these
are a phrase of the lexicon, in what its own classifier says. ``shown.yaml`` beside the space's
weights holds the weights; dev photos with captions set them (`benchmarks/several.py`). As each clip
is judged alone, and by the same weights, their order can change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from assistant.core.config import from_yaml
from assistant.sources.wording import caption_of, phrases_of

if TYPE_CHECKING:
    from pathlib import Path

    from assistant.model.space.base import JointSpace
    from assistant.sources import Look

CONFIG = "shown.yaml"
UNCALIBRATED = (
    "how likely a clip shows something is not calibrated for this joint space: the clips are "
    "compared with each other alone"
)


@dataclass(frozen=True)
class Line:
    """Log-odds of what is seen."""

    likeness: float  # weight of the similarity in the joint space
    phrase: float  # of the lowest log-odds of the phrases that the words are; 0: they are none
    constant: float


@dataclass(frozen=True)
class ShownConfig:
    """What was calibrated, and with what."""

    space: str  # fingerprint
    phrase: Line  # of words that are phrases of the lexicon
    text: Line  # of all others


@dataclass(frozen=True, eq=False)
class Shown:
    """What each frame of a clip says."""

    likeness: np.ndarray  # (T,)
    phrase: np.ndarray | None  # (T,) log-odds; None: the words are no phrase

    def odds(self, config: ShownConfig | None, scale: float) -> np.ndarray:
        """``(T,)`` log-odds; where nothing is calibrated only their differences mean something.

        ``scale``: of the space.
        """
        if config is None:
            return scale * self.likeness
        line = config.text if self.phrase is None else config.phrase
        phrase = 0.0 if self.phrase is None else line.phrase * self.phrase
        return line.likeness * self.likeness + phrase + line.constant


def see(space: JointSpace, look: Look, text: str) -> Shown:
    """How a clip's frames are to some words."""
    import torch

    from assistant.sources.bank import bank_of

    with torch.inference_mode():
        likeness = space.compare(look, [caption_of(text)])[:, 0].numpy()
        places, bank = list(phrases_of(text)), bank_of(space)
        if not places or bank.config is None:
            return Shown(likeness, None)
        logits = bank.logits(space.embed_frames(look))[:, places]
        return Shown(likeness, logits.amin(1).numpy())


@lru_cache(maxsize=4)
def _read(path: Path) -> ShownConfig | None:
    return from_yaml(ShownConfig, path) if path.is_file() else None


def calibration(space: JointSpace) -> ShownConfig | None:
    """That of a space; None: it has none. Raises ConfigError: its file is damaged."""
    config = None if space.folder is None else _read(space.folder / CONFIG)
    return config if config is not None and config.space == space.fingerprint else None
