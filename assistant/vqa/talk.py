"""Small talk and what no clip can tell: which kind of turn a text is, and the sentence it gets.

Rules on words (``talk.yaml``) and nothing else: no model is loaded, no clip opened. They are
narrow: what may be a question about the clip goes on, to what `assistant.vqa.likely_talk` learned,
and then to the model. A reply says what can be asked and never a fact about the clip.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from assistant.errors import ConfigError, InputError
from assistant.vqa.time_ranges import ANY_LENGTH, time_range
from assistant.vqa.time_words import QUOTED, format_time

if TYPE_CHECKING:
    from assistant.vqa.answer import Answer
    from assistant.vqa.conversation import Turn

QUESTION = "question"  # the kind of all else
SURE = "sure"
NONSENSE, LANGUAGE = "nonsense", "language"  # kinds that more than patterns tell
BEYOND = ("future", "other_time")  # unless a text names a time within the clip
ADDING = ("greeting", "thanks", "praise")  # beside another kind they only make it polite
PARTS = re.compile(r"[.!?,;:\u2026]+ ?")
LATIN = re.compile(r"[a-z\u00c0-\u024f]")
VOWELS = "aeiouy\u00e0-\u00ff"
UNSPEAKABLE = re.compile(rf"[^\W\d_{VOWELS}]{{5,}}|(\w)\1{{3,}}")
NOISE = "h+m+|psst|brr+|pf+t?"
SHORT = 3  # letters of what may be an abbreviation: "TV?"


@dataclass(frozen=True)
class Kind:
    """A kind of turn."""

    name: str
    reply: str
    whole: re.Pattern[str] | None
    within: re.Pattern[str] | None
    unless: re.Pattern[str] | None
    spoken: bool  # a dialogue may tell

    def fits(self, text: str) -> bool:
        """Whether all of a text, in lower case, is of this kind."""
        found = (self.whole and self.whole.fullmatch(text)) or (
            self.within and self.within.search(text)
        )
        return bool(found) and not (self.unless and self.unless.search(text))


@dataclass(frozen=True)
class Words:
    """What ``talk.yaml`` holds."""

    kinds: dict[str, Kind]
    sure: dict[str, str]  # what is said of the last answer
    then: dict[str, str]  # where a following part of the clip is asked for and is none
    english: frozenset[str]
    languages: dict[str, frozenset[str]]
    keyboard: tuple[str, ...]  # letters that lie side by side


@cache
def words() -> Words:
    """The shipped ones. Raises ConfigError: the file is damaged."""
    import yaml

    path = files("assistant.vqa") / "talk.yaml"
    data = yaml.load(path.read_text("utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    try:
        kinds = {name: _kind(name, told, data["words"]) for name, told in data["kinds"].items()}
        english = frozenset(data["english"].split())
        tongues = {name: frozenset(told.split()) for name, told in data["languages"].items()}
        return Words(kinds, data["sure"], data["then"], english, tongues, tuple(data["keyboard"]))
    except (KeyError, TypeError, AttributeError, re.error) as error:
        raise ConfigError(f"{path}: {error}; install the assistant again") from error


def _kind(name: str, told: dict[str, Any], macros: dict[str, str]) -> Kind:
    def pattern(key: str) -> re.Pattern[str] | None:
        joined = "|".join(f"(?:{one})" for one in told.get(key, "").splitlines())
        for _ in range(2):  # one of them may name another
            for macro, meaning in macros.items():
                joined = joined.replace(f"<{macro}>", meaning)
        return re.compile(joined) if joined else None

    if unknown := told.keys() - {"reply", "whole", "within", "unless", "spoken"}:
        raise KeyError(f"{name}: unknown key {min(unknown)!r}")
    found = pattern("whole"), pattern("within"), pattern("unless")
    return Kind(name, told["reply"], *found, told.get("spoken", False))


def kind_of(text: str, is_said: Callable[[], bool] = lambda: False) -> str:
    """The kind of a text; `QUESTION` where it may be one about the clip.

    ``is_said`` tells whether there is a dialogue: it is asked only where that could know.
    """
    plain = " ".join(QUOTED.sub(" ... ", text.lower().replace("\u2019", "'")).split())
    whole = plain.strip(" .,!?;:-\"'()[]\u00bf\u00a1\u2026")
    if _is_nonsense(whole):
        return NONSENSE
    if is_foreign(plain):
        return LANGUAGE
    found = _kind_of(whole, is_said)
    if found in BEYOND and names_time(text):
        return QUESTION
    if found is None:
        parts = [part for part in map(str.strip, PARTS.split(whole)) if part]
        several = [_kind_of(part, is_said) for part in parts]
        if len(parts) < 2 or None in several:
            return QUESTION
        kinds = [kind for kind in several if kind is not None]
        found = next((kind for kind in kinds if kind not in ADDING), kinds[-1])
    return found


def _kind_of(text: str, is_said: Callable[[], bool]) -> str | None:
    fitting = next((kind for kind in words().kinds.values() if kind.fits(text)), None)
    return None if fitting is None or (fitting.spoken and is_said()) else fitting.name


def names_time(text: str) -> bool:
    """Whether a text names a time within the clip."""
    try:
        return time_range(text, ANY_LENGTH) is not None
    except InputError:
        return True


def _is_nonsense(text: str) -> bool:
    """Letters that make no word, or none; numbers and times are no nonsense beside a word."""
    tokens = re.findall(r"[^\W\d_]+", text)
    if not tokens:
        return re.fullmatch(r"[\d\W_]*", text) is not None and re.search(r"\d[:.]\d", text) is None
    return all(_is_no_word(token) for token in tokens)


def _is_no_word(token: str) -> bool:
    if not LATIN.search(token) or len(token) <= SHORT:
        return False
    keys = any(row in token for row in words().keyboard)
    voiceless = not re.search(rf"[{VOWELS}]", token) and not re.fullmatch(NOISE, token)
    return keys or voiceless or UNSPEAKABLE.search(token) is not None


def is_foreign(text: str) -> bool:
    """Whether a text, in lower case, is in another language than English: by its letters, or by
    its commonest words where none of them is an English one."""
    letters = re.findall(r"[^\W\d_]", text)
    latin = sum(LATIN.match(letter) is not None for letter in letters)
    if letters and latin * 2 < len(letters):
        return True
    known, tokens = words(), re.findall(r"[^\W\d_]+(?:['-][^\W\d_]+)*", text)
    if any(token in known.english or token.split("'")[0] in known.english for token in tokens):
        english = {token for token in tokens if token in known.english}
        if not ("\u00bf" in text or all(_is_shared(token) for token in english)):
            return False
    most = max(len({t for t in tokens if t in own}) for own in known.languages.values())
    return most >= 2 or ("\u00bf" in text and most >= 1)


def _is_shared(token: str) -> bool:
    """Whether an English word is one of another language, too."""
    return any(token in own for own in words().languages.values())


def reply_to(kind: str, about: str) -> str:
    """The sentence that a turn of this kind gets; ``about``: "the clip" or "the dialogue"."""
    return words().kinds[kind].reply.format(about=about)


def how_sure(turn: Turn | None, answer: Answer | None, about: str) -> str:
    """What is known of the last turn's certainty; nothing is computed for it.

    ``answer``: the turn's, where that is still there.
    """
    told = words().sure
    if turn is None:
        return told["nothing"].format(about=about)
    if turn.is_talk:
        return told["talk"].format(about=about)
    said = turn.answer.strip()
    if answer is None:
        return told["unknown"].format(answer=said)
    if answer.reason is not None:
        return told["unsure"].format(reason=answer.reason)
    if answer.probabilities is not None:
        return told["share"].format(answer=said, share=f"{max(answer.probabilities.values()):.0%}")
    if not answer.frames:
        return told["plain"].format(answer=said)
    count = len(answer.frames)
    first, last = format_time(round(answer.frames[0], 1)), format_time(round(answer.frames[-1], 1))
    frames = f"{count} frames from {first} to {last}" if count > 1 else "1 frame"
    return told["found" if answer.request.proposals else "likelier"].format(
        answer=said, frames=frames
    )
