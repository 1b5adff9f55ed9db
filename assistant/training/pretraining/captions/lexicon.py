"""Words of photo captions: nouns with their concepts, verbs with their forms, and how they relate.

The words are data, in ``lexicon.yaml`` beside this file; ``load_lexicon`` checks them, key by key,
which makes this file long.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import yaml

from assistant.core.resources import caption_lexicon
from assistant.errors import ConfigError

DRESS = "dress"  # the one verb without questions that facts need: "dressed in red"
_VOWELS = "aeiou"
_ONE_CONSONANT = frozenset({"w", "x", "y"})
_OBJECT_USES = ("no", "may", "must")
_PLAIN_FIELDS = (
    "determiners",
    "plural_determiners",
    "adjectives",
    "adverbs",
    "prepositions",
    "joiners",
    "frames",
    "plural_frames",
    "whole_body",
    "never_denied",
    "games",
    "outerwear",
    "body_clothes",
    "animal_actions",
    "untold_clothes",
)


@dataclass(frozen=True)
class Noun:
    concept: str
    kind: str
    plural: bool


@dataclass(frozen=True)
class Place:
    """``say``: the answer's phrase; ``after``: prepositions after which it is true."""

    say: str
    after: frozenset[str]


@dataclass(frozen=True)
class Verb:
    """``object``: no, may or must; ``brings``: concepts it implies."""

    lemma: str
    object: str
    brings: frozenset[str]


@dataclass(frozen=True, eq=False)
class Lexicon:
    """Every lookup that reading captions and asking about them needs."""

    nouns: Mapping[str, Noun]
    kinds: Mapping[str, str]
    plurals: Mapping[str, str]
    places: Mapping[str, Place]
    verbs: Mapping[str, Verb]
    verb_forms: Mapping[str, tuple[str, str]]
    other_verb_forms: Mapping[str, tuple[str, str]]
    colors: Mapping[str, str]
    numbers: Mapping[str, int]
    frame_counts: Mapping[str, int]
    determiners: frozenset[str]
    plural_determiners: frozenset[str]
    adjectives: frozenset[str]
    adverbs: frozenset[str]
    prepositions: frozenset[str]
    joiners: frozenset[str]
    frames: frozenset[str]
    plural_frames: frozenset[str]
    whole_body: frozenset[str]
    never_denied: frozenset[str]
    games: frozenset[str]
    outerwear: frozenset[str]
    body_clothes: frozenset[str]
    animal_actions: frozenset[str]
    untold_clothes: frozenset[str]
    parents: Mapping[str, str]
    narrower: Mapping[str, frozenset[str]]
    implied: Mapping[str, frozenset[str]]
    alike: Mapping[str, frozenset[str]]
    alike_colors: Mapping[str, frozenset[str]]
    postures: tuple[frozenset[str], ...]
    free_actions: tuple[frozenset[str], ...]
    terms: frozenset[str] = field(repr=False, default=frozenset())

    def is_verb(self, word: str) -> bool:
        return word in self.verb_forms or word in self.other_verb_forms or _looks_verbal(word)

    def any_verb_form(self, word: str) -> tuple[str, str]:
        """(lemma, form); the lemma is empty for verbs that no question uses."""
        if word in self.verb_forms:
            return self.verb_forms[word]
        if word in self.other_verb_forms:
            lemma, form = self.other_verb_forms[word]
            return (DRESS, form) if lemma == DRESS else ("", form)
        return "", "ing" if word.endswith("ing") else "past"

    def is_modifier(self, word: str) -> bool:
        return word in self.adjectives or word in self.colors

    def with_implied(self, concepts: Iterable[str]) -> frozenset[str]:
        """The concepts with everything that they bring along."""
        seen: set[str] = set()
        todo = list(concepts)
        while todo:
            concept = todo.pop()
            if concept not in seen:
                seen.add(concept)
                todo.extend(self.implied.get(concept, ()))
        return frozenset(seen)

    def ancestors(self, concept: str) -> tuple[str, ...]:
        """What the concept also is, nearest first: boy -> child, person."""
        return _ancestors(concept, self.parents)

    def called(self, concept: str) -> frozenset[str]:
        """The concept, its alikes and what it also is: all that it may rightly be called."""
        return self.alike.get(concept, frozenset()) | {concept, *self.ancestors(concept)}

    def with_article(self, concept: str) -> str:
        """a bike, an airplane, jeans, soccer."""
        if self.plurals[concept] == concept:
            return concept
        an = concept[0] in _VOWELS and not concept.startswith("uni")
        return f"{'an' if an else 'a'} {concept}"


def _ancestors(concept: str, parents: Mapping[str, str]) -> tuple[str, ...]:
    found: list[str] = []
    while concept in parents:
        concept = parents[concept]
        found.append(concept)
    return tuple(found)


