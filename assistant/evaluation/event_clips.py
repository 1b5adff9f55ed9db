"""Labelled clips, looked at as a timeline does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assistant.data.segments import LabelledClip
from assistant.errors import InputError
from assistant.evaluation.segments import Span
from assistant.model.space.seeing import Seen
from assistant.timeline.track import Track, track_of

if TYPE_CHECKING:
    from assistant.timeline.making import Looks


@dataclass(frozen=True, eq=False)
class LookedAt:
    """A clip, looked at."""

    clip: LabelledClip
    track: Track
    spans: list[Span]  # of the known segments
    truth: list[frozenset[str]]
    classes: int

    def seen(self, span: Span) -> Seen:
        own = self.track.within(*span)
        classes = self.track.classes(own, self.classes)
        return Seen(self.track.frames[own], self.track.once[own], classes)


def look_at(assistant: Looks, clip: LabelledClip) -> LookedAt:
    track = track_of(clip.video, assistant.sight, assistant.store)
    spans = [segment.within(track.duration) for segment in clip.segments]
    for segment, (start, end) in zip(clip.segments, spans, strict=True):
        if start >= end:
            raise InputError(
                f"{clip.video.name}: {segment.label!r} begins at {start:g} s, and the clip ends at "
                f"{track.duration:g} s; mend its times"
            )
    classes = len(assistant.sight.class_names) or int(track.kinds.max()) + 1
    return LookedAt(clip, track, spans, clip.truth(track.duration), classes)
