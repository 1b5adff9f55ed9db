"""Answers that a question may have, from what the sources say and from its form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from assistant.sources import WEARER, Source
from assistant.sources.lexicon import ACTIVITIES, SCENES, load_lexicon
from assistant.sources.objects import WORDS
from assistant.sources.phrases import parse_hints
from assistant.vqa import forms
from assistant.vqa.forms import Form

MOST = 12  # candidates of the sources
COLORS = (
    *("black", "white", "gray", "red", "orange", "yellow", "green", "blue", "purple", "pink"),
    "brown",
)
UNCOUNTED = frozenset(
    (
        *("bread", "broccoli", "candy", "cheese", "chocolate", "coffee", "corn", "food"),
        *("graffiti", "ice cream", "meat", "moss", "rice", "salad", "snow", "soup", "wine"),
    )
)
COUNTED = 8  # things, at most
ANYBODY = ("a person", "a group of people")  # true of nearly every clip with people
WHO, DOING, WHERE, SEEN = 2, 3, 2, 2  # likeliest phrases that sentences are made of
SENTENCES = 32  # at most
# An activity this much likelier than in most photos is sure: .84 of dev photos do show it.
SURE_LIFT, SURE_CHANCE = 7.0, 0.84


def candidates(form: Form, sources: Sequence[Source]) -> list[str]:
    """Short answers that the form allows, those of the sources likeliest first; of a description,
    sentences."""
    if form.kind == forms.YES_NO:
        return ["yes", "no"]
    if form.kind == forms.COUNT:
        return list(WORDS[1 : COUNTED + 1])
    if form.kind == forms.COLOR:
        return list(COLORS)
    texts = {source.name: source.text for source in sources}
    hints = parse_hints(texts.get("phrases", ""))
    seen = [name.rstrip("?") for name in texts.get("attributes", "").split(", ") if name]
    where = load_lexicon().sentences.where
    if form.kind == forms.DESCRIBE:
        told = [*_outstanding(sources), *_sentences(hints, seen)]
        return list(dict.fromkeys(told))[:SENTENCES]
    objects = [item.name for s in sources if s.name == "objects" for item in s.items]
    found = {
        forms.WHO: hints.get("who", []),
        forms.DOING: [*_names(sources, ACTIVITIES), *hints.get("doing", [])],
        forms.WHERE: [where.get(name, name) for name in hints.get("where", [])],
        forms.WEATHER: hints.get("weather", []),
        forms.THING: [*hints.get("things", []), *objects, *seen, *hints.get("who", [])],
    }.get(form.kind, [])
    return list(dict.fromkeys(found))[:MOST]


def surely(form: Form, sources: Sequence[Source]) -> tuple[str, float] | None:
    """What is being done, by a phrase that is sure, and its chance; None: that is not asked, or no
    phrase is. Of several that which stands out most."""
    if form.kind not in (forms.DESCRIBE, forms.DOING):
        return None
    known = load_lexicon().groups[ACTIVITIES].phrases
    done = {i.name: i.probability for s in sources for i in s.items if i.name in known}
    out = [one for s in sources for one in s.perhaps if one[0] == ACTIVITIES]
    done |= {name: SURE_CHANCE for _, name, lift in out if lift >= SURE_LIFT and name not in done}
    if not done:
        return None
    # "playing the drums" rather than "sitting", where both hold
    best = next((name for _, name, _ in out if name in done), max(done, key=done.__getitem__))
    if form.kind == forms.DOING:
        return best, done[best]
    return sentence(f"{_who(sources)} {best}".strip()), done[best]


def lifts_of(sources: Sequence[Source]) -> tuple[tuple[str, float], ...]:
    """The phrases that stand out, and by how much."""
    return tuple((name, lift) for source in sources for _, name, lift in source.perhaps)


def _names(sources: Sequence[Source], group: str) -> list[str]:
    """The phrases of a group that stand out."""
    return [name for source in sources for kind, name, _ in source.perhaps if kind == group]


def _outstanding(sources: Sequence[Source]) -> Iterator[str]:
    """A sentence of each phrase that stands out."""
    who = _who(sources)
    for activity in _names(sources, ACTIVITIES):
        yield sentence(f"{who} {activity}".strip())
    for thing in [*_names(sources, "things"), *_names(sources, SCENES)]:
        yield sentence(with_article(thing))
    for weather in _names(sources, "weather"):
        yield sentence(weather)


def _who(sources: Sequence[Source]) -> str:
    """``a person``, ``people``, or nobody, as the objects say."""
    seen = [item for source in sources if source.name == "objects" for item in source.items]
    people = [item.count or 1 for item in seen if item.name == WEARER]
    return "" if not people else "a person" if max(people) == 1 else "people"


def _sentences(hints: dict[str, list[str]], seen: Sequence[str]) -> Iterator[str]:
    """``A man playing the guitar on a stage.`` of the likeliest parts, and shorter ones."""
    where = load_lexicon().sentences.where
    named = [who for who in hints.get("who", []) if who not in ANYBODY]
    who = (named or hints.get("who", []))[:WHO]
    doing, places = hints.get("doing", [])[:DOING], hints.get("where", [])[:WHERE]
    told = ["", *(where[place] for place in places if place in where)]
    for parts in product(who, doing, told):
        yield sentence(" ".join(filter(None, parts)))
    for one, place in product(who, told[1:]):
        yield sentence(f"{one} {place}")
    things = [with_article(name) for name in seen[:SEEN]]
    for one, place in product(things, told):
        if one.split()[-1] not in place:
            yield sentence(f"{one} {place}".strip())
    for one, activity in product(things[:1], doing[:1]):
        yield sentence(f"{one} {activity}")
    for activity in doing:
        yield sentence(activity)
    for thing in hints.get("things", [])[:WHO]:
        yield sentence(with_article(thing))


def with_article(name: str) -> str:
    """``an owl``, ``a dog``; of several, ``dogs``; ``food``, which is not counted."""
    if name in UNCOUNTED or (name.endswith("s") and not name.endswith(("ss", "us"))):
        return name
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def sentence(text: str) -> str:
    """With a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:]}."
