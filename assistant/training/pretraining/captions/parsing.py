"""Reads a photo caption into phrases and facts with a lexicon and rules, no trained model.

"A brown dog is running through the snow ." has the phrases dog (one, brown) and snow (one), and
the facts that the dog does "run" and is at "snow" ("through").
"""

from collections.abc import Sequence
from dataclasses import dataclass

from assistant.training.pretraining.captions.chunks import Chunk, Phrase, cut_caption, split_words
from assistant.training.pretraining.captions.lexicon import DRESS, Lexicon

_WEARING_PREPOSITIONS = frozenset({"in", "with"})
_ACTING = frozenset({"person", "animal", "vehicle"})


@dataclass(frozen=True)
class Fact:
    """``relation``: do (verb, object?), wear (object), color (object), at (verb?, preposition)."""

    subjects: tuple[Phrase, ...]
    relation: str
    verb: str = ""
    object: Phrase | None = None
    preposition: str = ""

    def place(self, lexicon: Lexicon) -> str | None:
        """The place that this fact puts its subjects in; None where it puts them in none."""
        concept = self.object.concept if self.object is not None else None
        if self.relation != "at" or concept is None or concept not in lexicon.places:
            return None
        return concept if self.preposition in lexicon.places[concept].after else None


@dataclass(frozen=True)
class Reading:
    """What one caption says; ``mentioned`` and ``verbs`` hold every known word, parsed or not."""

    phrases: tuple[Phrase, ...]
    facts: tuple[Fact, ...]
    mentioned: frozenset[str]
    verbs: frozenset[str]
    colors: frozenset[str]


def read_caption(caption: str, lexicon: Lexicon) -> Reading:
    """Phrases and facts of one caption (English, any case)."""
    words = split_words(caption, lexicon)
    chunks = cut_caption(words, lexicon)
    parts = [part for word in words for part in {word, *word.split(), *word.split("-")}]
    return Reading(
        phrases=tuple(chunk.phrase for chunk in chunks if chunk.phrase is not None),
        facts=tuple(_facts(chunks)),
        mentioned=frozenset(lexicon.nouns[p].concept for p in parts if p in lexicon.nouns),
        verbs=frozenset(lexicon.verb_forms[p][0] for p in parts if p in lexicon.verb_forms),
        colors=frozenset(lexicon.colors[p] for p in parts if p in lexicon.colors),
    )


def _facts(chunks: Sequence[Chunk]) -> list[Fact]:
    facts: list[Fact] = []
    subjects: tuple[Phrase, ...] = ()
    at = 0
    while at < len(chunks):
        chunk = chunks[at]
        first = at if chunk.phrase is not None else at + 1
        found, end = _group(chunks, first)
        if chunk.tag == "phrase":
            subjects = found if _opens_clause(chunks, at, end, subjects) else subjects
        elif not subjects:
            end = at + 1
        elif chunk.tag == "verb":
            facts.extend(_verb_facts(chunks, at, _doers(chunks, at, subjects), found))
        elif chunk.tag == "preposition":
            facts.extend(_preposition_facts(chunks, at, subjects, found))
        else:
            if chunk.tag == "color" and chunks[at - 1].tag == "be":
                facts.append(Fact(subjects, "color", object=chunk.phrase))
            end = at + 1
        at = max(end, at + 1)
    return facts


def _verb_facts(
    chunks: Sequence[Chunk], at: int, doers: tuple[Phrase, ...], found: tuple[Phrase, ...]
) -> list[Fact]:
    verb = chunks[at]
    if verb.form == "past" or verb.word in ("", DRESS):
        return []
    if verb.word == "wear":
        return [Fact(doers, "wear", object=phrase) for phrase in found]
    if verb.form == "ing" and at + 1 < len(chunks) and chunks[at + 1].form == "past":
        return []  # "is getting dressed"
    if verb.form == "finite" and chunks[at - 1].tag == "be":
        return []  # "is being hit"
    return [Fact(doers, "do", verb.word, found[0] if found else None)]


