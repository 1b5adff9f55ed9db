"""The captions of one photo together: whom they are about and what they leave open."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from assistant.training.pretraining.captions.chunks import Phrase
from assistant.training.pretraining.captions.lexicon import Lexicon
from assistant.training.pretraining.captions.parsing import Fact, Reading, read_caption

NAMED_PEOPLE = ("man", "woman", "boy", "girl", "baby", "child")
_GENDER = {"man": "male", "boy": "male", "woman": "female", "girl": "female"}
_CHILDREN = frozenset({"boy", "girl", "child", "baby"})


@dataclass(frozen=True)
class Entity:
    """Someone whom a question can be about; ``scope``: only, all or one of the photo's kind."""

    name: str
    concept: str
    kind: str
    plural: bool
    scope: str

    @property
    def verb(self) -> str:
        return "are" if self.plural else "is"


@dataclass(frozen=True, eq=False)
class Photo:
    """The readings of one photo's captions."""

    name: str
    readings: tuple[Reading, ...]
    lexicon: Lexicon

    @cached_property
    def mentioned(self) -> frozenset[str]:
        """Every concept that a caption names."""
        return frozenset(concept for reading in self.readings for concept in reading.mentioned)

    @cached_property
    def open_concepts(self) -> frozenset[str]:
        """Every concept that may be in the photo for all that its captions say."""
        lexicon = self.lexicon
        said = set(self.mentioned)
        for verb in self.verbs:
            said |= lexicon.verbs[verb].brings
        said = set(lexicon.with_implied(said))
        possible = {name for concept in said for name in lexicon.called(concept)}
        for concept in said:
            narrower = lexicon.narrower.get(concept, frozenset())
            if narrower and not self._is_explained(concept, narrower & said):
                possible |= narrower
        if not any(self.support(concept) >= 2 for concept in lexicon.body_clothes):
            possible |= lexicon.outerwear
        return frozenset(possible)

    def _is_explained(self, concept: str, narrower: Iterable[str]) -> bool:
        """Whether a wide word ("animal") only names again what others call by a narrower one."""
        if concept == "clothing" or not any(narrower):
            return False
        for reading in self.readings:
            phrases = [p for p in reading.phrases if p.concept == concept]
            cast = [p for p in reading.phrases if phrases and p.kind == phrases[0].kind]
            if any(p.count != 1 or p.another for p in phrases) or len(cast) > 1:
                return False
        return True

    @cached_property
    def verbs(self) -> frozenset[str]:
        return frozenset(verb for reading in self.readings for verb in reading.verbs)

    @cached_property
    def colors(self) -> frozenset[str]:
        return frozenset(color for reading in self.readings for color in reading.colors)

    @cached_property
    def entities(self) -> tuple[Entity, ...]:
        found: dict[str, Entity] = {}
        for kind in ("person", "animal"):
            for entity in _entities(self, kind):
                found.setdefault(entity.name, entity)
        return tuple(found.values())

    def support(self, concept: str) -> int:
        """Number of captions that name the concept."""
        return sum(concept in reading.mentioned for reading in self.readings)

    def rules_out(self, verb: str, objects: Iterable[str]) -> bool:
        """Whether the captions rule out that anyone does this."""
        lexicon = self.lexicon
        if verb in self.verbs or verb in lexicon.never_denied:
            return False
        if not self.mentioned.isdisjoint(objects):
            return False
        if not self.mentioned.isdisjoint(lexicon.verbs[verb].brings):
            return False
        groups = [group for group in (*lexicon.postures, *lexicon.free_actions) if verb in group]
        if any(group & self.verbs for group in groups):
            return False
        return verb not in lexicon.whole_body or bool(self.verbs & lexicon.whole_body)

    def facts(self, entity: Entity, relation: str) -> Iterator[tuple[int, Fact]]:
        """(caption index, fact) of every fact that is about exactly this entity."""
        for index, reading in enumerate(self.readings):
            actors = cast_of(reading, entity.kind)
            for fact in reading.facts:
                if fact.relation == relation and _is_about(fact, entity, actors):
                    yield index, fact

    def counts(self, kind: str) -> list[int | None]:
        """Per caption that names the kind: how many, None where it stays open."""
        totals: list[int | None] = []
        for reading in self.readings:
            actors = cast_of(reading, kind)
            if actors:
                unclear = any(phrase.count == 0 or phrase.another for phrase in actors)
                totals.append(None if unclear else sum(phrase.count for phrase in actors))
        return totals


