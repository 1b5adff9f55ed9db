"""Where data lies: shipped prompts and adapters, and the user's folders; who writes there, and
what this process reaches without a proxy."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
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


def demo_file() -> Path:
    """What `assistant demo` asks."""
    return Path(str(files("assistant.vqa"))) / "demo.yaml"


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


@contextmanager
def no_proxy(host: str, *, all_of_them: bool) -> Iterator[None]:
    """This machine is reached without a proxy from now on; within, so is everything else, if asked.

    httpx makes ready all proxies that it is told of, even for a call that needs none, and fails at
    a SOCKS proxy where it lacks the package for it; "*" has it look at none.
    """
    names = ("NO_PROXY", "no_proxy")  # some libraries read the one, some the other
    for name in names:
        known = os.environ.get(name, "").split(",")
        own = ["localhost", "127.0.0.1", "::1", host.strip("[]")]
        os.environ[name] = ",".join(dict.fromkeys(filter(None, [*known, *own])))
    kept = {name: os.environ[name] for name in names}
    if all_of_them:
        os.environ |= dict.fromkeys(names, "*")
    try:
        yield
    finally:
        os.environ |= kept
