"""From a clip to its timeline."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from assistant.core.progress import report
from assistant.errors import InputError, VideoError
from assistant.media.windows import spans
from assistant.model.block_files import get_block, put_block
from assistant.model.sound_pieces import ClipSound
from assistant.sources import Perceived, Source
from assistant.sources.bank import Bank, bank_of
from assistant.sources.captions import sentences
from assistant.sources.heard import NO_SOUND, check_extra, heard_in
from assistant.timeline.borders import PENALTY, change_points, exact_border, merged
from assistant.timeline.events import EventHead, lexicon_head
from assistant.timeline.knowledge import as_line, knowledge_of, load_prompts, sentences_of
from assistant.timeline.moments import Finder, check_query
from assistant.timeline.saliency import event_vector, saliency, scene_vector, video_vector
from assistant.timeline.track import Track, track_of
from assistant.timeline.types import Heard, Knowledge, Query, Segment, Timeline, Window

if TYPE_CHECKING:
    from torch import Tensor

    from assistant.model.features import FeatureStore
    from assistant.model.sight import Sight
    from assistant.model.sound_naming import SoundNaming

ALIKE = 0.8  # cosine of neighbours with one label, from which they are one segment
CUTTING = "Setting the borders"  # as `assistant.core.progress.report` tells it
DESCRIBING = "Describing"
VERSION = 1  # of what is kept of descriptions

Describe = Callable[[float, float], str]
"""Tells what a range of the clip shows, in seconds."""


class Looks(Protocol):
    """What looks and keeps what it saw: an ``Assistant``, whose model is not loaded for it."""

    store: FeatureStore

    @property
    def sight(self) -> Sight: ...

    @property
    def sounds(self) -> SoundNaming: ...


class OpenClip(Protocol):
    """A ``Session``."""

    @property
    def path(self) -> Path | None: ...

    @property
    def assistant(self) -> Looks: ...


def timeline_of(
    clip: OpenClip | str | Path,
    assistant: Looks | None = None,
    *,
    head: EventHead | None = None,
    queries: Sequence[str] = (),
    describe: Describe | None = None,
    penalty: float = PENALTY,
    listen: bool = False,
) -> Timeline:
    """What happens when in a clip of any length.

    Args:
        clip: a session, or a path, to which ``assistant`` belongs.
        head: the events that are told apart (`assistant.timeline.events`: zero-shot by label texts,
            few-shot by examples, or trained); None: the lexicon's activities.
        queries: anything said in words, whose moments are looked for.
        describe: tells what a segment shows; None: sentences composed of the lexicon.
        penalty: of a border: the less, the more segments.
        listen: tell what is heard, too (the ``sound`` extra).
    Raises:
        VideoError: no such file, or nothing can be decoded. InputError: it is a picture, a query
            is empty, there is no clip, or nothing here can listen.
    """
    for query in queries:
        check_query(query)
    if listen:
        check_extra()
    maker = maker_of(clip, assistant, head)
    return maker.timeline(queries, describe, penalty, listen=listen)


def maker_of(
    clip: OpenClip | str | Path, assistant: Looks | None = None, head: EventHead | None = None
) -> Maker:
    """See :func:`timeline_of`; looks at the whole clip."""
    if isinstance(clip, str | Path):
        if assistant is None:
            raise InputError(f"{clip}: name the assistant that looks at it, or give a session")
        path: Path | None = Path(clip)
    else:
        path, assistant = clip.path, clip.assistant
    if path is None:
        raise InputError("there is no clip, only a dialogue; events happen in clips")
    return Maker(track_of(path, assistant.sight, assistant.store), assistant, head)


class Maker:
    """A clip that was looked at, about which several things may be asked."""

    def __init__(self, track: Track, assistant: Looks, head: EventHead | None = None) -> None:
        self.track = track
        self._sight, self._store = assistant.sight, assistant.store
        self._assistant = assistant
        self._head = head
        self._words: dict[str, Tensor] = {}  # (E,) of each text that was embedded
        self._knowledge: dict[tuple[int, int], Knowledge] = {}  # by frames

    @cached_property
    def bank(self) -> Bank:
        """The lexicon's phrases."""
        return bank_of(self._sight.space)

    @cached_property
    def _chances(self) -> Tensor:
        """``(T, P)``: of the phrases, frame by frame."""
        return self.bank.probabilities(self.track.once)

    @cached_property
    def head(self) -> EventHead:
        return self._head or lexicon_head(self._sight.space)

    @cached_property
    def finder(self) -> Finder:
        return Finder(self._sight.space, self._sight.class_names)

    def timeline(
        self,
        queries: Sequence[str],
        describe: Describe | None = None,
        penalty: float = PENALTY,
        *,
        listen: bool = False,
    ) -> Timeline:
        """See :func:`timeline_of`."""
        track = self.track
        groups = self.groups(penalty)
        ranges = self.ranges(groups)
        segments = self._segments(groups, ranges, describe)
        windows = tuple(
            Window(start, end, self.knowledge(track.within(start, end)))
            for start, end in spans(track.duration)
        )
        found = tuple(self.find(query, groups, ranges) for query in queries)
        heard, notes = self.heard() if listen else ((), ())
        return Timeline(
            path=str(track.path),
            duration=track.duration,
            segments=segments,
            windows=windows,
            queries=found,
            seconds=track.seconds,
            frames=track.frames,
            warnings=(*track.warnings, *notes),
            heard=heard,
        )

    def heard(self) -> tuple[tuple[Heard, ...], tuple[str, ...]]:
        """What is heard and when, and why it is nothing.

        Raises: see `assistant.model.sound_naming.SoundNaming.model`.
        """
        track = self.track
        sound = ClipSound(track.path, track.key.digest, self._assistant.sounds, self._store)
        try:
            found = heard_in(sound)
        except VideoError as error:  # what is seen of it is there all the same
            return (), (str(error),)
        if any(one.name == NO_SOUND for one in found):
            return (), ("there is nothing to hear: the clip has no sound",)
        heard = [
            Heard(one.name, one.start, one.end, one.probability)
            for one in found
            if one.start is not None and one.end is not None
        ]
        return tuple(heard), ()

    def groups(self, penalty: float = PENALTY) -> list[slice]:
        """The frames of each segment."""
        frames = self.track.frames.numpy()
        edges = [0, *change_points(frames, penalty), len(frames)]
        groups = [slice(*pair) for pair in itertools.pairwise(edges)]
        labels = [self.head.best(self.event(group), 1)[0][0] for group in groups]
        return merged(groups, frames, labels, ALIKE)

    def ranges(self, groups: Sequence[slice]) -> list[tuple[float, float]]:
        """From when to when each segment reaches: to the cut, where there is one."""
        borders = self._borders([group.start for group in groups[1:]])
        edges = [0.0, *borders, self.track.duration]
        return list(itertools.pairwise(edges))

    def knowledge(self, group: slice) -> Knowledge:
        """What is told of some frames, as words."""
        if (key := (group.start, group.stop)) not in self._knowledge:
            names = self._sight.class_names
            classes = self.track.classes(group, len(names))
            self._knowledge[key] = knowledge_of(self.bank, self._chances[group], classes, names)
        return self._knowledge[key]

    def texts(self, texts: Sequence[str]) -> Tensor:
        """``(N, E)``; each text is embedded once."""
        space = self._sight.space
        if new := [text for text in dict.fromkeys(texts) if text not in self._words]:
            with torch.inference_mode():
                vectors = space.embed_texts(new).float()
            self._words |= dict(zip(new, vectors.clone(), strict=True))
        found = [self._words[text] for text in texts]
        return torch.stack(found) if found else torch.zeros(0, space.width)

    def event(self, group: slice) -> Tensor:
        """z_e of some frames, weighed by the words that are told of them."""
        track, tau = self.track, 1 / self._sight.space.scale
        frames = (track.once if self.head.once else track.frames)[group]
        words = self.texts(self.knowledge(group).words)
        return event_vector(frames, saliency(frames, words, tau=tau))

    def scene(self, group: slice, alpha: float) -> Tensor:
        """z_s of some frames: with z_t of what is told of them, as sentences."""
        video = video_vector(self.track.frames[group])
        told = sentences_of(self.knowledge(group))
        return scene_vector(video, self.texts(told).mean(0), alpha) if told else video

    def find(
        self, query: str, groups: Sequence[slice], ranges: Sequence[tuple[float, float]]
    ) -> Query:
        """When what a query says is to be seen."""
        track = self.track
        classes = track.classes(slice(None), len(self._sight.class_names))
        return self.finder.find(
            query, track.frames, track.once, classes, groups, ranges, track.seconds
        )

    def _segments(
        self,
        groups: Sequence[slice],
        ranges: Sequence[tuple[float, float]],
        describe: Describe | None,
    ) -> tuple[Segment, ...]:
        found, tau = [], 1 / self._sight.space.scale
        for number, (group, (start, end)) in enumerate(zip(groups, ranges, strict=True)):
            report(DESCRIBING, number, len(groups))
            labels = self.head.best(self.event(group))
            knowledge = self.knowledge(group)
            shares = saliency(self.track.frames, self.texts([labels[0][0]]), tau=tau)
            found.append(
                Segment(
                    start=start,
                    end=end,
                    label=labels[0][0],
                    score=labels[0][1],
                    description=self._described(group, start, end, knowledge, describe),
                    saliency=float(shares[group].sum()),
                    labels=labels,
                    knowledge=knowledge,
                )
            )
        report(DESCRIBING, 1)
        return tuple(found)

    def _described(
        self,
        group: slice,
        start: float,
        end: float,
        knowledge: Knowledge,
        describe: Describe | None,
    ) -> str:
        """What a segment shows, once and then from the store."""
        if describe is not None:
            return " ".join(describe(start, end).split())
        key = replace(self.track.key, start=start, end=end)
        fingerprint = f"{VERSION} {self.bank.config} {load_prompts()}"
        with suppress(OSError):  # looking did meet the same, and said so
            if kept := self._store.get_source(key, "captions", fingerprint):
                return kept.text
        once = self.track.once[group]
        told: Sequence[Perceived] = sentences(
            self._sight.space, once, lambda texts: once @ self.texts(texts).T
        )
        text = told[0].name if told else as_line(knowledge)
        with suppress(OSError):
            self._store.put_source(key, Source("captions", tuple(told), text), fingerprint)
        return text

    def _borders(self, starts: Sequence[int]) -> list[float]:
        """The second at which each segment but the first begins, kept with the clip."""
        from assistant.media.reader import Reader

        if not starts:
            return []
        track = self.track
        told = hashlib.sha256(np.array(starts).tobytes()).hexdigest()
        key = replace(track.key, frames=len(starts), encoder=f"{track.key.encoder}+{told}")
        with suppress(OSError):
            if kept := get_block(self._store, key):
                return kept["borders"].tolist()
        reader, found = Reader(), []
        try:
            for number, place in enumerate(starts):
                report(CUTTING, number, len(starts))
                before, after = track.seconds[place - 1], track.seconds[place]
                found.append(exact_border(track.path, before, after, reader.ask))
        finally:
            reader.close()
        report(CUTTING, 1)
        with suppress(OSError):
            put_block(self._store, key, {"borders": torch.tensor(found, dtype=torch.float64)})
        return found
