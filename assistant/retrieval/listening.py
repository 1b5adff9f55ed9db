"""What is heard in a clip that is indexed, and what is said in one without subtitles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from assistant.dialogue.spoken import AUTO, Spoken
from assistant.errors import VideoError
from assistant.media.windows import is_still
from assistant.model.features import content_digest
from assistant.model.sound_pieces import ClipSound
from assistant.sources.heard import LEVELS, NO_SOUND, heard_in

if TYPE_CHECKING:
    from assistant.dialogue.subtitles import Line
    from assistant.media.video import Clip
    from assistant.model.features import FeatureStore
    from assistant.model.sound_naming import SoundNaming
    from assistant.sources import Perceived


class HasEars(Protocol):
    """What listens: an ``Assistant``, whose model is not loaded for it."""

    sounds: SoundNaming
    store: FeatureStore


@dataclass(frozen=True)
class Listened:
    """What a clip lets be heard."""

    sounds: tuple[Perceived, ...] = ()
    lines: tuple[Line, ...] = ()  # of what is said, as far as nobody has written it down
    fault: str = ""  # why there is nothing

    def between(self, start: float, end: float) -> str:
        """``dog barking (heard), speech (heard)``."""
        own = [one.name for one in self.sounds if overlap(one, start, end)]
        return ", ".join(f"{name} (heard)" for name in dict.fromkeys(own))


def listened(clip: Clip | None, lines: Sequence[Line], ears: HasEars | None) -> Listened | None:
    """What is heard in a clip, as `listen` tells it; None: nobody listens, or it is no clip."""
    if ears is None or clip is None:
        return None
    return Listened() if is_still(clip) else listen(clip.path, lines, ears)


def listen(path: Path, lines: Sequence[Line], ears: HasEars) -> Listened:
    """
    Args:
        lines: what is said, as it is known; none: it is listened for, where the ``speech`` extra
            is installed.
    Raises: see `assistant.model.sound_naming.SoundNaming.model`.
    """
    try:
        found = heard_in(ClipSound(path, content_digest(path), ears.sounds, ears.store))
    except VideoError as error:  # what is seen of it is indexed all the same
        return Listened(fault=f"not listened to: {error}")
    if any(one.name == NO_SOUND for one in found):
        return Listened()
    said = () if lines else Spoken(path, None, AUTO).within((None, None)).lines
    return Listened(tuple(one for one in found if one.name not in LEVELS), said)


def overlap(one: Perceived, start: float, end: float) -> bool:
    """Whether it is heard between two times."""
    return (one.start or 0.0) < end and (one.end or 0.0) > start
