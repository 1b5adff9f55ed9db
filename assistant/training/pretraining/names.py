"""Samples in which the classifier is sure of another thing than is in the picture.

No caption names a cheetah. So that the model learns to say what its classifier is sure of, some
samples get a name drawn at random, in what the models read and in the answer alike.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from assistant.sources.seen import sure_names
from assistant.training.pretraining.examples import PretrainExample, begun_with

ANIMALS, DOGS = range(398), range(151, 269)  # places among ImageNet's classes
DOG = re.compile(
    r"\b(?:an?|the|one)\s+(?:(?:black|brown|white|tan|gr[ae]y|golden|yellow|red|dark|light|small|"
    r"large|big|little|young|old|wet|furry|fluffy|shaggy|colored|haired|long|short|and|-)\s*)*dog\b",
    re.IGNORECASE,
)


def renamed(
    sample: PretrainExample, seen: str, names: Sequence[str], rng: np.random.Generator
) -> tuple[PretrainExample, str]:
    """The sample with one more thing in it, and the attributes that are sure of that thing.

    A list begins with any class. In a caption an animal takes the place of the dog; a caption
    without a dog stays as it is. Breeds are never drawn: captions call them dogs.

    Args:
        seen: the picture's own attributes. names: of the classes, in ImageNet's order.
    """
    captions = [text for text in (sample.answer, *sample.also) if DOG.search(text)]
    animal = sample.type == "caption" or rng.random() < 0.5
    places = [place for place in (ANIMALS if animal else range(len(names))) if place not in DOGS]
    name = names[places[int(rng.integers(len(places)))]]
    if sample.type == "list":
        things = [thing for thing in sample.answer.split(", ") if not (animal and thing == "dog")]
        sample = replace(sample, answer=begun_with([name], ", ".join(things)))
    elif sample.type == "caption" and captions:
        article = "an " if name[0].lower() in "aeiou" else "a "
        first, *others = (_capital(DOG.sub(article + name, text)) for text in captions)
        sample = replace(sample, answer=first, also=tuple(others))
    else:
        return sample, seen
    unsure = [thing for thing in seen.split(", ") if thing and thing not in sure_names(seen)]
    return sample, ", ".join([name, *unsure])


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
