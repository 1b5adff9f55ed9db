"""Description banks: what a frame of each action shows, in sentences.

    actions:
      archery:
        words: [bow, arrow, target]
        sentences: [An archer draws the string of a bow back to the cheek., ...]
        long: In an open field ...

A shipped bank has a name, and lies in ``banks/``; another one is a file of the same form.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import yaml

from assistant.core.config import from_mapping, read_yaml
from assistant.errors import ConfigError, InputError

WORDS, SENTENCES = (2, 8), (2, 16)  # of an action, the least and the most
LENGTH, LONG = (5, 25), (12, 60)  # words of a sentence; 60 are about the 77 tokens that CLIP reads
MOST_LETTERS = 200  # of a label
ENDING = re.compile(r"(?:ing|ed|es|s|e|y)$")  # "dribbling" and "dribbles" name "dribble"


@dataclass(frozen=True)
class Described:
    """An action."""

    label: str
    words: tuple[str, ...] = ()  # that distinguish it
    sentences: tuple[str, ...] = ()
    long: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """Its name first, M in all."""
        return (self.label, *self.sentences, *([self.long] if self.long else []))


@dataclass(frozen=True)
class Bank:
    """Descriptions of C actions."""

    name: str
    actions: tuple[Described, ...]

    def __post_init__(self) -> None:
        seen: dict[str, str] = {}
        for label in self.labels:
            if not key(label) or len(label) > MOST_LETTERS:
                raise InputError(
                    f"{self.name}: {label!r:.40} is no label; give a word or two, of "
                    f"{MOST_LETTERS} letters at most"
                )
            if (other := seen.setdefault(key(label), label)) is not label:
                raise InputError(
                    f"{self.name}: {other!r} and {label!r} are one label; leave one out"
                )

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(action.label for action in self.actions)

    def of(self, labels: Sequence[str], bare: bool = False) -> Bank:
        """The actions of ``labels``, in their order, spelt as here.

        Args:
            bare: one that is not here has its name alone.

        Raises:
            InputError: a label is not here, or is there twice.
        """
        known = {key(action.label): action for action in self.actions}
        lacking = [label for label in labels if key(label) not in known]
        if lacking and not bare:
            more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
            raise InputError(
                f"{self.name} does not describe {', '.join(map(repr, lacking[:3]))}{more}; add "
                "them, or leave the bank out"
            )
        found = (known.get(key(label), Described(readable(label))) for label in labels)
        return Bank(self.name, tuple(found))


def key(label: str) -> str:
    """What two spellings of a label share: ``ApplyEyeMakeup``, ``apply_eye_makeup``."""
    return re.sub(r"[\W_]", "", label).casefold()


def readable(label: str) -> str:
    """``ApplyEyeMakeup`` and ``apply_eye_makeup`` as words."""
    spaced = " ".join(label.replace("_", " ").split())
    if " " not in spaced:
        spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", spaced)
    return spaced.lower()


def shipped_banks() -> tuple[str, ...]:
    """Names of those in the wheel."""
    return tuple(sorted(path.stem for path in _folder().glob("*.yaml")))


def bare_bank(labels: Sequence[str]) -> Bank:
    """Names alone. Raises InputError: a label is none, or is there twice."""
    return Bank("names", tuple(Described(readable(label)) for label in labels))


def read_bank(named: str | Path) -> Bank:
    """A shipped bank by its name, or a file.

    Raises:
        InputError: there is none. ConfigError: it breaks a rule; the first one is named.
    """
    bank = parse_bank(named)
    wrong = list(problems(bank))
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise ConfigError(
            f"{named}: {wrong[0]}{more}; mend it: assistant data bank {named} --check names all"
        )
    return bank


def parse_bank(named: str | Path) -> Bank:
    """As `read_bank`, of whatever its sentences are."""
    path = Path(named)
    if str(named) in shipped_banks():
        path = _folder() / f"{named}.yaml"
    elif not path.is_file():
        known = ", ".join(shipped_banks())
        raise InputError(f"{named} is no bank and no file; give a file, or one of {known}")
    data = read_yaml(path)
    if path.parent != _folder() and (twice := _twice(path)):
        raise ConfigError(f"{path}: the key {twice!r} is there twice; leave one out")
    if not isinstance(data, dict) or list(data) != ["actions"] or not data["actions"]:
        raise ConfigError(f"{path}: holds no actions; wanted `actions:` and below it each label")
    if not isinstance(data["actions"], dict):
        raise ConfigError(
            f"{path}: actions is no mapping; wanted each label with what describes it"
        )
    return Bank(path.stem, tuple(_action(path, *one) for one in data["actions"].items()))


def _twice(path: Path) -> str | None:
    """A key that a mapping of the file has twice: YAML would keep the last one without a word."""
    nodes = [yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)]
    seen = set()  # an alias may lead back
    while nodes:
        node = nodes.pop()
        if isinstance(node, yaml.MappingNode) and id(node) not in seen:
            seen.add(id(node))
            keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            if len(set(keys)) < len(keys):
                return next(key for key in keys if keys.count(key) > 1)
            nodes += [value for _, value in node.value]
    return None


def _action(path: Path, label: object, told: object) -> Described:
    """Raises ConfigError: it is not as wanted."""
    where = f"{path}: {label}"
    if not isinstance(label, str):  # YAML reads `yes:` and `no:` as truth
        raise ConfigError(f"{where}: the label is a {type(label).__name__}; put it in quotes")
    if not isinstance(told, dict) or "label" in told:
        raise ConfigError(f"{where}: wanted words, sentences and long below it, and nothing else")
    return from_mapping(Described, {"label": label, **told}, where)


def read_label_file(path: Path) -> tuple[str, ...]:
    """A label a line, as words; UCF-101's class list has its number before each.

    Raises:
        InputError: it cannot be read, or holds no label.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise InputError(f"{path}: cannot be read ({why}); give a label in each line") from error
    lines = [line.strip() for line in lines if line.strip()]
    if all(line.startswith(f"{number} ") for number, line in enumerate(lines, 1)):
        lines = [line.partition(" ")[2] for line in lines]
    labels = tuple(map(readable, lines))
    if not labels:
        raise InputError(f"{path}: holds no label; give one in each line")
    return Bank(path.name, tuple(map(Described, labels))).labels


