"""Which phrases are true of a photo, for all that its captions say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from importlib.util import find_spec

from assistant.errors import InputError
from assistant.training.pretraining.captions.lexicon import Lexicon, load_lexicon

WORD = re.compile(r"[a-z0-9]+(?:[-'][a-z]+)*")
# Of a phrase these need not be said.
PASSED_OVER = frozenset(
    [
        *("a", "an", "the", "some", "its", "his", "her", "their", "is", "are", "and", "or"),
        *("in", "on", "at", "of", "to", "with", "by", "for", "from", "into", "through", "over"),
        *("up", "down"),
    ]
)

Keys = frozenset[str]  # what a word may stand for: a concept, a verb, a stem


def check_extra() -> None:
    """Raises InputError: the ``train`` extra is missing, which training a space ends with."""
    for package in ("nltk", "sklearn"):
        if find_spec(package) is None:
            raise InputError(
                f"judging phrases by captions needs {package}: pip install 'video-assistant[train]'"
            )


class Truth:
    """Says of phrases whether captions hold them, by any form of their words or a kind of what they
    name: "a puppy rides bicycles" holds "dog" and "riding a bike"."""

    def __init__(self, phrases: Sequence[Sequence[str]]) -> None:
        """
        Args:
            phrases: what each is called; one of its names is enough.
        """
        from nltk.stem.porter import PorterStemmer

        self._lexicon: Lexicon = load_lexicon()
        self._stem = lru_cache(maxsize=None)(PorterStemmer().stem)
        self._longest = max(len(term.split()) for term in self._lexicon.nouns)
        self._names = [[self._wanted(name) for name in names] for names in phrases]

    def __call__(self, captions: Iterable[str]) -> list[bool]:
        """Of each phrase: whether one caption has all words of one of its names."""
        said = [self._said(caption) for caption in captions]
        every = frozenset[str]().union(*said)
        return [
            any(
                all(word & every for word in name)
                and any(all(word & one for word in name) for one in said)
                for name in names
            )
            for names in self._names
        ]

    def _said(self, caption: str) -> Keys:
        """All that a caption's words stand for."""
        words = WORD.findall(caption.lower())
        found: set[str] = set()
        first = 0
        while first < len(words):
            rest = min(self._longest, len(words) - first)
            terms = (" ".join(words[first : first + count]) for count in range(rest, 1, -1))
            term = next((term for term in terms if term in self._lexicon.nouns), words[first])
            own = words[first : first + term.count(" ") + 1]
            for word in {
                term,
                *own[:-1],
            }:  # a hot dog is no dog, though a tennis court tells tennis
                found |= self._keys(word)
            first += len(own)
        return frozenset(found)

    def _keys(self, word: str) -> Keys:
        lexicon = self._lexicon
        if noun := lexicon.nouns.get(word):  # no stem: "wave" is not "waving", nor "park" "parking"
            above = lexicon.ancestors(noun.concept)
            return frozenset({word, *(f"n:{concept}" for concept in (noun.concept, *above))})
        if verb := lexicon.verb_forms.get(word):
            return frozenset({word, f"v:{verb[0]}"})
        return frozenset({word, f"s:{self._stem(word)}"})

    def _wanted(self, name: str) -> list[Keys]:
        """For each word of a phrase the keys that tell it."""
        lexicon = self._lexicon
        found: list[Keys] = []
        for word in WORD.findall(name.lower()):
            noun, verb = lexicon.nouns.get(word), lexicon.verb_forms.get(word)
            if word in PASSED_OVER:
                continue
            if noun and word in (noun.concept, lexicon.plurals.get(noun.concept)):
                found.append(frozenset({f"n:{noun.concept}"}))
            elif noun:  # a kind of its concept: "puppy" is not every dog
                found.append(frozenset({word}))
            elif verb:
                found.append(frozenset({f"v:{verb[0]}"}))
            else:
                found.append(frozenset({f"s:{self._stem(word)}"}))
        return found
