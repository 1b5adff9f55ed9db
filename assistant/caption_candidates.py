"""Every question that one photo's captions answer, before any balancing.

A ``Candidate`` is an open question with its answer; a ``Claim`` is a yes/no question that holds.
``denies`` says whether a claim of another photo is safely false of this one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from assistant.caption_lexicon import ing_form
from assistant.caption_photo import Entity, Photo, agreed

__all__ = ["Candidate", "Claim", "candidates", "claims", "could_be_true", "denies"]

_KINDS_SEEN = {"animal": "What animal is in the picture?", "vehicle": "What vehicle is there?"}
_OBJECT_VERBS = (
    "hold carry ride throw kick catch push pull chase drive eat read hit bite chew play climb "
    "blow lick feed fetch smoke drink"
).split()
_REST_ON = {"sit": "sitting on", "stand": "standing on", "lie": "lying on"}
_ON = frozenset({"on", "on top of", "atop"})
_HEADWEAR = frozenset({"hat", "helmet", "headband", "crown", "wig"})
_UNSEEN_WEAR = frozenset({"clothing", "hair", "beard", "collar", "underwear"})
_IDLE_ACTIONS = frozenset({"use", "watch", "wear", "bend", "roll", "shake", "box", "wave"})
_GENDERED = frozenset({"man", "woman", "boy", "girl"})
_MANY = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight"}
_COLORED_KINDS = frozenset({"vehicle", "thing"})
_EXISTING_KINDS = frozenset({"animal", "vehicle", "thing"})
_UNCOLORED = frozenset({"fish", "animal", "bubbles", "fire", "statue", "log", "stick", "book"})


@dataclass(frozen=True)
class Candidate:
    """``pool``: which other answers may stand beside this one; ``value``: the concept behind it."""

    photo: str
    question: str
    answer: str
    type: str
    support: int
    pool: str
    value: tuple[str, ...]


@dataclass(frozen=True)
class Claim:
    """A yes/no question that is true of ``photo``; ``subject`` must be there to deny it."""

    photo: str
    question: str
    support: int
    family: str
    subject: str
    value: tuple[str, ...]


def candidates(photo: Photo) -> list[Candidate]:
    """The photo's open questions, at most one per question text."""
    found: dict[str, Candidate] = {}
    for source in (_counted, _seen, _colored, _worn, _acting, _placed):
        for candidate in source(photo):
            found.setdefault(candidate.question, candidate)
    return list(found.values())


def claims(photo: Photo) -> list[Claim]:
    """The photo's yes/no questions whose answer is yes, at most one per question text."""
    found: dict[str, Claim] = {}
    for claim in _claims(photo):
        found.setdefault(claim.question, claim)
    return list(found.values())


def could_be_true(photo: Photo, pool: str, value: tuple[str, ...], answer: tuple[str, ...]) -> bool:
    """Whether ``value`` might be a right answer too, so that it is no fair wrong choice."""
    if value == answer:
        return True
    lexicon = photo.lexicon
    if pool.startswith("number"):
        return False
    if pool == "color":
        return any(
            color in photo.colors or any((color, own) in lexicon.alike_colors for own in answer)
            for color in value
        )
    if pool == "action":
        return _could_be_doing(photo, value)
    return any(photo.could_hold(concept) for concept in value)


def denies(photo: Photo, claim: Claim) -> bool:
    """Whether the captions make it safe to answer ``claim`` with no."""
    entity = next((e for e in photo.entities if e.name == claim.subject), None)
    if claim.subject and entity is None and claim.family not in ("color", "number"):
        return False
    if claim.family == "is there":
        return _denies_presence(photo, claim.value[0])
    if claim.family == "number":
        counts = _agreed_count(photo, claim.subject)
        return counts is not None and str(counts[0]) != claim.value[0]
    if claim.family == "color":
        own = _colors_of(photo).get(claim.subject)
        return own is not None and not could_be_true(photo, "color", claim.value, own[0])
    if entity is None:
        return False
    if claim.family == "wears":
        dressed = any(True for _ in photo.facts(entity, "wear"))
        return dressed and not photo.could_hold(claim.value[0])
    if claim.family == "does":
        known = {i for i, fact in photo.facts(entity, "do") if fact.verb}
        return len(known) >= 2 and not _could_be_doing(photo, claim.value)
    placed = _place_of(photo, entity) is not None
    return placed and not photo.could_hold(claim.value[0])


