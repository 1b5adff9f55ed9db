"""Which model names sounds: our head on Whisper tiny's features, or one of a model hub."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.core.config import from_yaml
from assistant.core.resources import adapters_dir
from assistant.dialogue.speech import WEIGHTS
from assistant.errors import InputError
from assistant.weights.sound_models import (
    CLAP,
    check_small_files,
    fetch_small,
    find_sound_model,
)

if TYPE_CHECKING:
    from assistant.model.sounds import SoundModel, SoundsConfig

AUTO = "auto"
HEAD = adapters_dir() / "mini" / "sound"
ASKED = Path(__file__).with_name("sound_labels.yaml")

Words = dict[str, tuple[tuple[str, ...], tuple[str, ...]]]
"""By sound: words that mean it, and words of what makes it, which may be seen, too."""


@dataclass(frozen=True)
class Asked:
    """What a CLAP is asked for."""

    prompt: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class SoundNaming:
    """Nothing is loaded before something is to be heard."""

    name: str = AUTO  # our head; or a hub id or folder
    labels: tuple[str, ...] = ()  # that a CLAP is asked for; (): those of ``sound_labels.yaml``

    def check(self) -> None:
        """Raises InputError, WeightsError: no such model, as far as files here tell; or labels
        for one that has its own."""
        found = None if self.name == AUTO else find_sound_model(self.name)
        if self.labels and found is None:
            raise InputError("labels of sounds are for a CLAP; name one as sounds, too")
        if self.labels and isinstance(found, Path) and not _is_clap(found):
            raise InputError(f"sounds {self.name!r}: has labels of its own; leave yours out")

    @property
    def fingerprint(self) -> str:
        """All that decides the features and the sounds. Raises WeightsError."""
        return _own_fingerprint() if self.name == AUTO else _hub_fingerprint(self)

    @property
    def words(self) -> Words:
        """Of the sounds that it names. Raises WeightsError: there is no such model."""
        if self.name != AUTO:
            return {name: ((), tuple(name.split())) for name in _hub_names(self)}
        config = _own_config()
        return {name: (own, config.things.get(name, ())) for name, own in config.classes.items()}

    def model(self) -> SoundModel:
        """
        Raises:
            InputError: an extra is not installed. ConfigError, WeightsError: the weights cannot be
                had, or are damaged.
        """
        return _own() if self.name == AUTO else _hub(self)


OURS = SoundNaming()


def plain(label: str) -> str:
    """``Male speech, man speaking`` as ``male speech``."""
    return label.split(",")[0].replace("_", " ").strip().lower()


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


@lru_cache(maxsize=2)
def _folder(name: str) -> Path:
    """The whole checkpoint."""
    from assistant.model.hub_files import fetched

    return fetched(find_sound_model(name), check_small_files)


def _is_clap(folder: Path) -> bool:
    return check_small_files(folder)["model_type"] == CLAP


def _asked(naming: SoundNaming) -> Asked:
    told = from_yaml(Asked, ASKED)
    return Asked(told.prompt, naming.labels or told.labels)


@lru_cache(maxsize=2)
def _hub_names(naming: SoundNaming) -> tuple[str, ...]:
    """What it tells apart, in the order of its scores."""
    folder = fetch_small(naming.name)
    if _is_clap(folder):
        return tuple(map(plain, _asked(naming).labels))
    by_number = check_small_files(folder)["id2label"]
    return tuple(plain(str(by_number[number])) for number in sorted(by_number, key=int))


@lru_cache(maxsize=2)
def _hub_fingerprint(naming: SoundNaming) -> str:
    """By the small files' content and the weights' size and time: nothing is loaded for it."""
    total = hashlib.sha256(repr((naming.labels, ASKED.read_bytes())).encode())
    for file in sorted(_folder(naming.name).iterdir()):
        if file.suffix in (".json", ".txt"):
            total.update(file.read_bytes())
        elif file.is_file():
            told = file.stat()
            total.update(f"{file.name} {told.st_size} {told.st_mtime_ns}".encode())
    return total.hexdigest()[:16]


@lru_cache(maxsize=1)
def _hub(naming: SoundNaming) -> SoundModel:
    from assistant.model.sound_hub import Clap, Classifier

    folder, names = _folder(naming.name), _hub_names(naming)
    if not _is_clap(folder):
        return Classifier(folder, names)
    asked = _asked(naming)
    return Clap(folder, names, [asked.prompt.format(label) for label in asked.labels])