@cache
def load_lexicon() -> Lexicon:
    """The shipped lexicon. Raises ConfigError for a relation between unknown words."""
    source = caption_lexicon()
    data: dict[str, Any] = yaml.load(
        source.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    )
    nouns, kinds, plurals = _nouns(data["nouns"])
    verbs, forms = _verbs(data["verbs"], data["irregular"])
    others = {
        form: (lemma, kind) for lemma in data["other_verbs"] for form, kind in _forms(lemma).items()
    }
    others |= {form: ("", kind) for form, kind in data["other_forms"].items()}
    parents = dict(data["is_a"])
    tops = {"person": "person", "animal": "animal", "vehicle": "vehicle", "clothes": "clothing"}
    for concept, kind in kinds.items():
        if kind in tops and concept != tops[kind]:
            parents.setdefault(concept, tops[kind])
    known = frozenset(kinds)
    related = [*data["alike"], *data["implies"].values(), data["implies"], data["places"]]
    related += [entry.get("with", []) for entry in data["verbs"].values()]
    _require_known([name for group in [*related, parents] for name in group], known)
    plain = {name: frozenset(data[name]) for name in _PLAIN_FIELDS}
    spaced = (word for group in (nouns, plain["prepositions"], plain["adverbs"]) for word in group)
    return Lexicon(
        nouns=nouns,
        kinds=kinds,
        plurals=plurals,
        places={
            concept: Place(entry["say"], frozenset(entry["after"]))
            for concept, entry in data["places"].items()
        },
        verbs=verbs,
        verb_forms=forms,
        other_verb_forms=others,
        colors=data["colors"],
        numbers=data["numbers"],
        frame_counts=data["frame_counts"],
        parents=parents,
        narrower=_narrower(parents),
        implied={concept: frozenset(names) for concept, names in data["implies"].items()},
        alike=_neighbours(data["alike"]),
        alike_colors=_neighbours(data["alike_colors"]),
        postures=tuple(frozenset(group) for group in data["postures"]),
        free_actions=tuple(frozenset(group) for group in data["free_actions"]),
        terms=frozenset(word for word in spaced if " " in word),
        **plain,
    )


def _require_known(names: Iterable[str], known: frozenset[str]) -> None:
    for name in names:
        if name not in known:
            raise ConfigError(
                f"lexicon.yaml relates {name!r}, which is no concept under nouns: "
                "add it there or correct its spelling"
            )


def _narrower(parents: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """Concept -> all that are a kind of it."""
    found: dict[str, set[str]] = defaultdict(set)
    for concept in parents:
        for wider in _ancestors(concept, parents):
            found[wider].add(concept)
    return {wider: frozenset(concepts) for wider, concepts in found.items()}


def _neighbours(groups: Iterable[Iterable[str]]) -> dict[str, frozenset[str]]:
    """Word -> the other words of every group that it is in."""
    found: dict[str, set[str]] = defaultdict(set)
    for group in groups:
        for word in group:
            found[word].update(group)
    return {word: frozenset(others - {word}) for word, others in found.items()}


def _nouns(
    data: Mapping[str, Mapping[str, list[str]]],
) -> tuple[dict[str, Noun], dict[str, str], dict[str, str]]:
    nouns: dict[str, Noun] = {}
    kinds: dict[str, str] = {}
    plurals: dict[str, str] = {}
    for kind, concepts in data.items():
        for concept, words in concepts.items():
            kinds[concept] = kind
            named = [word for word in words if word.split("/")[0] == concept]
            for word in named or [concept]:
                plurals[concept] = word.split("/")[1] if "/" in word else _plural(concept)
            for word in [*(named or [concept]), *(w for w in words if w not in named)]:
                one, _, many = word.partition("/")
                many = many or _plural(one)
                nouns.setdefault(many, Noun(concept, kind, plural=True))
                if one != many or kind in ("place", "food", "thing"):
                    nouns[one] = Noun(concept, kind, plural=False)
    return nouns, kinds, plurals


def _plural(word: str) -> str:
    if word.endswith("y") and word[-2] not in _VOWELS:
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "ch", "sh")) else "s")


def _verbs(
    data: Mapping[str, Mapping[str, Any]], irregular: Mapping[str, str]
) -> tuple[dict[str, Verb], dict[str, tuple[str, str]]]:
    verbs: dict[str, Verb] = {}
    forms: dict[str, tuple[str, str]] = {}
    for lemma, entry in data.items():
        if entry["object"] not in _OBJECT_USES:
            raise ConfigError(
                f"lexicon.yaml: verb {lemma!r} has object {entry['object']!r}, "
                f"wanted one of {', '.join(_OBJECT_USES)}"
            )
        verbs[lemma] = Verb(lemma, entry["object"], frozenset(entry.get("with", ())))
        for word in [lemma, *entry.get("words", ())]:
            for form, kind in _forms(word).items():
                forms.setdefault(form, (lemma, kind))
    for form, lemma in irregular.items():
        forms[form] = (lemma, "ing" if form.endswith("ing") else "finite")
    return verbs, forms


def _forms(lemma: str) -> dict[str, str]:
    """Every form of a regular verb with its kind: finite, ing or past."""
    third = _plural(lemma) if not lemma.endswith("o") else lemma + "es"
    past = lemma + "d" if lemma.endswith("e") else _doubled(lemma) + "ed"
    return {lemma: "finite", third: "finite", ing_form(lemma): "ing", past: "past"}


def ing_form(lemma: str) -> str:
    """running, riding, lying."""
    if lemma.endswith("ie"):
        return lemma[:-2] + "ying"
    if lemma.endswith("e") and not lemma.endswith("ee"):
        return lemma[:-1] + "ing"
    return _doubled(lemma) + "ing"


def _doubled(lemma: str) -> str:
    vowels = sum(letter in _VOWELS for letter in lemma)
    short = len(lemma) >= 3 and lemma[-1] not in _VOWELS and lemma[-1] not in _ONE_CONSONANT
    doubles = short and lemma[-2] in _VOWELS and lemma[-3] not in _VOWELS and vowels == 1
    return lemma + lemma[-1] if doubles else lemma


def _looks_verbal(word: str) -> bool:
    return len(word) > 4 and word.endswith(("ing", "ed"))