def _denies_presence(photo: Photo, concept: str) -> bool:
    if photo.could_hold(concept):
        exact = photo.mentioned & {concept, *_same_gender(concept)}
        if concept not in _GENDERED or exact:
            return False
        # "a person" in one caption is no woman when another caption calls the only one a man
        others = [e for e in photo.entities if e.kind == "person"]
        return any(e.concept in _GENDERED and e.scope in ("only", "all") for e in others)
    return True


def _same_gender(concept: str) -> frozenset[str]:
    male, female = frozenset({"man", "boy"}), frozenset({"woman", "girl"})
    return male if concept in male else female


def _could_be_doing(photo: Photo, value: tuple[str, ...]) -> bool:
    verb, *objects = value
    lexicon = photo.lexicon
    if not photo.verbs or verb in photo.verbs:
        return True
    if any(concept in photo.mentioned for concept in (*objects, *lexicon.verbs[verb].brings)):
        return True
    groups = [group for group in (*lexicon.postures, *lexicon.free_actions) if verb in group]
    return any(group & photo.verbs for group in groups)


# Open questions


def _counted(photo: Photo) -> Iterator[Candidate]:
    for kind in ("person", "animal"):
        for entity in photo.entities:
            if entity.kind != kind or entity.scope == "one":
                continue
            plural = photo.lexicon.plurals[entity.concept]
            counts = _agreed_count(photo, plural)
            if counts is not None:
                number, support = counts
                question = f"How many {plural} are there?"
                answer = str(number)
                yield Candidate(
                    photo.name, question, answer, "number", support, "number", (answer,)
                )


def _agreed_count(photo: Photo, plural: str) -> tuple[int, int] | None:
    """(number, support) of an entity's kind when every caption that counts agrees."""
    for entity in photo.entities:
        if entity.scope == "one" or photo.lexicon.plurals[entity.concept] != plural:
            continue
        counts = photo.counts(entity.kind)
        known = [count for count in counts if count is not None]
        needed = 3 if entity.scope == "only" else 2
        if len(set(known)) == 1 and len(known) >= needed and known[0] in _MANY:
            if known[0] == 1 and None in counts:
                return None
            return known[0], len(known)
    return None


def _seen(photo: Photo) -> Iterator[Candidate]:
    """What and who is in the picture."""
    lexicon = photo.lexicon
    named = Counter(
        concept
        for reading in photo.readings
        for concept in {p.concept for p in reading.phrases if p.concept}
    )
    for kind, question in _KINDS_SEEN.items():
        kinds = [c for c in named if lexicon.kinds[c] == kind and c not in ("animal", "vehicle")]
        if len(kinds) == 1 and named[kinds[0]] >= 2:
            concept = kinds[0]
            support = photo.support(concept)
            yield Candidate(photo.name, question, concept, "object", support, kind, (concept,))
    things = {c: n for c, n in named.items() if lexicon.kinds[c] in ("thing", "food")}
    best = agreed(c for c, n in things.items() for _ in range(n))
    if best and best[1] >= 3:
        concept, support = best
        question = "What object is in the picture?"
        yield Candidate(photo.name, question, concept, "object", support, "thing", (concept,))
    for entity in photo.entities:
        if entity.kind == "person" and entity.scope != "one" and entity.concept != "person":
            votes = sum(entity.concept in reading.mentioned for reading in photo.readings)
            who = Candidate(
                photo.name,
                "Who is in the picture?",
                entity.name,
                "object",
                votes,
                "who",
                (entity.concept,),
            )
            if votes >= 2:
                yield who


def _colored(photo: Photo) -> Iterator[Candidate]:
    for subject, (colors, support) in _colors_of(photo).items():
        plural = subject.endswith("s") and subject not in ("the bus",)
        verb = "are" if plural and not subject.endswith(("dress", "glass")) else "is"
        question = f"What color {verb} {subject}?"
        answer = " and ".join(colors)
        yield Candidate(photo.name, question, answer, "color", support, "color", colors)


