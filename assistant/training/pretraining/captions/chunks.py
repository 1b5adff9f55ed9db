"""Cuts a photo caption into noun phrases, verbs, prepositions and joiners."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from assistant.training.pretraining.captions.lexicon import Lexicon

_TOKEN = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*|'s|[.,;!?]")
_LONGEST_TERM = 4
_BE = frozenset({"is", "are", "was", "were", "being", "be"})
_ANOTHER = frozenset({"another", "other", "others"})


@dataclass(frozen=True)
class Phrase:
    """A noun phrase. ``count``: 1 for a singular, n when a number says so, 0 for an open plural."""

    concept: str | None
    kind: str | None
    count: int
    colors: tuple[str, ...] = ()
    article: str = ""
    another: bool = False


@dataclass(frozen=True)
class Chunk:
    tag: str  # phrase, color, verb, be, preposition, joiner, adverb, stop
    word: str = ""  # of a verb its lemma, empty for one that no question uses
    form: str = ""  # of a verb: ing, finite, past
    phrase: Phrase | None = None


def split_words(caption: str, lexicon: Lexicon) -> list[str]:
    """Lower-case words and marks, known terms of several words as one ("swimming pool")."""
    return _merge_terms(_TOKEN.findall(caption.lower()), lexicon)


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
        )


def cut_caption(words: Sequence[str], lexicon: Lexicon) -> list[Chunk]:
    """Chunks of a caption that ``split_words`` split."""
    cutter = _Cutter(lexicon)
    for at, word in enumerate(words):
        cutter.take(word, words[at + 1] if at + 1 < len(words) else ".")
    cutter.close_phrase()
    return cutter.chunks


class _Cutter:
    """Takes words one by one; ``frame`` is the "group" of "a group of dogs"."""

    def __init__(self, lexicon: Lexicon) -> None:
        self.lexicon = lexicon
        self.chunks: list[Chunk] = []
        self.phrase = _PhraseBuilder()
        self.frame: _PhraseBuilder | None = None

    def take(self, word: str, after: str) -> None:
        if word in self.lexicon.frames and after == "of":
            self._open_frame(word)
        elif word == "of" and self.frame is not None and not self.phrase.words:
            pass
        elif word == "'s":
            owner = self.phrase.head
            self.close_phrase()
            self.phrase.words.append(owner)
        elif not _is_color_join(word, after, self.phrase, self.lexicon):
            self._take_tagged(word, _tag(word, after, self.phrase, self.chunks, self.lexicon))

    def close_phrase(self) -> None:
        phrase, self.phrase = self.phrase, _PhraseBuilder()
        if not phrase.words:
            return
        if self.frame is not None:
            phrase.number = self.frame.number if phrase.number is None else phrase.number
            phrase.plural = phrase.plural or self.frame.plural
            self.frame = None
        if phrase.head or phrase.another:
            self.chunks.append(Chunk("phrase", phrase=phrase.build(self.lexicon)))
        elif phrase.colors:
            # "the dog is brown", "dressed in red"
            self.chunks.append(Chunk("color", phrase=phrase.build(self.lexicon)))

    def _open_frame(self, word: str) -> None:
        self.frame, self.phrase = self.phrase, _PhraseBuilder()
        self.frame.number = self.lexicon.frame_counts.get(word, self.frame.number)
        self.frame.plural = word in self.lexicon.plural_frames

    def _take_tagged(self, word: str, tag: str) -> None:
        if tag == "noun part":
            _add_to_phrase(word, self.phrase, self.lexicon)
            return
        self.close_phrase()
        if tag == "new phrase":
            _add_to_phrase(word, self.phrase, self.lexicon)
        elif tag == "verb":
            lemma, form = self.lexicon.any_verb_form(word)
            self.chunks.append(Chunk("verb", lemma, form))
        else:
            self.chunks.append(Chunk(tag, word))


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
        phrase.plural = phrase.plural or word in lexicon.plural_determiners
    elif word in lexicon.colors:
        phrase.colors.append(lexicon.colors[word])
    elif word in lexicon.nouns or not lexicon.is_modifier(word):
        phrase.head = word
        phrase.another = phrase.another or word in _ANOTHER


def _tag(
    word: str, after: str, phrase: _PhraseBuilder, chunks: list[Chunk], lexicon: Lexicon
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
