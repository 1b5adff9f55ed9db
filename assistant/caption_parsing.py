"""Reads a photo caption into phrases and facts with a lexicon and rules, no trained model.

"A brown dog is running through the snow ."
phrases   dog (count 1, brown), snow (count 1)
facts     dog -do run-> nothing,  dog -at in-> snow
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from assistant.caption_lexicon import Lexicon

__all__ = ["Fact", "Phrase", "Reading", "read_caption"]

_TOKEN = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*|'s|[.,;!?]")
_LONGEST_TERM = 4
_WEARING_PREPOSITIONS = frozenset({"in", "with"})
_ACTING = frozenset({"person", "animal", "vehicle"})
_BE = frozenset({"is", "are", "was", "were", "being", "be"})
_ANOTHER = frozenset({"another", "other", "others"})
_POSSESSIVES = frozenset({"his", "her", "their", "its"})
_NEVER_HEAD = frozenset({"he", "she", "it", "they", "him", "them", "himself", "herself", "itself"})


@dataclass(frozen=True)
class Phrase:
    """A noun phrase. ``count``: 1 for a singular, n when a number says so, 0 for an open plural."""

    concept: str | None
    kind: str | None
    count: int
    colors: tuple[str, ...] = ()
    article: str = ""
    another: bool = False
    owned: bool = False
    word: str = ""


@dataclass(frozen=True)
class Fact:
    """``relation``: do (verb, object?), wear (object), color (object), at (verb?, preposition)."""

    subjects: tuple[Phrase, ...]
    relation: str
    verb: str = ""
    object: Phrase | None = None
    preposition: str = ""


@dataclass(frozen=True)
class Reading:
    """What one caption says; ``mentioned`` and ``verbs`` hold every known word, parsed or not."""

    phrases: tuple[Phrase, ...]
    facts: tuple[Fact, ...]
    mentioned: frozenset[str]
    verbs: frozenset[str]
    colors: frozenset[str]


@dataclass(frozen=True)
class _Chunk:
    tag: str  # phrase, verb, be, preposition, joiner, stop
    word: str = ""
    form: str = ""  # of a verb: ing, finite, past
    phrase: Phrase | None = None


def read_caption(caption: str, lexicon: Lexicon) -> Reading:
    """Phrases and facts of one caption (English, any case)."""
    words = _merge_terms(_TOKEN.findall(caption.lower()), lexicon)
    chunks = _chunk(words, lexicon)
    parts = [part for word in words for part in {word, *word.split(), *word.split("-")}]
    return Reading(
        phrases=tuple(chunk.phrase for chunk in chunks if chunk.phrase is not None),
        facts=tuple(_facts(chunks)),
        mentioned=frozenset(lexicon.nouns[p].concept for p in parts if p in lexicon.nouns),
        verbs=frozenset(lexicon.verb_forms[p][0] for p in parts if p in lexicon.verb_forms),
        colors=frozenset(lexicon.colors[p] for p in parts if p in lexicon.colors),
    )


def _merge_terms(words: Sequence[str], lexicon: Lexicon) -> list[str]:
    merged: list[str] = []
    at = 0
    while at < len(words):
        for length in range(min(_LONGEST_TERM, len(words) - at), 0, -1):
            term = " ".join(words[at : at + length])
            if length == 1 or term in lexicon.terms:
                merged.append(term)
                at += length
                break
    return merged


class _PhraseBuilder:
    """Collects the words of one noun phrase; its head is the last noun."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.head = ""
        self.number: int | None = None
        self.plural = False
        self.colors: list[str] = []
        self.article = ""
        self.another = False
        self.owned = False

    def build(self, lexicon: Lexicon) -> Phrase:
        noun = lexicon.nouns.get(self.head)
        plural = self.plural or (noun.plural if noun else self.head.endswith("s"))
        if self.number is not None:
            count = self.number
        elif self.article in ("a", "an"):
            count = 1
        else:
            count = 0 if plural else 1
        return Phrase(
            concept=noun.concept if noun else None,
            kind=noun.kind if noun else None,
            count=count,
            colors=tuple(dict.fromkeys(self.colors)),
            article=self.article,
            another=self.another,
            owned=self.owned,
            word=self.head,
        )