def _colors_of(photo: Photo) -> dict[str, tuple[tuple[str, ...], int]]:
    """Subject, as a question names it -> (its colours in alphabetical order, support)."""
    said: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    people = [e for e in photo.entities if e.kind == "person" and not e.plural]
    for entity in people:
        for _, fact in photo.facts(entity, "wear"):
            worn = fact.object
            if worn is not None and worn.concept and worn.colors and worn.kind == "clothes":
                if worn.concept != "clothing":
                    said[f"{entity.owner} {_say(photo, worn.concept)}"].append(worn.colors)
    for entity in photo.entities:
        if entity.kind != "animal" or entity.concept in _UNCOLORED:
            continue
        for reading in photo.readings:
            kin = [p for p in reading.phrases if p.kind == "animal"]
            if len(kin) == 1 and kin[0].colors and entity.scope != "one":
                said[f"the {entity.name}"].append(kin[0].colors)
        for _, fact in photo.facts(entity, "color"):
            if fact.object is not None:
                said[f"the {entity.name}"].append(fact.object.colors)
    for concept in sorted(_lone_things(photo)):
        for reading in photo.readings:
            for phrase in reading.phrases:
                if phrase.concept == concept and phrase.colors:
                    said[f"the {concept}"].append(phrase.colors)
    settled = {}
    for subject, colors in said.items():
        answer = _settle_colors(photo, [tuple(sorted(c)) for c in colors])
        if answer is not None:
            settled[subject] = answer
    return settled


def _lone_things(photo: Photo) -> set[str]:
    """Vehicles and things that every caption has once, in the singular."""
    lone: set[str] = set()
    for reading in photo.readings:
        for phrase in reading.phrases:
            if phrase.kind in _COLORED_KINDS and phrase.concept not in (None, *_UNCOLORED):
                lone.add(str(phrase.concept))
    return {
        concept
        for concept in lone
        if all(
            [p.count for p in reading.phrases if p.concept == concept] in ([], [1])
            for reading in photo.readings
        )
    }


def _settle_colors(photo: Photo, said: list[tuple[str, ...]]) -> tuple[tuple[str, ...], int] | None:
    """The colours that captions agree on: a fuller list may hold a shorter one, no other mix."""
    if not said:
        return None
    best = agreed(" and ".join(colors) for colors in said)
    if best is None:
        return None
    colors = tuple(best[0].split(" and "))
    others = [other for other in said if other != colors]
    if len(colors) > 2 or any(not set(other) <= set(colors) for other in others):
        return None
    return colors, best[1]


def _say(photo: Photo, concept: str) -> str:
    return concept


def _worn(photo: Photo) -> Iterator[Candidate]:
    for entity in photo.entities:
        worn = Counter(
            fact.object.concept
            for _, fact in photo.facts(entity, "wear")
            if fact.object is not None and fact.object.kind == "clothes" and fact.object.concept
        )
        choices = [(c, n) for c, n in worn.items() if c not in _UNSEEN_WEAR]
        head = [(c, n) for c, n in choices if c in _HEADWEAR]
        asked = [("wearing", choices)]
        asked += [("wearing on " + _their(entity) + " head", head)] if len(head) == 1 else []
        for wording, options in asked:
            if entity.plural and wording != "wearing":
                continue
            if not options:
                continue
            concept = max(options, key=lambda option: (option[1], option[0]))[0]
            question = f"What {entity.verb} the {entity.name} {wording}?"
            answer = photo.lexicon.plurals[concept] if entity.plural else concept
            pool = "worn by many" if entity.plural else "worn"
            pool = "headwear" if wording != "wearing" else pool
            support = photo.support(concept)
            yield Candidate(photo.name, question, answer, "object", support, pool, (concept,))


def _their(entity: Entity) -> str:
    return {"man": "his", "boy": "his", "woman": "her", "girl": "her"}.get(entity.concept, "the")


