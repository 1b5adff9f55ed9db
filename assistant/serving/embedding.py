"""Texts, pictures and clips as vectors of the joint space."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from assistant.retrieval.embedding import Embedder
    from assistant.vqa.assistants import Assistant


class Vectors:
    """Those of one model; what embeds is loaded with the first use. For the model's thread."""

    def __init__(self, assistant: Assistant, frames: int) -> None:
        """``frames``: how many of a clip are looked at."""
        self._assistant, self._frames = assistant, frames

    def of_texts(self, texts: Sequence[str]) -> np.ndarray:
        """``(N, E)`` fp32, of length 1; N is at least 1.

        Raises:
            InputError: the model has no joint space.
        """
        from assistant.retrieval.embedding import Item

        return self._embedder.vectors([Item(text=text) for text in texts])

    def of_clip(self, path: Path) -> np.ndarray:
        """``(E,)`` of a clip or picture.

        Raises:
            InputError: as `of_texts`. VideoError: nothing could be decoded.
        """
        from assistant.media.video import read_clip
        from assistant.retrieval.embedding import Item

        clip = read_clip(path, frames=self._frames, max_side=self._embedder.side)
        seen = self._embedder.see(clip.frames, clip.seconds)
        return self._embedder.vectors([Item(frames=seen.frames)])[0]

    @cached_property
    def _embedder(self) -> Embedder:
        from assistant.retrieval.embedding import Embedder

        return Embedder(self._assistant.sight)
