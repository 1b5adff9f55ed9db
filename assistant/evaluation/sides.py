"""The items of one modality, encoded: as queries, and as an index holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from tqdm import tqdm

from assistant.data.events import Item
from assistant.errors import InputError
from assistant.media.files import File
from assistant.model.sentences import SentenceEncoder
from assistant.model.space.base import JointSpace
from assistant.retrieval.adding import opened_ahead
from assistant.retrieval.embedding import Embedder
from assistant.retrieval.embedding import Item as Embedded
from assistant.retrieval.index import FRAMES
from assistant.retrieval.reranking import compare_looks
from assistant.retrieval.windows import is_still, rows_of
from assistant.sources import Look
from assistant.sources.seen import likeliest

CHUNK = 64  # texts at once


class Words:
    """What is said of each item, as sentence vectors; the empty text is like nothing."""

    def __init__(self, texts: Sequence[str], sentences: SentenceEncoder) -> None:
        self.texts, self._sentences = texts, sentences

    @cached_property
    def vectors(self) -> np.ndarray:
        """``(N, D)``."""
        steps = range(0, len(self.texts), CHUNK)
        found = np.concatenate([self._sentences(self.texts[k : k + CHUNK]) for k in steps])
        return found * np.array([bool(text) for text in self.texts])[:, None]


@dataclass(frozen=True, eq=False)
class Side:
    """N items of one modality."""

    modality: str
    items: Sequence[Item]
    queries: np.ndarray  # (N, E)
    windows: np.ndarray  # (W, E)
    first: np.ndarray  # (N,) number of each item's first window
    usual: np.ndarray  # (W,)
    named: list[str]  # what the encoder's classifier names, or the text itself; "": nothing
    looks: list[Look] = field(default_factory=list)
    words: Mapping[str, Words] = field(default_factory=dict)  # by baseline

    def with_words(self, words: Mapping[str, Words]) -> Side:
        return replace(self, words=words)

    def usual_of(self, query: Side) -> np.ndarray:
        """``(W,)``: what is taken off where that modality asks."""
        other = (query.modality == "text") != (self.modality == "text")
        return self.usual if other else np.zeros_like(self.usual)

    def compare(self, space: JointSpace, texts: Sequence[str]) -> np.ndarray:
        """``(N, texts)``: word by word, in the mean over an item's frames."""
        return compare_looks(space, self.looks, texts).numpy()


def similarities(query: Side, found: Side, *, less_usual: bool = False) -> np.ndarray:
    """``(Q, N)``: of each query to the best window of each item."""
    scores = query.queries @ found.windows.T
    if less_usual:
        scores = scores - found.usual_of(query)
    return np.maximum.reduceat(scores, found.first, axis=1)


def read_texts(items: Sequence[Item], embedder: Embedder) -> Side:
    texts = [str(item.content) for item in items]
    steps = tqdm(range(0, len(texts), CHUNK), desc="reading texts")
    parts = [embedder.vectors([Embedded(text=one) for one in texts[k : k + CHUNK]]) for k in steps]
    vectors = np.concatenate(parts)
    return Side(
        "text",
        items,
        vectors,
        vectors,
        np.arange(len(items)),
        embedder.usual(vectors, text=True),
        texts,
    )


def see_files(items: Sequence[Item], modality: str, embedder: Embedder) -> Side:
    """Raises InputError: a clip is called an image. VideoError: a file cannot be read."""
    from assistant.media.video import read_clip

    files = [File(str(item.content), is_text=False, size=0, mtime=0) for item in items]
    queries: list[np.ndarray] = []
    windows: list[np.ndarray] = []
    first, looks, named = [], list[Look](), list[str]()
    ahead = opened_ahead(files, embedder.side)
    for file, opening in tqdm(ahead, desc=f"looking at {modality}s", total=len(files)):
        opened = opening.result()
        clip = opened.clip
        assert clip is not None
        if modality == "image" and not is_still(clip):
            raise InputError(f"{file.path}: is a clip, and called an image; call it video")
        first.append(sum(len(one) for one in windows))
        if not is_still(clip):
            rows = [row for some in rows_of(file, opened, embedder) for row in some]
            windows.append(np.stack([row.vector for row in rows]))
            clip = read_clip(Path(file.path), frames=FRAMES, max_side=embedder.side)
        look = embedder.look_at(clip.frames, clip.seconds)
        seen = embedder.see(clip.frames, clip.seconds, look)
        queries.append(embedder.vectors([Embedded(seen.frames)]))
        if len(windows) < len(queries):
            windows.append(queries[-1])
        looks.append(look)
        found = likeliest(look.classes, look.class_names)
        named.append(", ".join(one.name for one in found))
    every = np.concatenate(windows)
    return Side(
        modality,
        items,
        np.concatenate(queries),
        every,
        np.array(first),
        embedder.usual(every, text=False),
        named,
        looks,
    )