def _acting(photo: Photo) -> Iterator[Candidate]:
    for entity in photo.entities:
        done = _deeds(photo, entity)
        if not done:
            continue
        yield from _objects(photo, entity, done)
        best = _main_deed(photo, done)
        if best is not None:
            verb, obj, support = best
            phrase = ing_form(verb) + (f" {_with_article(photo, obj)}" if obj else "")
            value = (verb, obj) if obj else (verb,)
            question = f"What {entity.verb} the {entity.name} doing?"
            yield Candidate(photo.name, question, phrase, "action", support, "action", value)
            if entity.kind == "animal":
                what = f"What is {phrase}?"
                pool = "animal"
                yield Candidate(
                    photo.name, what, entity.name, "object", support, pool, (entity.concept,)
                )
            elif entity.concept in _GENDERED and len(_named_people(photo)) == 1:
                who = f"Who is {phrase}?"
                value = (entity.concept,)
                pool = "who"
                yield Candidate(photo.name, who, entity.name, "object", support, pool, value)
        yield from _supports(photo, entity)


def _named_people(photo: Photo) -> set[str]:
    return {e.name for e in photo.entities if e.kind == "person"}


def _deeds(photo: Photo, entity: Entity) -> list[tuple[int, str, str]]:
    """(caption, verb, object concept or "") of everything that captions say the entity does."""
    deeds = []
    for index, fact in photo.facts(entity, "do"):
        if fact.verb and fact.verb not in _IDLE_ACTIONS:
            concept = fact.object.concept if fact.object is not None else ""
            kind = fact.object.kind if fact.object is not None else ""
            unusable = fact.object is not None and (concept is None or kind in ("other", "place"))
            deeds.append((index, fact.verb, "?" if unusable else concept or ""))
    return deeds


def _main_deed(photo: Photo, deeds: list[tuple[int, str, str]]) -> tuple[str, str, int] | None:
    """The deed that most captions tell, with its object where that belongs to it."""
    votes = Counter(verb for _, verb in {(index, verb) for index, verb, _ in deeds})
    for verb, support in sorted(votes.items(), key=lambda item: (-item[1], item[0])):
        use = photo.lexicon.verbs[verb].object
        objects = [obj for _, did, obj in deeds if did == verb and obj not in ("", "?")]
        best = agreed(objects) if use != "no" else None
        if best is not None and 2 * len(objects) >= sum(did == verb for _, did, _ in deeds):
            return verb, best[0], support
        if use != "must":
            return verb, "", support
    return None


def _with_article(photo: Photo, concept: str) -> str:
    """a bike, soccer, food: as an answer says the concept after a verb."""
    plural = photo.lexicon.plurals[concept]
    if plural == concept or concept in (
        "basketball football baseball volleyball softball rugby golf hockey".split()
    ):
        return concept
    return f"{'an' if concept[0] in 'aeiou' else 'a'} {concept}"


def _objects(
    photo: Photo, entity: Entity, deeds: list[tuple[int, str, str]]
) -> Iterator[Candidate]:
    for verb in _OBJECT_VERBS:
        objects = [obj for _, did, obj in deeds if did == verb and obj not in ("", "?")]
        best = agreed(objects)
        if best is None:
            continue
        concept = best[0]
        if photo.lexicon.kinds[concept] in ("person", "structure", "place"):
            continue
        question = f"What {entity.verb} the {entity.name} {ing_form(verb)}?"
        support = photo.support(concept)
        yield Candidate(photo.name, question, concept, "object", support, verb, (concept,))


def _supports(photo: Photo, entity: Entity) -> Iterator[Candidate]:
    """What someone sits, stands or lies on, and jumps over."""
    below: dict[str, list[str]] = defaultdict(list)
    for _, fact in photo.facts(entity, "at"):
        if fact.object is None or fact.object.concept is None:
            continue
        if fact.object.kind in ("place", "person", "other", "clothes"):
            continue
        if fact.verb in _REST_ON and fact.preposition in _ON:
            below[_REST_ON[fact.verb]].append(fact.object.concept)
        elif fact.verb == "jump" and fact.preposition == "over":
            below["jumping over"].append(fact.object.concept)
    for wording, concepts in below.items():
        best = agreed(concepts)
        if best is not None:
            question = f"What {entity.verb} the {entity.name} {wording}?"
            answer, value = best[0], (best[0],)
            support = photo.support(answer)
            yield Candidate(photo.name, question, answer, "object", support, wording, value)