def _chunk(words: Sequence[str], lexicon: Lexicon) -> list[_Chunk]:
    chunks: list[_Chunk] = []
    phrase = _PhraseBuilder()
    frame: _PhraseBuilder | None = None

    def close() -> None:
        nonlocal phrase, frame
        if phrase.words:
            if frame is not None:
                phrase.number = frame.number if phrase.number is None else phrase.number
                phrase.plural = phrase.plural or frame.plural
                frame = None
            if not phrase.head and phrase.colors:
                # "the dog is brown", "dressed in red"
                chunks.append(_Chunk("color", phrase=phrase.build(lexicon)))
            elif phrase.head or phrase.another:
                chunks.append(_Chunk("phrase", phrase=phrase.build(lexicon)))
        phrase = _PhraseBuilder()

    for at, word in enumerate(words):
        after = words[at + 1] if at + 1 < len(words) else "."
        if word in lexicon.frames and after == "of" and word not in _NEVER_HEAD:
            frame = phrase
            frame.number = lexicon.frame_counts.get(word, phrase.number)
            frame.plural = word in lexicon.plural_frames
            phrase = _PhraseBuilder()
            continue
        if word == "of" and frame is not None and not phrase.words:
            continue
        if word == "'s":
            owner = phrase.head
            close()
            phrase.words.append(owner)
            phrase.owned = True
            continue
        if _is_color_join(word, after, phrase, lexicon):
            continue
        tag = _tag(word, after, phrase, chunks, lexicon)
        if tag == "noun part":
            _add_to_phrase(word, phrase, lexicon)
            continue
        if tag == "new phrase":
            close()
            _add_to_phrase(word, phrase, lexicon)
            continue
        close()
        if tag == "verb":
            lemma, form = lexicon.any_verb_form(word)
            chunks.append(_Chunk("verb", lemma, form))
        else:
            chunks.append(_Chunk(tag, word))
    close()
    return chunks


def _is_color_join(word: str, after: str, phrase: _PhraseBuilder, lexicon: Lexicon) -> bool:
    """The "and" or comma of "black and white dog"."""
    return (
        word in ("and", ",") and bool(phrase.colors) and not phrase.head and after in lexicon.colors
    )


def _add_to_phrase(word: str, phrase: _PhraseBuilder, lexicon: Lexicon) -> None:
    phrase.words.append(word)
    if word in lexicon.numbers:
        phrase.number = lexicon.numbers[word]
    elif word in _ANOTHER and word not in lexicon.nouns:
        phrase.another = True
    elif word in lexicon.determiners:
        phrase.article = word
        phrase.owned = phrase.owned or word in _POSSESSIVES
        phrase.plural = phrase.plural or word in lexicon.plural_determiners
    elif word in lexicon.colors:
        phrase.colors.append(lexicon.colors[word])
    elif word in lexicon.nouns or not lexicon.is_modifier(word):
        phrase.head = word
        phrase.another = phrase.another or word in _ANOTHER


def _tag(
    word: str, after: str, phrase: _PhraseBuilder, chunks: list[_Chunk], lexicon: Lexicon
) -> str:
    """What ``word`` does here: noun part, new phrase, verb, be, preposition, joiner or stop."""
    if word in _BE:
        return "be"
    if word in ".,;!?":
        return "stop"
    if word in lexicon.joiners:
        return "joiner"
    if word in lexicon.adverbs:
        return "adverb"
    if word in lexicon.prepositions:
        return "preposition"
    if word in lexicon.determiners or word in lexicon.numbers or word in _ANOTHER:
        return "new phrase" if phrase.head else "noun part"
    form = lexicon.any_verb_form(word)[1] if lexicon.is_verb(word) else ""
    known_noun = word in lexicon.nouns
    if form == "ing" and not known_noun:
        modifies = bool(phrase.words) and not phrase.head and _starts_noun(after, lexicon)
        return "noun part" if modifies else "verb"
    if form == "past" and not known_noun:
        return "verb" if phrase.head or not phrase.words else "noun part"
    if phrase.head:
        if form == "finite" and _agrees(word, phrase, after, known_noun, lexicon):
            return "verb"
        if lexicon.is_modifier(word) and not known_noun:
            return "new phrase"
        return "noun part"
    if form == "finite" and not phrase.words:
        last = chunks[-1].tag if chunks else "stop"
        return "noun part" if known_noun and last in ("preposition", "verb") else "verb"
    if form == "finite" and not known_noun:
        # "two watch", "one runs", "a man in red walks"
        verbal = phrase.number is not None or (phrase.colors and word.endswith("s"))
        return "verb" if verbal else "noun part"
    return "noun part"


def _starts_noun(word: str, lexicon: Lexicon) -> bool:
    return word in lexicon.nouns or word in lexicon.colors or word in lexicon.adjectives


def _agrees(
    word: str, phrase: _PhraseBuilder, after: str, known_noun: bool, lexicon: Lexicon
) -> bool:
    """Whether ``word`` after a head is its verb and not the next noun of a compound."""
    head = lexicon.nouns.get(phrase.head)
    plural = phrase.plural or (phrase.number or 1) > 1 or bool(head and head.plural)
    third_person = word.endswith("s") and word != "pass"
    if third_person:
        return True
    if not known_noun and not plural:
        return after in lexicon.determiners or after in lexicon.prepositions
    return plural


