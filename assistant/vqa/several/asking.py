"""What is asked of several clips: which of them, whether all, how many, what differs; or of one.

Rules on words (``several.yaml``), no parser; what they do not know is an ordinary question, and is
put to each clip. English only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from assistant.core.config import from_yaml
from assistant.core.mentions import KNOWN
from assistant.errors import ConfigError

WHICH, ALL, ANY, COUNT, DIFFERS, SAME = "which", "all", "any", "count", "differs", "same"
LONGEST, SHORTEST, LOUDEST, QUIETEST = "longest", "shortest", "loudest", "quietest"
BRIGHTEST, DARKEST, MOST, FEWEST = "brightest", "darkest", "most", "fewest"
EARLIEST = "earliest"
MEASURED = (*(LONGEST, SHORTEST, LOUDEST, QUIETEST, BRIGHTEST, DARKEST, MOST, FEWEST, EARLIEST),)
KINDS = (*MEASURED, DIFFERS, SAME, COUNT, ALL, ANY, WHICH)
# What a place or an order in a question stands on: "in a kitchen" is "a kitchen".
LED = re.compile(
    r"^(?:(?:in|at|on|inside|of|about|from|with|showing|set|filmed|shot|taken) |"
    r"the (?:one|clip|video|picture) "
    r"(?:with|of|showing|that (?:shows|has)|in which there (?:is|are)) )+"
)
AUXILIARY = re.compile(
    r"^(?:is|are|was|were|does|do|did|can|could|has|have|will) "
    r"(?:there (?:be )?|(?:you|we|i|one) (?:see|find|spot) |it (?=\w+ing\b))?"
)
SEEN = re.compile(r"^(?:there (?:is|are) |(?:you|we|i|one) (?:can )?see )")
ANYBODY = re.compile(r"\bany(?=body\b|one\b)")
PLURAL = re.compile(r"^(?!(?:an?|the|any|some|one)\b)\w+(?: \w+)*s$")


@dataclass(frozen=True)
class Words:
    """What ``several.yaml`` holds."""

    words: dict[str, str]  # that <name> in a pattern stands for
    polite: str  # what is taken off a question's beginning, a pattern a line
    closing: str  # what is taken off the end of a "which"
    asks: dict[str, str]  # patterns of each kind, a line each
    each: tuple[tuple[str, str], ...]  # a question to all, and what it is to one
    ordinals: tuple[str, ...]
    numbers: tuple[str, ...]
    refers: str  # how one clip is named, a pattern a line
    added: str  # the last question, to another clip
    negations: tuple[tuple[str, str], ...]
    telling: dict[str, str]  # sentences

    def __post_init__(self) -> None:
        if wrong := [kind for kind in self.asks if kind not in KINDS]:
            raise ConfigError(f"asks has {wrong[0]!r}; choose some of {', '.join(KINDS)}")


@dataclass(frozen=True)
class Sought:
    """What is looked for in each clip."""

    text: str  # as captions say it: "a dog", "kitchen"
    question: str  # to one clip alone: "Is there a dog?"
    denied: bool = False  # what lacks it is asked for


@dataclass(frozen=True)
class Compares:
    """A question about several clips at once."""

    kind: str  # of KINDS
    sought: Sought | None = None  # None: nothing in particular
    told: str = ""  # of the clip that is found: "shows a dog"; "": it is found "in" it
    many: bool = False  # several may be


@cache
def words() -> Words:
    """The shipped ones. Raises ConfigError: the file is damaged."""
    return from_yaml(Words, Path(str(files("assistant.vqa.several"))) / "several.yaml")


@cache
def _compiled() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Kind and pattern of a whole question, in the order in which they are tried."""
    known = words()
    return tuple(
        (kind, pattern_of(line)) for kind in KINDS for line in known.asks.get(kind, "").splitlines()
    )