def _placed(photo: Photo) -> Iterator[Candidate]:
    for entity in photo.entities:
        place = _place_of(photo, entity)
        if place is not None:
            concept, support = place
            question = f"Where {entity.verb} the {entity.name}?"
            answer = photo.lexicon.places[concept].say
            yield Candidate(photo.name, question, answer, "place", support, "where", (concept,))
    said = [
        phrase.concept
        for reading in photo.readings
        for phrase in reading.phrases
        if phrase.kind == "place" and phrase.concept in photo.lexicon.places
    ]
    best = agreed(concept for concept in said if concept)
    if best is not None and best[1] >= 2:
        question = "What place is this?"
        support = photo.support(best[0])
        yield Candidate(photo.name, question, best[0], "place", support, "place", (best[0],))


def _place_of(photo: Photo, entity: Entity) -> tuple[str, int] | None:
    places = photo.lexicon.places
    votes = {
        (index, fact.object.concept)
        for index, fact in photo.facts(entity, "at")
        if fact.object is not None
        and fact.object.concept in places
        and fact.preposition in places[fact.object.concept].after
    }
    ranked = Counter(concept for _, concept in votes)
    return agreed(concept for concept in sorted(ranked.elements()))


# Yes/no questions


def _claims(photo: Photo) -> Iterator[Claim]:
    lexicon = photo.lexicon
    named = Counter(
        (p.concept, p.count == 1)
        for reading in photo.readings
        for p in reading.phrases
        if p.concept and (p.kind in _EXISTING_KINDS or p.concept in _GENDERED)
    )
    for (concept, single), support in sorted(named.items()):
        if single and support >= 2 and concept not in ("animal", "vehicle"):
            thing = _with_article(photo, concept)
            verb = "Are there" if lexicon.plurals[concept] == concept else "Is there"
            if concept in lexicon.plurals and thing != concept:
                question = f"{verb} {thing} in the picture?"
                yield Claim(photo.name, question, support, "is there", "", (concept,))
    for subject, (colors, support) in _colors_of(photo).items():
        verb = "Are" if subject.endswith("s") and not subject.endswith("dress") else "Is"
        question = f"{verb} {subject} {' and '.join(colors)}?"
        yield Claim(photo.name, question, support, "color", subject, colors)
    for candidate in _counted(photo):
        plural = candidate.question.split()[2]
        number = int(candidate.answer)
        if number > 1:
            question = f"Are there {_MANY[number]} {plural} in the picture?"
            value = (candidate.answer,)
            yield Claim(photo.name, question, candidate.support, "number", plural, value)
    for entity in photo.entities:
        be = entity.verb.capitalize()
        for _, fact in photo.facts(entity, "wear"):
            worn = fact.object
            if worn is None or worn.kind != "clothes" or worn.concept in (None, *_UNSEEN_WEAR):
                continue
            concept = str(worn.concept)
            what = lexicon.plurals[concept] if entity.plural else _with_article(photo, concept)
            question = f"{be} the {entity.name} wearing {what}?"
            support = photo.support(concept)
            yield Claim(photo.name, question, support, "wears", entity.name, (concept,))
        for _, verb, obj in _deeds(photo, entity):
            if lexicon.verbs[verb].object == "must" and obj in ("", "?"):
                continue
            known = obj if obj != "?" and lexicon.verbs[verb].object != "no" else ""
            what = f" {_with_article(photo, known)}" if known else ""
            value = (verb, known) if known else (verb,)
            question = f"{be} the {entity.name} {ing_form(verb)}{what}?"
            support = len({i for i, did, _ in _deeds(photo, entity) if did == verb})
            yield Claim(photo.name, question, support, "does", entity.name, value)
        place = _place_of(photo, entity)
        if place is not None:
            question = f"{be} the {entity.name} {lexicon.places[place[0]].say}?"
            yield Claim(photo.name, question, place[1], "at", entity.name, (place[0],))
