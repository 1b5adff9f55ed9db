"""Which model names sounds: our head on Whisper tiny's features."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from assistant.core.config import from_yaml
from assistant.core.resources import adapters_dir
from assistant.dialogue.speech import WEIGHTS

if TYPE_CHECKING:
    from assistant.model.sounds import SoundModel, SoundsConfig

HEAD = adapters_dir() / "mini" / "sound"

Words = dict[str, tuple[tuple[str, ...], tuple[str, ...]]]
"""By sound: words that mean it, and words of what makes it, which may be seen, too."""


@dataclass(frozen=True)
class SoundNaming:
    """Nothing is loaded before something is to be heard."""

    @property
    def fingerprint(self) -> str:
        """All that decides the features and the sounds."""
        return _own_fingerprint()

    @property
    def words(self) -> Words:
        """Of the sounds that it names."""
        config = _own_config()
        return {name: (own, config.things.get(name, ())) for name, own in config.classes.items()}

    def model(self) -> SoundModel:
        """
        Raises:
            InputError: an extra is not installed. ConfigError, WeightsError: the weights cannot be
                had, or are damaged.
        """
        return _own()


@lru_cache(maxsize=1)
def _own_config() -> SoundsConfig:
    from assistant.model.sounds import CONFIG, SoundsConfig

    return from_yaml(SoundsConfig, HEAD / CONFIG)


@lru_cache(maxsize=1)
def _own_fingerprint() -> str:
    files = sorted(HEAD.glob("sounds.*"))
    told = "".join(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


@lru_cache(maxsize=1)
def _own() -> SoundModel:
    from assistant.model.audio import audio_encoder
    from assistant.model.sounds import SoundHead

    return SoundHead.load(HEAD, audio_encoder(WEIGHTS))
