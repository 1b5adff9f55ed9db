"""``assistant evaluate events``: are the events of long clips found, and rightly named?

Where a clip parts: the timeline's segments against the known ones, beside cuts at even distances,
as many as were known. What is to be seen: the label of each known segment among all labels, by
each branch (`assistant.evaluation.branches`): of the known segment itself, and of the found one
that overlaps it most, which is what a person gets. Half of the classes and few examples follow the
protocols of Cross-modal Knowledge Mining, 4.5 and 4.6, with seeded draws.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from assistant.data.items import DATA, data_file
from assistant.data.segments import labels_of, read_segments
from assistant.errors import InputError
from assistant.evaluation.branches import (
    FUSION,
    STEEPNESS,
    TRAINED,
    VIDEO,
    VIEWS,
    Branches,
    Fusion,
    fused,
    fusion_on,
    many_views,
)
from assistant.evaluation.classification import check_extra
from assistant.evaluation.event_clips import LookedAt, look_at
from assistant.evaluation.event_draws import SHOTS, draw_protocols
from assistant.evaluation.event_figures import FOUND, KNOWN, EventsReport, Named, Parted, Strip
from assistant.evaluation.ranks import Value
from assistant.evaluation.segments import (
    OVERLAPS,
    Span,
    balanced,
    border_terms,
    borders,
    f1,
    figure_with_interval,
    iou_terms,
    mean_average_precision,
    overlap,
    segment_terms,
    top_hits,
)
from assistant.model.space.seeing import Seen
from assistant.timeline import timeline_of
from assistant.timeline.head_folder import load_head, read_head_config

if TYPE_CHECKING:
    from assistant.timeline.making import Looks

VERSIONS = ("torch", "video-assistant")


def evaluate_events(
    assistant: Looks,
    data: Path,
    *,
    split: str = "test",
    labels: Sequence[str] = (),
    dev: Path | None = None,
    head: Path | None = None,
    views: Sequence[str] = VIEWS,
    shots: Sequence[int] = SHOTS,
    seed: int = 11,
) -> EventsReport:
    """
    Args:
        assistant: what looks, and its store. data: JSONL of `assistant.data.segments`, or its
            folder. labels: told apart; none: those of the data. dev: such a file, on which the
            fusion is chosen; None: there is no fusion. head: a folder that ``assistant finetune
            events`` wrote, whose labels are told apart. shots: examples of a class.
            seed: of draws and bootstrap.
    Raises:
        InputError: a line is wrong, a segment lies after its clip, or its label is not among
            ``labels``; the head is of another joint space, or of other labels. VideoError: a clip
            cannot be read.
    """
    check_extra()
    clips = read_segments(data, split)
    every = read_segments(data)
    trained = None if head is None else load_head(head, assistant.sight.space)
    names = list(labels) or (labels_of(every) if trained is None else list(trained.names))
    if trained is not None and set(names) != set(trained.names):
        raise InputError(f"--labels: head {head} knows other labels; leave --labels out")
    lacking = sorted(set(labels_of(clips)) - set(names))
    if lacking:
        whose = "labels" if head is None else f"labels of head {head}"
        raise InputError(f"{data}: has {lacking[0]!r}, which is none of the {len(names)} {whose}")
    if len(names) < 2:
        raise InputError(f"{data}: has one label alone, {names[0]!r}; give --labels to tell apart")
    fusion = None if dev is None else fusion_on(assistant, dev)
    looked = [look_at(assistant, clip) for clip in tqdm(clips, desc="looking at clips")]
    steepness = STEEPNESS if fusion is None else fusion.steepness
    branches = Branches(assistant.sight, names, steepness, trained)
    found = _found(assistant, looked, branches)
    drawn, notes = draw_protocols(assistant, looked, every, branches, shots, seed)
    if fusion is None:
        notes.append("without --dev no weight of a late fusion can be chosen; there is none")
    named, kept = _named(assistant, looked, found, branches, fusion, views, seed)
    parted = _parted(looked, found, kept, names, seed)
    if not parted:
        notes.append("no clip has a border; how well they are parted is not told")
    path = data_file(data)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    apart = split == "test" and any(clip.split for clip in every)
    if head is not None and read_head_config(head).data == digest and not apart:
        notes.append("the head learned from this file: what it learned is asked about, too")
    manifest = {
        "data": digest,
        "split": split,
        "clips": len(clips),
        "minutes": round(sum(one.track.duration for one in looked) / 60, 1),
        "segments": sum(len(one.spans) for one in looked),
        "labels": len(names),
        "space": assistant.sight.space.fingerprint,
        "weight of the video branch": fusion and fusion.weight,
        "steepness of the attributes": fusion and fusion.steepness,
        "head": head and str(head),
        "seed": seed,
        "date": time.strftime("%Y-%m-%d"),
        "versions": {name: version(name) for name in VERSIONS},
    }
    name = path.absolute().parent.name if path.name == DATA else path.stem
    chance = (1 / len(names), min(5, len(names)) / len(names))
    strips = tuple(
        _strip(one, spans, own, names) for one, spans, own in zip(looked, found, kept, strict=True)
    )
    return EventsReport(name, manifest, parted, named, chance, drawn, tuple(notes), strips)


def _found(assistant: Looks, looked: Sequence[LookedAt], branches: Branches) -> list[list[Span]]:
    """The segments that the timeline finds."""
    found = []
    for one in tqdm(looked, desc="parting clips"):
        timeline = timeline_of(one.clip.video, assistant, head=branches.head)
        found.append([(segment.start, segment.end) for segment in timeline.segments])
    return found


def _named(
    assistant: Looks,
    looked: Sequence[LookedAt],
    found: Sequence[Sequence[Span]],
    branches: Branches,
    fusion: Fusion | None,
    views: Sequence[str],
    seed: int,
) -> tuple[tuple[Named, ...], list[np.ndarray]]:
    """Figures, and scores ``(F, L)`` of each clip's found segments by the best branch that there is
    without choosing on the test: the trained head, the fusion, or the video branch."""
    # What was cut from one clip is drawn together: joined clips may show it more than once.
    groups = [segment.source or one.clip.id for one in looked for segment in one.clip.segments]
    truth = [own for one in looked for own in one.truth]
    own = [segment.label for one in looked for segment in one.clip.segments]

    def scored(
        spans: Sequence[Sequence[Span]], look: Callable[[LookedAt, Span], Sequence[Seen]], told: str
    ) -> dict[str, np.ndarray]:
        pairs = [(one, span) for one, some in zip(looked, spans, strict=True) for span in some]
        rows = [branches(look(one, span)) for one, span in tqdm(pairs, desc=told)]
        scores = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        return scores if fusion is None else scores | {FUSION: fused(scores, fusion.weight)}

    def figures(scores: dict[str, np.ndarray], segments: str, view: str) -> list[Named]:
        return [
            _figures(name, segments, view, rows, truth, own, groups, branches.labels, seed)
            for name, rows in scores.items()
        ]

    known = [one.spans for one in looked]
    told: list[Named] = []
    for view in views:
        if view == VIEWS[0]:
            scores = scored(known, lambda one, span: [one.seen(span)], "naming segments")
        else:
            scores = scored(
                known,
                lambda one, span: many_views(one.clip.video, *span, assistant.sight),
                "naming segments by many views",
            )
        told += figures(scores, KNOWN, view)
    scores = scored(found, lambda one, span: [one.seen(span)], "naming what was found")
    first = np.cumsum([0, *map(len, found)])
    nearest = [
        first[n] + int(row.argmax())
        for n, (spans, some) in enumerate(zip(found, known, strict=True))
        for row in overlap(spans, some).T
    ]
    told += figures({name: rows[nearest] for name, rows in scores.items()}, FOUND, VIEWS[0])
    best = next(scores[name] for name in (TRAINED, FUSION, VIDEO) if name in scores)
    return tuple(told), np.split(best, first[1:-1])


def _figures(
    name: str,
    segments: str,
    view: str,
    scores: np.ndarray,
    truth: Sequence[frozenset[str]],
    own: Sequence[str],
    groups: Sequence[str],
    labels: Sequence[str],
    seed: int,
) -> Named:
    top1, top5 = (top_hits(scores, truth, labels, k) for k in (1, 5))
    one, five = (
        figure_with_interval([(hit, 1) for hit in hits], groups, seed) for hits in (top1, top5)
    )
    average = mean_average_precision(scores, truth, labels)
    return Named(name, segments, view, one, five, balanced(top1, own), average)


def _parted(
    looked: Sequence[LookedAt],
    found: Sequence[Sequence[Span]],
    scores: Sequence[np.ndarray],
    labels: Sequence[str],
    seed: int,
) -> tuple[Parted, ...]:
    if not any(borders(one.spans) for one in looked):
        return ()
    even = []
    for one in looked:
        edges = np.linspace(0, one.track.duration, len(borders(one.spans)) + 2)
        even.append([(float(a), float(b)) for a, b in pairwise(edges)])
    names = [[labels[row.argmax()] for row in rows] for rows in scores]
    return (
        _parting("timeline", looked, found, seed, names),
        _parting("even cuts", looked, even, seed),
    )


def _parting(
    name: str,
    looked: Sequence[LookedAt],
    found: Sequence[Sequence[Span]],
    seed: int,
    names: Sequence[Sequence[str]] | None = None,
) -> Parted:
    groups = range(len(looked))

    def value(terms: Sequence[Sequence[float]]) -> Value:
        return figure_with_interval(terms, groups, seed, f1)

    pairs = list(zip(found, looked, strict=True))
    terms = np.array([border_terms(borders(some), borders(one.spans)) for some, one in pairs])
    hits, told, there = terms.sum(0)
    labelled = {}
    if names is not None:
        fits = [
            np.array([[label in own for own in one.truth] for label in some], bool)
            for some, one in zip(names, looked, strict=True)
        ]
        labelled = {
            str(least): value(
                [
                    segment_terms(some, one.spans, least, fit)
                    for (some, one), fit in zip(pairs, fits, strict=True)
                ]
            )
            for least in OVERLAPS
        }
    return Parted(
        name,
        value(terms.tolist()),
        float(hits / told) if told else 0.0,
        float(hits / there) if there else 0.0,
        {
            str(least): value([segment_terms(some, one.spans, least) for some, one in pairs])
            for least in OVERLAPS
        },
        labelled,
        figure_with_interval([iou_terms(some, one.spans) for some, one in pairs], groups, seed),
    )


def _strip(
    one: LookedAt, found: Sequence[Span], scores: np.ndarray, labels: Sequence[str]
) -> Strip:
    known = [
        (*span, segment.label) for span, segment in zip(one.spans, one.clip.segments, strict=True)
    ]
    told = [(*span, labels[row.argmax()]) for span, row in zip(found, scores, strict=True)]
    return Strip(one.clip.video.name, one.track.duration, known, told)