def _facts(chunks: Sequence[_Chunk]) -> list[Fact]:
    facts: list[Fact] = []
    subjects: tuple[Phrase, ...] = ()
    at = 0
    while at < len(chunks):
        chunk = chunks[at]
        if chunk.tag == "phrase" and chunk.phrase is not None:
            group, end = _group(chunks, at)
            if _opens_clause(chunks, at, end, subjects):
                subjects = group
            at = end
        elif chunk.tag == "verb" and subjects:
            doers = _doers(chunks, at, subjects)
            found, end = _group(chunks, at + 1)
            obj = found[0] if found else None
            facts.extend(_verb_facts(chunk, doers, found, obj, chunks, at))
            at = max(end, at + 1) if found else at + 1
        elif chunk.tag == "preposition" and subjects:
            found, end = _group(chunks, at + 1)
            for phrase in found:
                if phrase.kind == "clothes" and chunk.word in _WEARING_PREPOSITIONS:
                    holder = _holder(chunks, at, subjects)
                    if holder:
                        facts.append(Fact(holder, "wear", object=phrase))
                else:
                    there = _nearest(chunks, at, subjects)
                    verb = chunks[at - 1].word if chunks[at - 1].tag == "verb" else ""
                    facts.append(Fact(there, "at", verb, phrase, preposition=chunk.word))
            at = max(end, at + 1)
        elif chunk.tag == "color" and chunk.phrase is not None and at and subjects:
            if chunks[at - 1].tag == "be":
                facts.append(Fact(subjects, "color", object=chunk.phrase))
            at += 1
        else:
            at += 1
    return facts


def _group(chunks: Sequence[_Chunk], at: int) -> tuple[tuple[Phrase, ...], int]:
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


def _is_clause_subject(chunks: Sequence[_Chunk], at: int, before: Sequence[Phrase]) -> bool:
    """ "... a ball and a dog runs": the singular phrase starts a clause of its own."""
    if at + 1 >= len(chunks) or at < 2:
        return False
    follows = chunks[at + 1]
    here = chunks[at].phrase
    own_verb = follows.tag == "be" or (follows.tag == "verb" and follows.form == "finite")
    starts_caption = at == 2 and len(before) == 1
    acts = here is not None and here.kind in _ACTING and here.count == 1
    return own_verb and acts and not starts_caption


def _opens_clause(
    chunks: Sequence[_Chunk], at: int, end: int, subjects: tuple[Phrase, ...]
) -> bool:
    if not subjects:
        return True
    before = chunks[at - 1] if at else None
    after = chunks[end] if end < len(chunks) else None
    verb_follows = after is not None and after.tag in ("verb", "be")
    here = chunks[at].phrase
    acts = here is not None and here.kind in _ACTING
    return bool(before and before.tag in ("joiner", "stop") and verb_follows and acts)


def _doers(chunks: Sequence[_Chunk], at: int, subjects: tuple[Phrase, ...]) -> tuple[Phrase, ...]:
    """Who does the verb at ``at``: a person or animal just before it, else the clause's subject."""
    before = chunks[at - 1]
    if before.tag == "be" and at >= 2:
        before = chunks[at - 2]
    if before.phrase is not None and before.phrase.kind in ("person", "animal"):
        if before.phrase in subjects:
            return subjects
        return (before.phrase,)
    return subjects


def _nearest(chunks: Sequence[_Chunk], at: int, subjects: tuple[Phrase, ...]) -> tuple[Phrase, ...]:
    """Who is at the place after ``at``: the nearest person or animal before it."""
    for chunk in reversed(chunks[:at]):
        if chunk.phrase is not None and chunk.phrase.kind in ("person", "animal"):
            return subjects if chunk.phrase in subjects else (chunk.phrase,)
    return subjects


def _holder(chunks: Sequence[_Chunk], at: int, subjects: tuple[Phrase, ...]) -> tuple[Phrase, ...]:
    """Who wears what follows the preposition at ``at``; nobody when it follows no person."""
    before = chunks[at - 1].phrase
    if before is None:
        verb = chunks[at - 1].tag == "verb"
        dressed = verb and (chunks[at].word == "in" or chunks[at - 1].word == "dress")
        return subjects if dressed else ()
    if before.kind == "clothes":
        return subjects
    if before.kind in ("person", "animal"):
        return subjects if subjects and before == subjects[-1] and len(subjects) == 1 else (before,)
    return ()


def _verb_facts(
    chunk: _Chunk,
    doers: tuple[Phrase, ...],
    found: tuple[Phrase, ...],
    obj: Phrase | None,
    chunks: Sequence[_Chunk],
    at: int,
) -> list[Fact]:
    if chunk.form == "past" or chunk.word in ("", "dress"):
        return []
    if chunk.word == "wear":
        return [Fact(doers, "wear", object=phrase) for phrase in found]
    after = chunks[at + 1] if at + 1 < len(chunks) else None
    before = chunks[at - 1] if at else None
    if chunk.form == "ing" and after is not None and after.form == "past":
        return []
    if chunk.form == "finite" and before is not None and before.tag == "be":
        return []  # "is being held"
    return [Fact(doers, "do", chunk.word, obj)]