def pattern_of(text: str) -> re.Pattern[str]:
    """A pattern of the file, its <names> replaced. Raises ConfigError: it is none."""
    known = words()
    ordinal = f"(?:{'|'.join(known.ordinals)})"
    one = f"(?:the )?(?:{ordinal}|last|other|left|right)(?: one| <clip>)?"
    meanings = {"ordinal": ordinal, "one": one, **known.words}
    for _ in range(4):  # one of them may name another
        for name, meaning in meanings.items():
            text = text.replace(f"<{name}>", meaning)
    try:
        return re.compile(text)
    except re.error as error:
        raise ConfigError(f"several.yaml: {text[:60]!r} is no pattern ({error})") from error


def plain_of(question: str) -> str:
    """In small letters, without politeness, what an "and" leads on, and its mark."""
    text = " ".join(question.lower().replace("\u2019", "'").split()).strip(" ?!.")
    for line in words().polite.splitlines():
        text = re.sub(f"^(?:{pattern_of(line).pattern})", "", text)
    return text


def compared_by(question: str) -> Compares | None:
    """What a question asks of several clips together; None: it is put to each, or to one."""
    text = plain_of(question)
    if WHICH in text.split()[:2]:
        text = re.sub(f"{pattern_of(words().closing).pattern}$", "", text)
    for kind, pattern in _compiled():
        if match := pattern.fullmatch(text):
            return _compares(kind, match)
    return None


def wants_several(question: str) -> bool:
    """Whether a question makes no sense of one clip: "Which of the two is outdoors?"."""
    asks = compared_by(question)
    if asks is None or asks.kind in (DIFFERS, SAME):
        return asks is not None
    return pattern_of(r"\b(?:of the <figure>|<clips>)\b").search(plain_of(question)) is not None


def _compares(kind: str, match: re.Match[str]) -> Compares:
    found = {name: value for name, value in match.groupdict().items() if value}
    many = "many" in found
    if thing := found.get("thing") or found.get("other"):
        return Compares(kind, _of_thing(thing), f"shows {thing}", many)
    if lacks := found.get("lacks"):
        return Compares(kind, _denied(_of_thing(lacks)), f"does not show {lacks}", many)
    if denies := found.get("denies"):
        return Compares(kind, _denied(_of_state(denies)), f"is not {denies}", many)
    if state := found.get("state"):
        return Compares(kind, _of_state(state), f"is {state}", many)
    if act := found.get("act"):
        return Compares(kind, _of_act(act), "", many or match[0].startswith(("in which clips",)))
    return Compares(kind)


def _of_thing(text: str) -> Sought:
    text, denied = _undenied(text)
    if denied and text not in KNOWN["people"]:
        from assistant.vqa.candidates import with_article  # which imports torch

        text = with_article(text)
    be = "Are" if PLURAL.match(text) or text.split()[-1] in KNOWN["people"] else "Is"
    return Sought(text, f"{be} there {text}?", denied)


def _of_state(text: str) -> Sought:
    text, denied = _undenied(text)
    return Sought(LED.sub("", text) or text, f"Is it {text}?", denied)


def _of_act(text: str) -> Sought:
    text, denied = _undenied(ANYBODY.sub("some", text))
    plain = SEEN.sub("", AUXILIARY.sub("", text)) or text
    asks = AUXILIARY.match(text) is not None
    question = f"{text[:1].upper()}{text[1:]}?" if asks else f"Is there {plain}?"
    return Sought(plain, question, denied)


def _undenied(text: str) -> tuple[str, bool]:
    """What is asked for, and whether it is what is not to be there."""
    before = text
    for pattern, instead in words().negations:
        text = re.sub(pattern, instead, text)
    return text, text != before


def _denied(sought: Sought) -> Sought:
    return Sought(sought.text, sought.question, not sought.denied)


def put_to_one(question: str) -> str:
    """A question to all as it is put to each alone: "What happens in each of them?" is "What
    happens in the clip?"."""
    text = plain_of(question)
    for line, instead in words().each:
        if match := pattern_of(line).match(text):
            told = instead.format(**match.groupdict())
            return f"{told[:1].upper()}{told[1:]}{'' if told.startswith('describe') else '?'}"
    return question
