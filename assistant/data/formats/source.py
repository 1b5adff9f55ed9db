"""What the readers share: where to look, strict JSON, and the parts of an example."""

import hashlib
import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from assistant.errors import InputError
from assistant.tasks.prompts import TaskPrompt, load_prompt

# An example as `assistant.data.items` takes it, less its clip's place: "video" is the clip's name,
# perhaps with its ending, below the dataset's own folder for it.
Record = dict[str, Any]
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Reading:
    """What a reader found, and what a person should know of it, a line each."""

    records: list[Record]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Source:
    """What a person asked to have read."""

    path: Path
    origin: str  # where the data are to be got
    split: str = ""  # one of the format's own; "": its first
    fold: int | None = None
    seed: int = 0
    speakers: bool = True  # False: without their names
    moments: bool = False  # look only where the answer is
    hold_out: str | None = None  # this show alone is the test split

    @property
    def folder(self) -> Path:
        return self.path if self.path.is_dir() else self.path.parent

    def file(self, *names: str) -> Path:
        """The path itself where it is a file, else the first of ``names`` that is in the folder.

        Raises:
            InputError: there is none.
        """
        return self.path if self.path.is_file() else self.beside(*names)

    def beside(self, *names: str) -> Path:
        """The first of ``names`` that is in the folder. Raises InputError: there is none."""
        for name in names:
            if (self.folder / name).is_file():
                return self.folder / name
        raise InputError(f"{self.folder} holds no {' or '.join(names)}: get it from {self.origin}")


def read_json(path: Path) -> Any:
    """
    Raises:
        InputError: the file cannot be read, is not JSON, or one object has a key twice.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        data = dict(pairs)
        if len(data) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise InputError(f"{path.name}: {twice!r} is there twice; keep one")
        return data

    try:
        return json.loads(path.read_bytes(), object_pairs_hook=once)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its path") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is not JSON ({error}); get the file anew") from error


def entry(value: Any, where: str, keys: Sequence[str]) -> dict[str, Any]:
    """``value``, an object that has ``keys``. Raises InputError: it is not, or lacks some."""
    if not isinstance(value, dict):
        raise InputError(f"{where} is a {type(value).__name__}; wanted {', '.join(keys)}")
    lacking = [key for key in keys if key not in value]
    if lacking:
        raise InputError(f"{where} lacks {', '.join(lacking)}; wanted {', '.join(keys)}")
    return value


def said(value: Any, where: str) -> str:
    """A text on one line. Raises InputError: it is none, or empty."""
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{where} is {value!r:.60}; wanted a text: mend or remove the item")
    return " ".join(value.split())


def judged(
    task: str, name: str | int, lines: Sequence[tuple[str | None, str]], label: bool
) -> Record:
    """A yes/no example of a shipped ``task``; the last of ``lines`` (speaker, text) is its target.

    The person who gives the same lines and asks nothing is asked for the very same.
    """
    prompt = _prompt(task)
    yes, no = prompt.choices or ("yes", "no")
    turns = [
        {"speaker": speaker, "text": text} if speaker else {"text": text} for speaker, text in lines
    ]
    return {
        "id": name,
        "video": None,
        "dialogue": turns,
        "question": prompt.question,
        "answer": yes if label else no,
        "choices": [yes, no],
        "type": task,
    }


@cache
def _prompt(task: str) -> TaskPrompt:
    return load_prompt(task)


def spread(labels: Mapping[K, str], shares: Mapping[str, float], seed: int) -> dict[K, str]:
    """A split for each key, every label in the same ``shares``; the last split takes what is left.

    By hashes, not by a random generator: the same seed gives the same split on any version.
    """
    split: dict[K, str] = {}
    *sized, rest = shares
    for label in sorted(set(labels.values())):
        keys = sorted((key for key in labels if labels[key] == label), key=_digest(seed))
        start = 0
        for name in sized:
            end = start + round(shares[name] * len(keys))
            split |= dict.fromkeys(keys[start:end], name)
            start = end
        split |= dict.fromkeys(keys[start:], rest)
    return split


def _digest(seed: int) -> Any:
    return lambda key: hashlib.sha256(f"{seed}:{key}".encode()).digest()
