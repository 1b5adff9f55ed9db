"""What the captions of one photo agree on: how many, doing what, where and of what colour.

Each answer comes with its support, the number of captions that say it; where captions contradict
each other there is none.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from assistant.training.pretraining.captions.chunks import Phrase
from assistant.training.pretraining.captions.photo import NAMED_PEOPLE, Entity, Photo, agreed

COUNTABLE = range(1, 9)
_COLORED_KINDS = frozenset({"vehicle", "thing"})
_UNCOLORED = frozenset({"fish", "animal", "bubbles", "fire", "statue", "log", "stick", "book"})
_IDLE_VERBS = frozenset({"use", "watch", "wear", "bend", "roll", "shake", "box", "wave", "perform"})
_OPEN = ("?",)  # of one animal among several: at odds with every colour
_VERBS_OF_STRUCTURES = frozenset({"climb", "ride", "paint"})
_VAGUE_KINDS = frozenset({"other", "place"})


@dataclass(frozen=True)
class ColoredThing:
    """``name`` as a question says it ("the man's shirt"); ``colors`` in alphabetical order."""

    name: str
    kind: str
    plural: bool
    colors: tuple[str, ...]
    support: int


@dataclass(frozen=True)
class Deed:
    """``object``: a concept, empty without one; ``vague``: it has one that no answer can name."""

    caption: int
    verb: str
    object: str
    vague: bool


def count_of(photo: Photo, entity: Entity) -> tuple[int, int] | None:
    """(number, support) of the entity's kind when every caption that counts agrees."""
    counts = photo.counts(entity.kind)
    known = [count for count in counts if count is not None]
    needed = 2 if entity.plural else 3
    if len(set(known)) != 1 or len(known) < needed or known[0] not in COUNTABLE:
        return None
    if known[0] == 1 and None in counts:
        return None
    return known[0], len(known)


def deeds(photo: Photo, entity: Entity) -> list[Deed]:
    """Everything that captions say the entity does."""
    found = []
    for index, fact in photo.facts(entity, "do"):
        if fact.verb not in _IDLE_VERBS:
            thing = fact.object
            vague = thing is not None and not _can_be_named(fact.verb, thing)
            concept = "" if thing is None or vague else str(thing.concept)
            found.append(Deed(index, fact.verb, concept, vague))
    return found


def _can_be_named(verb: str, thing: Phrase) -> bool:
    if thing.concept is None or thing.kind in _VAGUE_KINDS:
        return False
    if thing.kind == "structure":
        return verb in _VERBS_OF_STRUCTURES
    return thing.kind != "person" or thing.concept in NAMED_PEOPLE


def main_deed(photo: Photo, done: Sequence[Deed]) -> tuple[str, str, int] | None:
    """(verb, object or "", support) of what most captions tell."""
    votes = Counter(verb for _, verb in {(deed.caption, deed.verb) for deed in done})
    if len(votes) > 1 and max(votes.values()) == 1:
        return None  # every caption tells something else
    for verb, support in sorted(votes.items(), key=lambda item: (-item[1], item[0])):
        use = photo.lexicon.verbs[verb].object
        told = [deed for deed in done if deed.verb == verb]
        objects = [deed.object for deed in told if deed.object]
        best = agreed(objects) if use != "no" else None
        if best is not None and 2 * len(objects) >= len(told):
            return verb, best[0], support
        if use != "must":
            return verb, "", support
    return None


def place_of(photo: Photo, entity: Entity) -> tuple[str, int] | None:
    """(place, support): where most captions say the entity is."""
    votes = {
        (index, place)
        for index, fact in photo.facts(entity, "at")
        if (place := fact.place(photo.lexicon)) is not None
    }
    return agreed(place for _, place in sorted(votes))


def colored_things(photo: Photo) -> list[ColoredThing]:
    """Clothes, animals, vehicles and things whose colour no caption disputes."""
    said: dict[tuple[str, str, bool], list[tuple[str, ...]]] = defaultdict(list)
    for source in (_clothes_colors, _animal_colors, _thing_colors):
        for name, kind, plural, colors in source(photo):
            said[name, kind, plural].append(tuple(sorted(colors)))
    found = []
    for (name, kind, plural), votes in said.items():
        settled = _settled(votes)
        if settled is not None:
            found.append(ColoredThing(name, kind, plural, *settled))
    return found


_ColorVotes = Iterator[tuple[str, str, bool, tuple[str, ...]]]


def _clothes_colors(photo: Photo) -> _ColorVotes:
    for entity in photo.entities:
        if entity.kind != "person" or entity.plural:
            continue
        for _, fact in photo.facts(entity, "wear"):
            worn = fact.object
            if worn is None or worn.kind != "clothes" or not worn.colors:
                continue
            if worn.concept not in (None, "clothing"):
                concept = str(worn.concept)
                plural = photo.lexicon.plurals[concept] == concept and concept != "hair"
                kind = "hair" if concept in ("hair", "beard") else "clothes"
                yield f"the {entity.name}'s {concept}", kind, plural, worn.colors


def _animal_colors(photo: Photo) -> _ColorVotes:
    for entity in photo.entities:
        if entity.kind != "animal" or entity.scope == "one" or entity.concept in _UNCOLORED:
            continue
        for reading in photo.readings:
            kin = [phrase for phrase in reading.phrases if phrase.kind == "animal"]
            if len(kin) == 1 and kin[0].colors:
                yield f"the {entity.name}", "animal", entity.plural, kin[0].colors
            elif len(kin) > 1:
                for phrase in kin:
                    yield f"the {entity.name}", "animal", entity.plural, phrase.colors or _OPEN
        for _, fact in photo.facts(entity, "color"):
            if fact.object is not None:
                yield f"the {entity.name}", "animal", entity.plural, fact.object.colors


def _thing_colors(photo: Photo) -> _ColorVotes:
    """Of things that no caption has twice or in the plural."""
    counts: dict[str, set[tuple[int, ...]]] = defaultdict(set)
    for reading in photo.readings:
        for named in {p.concept for p in reading.phrases if p.concept}:
            counts[named].add(tuple(p.count for p in reading.phrases if p.concept == named))
    for reading in photo.readings:
        for phrase in reading.phrases:
            concept = phrase.concept
            if phrase.kind not in _COLORED_KINDS or not phrase.colors or concept is None:
                continue
            if concept not in _UNCOLORED and counts[concept] == {(1,)}:
                yield f"the {concept}", "thing", False, phrase.colors


def _settled(votes: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], int] | None:
    """The colours most captions tell; they may add to what another tells, not differ from it."""
    best = agreed(" and ".join(colors) for colors in votes)
    if best is None:
        return None
    colors = tuple(best[0].split(" and "))
    if colors == _OPEN or len(colors) > 2 or any(not set(other) <= set(colors) for other in votes):
        return None
    return colors, best[1]
