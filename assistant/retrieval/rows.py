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
    text: str  # what is seen, as words; a new line; what is said. Or the text itself
    vector: np.ndarray  # (E,) fp32, of length 1
    size: int  # bytes of the file and of what is read with it
    mtime: int  # ns, the latest of these
    usual_text: float = 0.0  # similarity to texts, whatever they say: `assistant.retrieval.usual`
    usual_seen: float = 0.0  # the same, to pictures and clips


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
    usual: tuple[float, float] = (0.0, 0.0)  # to texts, to what is seen

    def less_usual(self, place: int) -> Window:
        """Found by a query of the kind ``place``: 0, a text; 1, what is seen."""
        return replace(self, score=self.score - self.usual[place], similarity=self.score)


@dataclass(frozen=True)
class Known:
    """What an index holds of a file."""

    size: int
    mtime: int
    complete: bool
