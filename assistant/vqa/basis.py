"""What an answer rests on, known before its first word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assistant.sources import SOURCES, Source

if TYPE_CHECKING:
    from assistant.timeline.types import Moment
    from assistant.vqa.by_recogniser import Recognised
    from assistant.vqa.several.parts import Part

CHOSEN_BY = {  # who chose the range that was looked at, for a person, by `Basis.range_source`
    "question": ", as the question says",
    "timeline": ", where what it names is to be seen",
}
FROM_SOUND = "what is heard: no language model asked"
FROM_TIMELINE = "the clip's timeline: a frame every 1.25 s, no language model asked"


@dataclass(frozen=True)
class Basis:
    """What was looked at, read and heard for a question."""

    question: str
    task: str
    model: str
    adapter: str | None  # name of the adapter in use; None: the base weights alone
    frames: tuple[float, ...]  # (T,) the times looked at, seconds on the clip's own clock
    start: float | None  # the range looked at, seconds; of text alone: as it was asked for
    end: float | None
    window: tuple[float | None, float | None]  # as it was asked for; None: where the clip does
    # Who chose it: "clip" (all of it), "session", "question", "given" or "timeline" (where what the
    # question names is to be seen); "none": there is no clip.
    range_source: str
    dialogue_source: str  # "none", "given", "file:NAME", "sidecar:NAME", "embedded track" ...
    sources: tuple[Source, ...]  # what is perceived, as words
    warnings: tuple[str, ...]  # what the person should know, a line each
    task_score: float | None = None  # of the task, where the question chose it
    unfound: tuple[str, ...] = ()  # what the question asks for and no source found
    answerable: bool = True  # False: the task is about a line of dialogue, and none is there
    settled: str = ""  # what of a source settled the question: "2 persons at once"
    lacking: tuple[str, ...] = ()  # what the task reads and is not there: "dialogue"
    notes: str | None = None  # that a language model answered from alone; None: the model saw
    asked_as: str = ""  # the question as the conversation makes it, where that differs
    moments: tuple[Moment, ...] = ()  # that the answer names, in order; of the timeline
    sought: str = ""  # what was looked for there
    recognised: Recognised | None = None  # what a recogniser of actions thinks, where it was asked
    clips: tuple[Part, ...] = ()  # what each of several clips has to say, in their order

    def as_dict(self) -> dict[str, Any]:
        """For JSON; what each source names lies under the source's name."""
        return {
            **items_of(self.sources),
            "frames": [round(seconds, 3) for seconds in self.frames],
            "start": _rounded(self.start),
            "end": _rounded(self.end),
            "range_source": self.range_source,
            "task": self.task,
            "dialogue_source": self.dialogue_source,
            "settled": self.settled,
            "warnings": list(self.warnings),
            "model": self.model,
            "adapter": self.adapter,
            **({} if self.notes is None else {"notes": self.notes}),
            **({"asked_as": self.asked_as} if self.asked_as else {}),
            **({"moments": [one.as_dict() for one in self.moments]} if self.moments else {}),
            **({"sought": self.sought} if self.sought else {}),
            **({"recognised": self.recognised.as_dict()} if self.recognised else {}),
            **({"clips": [one.as_dict() for one in self.clips]} if self.clips else {}),
        }


def items_of(sources: Sequence[Source]) -> dict[str, list[dict[str, Any]]]:
    """For JSON: what each source names, of all that there are."""
    perceived = {source.name: source.items for source in sources}
    return {name: [item.as_dict() for item in perceived.get(name, ())] for name in SOURCES}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
