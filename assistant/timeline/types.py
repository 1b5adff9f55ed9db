"""What a timeline is: segments with their events, windows with their words, moments of queries,
and what is heard."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from assistant.core.jsonl import finite

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Knowledge:
    """What is told of a range, as words (Cross-modal Knowledge Mining, 3.3), likeliest first."""

    scene: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    activities: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    interactions: tuple[str, ...] = ()  # who does what

    @property
    def words(self) -> tuple[str, ...]:
        """All of them, each once."""
        groups = (
            self.scene,
            self.objects,
            self.activities,
            self.environment,
            self.interactions,
        )
        return tuple(dict.fromkeys(word for group in groups for word in group))


@dataclass(frozen=True)
class Window:
    """A few seconds, some of them shared with the next."""

    start: float  # seconds
    end: float
    knowledge: Knowledge


@dataclass(frozen=True)
class Segment:
    """A scene: from one border to the next."""

    start: float  # seconds
    end: float
    label: str  # the likeliest event
    score: float  # P(y|V) of it
    description: str
    saliency: float  # s_t of its label over the whole clip, summed over its own frames
    labels: tuple[tuple[str, float], ...] = ()  # the likeliest events, likeliest first
    knowledge: Knowledge = Knowledge()


@dataclass(frozen=True)
class Moment:
    """Where a query is to be seen."""

    start: float  # seconds
    end: float
    score: float  # see `Query.score_kind`

    def as_dict(self) -> dict[str, float]:
        """For JSON."""
        return {name: round(value, 3) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Heard:
    """Something that is heard for a while."""

    name: str
    start: float  # seconds
    end: float
    score: float  # its probability; 1 of loudness


@dataclass(frozen=True)
class Query:
    """Something said in words, looked for in a clip."""

    text: str
    moments: tuple[Moment, ...]  # best first; none: it does not appear
    best: Moment  # the likeliest place, even if it does not appear
    threshold: float  # least score of a moment
    sure: float  # least score of one that is told without "perhaps"
    calibrated: bool  # whether the threshold is the joint space's own
    score_kind: str  # of `assistant.timeline.moments.KINDS`
    saliency: tuple[float, ...] = field(repr=False)  # (T,) s_t over the frames; sums to 1
    scores: tuple[float, ...] = field(repr=False)  # (T,)

    @property
    def appears(self) -> bool:
        return bool(self.moments)


@dataclass(frozen=True, eq=False)
class Timeline:
    """What happens when in a clip."""

    path: str
    duration: float  # seconds
    segments: tuple[Segment, ...]  # in order, without gaps
    windows: tuple[Window, ...]
    queries: tuple[Query, ...]
    seconds: tuple[float, ...]  # (T,) when each frame is looked at
    frames: Tensor  # (T, E) x_t, unit vectors of the joint space
    warnings: tuple[str, ...] = ()
    heard: tuple[Heard, ...] = ()  # in order of time; none where nobody listened

    def as_dict(self) -> dict[str, Any]:
        """For JSON; vectors are left out, and times are in milliseconds' precision."""
        told = {
            "video": self.path,
            "duration": self.duration,
            "segments": [asdict(one) for one in self.segments],
            "windows": [asdict(one) for one in self.windows],
            "queries": [asdict(one) | {"appears": one.appears} for one in self.queries],
            "heard": [asdict(one) for one in self.heard],
            "seconds": self.seconds,
            "warnings": self.warnings,
        }
        return finite(_rounded(told))


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 5)
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list | tuple) else value
