"""A clause as captions say it, and which phrases of the lexicon or classes of the encoder it is.

Rules on words, no parser; English only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache

from assistant.core.mentions import KNOWN, LIVING
from assistant.sources.lexicon import load_lexicon

FILLERS = re.compile(r"^(?:(?:an?|the|some|any|is|are|there|someone|somebody|people) )+")
DETERMINER = r"(?:the|an?|some|any|his|her|their|my|two|three)"
PEOPLE = "|".join(
    sorted(set().union(*(KNOWN[kind] for kind in ("person", "male", "female", "people"))))
)
UNNAMED = r"(?:he|she|they|it|we|somebody|someone|anybody|anyone|people|everybody)"
SOMEBODY = re.compile(rf"^(?:{UNNAMED}|(?:{DETERMINER} )?(?:{PEOPLE}))$")
# "the flute is played", "vegetables cut" of "when are vegetables cut?"
PASSIVE = re.compile(
    rf"^(?P<what>(?:{DETERMINER} )?[a-z-]+)(?: (?:is|are|was|were|gets?))?(?: being)? "
    r"(?P<verb>[a-z]+ed|cut|thrown|driven|ridden|sung|eaten|drunk|broken|built|hit|shot)$"
)
PLAYING = re.compile(r"^playing (?:the |an? )?")
VERBS = {"do", "eat", "go", "hold", "jump", "look", "move", "play", "ride", "run", "sit", "stand"}
VERBS |= {"talk", "walk", "wear"}
NO_VERB = KNOWN["no noun"] | KNOWN["lead"] | KNOWN["one"] | LIVING
NO_VERB -= {form for verb in VERBS for form in (verb, f"{verb}s", f"{verb}es")}


def phrases_of(text: str) -> tuple[int, ...]:
    """Numbers of the lexicon's phrases that a text says together, apart from articles, a plural,
    who does it where that is anybody, and the form of the verb; (): it says more, or else.

    "the dog" is one; "somebody plays the drums" is "playing the drums"; "the dog runs" is "dog" and
    "running".
    """
    text = _plain(text)
    acts = list(_acts(text))
    whole = phrase_of(text)
    if whole is not None and not (acts and re.match(UNNAMED, text)):  # "they cook" is no cook
        return (whole,)
    if passive := PASSIVE.match(text):
        act = phrase_of(f"{gerund(passive['verb'])} {passive['what']}")
        if act is not None:
            return (act,)
    for who, told in acts:
        act, subject = phrase_of(told), phrase_of(who)
        if act is None:
            continue
        if SOMEBODY.match(who):
            return (act,)
        if subject is not None:
            return (subject, act)
    return () if whole is None else (whole,)


def caption_of(text: str) -> str:
    """The same as captions have it: "he washes his hands" is "a person washing his hands"."""
    for who, told in _acts(_plain(text)):
        if SOMEBODY.match(who):
            return f"{'a person' if re.fullmatch(UNNAMED, who) else who} {told}"
    return text


def _acts(text: str) -> Iterator[tuple[str, str]]:
    """Ways in which a clause may be somebody and what they do, its verb as "-ing"."""
    words = text.split()
    for place, word in enumerate(words):
        if place and word not in NO_VERB:
            yield " ".join(words[:place]), " ".join([gerund(word), *words[place + 1 :]])


def _plain(text: str) -> str:
    return " ".join(re.findall(r"[\w'-]+", text.lower()))


def classes_of(text: str, names: Sequence[str]) -> list[int]:
    """Numbers of the image encoder's classes that a bare noun is, else of its kinds: "tree frog" is
    one of "the frogs", "bullfrog" is not. Also of what is played."""
    bare = PLAYING.sub("", FILLERS.sub("", _plain(text)))
    lower = [name.lower() for name in names]
    for form in _singular(bare):
        same = [place for place, name in enumerate(lower) if name == form]
        if found := same or [n for n, name in enumerate(lower) if name.endswith(f" {form}")]:
            return found
    return []


def phrase_of(text: str) -> int | None:
    """Number of the lexicon's phrase that a text is, apart from articles and a plural; None: it
    says more, or something else."""
    bare = FILLERS.sub("", _plain(text))
    known = _names()
    return next((known[form] for form in _singular(bare) if form in known), None)


def gerund(verb: str) -> str:
    """``dance``, ``dances``, ``danced``, ``dancing``: "dancing"."""
    if re.search(r"[aeiouy].*ing$", verb):  # not "sing"
        return verb
    if verb.endswith("ed"):
        return f"{verb[:-2]}ing"
    stem = verb
    if re.search(r"(?:[sc]h|x|z|o|ss)es$", verb):
        stem = verb[:-2]
    elif verb.endswith("s") and not verb.endswith("ss"):
        stem = verb[:-1]
    if stem.endswith("ie"):
        return f"{stem[:-2]}ying"
    if stem.endswith("e") and not stem.endswith(("ee", "oe", "ye")):
        return f"{stem[:-1]}ing"
    if re.fullmatch(r"[^aeiou]*[aeiou][bdgklmnprt]", stem):  # "hit", but "open"
        return f"{stem}{stem[-1]}ing"
    return f"{stem}ing"


def _singular(text: str) -> Iterator[str]:
    yield text
    for end in ("s", "es"):
        if text.endswith(end):
            yield text.removesuffix(end)


@cache
def _names() -> dict[str, int]:
    """Every name that the lexicon has for its phrases, with their numbers; the first counts."""
    lexicon = load_lexicon()
    found: dict[str, int] = {}
    for place, (group, name) in enumerate(lexicon.phrases):
        for known in (name, *lexicon.groups[group].phrases[name]):
            found.setdefault(FILLERS.sub("", known), place)
    return found
