"""A window of a file: as it is kept, and as a search finds it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

KINDS = ("clip", "image", "text")


@dataclass(frozen=True, eq=False)
class Row:
    """A window, as it is kept."""

    file: str  # absolute path
    kind: str  # of KINDS
    window: int  # number in its file, from 0
    last: bool  # of its file
    start: float | None  # seconds; None: it has no time
    end: float | None
    # What is seen, as words; what is said; what is heard: lines of each. Or the text itself.
    text: str
    vector: np.ndarray  # (E,) fp32, of length 1
    size: int  # bytes of the file and of what is read with it
    mtime: int  # ns, the latest of these
    usual: float = 0.0  # similarity to queries of the other kind: `assistant.model.space.usual`
    heard: bool = False  # whether somebody listened to its file


@dataclass(frozen=True)
class Window:
    """One that a search found."""

    file: str
    kind: str
    number: int
    start: float | None
    end: float | None
    text: str
    score: float  # cosine, perhaps less what is usual; or BM25 of words
    similarity: float | None = None  # cosine; None: found by words
    usual: float = 0.0  # similarity to queries of the other kind

    def found_by(self, *, text: bool) -> Window:
        """Ranked by how much more like the query it is than like most, where a text finds what is
        seen or a picture a text; ``text``: whether the query is one."""
        usual = self.usual if text != (self.kind == "text") else 0.0
        return replace(self, score=self.score - usual, similarity=self.score)


@dataclass(frozen=True)
class Known:
    """What an index holds of a file."""

    size: int
    mtime: int
    complete: bool
    heard: bool  # see `Row`
