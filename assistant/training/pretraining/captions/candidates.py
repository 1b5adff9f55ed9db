"""Open questions that one photo's captions answer, before any balancing."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from assistant.training.pretraining.captions.agreement import (
    COUNTABLE,
    Deed,
    colored_things,
    count_of,
    deeds,
    main_deed,
    place_of,
)
from assistant.training.pretraining.captions.lexicon import ing_form
from assistant.training.pretraining.captions.photo import NAMED_PEOPLE, Entity, Photo, agreed

_OBJECT_VERBS = (
    *("hold", "carry", "ride", "throw", "kick", "catch", "push", "pull", "chase", "drive", "eat"),
    *("read", "hit", "bite", "chew", "play", "climb", "blow", "lick", "feed", "fetch", "smoke"),
    *("drink", "lift"),
)
_RESTING = {"sit": "sitting on", "stand": "standing on", "lie": "lying on"}
_TOO_WIDE = frozenset({"person", "animal", "vehicle"})
_ON = frozenset({"on", "on top of", "atop"})
_SUPPORTING_KINDS = frozenset({"furniture", "structure", "thing", "vehicle", "animal"})
_HEADWEAR = frozenset({"hat", "helmet", "headband", "crown", "wig"})
_GROUND = frozenset({"snow", "sand", "grass", "water", "dirt", "mud", "ice"})
_MALE, _FEMALE = frozenset({"man", "boy"}), frozenset({"woman", "girl"})
_YOUNG = frozenset({"child", "baby", "boy", "girl", "teenager"})


@dataclass(frozen=True)
class Candidate:
    """``pool``: whose answers may be wrong choices; ``value``: the concepts behind the answer."""

    photo: str
    question: str
    answer: str
    type: str
    support: int
    pool: str
    value: tuple[str, ...]


def candidates(photo: Photo) -> list[Candidate]:
    """The photo's open questions, at most one per question text."""
    found: dict[str, Candidate] = {}
    for source in (_counted, _seen, _colored, _worn, _done, _placed):
        for candidate in source(photo):
            found.setdefault(candidate.question, candidate)
    return list(found.values())


def could_be_true(photo: Photo, pool: str, value: tuple[str, ...], answer: tuple[str, ...]) -> bool:
    """Whether ``value`` might be a right answer too, so that it is no fair wrong choice."""
    if value == answer:
        return True
    if pool.startswith("number"):
        return False
    if pool.startswith("color"):
        alike = {other for color in answer for other in photo.lexicon.alike_colors.get(color, ())}
        return any(color in photo.colors or color in alike for color in value)
    if pool.startswith("action"):
        return not photo.rules_out(value[0], value[1:])
    if pool == "who":
        return _could_be_who(photo, value[0], answer[0])
    return not photo.open_concepts.isdisjoint(value)


def _could_be_who(photo: Photo, other: str, answer: str) -> bool:
    """Man or woman, grown or young, is told apart; man or boy is not."""
    sides = [(answer in side, other in side) for side in (_MALE, _FEMALE)]
    gendered = all(any(one) for one in zip(*sides, strict=True))
    if gendered:
        return any(all(side) for side in sides) or other in photo.mentioned
    if (answer in _YOUNG) == (other in _YOUNG):
        return True
    return not photo.mentioned.isdisjoint(_YOUNG if other in _YOUNG else {other})


