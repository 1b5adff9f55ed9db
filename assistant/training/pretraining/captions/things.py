"""The things that a photo's captions agree on."""

from collections.abc import Sequence
from dataclasses import dataclass

from assistant.training.pretraining.captions.lexicon import load_lexicon
from assistant.training.pretraining.captions.photo import read_photo

THING_SUPPORT = 3  # captions that name a thing before it counts
NO_THING = "other"  # kind of nouns such as "background" and "face"


def things_in(captions: Sequence[str], support: int = THING_SUPPORT) -> tuple[str, ...]:
    """Names of the things that at least ``support`` captions name, the most named first."""
    lexicon = load_lexicon()
    photo = read_photo("", captions, lexicon)
    things = [concept for concept in photo.mentioned if lexicon.kinds[concept] != NO_THING]
    counted = [(photo.support(concept), concept) for concept in things]
    return tuple(name for count, name in sorted(counted, key=_rank) if count >= support)


def _rank(counted: tuple[int, str]) -> tuple[int, str]:
    return -counted[0], counted[1]


def thing_words() -> dict[str, str]:
    """Every word for a thing, singular and plural, and the thing's name."""
    nouns = load_lexicon().nouns.items()
    return {word: noun.concept for word, noun in nouns if noun.kind != NO_THING}


@dataclass(frozen=True)
class PhotoConcepts:
    """What a photo's captions say about things."""

    named: frozenset[str]  # by some caption
    possible: frozenset[str]  # for all that the captions say


def photo_concepts(captions: Sequence[str]) -> PhotoConcepts:
    """The things that are in a photo, and those that may be."""
    photo = read_photo("", captions, load_lexicon())
    return PhotoConcepts(photo.mentioned, photo.open_concepts)