def read_photo(name: str, captions: Sequence[str], lexicon: Lexicon) -> Photo:
    return Photo(name, tuple(read_caption(caption, lexicon) for caption in captions), lexicon)


def agreed(votes: Iterable[str]) -> tuple[str, int] | None:
    """The answer with most votes and their number; None when there is none or a tie."""
    ranked = Counter(votes).most_common(2)
    if not ranked or (len(ranked) == 2 and ranked[0][1] == ranked[1][1]):
        return None
    return ranked[0]


def cast_of(reading: Reading, kind: str) -> list[Phrase]:
    """The caption's people or animals, without those it only names again ("the man")."""
    actors: list[Phrase] = []
    for phrase in reading.phrases:
        if phrase.another and phrase.kind in (kind, None):
            actors.append(phrase)
        elif phrase.kind == kind:
            seen = any(phrase.concept == other.concept for other in actors)
            if not (seen and phrase.article in ("the", "that")):
                actors.append(phrase)
    if all(phrase.kind != kind for phrase in actors):
        return []
    return actors


def _entities(photo: Photo, kind: str) -> Iterator[Entity]:
    casts = [cast for reading in photo.readings if (cast := cast_of(reading, kind))]
    if len(casts) < 2:
        return
    alone = [len(cast) == 1 and cast[0].count == 1 and not cast[0].another for cast in casts]
    if all(alone):
        concept = _name_one(photo, kind, [cast[0].concept for cast in casts])
        if concept:
            yield Entity(concept, concept, kind, plural=False, scope="only")
        return
    if not any(alone):
        concept = _name_all(photo, kind, casts)
        if concept:
            yield Entity(photo.lexicon.plurals[concept], concept, kind, plural=True, scope="all")
    for concept in sorted({p.concept for cast in casts for p in cast if p.concept}):
        if kind == "person" and concept not in NAMED_PEOPLE:
            continue
        if _is_one_of(photo, concept, casts):
            yield Entity(concept, concept, kind, plural=False, scope="one")


def _name_one(photo: Photo, kind: str, concepts: Sequence[str | None]) -> str | None:
    """What to call the photo's only person or animal; None when captions disagree."""
    if kind == "animal":
        specific = [c for c in concepts if c not in (None, "animal")]
        if len(set(specific)) > 1:
            return None
        return specific[0] if specific else None
    said = set(concepts) & set(NAMED_PEOPLE)
    genders = {_GENDER[c] for c in said if c in _GENDER}
    if len(genders) > 1:
        return "child" if said <= _CHILDREN else "person"
    gendered = agreed(c for c in concepts if c in _GENDER)
    if gendered:
        return gendered[0]
    if genders:
        return None
    return next((c for c in ("baby", "child") if c in said), "person")


def _name_all(photo: Photo, kind: str, casts: Sequence[Sequence[Phrase]]) -> str | None:
    concepts = {phrase.concept for cast in casts for phrase in cast if phrase.concept}
    if kind == "animal":
        specific = concepts - {"animal"}
        return next(iter(specific)) if len(specific) == 1 else None
    for named in NAMED_PEOPLE[:4]:
        whole = sum(all(p.concept == named for p in cast) for cast in casts)
        others = {c for c in concepts if c in NAMED_PEOPLE and c != named}
        if whole >= 2 and not others:
            return named
    if concepts <= _CHILDREN:
        return "child"
    return "person"


def _is_one_of(photo: Photo, concept: str, casts: Sequence[Sequence[Phrase]]) -> bool:
    """Whether "the <concept>" names exactly one of several in every caption."""
    said = 0
    for cast in casts:
        exact = [p for p in cast if p.concept == concept]
        likely = [p for p in cast if p.concept in photo.lexicon.called(concept) and p not in exact]
        open_others = [p for p in likely if p.concept not in ("person", "animal")]
        if len(exact) > 1 or any(p.count != 1 or p.another for p in exact) or open_others:
            return False
        said += len(exact)
    return said >= 2


def _is_about(fact: Fact, entity: Entity, actors: Sequence[Phrase]) -> bool:
    if entity.scope == "only":
        return len(fact.subjects) == 1 and fact.subjects[0].kind == entity.kind
    if entity.scope == "all":
        return len(fact.subjects) == len(actors) and all(s in actors for s in fact.subjects)
    named = [s for s in fact.subjects if s.concept == entity.concept]
    if fact.relation in ("wear", "color"):
        return len(named) == 1 and len(fact.subjects) == 1
    return len(named) == 1