def _preposition_facts(
    chunks: Sequence[Chunk], at: int, subjects: tuple[Phrase, ...], found: tuple[Phrase, ...]
) -> list[Fact]:
    preposition = chunks[at].word
    verb = chunks[at - 1].word if chunks[at - 1].tag == "verb" else ""
    facts: list[Fact] = []
    for phrase in found:
        if phrase.kind == "clothes" and preposition in _WEARING_PREPOSITIONS:
            wearers = _wearers(chunks, at, subjects)
            facts.extend([Fact(wearers, "wear", object=phrase)] if wearers else [])
        else:
            there = _nearest(chunks, at, subjects)
            facts.append(Fact(there, "at", verb, phrase, preposition=preposition))
    return facts


def _group(chunks: Sequence[Chunk], at: int) -> tuple[tuple[Phrase, ...], int]:
    """Phrases joined by "and" or commas from ``at`` on, and where they end."""
    phrases: list[Phrase] = []
    end = at
    while end < len(chunks):
        phrase = chunks[end].phrase
        if chunks[end].tag != "phrase" or phrase is None:
            break
        if phrases and _is_clause_subject(chunks, end, phrases):
            return tuple(phrases), end - 1
        phrases.append(phrase)
        end += 1
        joined = end < len(chunks) and (
            chunks[end].word == "and" or (chunks[end].tag == "stop" and chunks[end].word == ",")
        )
        if not joined or end + 1 >= len(chunks) or chunks[end + 1].tag != "phrase":
            break
        end += 1
    return tuple(phrases), end


def _is_clause_subject(chunks: Sequence[Chunk], at: int, before: Sequence[Phrase]) -> bool:
    """ "... a ball and a dog runs": the singular phrase starts a clause of its own."""
    if at + 1 >= len(chunks) or at < 2:
        return False
    follows = chunks[at + 1]
    here = chunks[at].phrase
    own_verb = follows.tag == "be" or (follows.tag == "verb" and follows.form == "finite")
    starts_caption = at == 2 and len(before) == 1
    acts = here is not None and here.kind in _ACTING and here.count == 1
    return own_verb and acts and not starts_caption


def _opens_clause(chunks: Sequence[Chunk], at: int, end: int, subjects: tuple[Phrase, ...]) -> bool:
    if not subjects:
        return True
    before = chunks[at - 1] if at else None
    after = chunks[end] if end < len(chunks) else None
    verb_follows = after is not None and after.tag in ("verb", "be")
    here = chunks[at].phrase
    acts = here is not None and here.kind in _ACTING
    return bool(before and before.tag in ("joiner", "stop") and verb_follows and acts)


def _doers(chunks: Sequence[Chunk], at: int, subjects: tuple[Phrase, ...]) -> tuple[Phrase, ...]:
    """Who does the verb at ``at``: a person or animal just before it, else the clause's subject."""
    before = chunks[at - 1]
    if before.tag == "be" and at >= 2:
        before = chunks[at - 2]
    if before.phrase is not None and before.phrase.kind in ("person", "animal"):
        if before.phrase in subjects:
            return subjects
        return (before.phrase,)
    return subjects


def _nearest(chunks: Sequence[Chunk], at: int, subjects: tuple[Phrase, ...]) -> tuple[Phrase, ...]:
    """Who is at the place after ``at``: the nearest person or animal before it."""
    for chunk in reversed(chunks[:at]):
        if chunk.phrase is not None and chunk.phrase.kind in ("person", "animal"):
            return subjects if chunk.phrase in subjects else (chunk.phrase,)
    return subjects


def _wearers(chunks: Sequence[Chunk], at: int, subjects: tuple[Phrase, ...]) -> tuple[Phrase, ...]:
    """Who wears what follows the preposition at ``at``; nobody when it follows no person."""
    before = chunks[at - 1].phrase
    if before is None:
        verb = chunks[at - 1].tag == "verb"
        dressed = verb and (chunks[at].word == "in" or chunks[at - 1].word == DRESS)
        return subjects if dressed else ()
    if before.kind == "clothes":
        return subjects
    if before.kind in ("person", "animal"):
        return subjects if subjects and before == subjects[-1] and len(subjects) == 1 else (before,)
    return ()
