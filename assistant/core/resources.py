"""Where data lies: shipped prompts and adapters, and the user's folders; who writes there."""

import os
from importlib.resources import files
from pathlib import Path


def prompts_dir() -> Path:
    """Folder of the shipped task prompts (``<task>.yaml``)."""
    return Path(str(files("assistant.prompts")))


def adapters_dir() -> Path:
    """Folder of the shipped weights (``<base>/base/``, ``<base>/<task>/``)."""
    return Path(str(files("assistant.adapters")))


def weights_lock() -> Path:
    """The lock file that names every fetched file and its sha256."""
    return Path(str(files("assistant.weights"))) / "weights.lock.yaml"


def presets_file() -> Path:
    """The paper-scale models by name."""
    return Path(str(files("assistant.weights"))) / "presets.yaml"


def caption_lexicon() -> Path:
    """The words that questions made from captions are built of."""
    return Path(str(files("assistant.training.pretraining.captions"))) / "lexicon.yaml"


def cache_dir() -> Path:
    """Folder of what can be fetched or computed again: ``ASSISTANT_CACHE``, else the XDG cache."""
    chosen = os.environ.get("ASSISTANT_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "assistant"


def user_dir() -> Path:
    """Folder of the person's own prompts and adapters: ``ASSISTANT_HOME``, else XDG's."""
    chosen = os.environ.get("ASSISTANT_HOME")
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_DATA_HOME", "~/.local/share")).expanduser() / "assistant"


def first_process() -> bool:
    """Whether this is the one of several training processes that speaks and writes."""
    return os.environ.get("RANK", "0") == "0"
