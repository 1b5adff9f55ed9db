"""``assistant evaluate retrieval``: does an event find itself again, from words, picture or clip?

Every direction between the modalities at hand, also within one, where a query looks among all
others. A collection is found as an index finds it: a clip is its best window. Systems:

- vectors: the cosine in the joint space;
- less usual: the same as an index ranks, less what is usual (`assistant.model.space.usual`);
- reranked: the best ``RERANKED`` of that anew, by the mean of the cosine and the similarity word by
  word (`JointSpace.compare`), less what is usual;
- class names: what the encoder's classifier names, matched as text by MiniLM;
- captions: what the base model says of picture or clip, matched as text by MiniLM.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from assistant.data.event_sets import DATA
from assistant.data.events import MODALITIES, Item, items_of, read_events
from assistant.errors import InputError
from assistant.evaluation.ranks import Figures, chance, figures_of, rank_all
from assistant.evaluation.sides import Side, Words, read_texts, see_files, similarities
from assistant.model.sentences import sentence_encoder
from assistant.model.sight import Sight
from assistant.model.space.base import JointSpace
from assistant.retrieval.embedding import Embedder
from assistant.retrieval.reranking import RERANKED, compares_words

BELOW = 10.0  # what is not reranked stays below, in its order
VERSIONS = ("torch", "video-assistant")
CAPTIONS, CLASSES = "captions", "class names"


@dataclass(frozen=True)
class Direction:
    """One modality by another."""

    query: str
    found: str
    queries: int
    items: int  # that a query looks among
    chance: dict[str, float]  # by rank, and "AP"
    systems: dict[str, Figures]

    @property
    def name(self) -> str:
        return f"{self.query} to {self.found}"


@dataclass(frozen=True)
class RetrievalReport:
    """One set of events."""

    name: str
    manifest: dict[str, Any]
    directions: tuple[Direction, ...]


def evaluate_retrieval(
    sight: Sight,
    data: Path,
    *,
    captions: Callable[[Sequence[Item]], list[str]] | None = None,
    seed: int = 11,
) -> RetrievalReport:
    """
    Args:
        data: JSONL of events. captions: what a model says of pictures or clips, for the baseline.
        seed: of the bootstrap.
    Raises:
        InputError: a line is wrong, or no event can be found again. VideoError: a file is unusable.
    """
    lines = read_events(data)
    items = {name: own for name in MODALITIES if (own := items_of(lines, name))}
    pairs = [
        pair
        for pair in product(items, items)
        if _queries(*(items[one] for one in pair), same=pair[0] == pair[1])
    ]
    if not pairs:
        raise InputError(f"{data}: no event has two texts, pictures or clips; nothing can be found")
    embedder, sentences = Embedder(sight), sentence_encoder()
    sides: dict[str, Side] = {}
    for name, own in items.items():
        side = read_texts(own, embedder) if name == "text" else see_files(own, name, embedder)
        words: dict[str, Words] = {}
        if sight.class_names:
            words[CLASSES] = Words(side.named, sentences)
        if captions is not None:
            told = side.named if name == "text" else captions(own)
            words[CAPTIONS] = Words(told, sentences)
        sides[name] = side.with_words(words)
    compared = _Compared(sight.space, sides)
    directions = tuple(
        _direction(sides[query], sides[found], compared, seed)
        for query, found in tqdm(pairs, desc="ranking")
    )
    manifest = {
        "data": hashlib.sha256(data.read_bytes()).hexdigest(),
        "events": len({line.event for line in lines}),
        **{name: len(own) for name, own in items.items()},
        "space": embedder.fingerprint,
        "reranked": RERANKED,
        "seed": seed,
        "date": time.strftime("%Y-%m-%d"),
        "versions": {name: version(name) for name in VERSIONS},
    }
    name = data.absolute().parent.name if data.name == DATA else data.stem
    return RetrievalReport(name, manifest, directions)


def _queries(query: Sequence[Item], found: Sequence[Item], *, same: bool) -> list[int]:
    """Numbers of the queries whose event is among what is found, beside themselves."""
    times: dict[Any, int] = {}
    for item in found:
        times[item.event] = times.get(item.event, 0) + 1
    return [n for n, item in enumerate(query) if times.get(item.event, 0) > same]


def _direction(query: Side, found: Side, compared: _Compared, seed: int) -> Direction:
    same = query is found
    asked = _queries(query.items, found.items, same=same)
    events = [query.items[n].event for n in asked]
    owners = [item.event for item in found.items]
    numbers = {event: n for n, event in enumerate(dict.fromkeys([*events, *owners]))}
    own, others = (np.array([numbers[event] for event in some]) for some in (events, owners))
    right = own[:, None] == others
    left_out = np.array(asked)[:, None] == np.arange(len(owners)) if same else None
    if left_out is not None:
        right &= ~left_out
    size = len(owners) - same
    recall, ap = chance(right.sum(1), size)
    return Direction(
        query.modality,
        found.modality,
        len(asked),
        size,
        recall | {"AP": ap},
        {
            name: figures_of(rank_all(scores[asked], right, left_out), events, owners, size, seed)
            for name, scores in _systems(query, found, compared)
        },
    )


def _systems(query: Side, found: Side, compared: _Compared) -> Iterator[tuple[str, np.ndarray]]:
    """Each system's scores, ``(Q, N)``."""
    plain = similarities(query, found)
    yield "vectors", plain
    ranked = similarities(query, found, less_usual=True)
    if found.usual_of(query).any():
        yield "less usual", ranked
    words = compared(query, found)
    if words is not None:
        exact = ranked + (words - plain) / 2  # as `assistant.retrieval.reranking` has it
        kept = np.argpartition(-ranked, min(RERANKED, ranked.shape[1]) - 1, axis=1)[:, :RERANKED]
        anew = ranked - BELOW
        np.put_along_axis(anew, kept, np.take_along_axis(exact, kept, 1), 1)
        yield "reranked", anew
    for name, said in query.words.items():
        yield name, said.vectors @ found.words[name].vectors.T


class _Compared:
    """Texts with pictures or clips, word by word, where the space can."""

    def __init__(self, space: JointSpace, sides: Mapping[str, Side]) -> None:
        self._space, self._sides = space, sides
        self._known: dict[str, np.ndarray] = {}  # by modality of what is seen: (items, texts)
        self._can = compares_words(space)

    def __call__(self, query: Side, found: Side) -> np.ndarray | None:
        """``(Q, N)``; None: there is nothing to be compared so."""
        if not self._can or (query.modality == "text") == (found.modality == "text"):
            return None
        seen = found if query.modality == "text" else query
        if seen.modality not in self._known:
            texts = [str(item.content) for item in self._sides["text"].items]
            self._known[seen.modality] = seen.compare(self._space, texts)
        scores = self._known[seen.modality]
        return scores.T if seen is found else scores
