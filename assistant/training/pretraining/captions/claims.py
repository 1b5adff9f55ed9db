"""Yes/no questions: what the captions of a photo say, and what they make safe to deny."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from assistant.training.pretraining.captions.agreement import (
    colored_things,
    count_of,
    deeds,
    place_of,
)
from assistant.training.pretraining.captions.candidates import could_be_true, deed_phrase
from assistant.training.pretraining.captions.photo import Entity, Photo

_NUMBER_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")
_EXISTING_KINDS = frozenset({"animal", "vehicle", "thing"})
_WIDE = frozenset({"animal", "vehicle"})
_MALE, _FEMALE = frozenset({"man", "boy"}), frozenset({"woman", "girl"})


@dataclass(frozen=True)
class Claim:
    """A question that is true of ``photo``.

    ``family``: presence, color, number, wears, does or at; ``subject``: whom or what it is about,
    empty for presence; ``value``: the concepts claimed.
    """

    photo: str
    question: str
    support: int
    family: str
    subject: str
    value: tuple[str, ...]


def claims(photo: Photo) -> list[Claim]:
    """The photo's questions whose answer is yes, at most one per question text."""
    found: dict[str, Claim] = {}
    for source in (_present, _colored, _numbered, _dressed, _busy, _placed):
        for claim in source(photo):
            found.setdefault(claim.question, claim)
    return list(found.values())


def denies(photo: Photo, claim: Claim, own: Sequence[Claim]) -> bool:
    """Whether the captions of ``photo`` make "no" a safe answer to another photo's claim.

    ``own``: the photo's own claims of the same family and subject; without any nothing is denied,
    save a presence.
    """
    if claim.family == "presence":
        return _denies_presence(photo, claim.value[0])
    if not own:
        return False
    if claim.family == "color":
        return not could_be_true(photo, claim.family, claim.value, own[0].value)
    if claim.family == "number":
        return claim.value != own[0].value
    if claim.family == "does":
        told = len(own) >= 2 or own[0].support >= 2
        return told and photo.rules_out(claim.value[0], claim.value[1:])
    return photo.open_concepts.isdisjoint(claim.value)


def _denies_presence(photo: Photo, concept: str) -> bool:
    opposite = _FEMALE if concept in _MALE else _MALE if concept in _FEMALE else None
    if opposite is None or not any(r.mentioned & _people(photo) for r in photo.readings):
        return concept not in photo.open_concepts
    if photo.mentioned & (_MALE if concept in _MALE else _FEMALE):
        return False
    # Only captions that settle who is there deny a man or a woman.
    return any(
        entity.concept in opposite and entity.scope in ("only", "all") for entity in photo.entities
    )


def _people(photo: Photo) -> frozenset[str]:
    return frozenset(c for c in photo.mentioned if photo.lexicon.kinds[c] == "person")


def _present(photo: Photo) -> Iterator[Claim]:
    lexicon = photo.lexicon
    single = Counter(
        concept
        for reading in photo.readings
        for concept in {p.concept for p in reading.phrases if p.concept and p.count == 1}
        if lexicon.kinds[concept] in _EXISTING_KINDS or concept in _MALE | _FEMALE
    )
    for concept, support in sorted(single.items()):
        countable = lexicon.plurals[concept] != concept and concept not in lexicon.games
        if support >= 2 and countable and concept not in _WIDE:
            question = f"Is there {lexicon.with_article(concept)} in the picture?"
            yield Claim(photo.name, question, support, "presence", "", (concept,))


def _colored(photo: Photo) -> Iterator[Claim]:
    for thing in colored_things(photo):
        question = f"{'Are' if thing.plural else 'Is'} {thing.name} {' and '.join(thing.colors)}?"
        yield Claim(photo.name, question, thing.support, "color", thing.name, thing.colors)


def _numbered(photo: Photo) -> Iterator[Claim]:
    for entity in photo.entities:
        counted = count_of(photo, entity) if entity.scope == "all" else None
        if counted is not None:
            number, support = counted
            question = f"Are there {_NUMBER_WORDS[number]} {entity.name} in the picture?"
            yield Claim(photo.name, question, support, "number", entity.name, (str(number),))


def _about(entity: Entity, rest: str) -> str:
    return f"{entity.verb.capitalize()} the {entity.name} {rest}?"


def _dressed(photo: Photo) -> Iterator[Claim]:
    lexicon = photo.lexicon
    for entity in photo.entities:
        for _, fact in photo.facts(entity, "wear"):
            worn = fact.object
            if worn is None or worn.kind != "clothes" or worn.concept is None:
                continue
            concept = worn.concept
            if concept not in lexicon.untold_clothes:
                what = lexicon.plurals[concept] if entity.plural else lexicon.with_article(concept)
                question, support = _about(entity, f"wearing {what}"), photo.support(concept)
                yield Claim(photo.name, question, support, "wears", entity.name, (concept,))


def _busy(photo: Photo) -> Iterator[Claim]:
    for entity in photo.entities:
        done = deeds(photo, entity)
        for deed in done:
            use = photo.lexicon.verbs[deed.verb].object
            if use == "must" and not deed.object:
                continue
            concept = deed.object if use != "no" else ""
            question = _about(entity, deed_phrase(photo, entity, deed.verb, concept))
            support = len({other.caption for other in done if other.verb == deed.verb})
            value = (deed.verb, concept) if concept else (deed.verb,)
            yield Claim(photo.name, question, support, "does", entity.name, value)


def _placed(photo: Photo) -> Iterator[Claim]:
    for entity in photo.entities:
        place = place_of(photo, entity)
        if place is not None:
            question = _about(entity, photo.lexicon.places[place[0]].say)
            yield Claim(photo.name, question, place[1], "at", entity.name, (place[0],))
