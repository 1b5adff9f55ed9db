"""Protocols whose classes or examples are drawn: half of the classes, and few examples
(Cross-modal Knowledge Mining, 4.5 and 4.6). Top-1 of mean pooling, segment by segment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from assistant.data.segments import LabelledClip
from assistant.evaluation.branches import Branches
from assistant.evaluation.event_clips import LookedAt, look_at
from assistant.evaluation.event_figures import Drawn
from assistant.evaluation.segments import Span, top_hits
from assistant.timeline.events import few_shot
from assistant.timeline.saliency import video_vector

if TYPE_CHECKING:
    from assistant.timeline.making import Looks

SHOTS = (1, 2, 5)
SHOT_DRAWS, HALF_DRAWS = 5, 10


def draw_protocols(
    assistant: Looks,
    looked: Sequence[LookedAt],
    every: Sequence[LabelledClip],
    branches: Branches,
    shots: Sequence[int],
    seed: int,
) -> tuple[tuple[Drawn, ...], list[str]]:
    """All protocols that the data allow, and why not the others."""
    queries = [
        _Example(segment.label, _source(one.clip, segment.source), _vector(one, span))
        for one in looked
        for segment, span in zip(one.clip.segments, one.spans, strict=True)
    ]
    told, notes = [_halves(queries, branches, seed)], []
    trained = [clip for clip in every if clip.split == "train"]
    own = trained and looked[0].clip.split not in (None, "train")
    pool = (
        _Pool.of_clips(trained, lambda clip: look_at(assistant, clip)) if own else _Pool.of(queries)
    )
    for count in shots:
        drawn = _few(queries, pool, branches, count, seed, apart=not own)
        if drawn is None:
            examples = f"{count} example{'s' if count > 1 else ''}"
            notes.append(f"fewer than two classes have {examples} and one to ask about")
        else:
            told.append(drawn)
    return tuple(one for one in told if one is not None), notes


@dataclass(frozen=True, eq=False)
class _Example:
    label: str
    source: str  # what it was cut from: never an example and a query at once
    vector: torch.Tensor  # (E,) z_v


@dataclass(frozen=True, eq=False)
class _Pool:
    """Examples that can be drawn, by label and source; looked at when they are."""

    sources: dict[str, dict[str, Callable[[], torch.Tensor]]]

    @classmethod
    def of(cls, examples: Sequence[_Example]) -> _Pool:
        found: dict[str, dict[str, Callable[[], torch.Tensor]]] = {}
        for one in examples:
            own = found.setdefault(one.label, {})
            own.setdefault(one.source, partial(getattr, one, "vector"))
        return cls(found)

    @classmethod
    def of_clips(
        cls, clips: Sequence[LabelledClip], look: Callable[[LabelledClip], LookedAt]
    ) -> _Pool:
        found: dict[str, dict[str, Callable[[], torch.Tensor]]] = {}
        for clip in clips:
            for place, segment in enumerate(clip.segments):
                source = _source(clip, segment.source)
                vector = cache(partial(_vector_of, clip, place, look))  # drawn again and again
                found.setdefault(segment.label, {}).setdefault(source, vector)
        return cls(found)


def _source(clip: LabelledClip, source: str) -> str:
    return source or str(clip.video)


def _vector_of(
    clip: LabelledClip, place: int, look: Callable[[LabelledClip], LookedAt]
) -> torch.Tensor:
    seen = look(clip)
    return _vector(seen, seen.spans[place])


def _vector(one: LookedAt, span: Span) -> torch.Tensor:
    return video_vector(one.seen(span).frames)


def _halves(queries: Sequence[_Example], branches: Branches, seed: int) -> Drawn | None:
    """Zero-shot among half of the classes, drawn ten times (4.6)."""
    classes = sorted({one.label for one in queries})
    half = len(classes) // 2
    if half < 2:
        return None
    rng = np.random.default_rng(seed)
    hits, counts = [], []
    for _ in range(HALF_DRAWS):
        chosen = sorted(rng.choice(len(classes), half, replace=False))
        names = [classes[n] for n in chosen]
        asked = [one for one in queries if one.label in names]
        hits.append(_right(_zero(asked, branches, names), asked, names))
        counts.append(len(asked))
    figures = {"zero-shot": _spread(hits)}
    return Drawn("half of the classes", half, float(np.mean(counts)), figures, 1 / half)


def _few(
    queries: Sequence[_Example],
    pool: _Pool,
    branches: Branches,
    count: int,
    seed: int,
    *,
    apart: bool,
) -> Drawn | None:
    """``apart``: a class needs a source more than its examples, which is asked about."""
    asked_of = {one.label for one in queries}
    names = [
        label
        for label, own in sorted(pool.sources.items())
        if label in asked_of and len(own) >= count + apart
    ]
    if len(names) < 2:
        return None
    rng = np.random.default_rng(seed)
    figures: dict[str, list[float]] = {"zero-shot": [], "few-shot": []}
    counts = []
    for _ in range(SHOT_DRAWS):
        examples: dict[str, torch.Tensor] = {}
        used: set[tuple[str, str]] = set()
        for label in names:
            own = sorted(pool.sources[label])
            drawn = [own[n] for n in rng.choice(len(own), count, replace=False)]
            used.update((label, source) for source in drawn)
            examples[label] = torch.stack([pool.sources[label][source]() for source in drawn])
        asked = [
            one for one in queries if one.label in names and (one.label, one.source) not in used
        ]
        head = few_shot(branches.space, examples)
        scores = head.probabilities(torch.stack([one.vector for one in asked])).numpy()
        order = [head.names.index(name) for name in names]
        figures["few-shot"].append(_right(scores[:, order], asked, names))
        figures["zero-shot"].append(_right(_zero(asked, branches, names), asked, names))
        counts.append(len(asked))
    return Drawn(
        f"{count} example{'s' if count > 1 else ''} of a class",
        len(names),
        float(np.mean(counts)),
        {name: _spread(values) for name, values in figures.items()},
        1 / len(names),
    )


def _zero(asked: Sequence[_Example], branches: Branches, names: Sequence[str]) -> np.ndarray:
    """``(N, names)``, zero-shot."""
    scores = branches.head.probabilities(torch.stack([one.vector for one in asked])).numpy()
    return scores[:, [branches.labels.index(name) for name in names]]


def _right(scores: np.ndarray, asked: Sequence[_Example], names: Sequence[str]) -> float:
    return float(top_hits(scores, [{one.label} for one in asked], names, 1).mean())


def _spread(values: Sequence[float]) -> tuple[float, float]:
    return float(np.mean(values)), float(np.std(values))