def problems(bank: Bank) -> Iterator[str]:
    """Every rule that an action breaks, a line each."""
    said: dict[str, str] = {}
    names = names_of(bank.labels)
    for action in bank.actions:
        yield from problems_of(action, names, said)
        said |= dict.fromkeys(_said(action), action.label)


def problems_of(
    action: Described, names: Mapping[tuple[str, ...], str], said: Mapping[str, str]
) -> Iterator[str]:
    """The same of one action, beside ``names`` (`names_of`) and what is ``said`` of others
    (`said_in`)."""
    for wrong in _of_counts(action):
        yield f"{action.label}: {wrong}"
    longest = max(map(len, names), default=0)
    own, before = words_of(action.label), dict(said)
    for text in action.texts[1:]:
        words = words_of(text)
        shown = f"{action.label}: {text!r:.60}"
        least, most = LONG if text is action.long else LENGTH
        if not least <= len(words) <= most:
            yield f"{shown} has {len(words)} words; give {least} to {most}"
        if other := before.get(" ".join(words)):
            yield f"{shown} is said of {other!r} already; say another thing"
        before[" ".join(words)] = action.label
        if not names_one(text, action.words):
            yield f"{shown} has none of its key words; use one of {', '.join(action.words)}"
        inside = {words[i : i + n] for n in range(1, longest + 1) for i in range(len(words))}
        for name in sorted(inside & names.keys()):
            if not any(own[i : i + len(name)] == name for i in range(len(own))):
                yield f"{shown} names another action, {names[name]!r}; say it otherwise"


def names_of(labels: Sequence[str]) -> dict[tuple[str, ...], str]:
    """Labels by their words."""
    return {words_of(label): label for label in labels}


def said_in(bank: Bank) -> dict[str, str]:
    """Sentences as words, each with its action's label."""
    return {text: action.label for action in bank.actions for text in _said(action)}


def _said(action: Described) -> list[str]:
    return [" ".join(words_of(text)) for text in action.texts[1:]]


def _of_counts(action: Described) -> Iterator[str]:
    for kind, bounds in (("words", WORDS), ("sentences", SENTENCES)):
        count = len(getattr(action, kind))
        if not bounds[0] <= count <= bounds[1]:
            yield f"has {count} {kind}; give {bounds[0]} to {bounds[1]}"
    if not all(map(words_of, action.words)):
        yield "has an empty key word; leave it out"
    if not action.long:
        yield "has no long description; add `long`"


def words_of(text: str) -> tuple[str, ...]:
    """In lower case, without punctuation."""
    return tuple(re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.lower()))


def names_one(text: str, words: Sequence[str]) -> bool:
    """Whether a text has all parts of one of the key words, inflected or not."""
    return any(
        all(re.search(rf"\b{_stem(part)}", text, re.I) for part in word.split()) for word in words
    )


def _stem(word: str) -> str:
    """Of what it begins with, all but an ending; a regular expression."""
    word = word.strip().lower()
    short = ENDING.sub("", word)
    return re.escape(short if len(short) >= 3 else word)


def _folder() -> Path:
    return Path(str(files("assistant.actions"))) / "banks"