def spare_choices(photo: Photo, candidate: Candidate) -> list[tuple[str, tuple[str, ...]]]:
    """(answer, value) pairs out of the lexicon that fit the question where photos give too few."""
    lexicon = photo.lexicon
    if candidate.type == "number":
        return [(str(number), (str(number),)) for number in COUNTABLE]
    if candidate.type == "color":
        return [(color, (color,)) for color in sorted(set(lexicon.colors.values()) - {"blond"})]
    if candidate.type == "action":
        people = candidate.pool.endswith("person")
        verbs = (
            lexicon.whole_body.union(*lexicon.free_actions) if people else lexicon.animal_actions
        )
        alone = (verb for verb in sorted(verbs) if lexicon.verbs[verb].object != "must")
        return [(ing_form(verb), (verb,)) for verb in alone]
    if candidate.pool.startswith("where"):
        return [(place.say, (concept,)) for concept, place in lexicon.places.items()]
    if candidate.pool == "who":
        return [(name, (name,)) for name in NAMED_PEOPLE]
    kind = lexicon.kinds[candidate.value[0]]
    many = candidate.answer == lexicon.plurals[candidate.value[0]]
    too_wide = _TOO_WIDE | lexicon.untold_clothes
    named = sorted(concept for concept, other in lexicon.kinds.items() if other == kind)
    return [(lexicon.plurals[c] if many else c, (c,)) for c in named if c not in too_wide]


def deed_phrase(photo: Photo, entity: Entity, verb: str, concept: str) -> str:
    """riding a bike, riding bikes, playing soccer, running."""
    lexicon = photo.lexicon
    if not concept:
        return ing_form(verb)
    if verb == "play" and concept in lexicon.games:
        return f"playing {concept}"
    each_their_own = entity.plural and verb == "ride" and lexicon.kinds[concept] != "structure"
    thing = lexicon.plurals[concept] if each_their_own else lexicon.with_article(concept)
    return f"{ing_form(verb)} {thing}"


def _counted(photo: Photo) -> Iterator[Candidate]:
    for entity in photo.entities:
        counted = count_of(photo, entity) if entity.scope != "one" else None
        if counted is not None:
            plural = photo.lexicon.plurals[entity.concept]
            question, pool = f"How many {plural} are there?", f"number of {plural}"
            answer = str(counted[0])
            yield Candidate(photo.name, question, answer, "number", counted[1], pool, (answer,))


def _seen(photo: Photo) -> Iterator[Candidate]:
    """What and who is in the picture."""

    def found(question: str, concept: str, answer: str, pool: str) -> Candidate:
        support = photo.support(concept)
        return Candidate(photo.name, question, answer, "object", support, pool, (concept,))

    kinds = photo.lexicon.kinds
    named = Counter(c for r in photo.readings for c in {p.concept for p in r.phrases if p.concept})
    for kind in ("animal", "vehicle"):
        of_kind = [c for c in named if kinds[c] == kind and c != kind]
        if len(of_kind) == 1 and named[of_kind[0]] >= 2:
            yield found(f"What {kind} is in the picture?", of_kind[0], of_kind[0], kind)
    things = {c: n for c, n in named.items() if kinds[c] in ("thing", "food")}
    best = agreed(c for c, n in things.items() for _ in range(n))
    if best is not None and best[1] >= 3:
        yield found("What object is in the picture?", best[0], best[0], "thing")
    for entity in photo.entities:
        named_person = entity.kind == "person" and entity.concept != "person"
        if named_person and entity.scope != "one" and photo.support(entity.concept) >= 2:
            yield found("Who is in the picture?", entity.concept, entity.name, "who")


def _colored(photo: Photo) -> Iterator[Candidate]:
    for thing in colored_things(photo):
        question = f"What color {'are' if thing.plural else 'is'} {thing.name}?"
        answer, pool = " and ".join(thing.colors), f"color of {thing.kind}"
        yield Candidate(photo.name, question, answer, "color", thing.support, pool, thing.colors)


