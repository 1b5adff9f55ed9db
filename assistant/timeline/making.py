"""From a clip to its timeline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from assistant.timeline.types import Timeline

if TYPE_CHECKING:
    from assistant.model.features import FeatureStore
    from assistant.model.sight import Sight
    from assistant.timeline.events import EventHead


class Looks(Protocol):
    """What looks and keeps what it saw: an ``Assistant``, whose model is not loaded for it."""

    store: FeatureStore

    @property
    def sight(self) -> Sight: ...


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
) -> Timeline:
    """What happens when in a clip of any length.

    Args:
        clip: a session, or a path, to which ``assistant`` belongs.
        head: the events that are told apart (`assistant.timeline.events`: zero-shot by label texts,
            few-shot by examples, or trained); None: the lexicon's activities.
        queries: anything said in words, whose moments are looked for.
    """
    raise NotImplementedError
