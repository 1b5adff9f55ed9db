"""From windows that several searches found to hits: fused by rank, neighbours merged."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from assistant.core.jsonl import finite
from assistant.retrieval.rows import Window

BY = ("both", "meaning", "words")
RRF_K = 60  # Cormack, Clarke and Buettcher, "Reciprocal Rank Fusion", SIGIR 2009
NEAR = 0.5  # of the best window's likelihood, from which a neighbour belongs to the same moment
# Those that the full-text search passes over, too.
STOP = re.compile(
    r"an?|and|are|as|at|be|but|by|for|if|in|into|is|it|no|not|of|on|or|such|that|the|their|then|"
    r"there|these|they|this|to|was|will|with"
)


CANDIDATES, LEAST = 8, 64  # windows of each search: for each hit that is wanted, and at least
WIDER, MOST = 4, 8192  # times as many where they are of too few moments, up to so many


@dataclass(frozen=True)
class Hit:
    """A moment of a clip, a picture, or a passage of a text."""

    file: str  # absolute path
    kind: str  # "clip", "image" or "text"
    start: float | None  # seconds; None: it has no time
    end: float | None
    score: float
    score_kind: str  # "cosine", "cosine over usual", "BM25"; "fused ranks": of several rankings
    similarity: float | None  # cosine to the query; None: by words alone
    words: tuple[str, ...]  # what of its text holds words of the query
    text: str  # what is seen, as words, and what is said, in its best window

    @property
    def told_score(self) -> str:
        """``0.457 cosine``."""
        return f"{self.score:.3f} {self.score_kind}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        told = {
            "file": self.file,
            "kind": self.kind,
            "start": self.start,
            "end": self.end,
            "score": round(self.score, 5),
            "score_kind": self.score_kind,
            "similarity": None if self.similarity is None else round(self.similarity, 5),
            "words": list(self.words),
            "text": self.text,
        }
        return finite(told)


@dataclass(eq=False)
class _Moment:
    """The best window of it, and how far it reaches; what has no time meets nothing."""

    best: Window
    scores: Mapping[str, float]  # of the best window, by ranking
    score: float
    start: float | None = field(init=False)
    end: float | None = field(init=False)

    def __post_init__(self) -> None:
        self.start, self.end = self.best.start, self.best.end

    def meets(self, file: str, start: float | None, end: float | None) -> bool:
        """Whether a window or a moment is next to it, or partly the same."""
        if file != self.best.file or start is None or end is None:
            return False
        assert self.start is not None and self.end is not None
        return start <= self.end and end >= self.start

    def covers(self, window: Window) -> bool:
        """Whether a window that meets it is partly the same."""
        assert self.start is not None and self.end is not None
        assert window.start is not None and window.end is not None
        return window.start < self.end and window.end > self.start

    def take(self, start: float, end: float) -> None:
        assert self.start is not None and self.end is not None
        self.start, self.end = min(self.start, start), max(self.end, end)


def rank_enough(
    search: Callable[[int], Mapping[str, Sequence[Window]]], top: int, scale: float, query: str = ""
) -> list[Hit]:
    """The best ``top`` hits of as many windows as it takes: those of a long scene are one hit.

    Args:
        search: gives so many windows, or fewer where there are no more, as :func:`rank` takes them.
    """
    count = max(LEAST, CANDIDATES * top)
    while True:
        found = search(count)
        hits = rank(found, top, scale, query)
        if len(hits) == top or count >= MOST or max(map(len, found.values()), default=0) < count:
            return hits
        count *= WIDER


def less_usual(found: Iterable[Window], *, text: bool) -> list[Window]:
    """Best first; ``text``: whether the query is one."""
    return sorted((one.found_by(text=text) for one in found), key=lambda one: -one.score)


def rank(
    rankings: Mapping[str, Sequence[Window]], top: int, scale: float, query: str = ""
) -> list[Hit]:
    """The best ``top`` hits.

    Args:
        rankings: by name, windows of one search, best first: "words", whose scores are BM25; those
            of others are cosines, perhaps less what is usual. Those of two rankings are not
            comparable: two texts are nearer than a text and a picture. Where hits are equal, the
            one of the ranking named first comes first.
        scale: of cosines, as the space was trained.
        query: whose words are looked for in what a hit says.
    """
    rankings = {name: found for name, found in rankings.items() if found}
    windows: dict[tuple[str, int], Window] = {}
    scores: dict[tuple[str, int], dict[str, float]] = {}
    fused: dict[tuple[str, int], float] = {}
    for name, found in rankings.items():
        for place, window in enumerate(found, 1):
            key = window.file, window.number
            windows.setdefault(key, window)
            scores.setdefault(key, {})[name] = window.score
            own = 1 / (RRF_K + place) if len(rankings) > 1 else window.score
            fused[key] = fused.get(key, 0.0) + own
    moments: list[_Moment] = []
    order = {name: place for place, name in enumerate(rankings)}

    def preferred(key: tuple[str, int]) -> tuple[float, int, tuple[str, int]]:
        return -fused[key], min(order[name] for name in scores[key]), key

    for key in sorted(fused, key=preferred):
        _place(_Moment(windows[key], scores[key], fused[key]), moments, scale)
    return [_hit(moment, query, _score_kind(rankings)) for moment in moments[:top]]


def _score_kind(rankings: Mapping[str, Sequence[Window]]) -> str:
    if len(rankings) > 1:
        return "fused ranks"
    if "words" in rankings:
        return "BM25"
    windows = [one for found in rankings.values() for one in found]
    usual = any(one.similarity is not None and one.score != one.similarity for one in windows)
    return "cosine over usual" if usual else "cosine"


def _place(new: _Moment, moments: list[_Moment], scale: float) -> None:
    """A window, worse than those before, joins the best moment that it meets and is near to, and
    so do others that it is the bridge to; one that shows what a better one shows is passed over."""
    met = [one for one in moments if one.meets(new.best.file, new.start, new.end)]
    joined = [one for one in met if _near(new.scores, one.scores, scale)]
    if not joined:
        if not any(one.covers(new.best) for one in met):
            moments.append(new)
        return
    first, *others = joined
    for other in (new, *others):
        if other is new or _near(other.scores, first.scores, scale):
            assert other.start is not None and other.end is not None
            first.take(other.start, other.end)
            if other is not new:
                moments.remove(other)


def _near(own: Mapping[str, float], best: Mapping[str, float], scale: float) -> bool:
    """Whether a window is nearly as likely as the best one next to it, in all rankings of both."""
    shared = own.keys() & best.keys()
    return bool(shared) and all(
        own[name] >= NEAR * best[name]
        if name == "words"
        else math.exp(scale * (own[name] - best[name])) >= NEAR
        for name in shared
    )


def _hit(moment: _Moment, query: str, score_kind: str) -> Hit:
    best = moment.best
    return Hit(
        file=best.file,
        kind=best.kind,
        start=moment.start,
        end=moment.end,
        score=moment.score,
        score_kind=score_kind,
        similarity=best.similarity,
        words=shared_words(best.text, query),
        text=best.text,
    )


def shared_words(text: str, query: str) -> tuple[str, ...]:
    """The phrases and lines of ``text`` that hold a word of ``query``, whatever its ending."""
    asked = _stems(query)
    parts = [part.strip() for part in re.split(r"[,\n]", text)]
    return tuple(dict.fromkeys(part for part in parts if asked & _stems(part)))


def _stems(text: str) -> set[str]:
    words = re.findall(r"\w+", text.lower())
    return {_stem(word) for word in words if not STOP.fullmatch(word)}


def _stem(word: str) -> str:
    """``playing``, ``played`` and ``plays`` as ``play``: roughly what the full-text search does."""
    bare = re.sub(r"(?<=\w{3})(?:ing|ed|es|s)$", "", word)
    bare = re.sub(r"([^aeiouls])\1$", r"\1", bare) if bare != word else bare
    return re.sub(r"(?<=\w{3})e$", "", bare)
