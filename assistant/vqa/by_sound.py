"""Answers from what is heard: what, whether, when, and how loud. No language model is asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assistant.sources import Perceived, Source, perceiver
from assistant.sources.heard import (
    LEVELS,
    LOUD,
    NO_SOUND,
    SILENCE,
    sound_words,
)
from assistant.vqa.conversation import HEARD
from assistant.vqa.hearing import say
from assistant.vqa.time_words import format_time

if TYPE_CHECKING:
    from assistant.model.sound_naming import Words
    from assistant.vqa.answer import Answer
    from assistant.vqa.asked import Asked
    from assistant.vqa.clip import SessionClip

WHAT, WHETHER, WHEN = "what", "whether", "when"
MOST = 4  # times of one sound that are told
CANNOT = "I cannot listen to the clip here."
HEARS = re.compile(r"\b(?:hear|hears|heard|audible|sound|sounds|noises?|audio)\b")
ABOUT = re.compile(r"\b(?:about|says?|said|saying|mention\w*|word|words)\b|[\"\u201c]")
ANY = r"(?:any(?:thing|body|one)?|some(?:thing|body|one)?|a|an|the|much|of)"
WHAT_IS = re.compile(
    r"^what (?:else )?(?:can|do|could|did|does) (?:you|i|we|one) hear\b"
    r"|^what (?:is|are|was|can|could)(?: to)?(?: be)? (?:heard|audible)\b"
    r"|^(?:what|which)(?: kinds? of)? (?:sounds?|noises?)\b|^what does (?:it|this|that) sound like"
    r"|^(?:describe|list|name) (?:the |all )?(?:the )?(?:sounds?|audio|noises?)\b"
    r"|^what(?: is|'s| are)(?: there)?(?: in| on) the (?:audio|sound ?track|sound)\b"
    rf"|^(?:can|do|could) you hear {ANY}(?: sounds?| noises?)?$"
    rf"|^(?:is|are) there (?:{ANY} )*(?:sounds?|noises?|audio)$"
    r"|^does (?:it|(?:the|this) \w+) have (?:any |a )?(?:sound|audio)(?: track)?$"
)
IS_THERE = re.compile(
    rf"^(?:is|are|was|were) (?:there|it) (?:{ANY} )*(?P<a>.+)$"
    r"|^(?:is|was|does|do|did|can|has) (?:any|some)(?:body|one) (?P<b>.+)$"
    rf"|^(?:can|do|could|did) (?:you|i|we|one) hear (?:{ANY} )*(?P<c>.+)$"
    r"|^(?:is|was) (?:the |any |some )?(?P<d>music .*|(?:clip|video|sound|audio|music|film) .+)$"
    r"|^how (?P<e>loud|quiet|noisy|silent)\b.*$"
)
WHEN_IS = re.compile(
    r"^(?:when|at (?:what|which) (?:time|moment|point|second)s?|from when) "
    r"(?:is|are|was|were|do|does|did|can) (?P<rest>.+)$"
)
OF_CLIP = re.compile(r" (?:in|during|of) (?:the|this|that) (?:clip|video|film|recording)$")


@dataclass(frozen=True)
class AsksSound:
    """What is asked of what is heard."""

    kind: str
    name: str = ""  # of an item; "": of no sound that is known
    thing: str = ""  # as the person said it


def asked_of_sound(question: str, known: Words) -> AsksSound | None:
    """What a question asks of the sound; None: it is about something else.

    ``known``: of `sound_words`.
    """
    text = " ".join(question.lower().replace("\u2019", "'").split()).strip(" ?!.")
    text = OF_CLIP.sub("", re.sub(r"^(?:and|so|but|ok|please|now)[ ,]+", "", text))
    if ABOUT.search(text):
        return None
    if WHAT_IS.match(text):
        return AsksSound(WHAT)
    for pattern, kind in ((WHEN_IS, WHEN), (IS_THERE, WHETHER)):
        if match := pattern.match(text):
            thing = next(filter(None, match.groups()))
            hears = HEARS.search(text) is not None
            name = _named(thing, hears, known)
            if name or hears:
                return AsksSound(kind, name, _bare(thing))
    return None


def _named(text: str, hears: bool, known: Words) -> str:
    """The sound that some words name; those of a mere thing do where the question is of hearing."""
    words = re.findall(r"[a-z-]+", text)
    for name, (sounding, things) in known.items():
        if any(word in sounding or (hears and word in things) for word in words):
            return name
    return ""


def _bare(thing: str) -> str:
    return re.sub(r"\b(?:be |to be )?(?:heard|audible|sounds?|noises?)\b", "", thing).strip(" ,")


def answer_by_sound(
    asked: Asked,
    seen: SessionClip,
    duration: Callable[[], float],
    *,
    model: str,
    on_end: Callable[[str, dict[str, Any], str], None],
) -> Answer | None:
    """The answer to a question about sound; None: it is about something else.

    Args:
        duration: of the clip, seconds. model: name of the one that looks.
        on_end: gets the question, what the answer rests on, and its text.
    """
    from assistant.timeline import Moment

    asks = asked_of_sound(asked.plain, sound_words(seen.sounds))
    if asks is None:
        return None
    missing = perceiver("heard").missing()
    if missing and asks.kind != WHAT and not HEARS.search(asked.plain.lower()):
        return None  # what is to be seen of it may tell
    (source,) = (
        (Source("heard", warning=missing),) if missing else seen.perceive(asked.where, ["heard"])
    )
    text, named = (CANNOT, []) if source.warning else tell(asks, source.items)
    start, end = asked.where
    return say(
        text,
        asked.typed,
        model,
        on_end,
        task=HEARD,
        start=start or 0.0,
        end=duration() if end is None else end,
        window=asked.where,
        range_source=asked.range_source,
        sources=(source,),
        warnings=(*seen.notes, *((source.warning,) if source.warning else ())),
        asked_as=asked.question if asked.question != asked.typed else "",
        moments=tuple(
            Moment(one.start or 0.0, one.end or 0.0, one.probability)
            for one in named
            if one.start is not None
        ),
        sought=asks.name,
    )


def tell(asks: AsksSound, items: Sequence[Perceived]) -> tuple[str, list[Perceived]]:
    """The answer, and the items that it names."""
    if any(item.name == NO_SOUND for item in items):
        return ("No" if asks.kind == WHETHER else "Nothing") + ": the clip has no sound.", []
    sounds = [item for item in items if item.name not in LEVELS]
    own = [item for item in items if item.name == asks.name]
    heard = _listed(sounds)
    if asks.kind == WHAT:
        levels = [item for item in items if item.name in (LOUD, SILENCE)]
        if sounds:
            loud = f"; {_listed(levels)}" if levels else ""
            return f"{heard[:1].upper()}{heard[1:]}{loud}.", [*sounds]
        if items and all(item.name == SILENCE for item in items):
            return "Nothing: the sound track is silent.", []
        return "There is sound, but none that I can name.", []
    besides = f" I hear {heard}." if heard else ""
    if not asks.name:
        return f"I do not know {asks.thing or 'it'} by its sound.{besides}", []
    if asks.kind == WHEN:
        if not own:
            return f"I hear no {asks.name}.{besides}", []
        times = _times(own)
        return f"{times[:1].upper()}{times[1:]}.", own
    if own:
        return f"Yes: {_listed(own)}.", own
    return f"No, I hear no {asks.name}.{besides}" if asks.name not in LEVELS else "No.", []


def _listed(items: Sequence[Perceived]) -> str:
    """``speech from 0:02 to 0:07, dog barking at 0:09``."""
    names = dict.fromkeys(item.name for item in items)
    return ", ".join(
        f"{name} {_times([item for item in items if item.name == name])}" for name in names
    )


def _times(items: Sequence[Perceived]) -> str:
    """``at 0:02, from 0:05 to 0:09``."""
    told = [_range(item) for item in items[:MOST]]
    more = f" and {len(items) - MOST} more times" if len(items) > MOST else ""
    return ", ".join(dict.fromkeys(told)) + more


def _range(item: Perceived) -> str:
    start, end = (format_time(round(second or 0.0)) for second in (item.start, item.end))
    return f"at {start}" if start == end else f"from {start} to {end}"