def _worn(photo: Photo) -> Iterator[Candidate]:
    for entity in photo.entities:
        worn = Counter(
            str(fact.object.concept)
            for _, fact in photo.facts(entity, "wear")
            if fact.object is not None and fact.object.kind == "clothes" and fact.object.concept
        )
        asked = {
            concept: n for concept, n in worn.items() if concept not in photo.lexicon.untold_clothes
        }
        if not asked:
            continue
        subject = f"{entity.verb} the {entity.name}"
        best = max(asked, key=lambda concept: (asked[concept], concept))
        answer = photo.lexicon.plurals[best] if entity.plural else best
        support = photo.support(best)
        question, pool = f"What {subject} wearing?", f"worn by {'many' if entity.plural else 'one'}"
        yield Candidate(photo.name, question, answer, "object", support, pool, (best,))
        head = [concept for concept in asked if concept in _HEADWEAR]
        if len(head) == 1 and not entity.plural:
            question, support = f"What {subject} wearing on the head?", photo.support(head[0])
            yield Candidate(
                photo.name, question, head[0], "object", support, "headwear", (head[0],)
            )


def _done(photo: Photo) -> Iterator[Candidate]:
    people = {entity.name for entity in photo.entities if entity.kind == "person"}
    for entity in photo.entities:
        yield from _under(photo, entity)
        done = deeds(photo, entity)
        yield from _objects(photo, entity, done)
        best = main_deed(photo, done)
        if best is None:
            continue
        verb, concept, support = best
        phrase = deed_phrase(photo, entity, verb, concept)
        question = f"What {entity.verb} the {entity.name} doing?"
        value = (verb, concept) if concept else (verb,)
        yield Candidate(
            photo.name, question, phrase, "action", support, f"action of {entity.kind}", value
        )
        value = (entity.concept,)
        if entity.kind == "animal" and not entity.plural:
            question, pool = f"What animal is {phrase}?", "animal"
        elif entity.kind == "person" and len(people) == 1 and entity.concept != "person":
            question, pool = f"Who is {phrase}?", "who"
        else:
            continue
        yield Candidate(photo.name, question, entity.name, "object", support, pool, value)


def _objects(photo: Photo, entity: Entity, done: Sequence[Deed]) -> Iterator[Candidate]:
    for verb in _OBJECT_VERBS:
        best = agreed(deed.object for deed in done if deed.verb == verb and deed.object)
        if best is None or best[0] in _TOO_WIDE:
            continue
        if photo.lexicon.kinds[best[0]] in ("person", "clothes"):
            continue
        question = f"What {entity.verb} the {entity.name} {ing_form(verb)}?"
        support = photo.support(best[0])
        yield Candidate(photo.name, question, best[0], "object", support, verb, (best[0],))


def _under(photo: Photo, entity: Entity) -> Iterator[Candidate]:
    """What someone sits, stands or lies on, and jumps over."""
    below: dict[str, list[str]] = defaultdict(list)
    for _, fact in photo.facts(entity, "at"):
        thing = fact.object
        if thing is None or thing.concept is None or thing.kind not in _SUPPORTING_KINDS:
            continue
        if fact.verb in _RESTING and fact.preposition in _ON:
            below[_RESTING[fact.verb]].append(thing.concept)
        elif fact.verb == "jump" and fact.preposition == "over":
            below["jumping over"].append(thing.concept)
    for wording, concepts in below.items():
        best = agreed(concepts)
        if best is not None:
            question = f"What {entity.verb} the {entity.name} {wording}?"
            support = photo.support(best[0])
            yield Candidate(photo.name, question, best[0], "object", support, wording, (best[0],))


def _placed(photo: Photo) -> Iterator[Candidate]:
    places = photo.lexicon.places
    for entity in photo.entities:
        place = place_of(photo, entity)
        if place is not None:
            question = f"Where {entity.verb} the {entity.name}?"
            answer, support = places[place[0]].say, place[1]
            yield Candidate(
                photo.name, question, answer, "place", support, f"where {entity.kind}", (place[0],)
            )
    said = {
        (index, concept)
        for index, reading in enumerate(photo.readings)
        for fact in reading.facts
        if (concept := fact.place(photo.lexicon)) is not None and concept not in _GROUND
    }
    best = agreed(concept for _, concept in sorted(said))
    if best is not None and best[1] >= 2:
        question, pool = "What place is this?", "place"
        yield Candidate(photo.name, question, best[0], "place", best[1], pool, (best[0],))
