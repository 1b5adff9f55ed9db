"""All that is perceived of a range of a clip, as words with times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from assistant.core.jsonl import finite
from assistant.sources import Perceived, Source
from assistant.vqa.basis import items_of

STILL = 0.05  # seconds: a decoder gives a picture the length of one frame


def is_still(span: tuple[float, float]) -> bool:
    """Whether what was looked at is a picture."""
    return span[1] - span[0] < STILL


@dataclass(frozen=True)
class Perception:
    """What sources say; see ``Session.perceive``."""

    video: str  # as it was opened
    duration: float  # seconds of the whole clip
    frames: tuple[float, ...]  # (T,) the times looked at, seconds on the clip's own clock
    start: float  # the range looked at, seconds
    end: float
    window: tuple[float | None, float | None]  # as it was asked for; None: where the clip does
    sources: tuple[Source, ...]
    warnings: tuple[str, ...]  # what the person should know, a line each

    def span(self, item: Perceived) -> tuple[float, float]:
        """From when to when it holds, seconds."""
        if item.start is None or item.end is None:
            return self.start, self.end
        return item.start, item.end

    def over_time(self) -> list[tuple[str, Perceived]]:
        """Source and item: what begins first, then what lasts longest, then what is likeliest."""
        found = [(source.name, item) for source in self.sources for item in source.items]

        def place(one: tuple[str, Perceived]) -> tuple[float, float, float]:
            begin, end = self.span(one[1])
            return begin, -end, -one[1].probability

        return sorted(found, key=place)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; what each source names lies under its name, as in an answer's."""
        return finite(
            {
                "video": self.video,
                "duration": round(self.duration, 3),
                "frames": [round(second, 3) for second in self.frames],
                "start": round(self.start, 3),
                "end": round(self.end, 3),
                **items_of(self.sources),
                "warnings": list(self.warnings),
            }
        )
