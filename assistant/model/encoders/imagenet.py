"""The 1000 classes of ImageNet-1k, which the frozen encoder was trained to tell apart."""

from pathlib import Path

from assistant.errors import WeightsError

SYNSETS, LEMMAS = "imagenet_synsets.txt", "imagenet_synset_to_lemma.txt"


def read_class_names(folder: Path) -> tuple[str, ...]:
    """ImageNet-1k's names in class order: the first lemma of each synset in ``folder``."""
    lemmas = dict(line.split("\t", 1) for line in (folder / LEMMAS).read_text().splitlines())
    synsets = (folder / SYNSETS).read_text().split()
    missing = [synset for synset in synsets if synset not in lemmas]
    if missing:
        raise WeightsError(f"{folder / LEMMAS}: lacks {missing[0]}; clear the cache, fetch again")
    return tuple(lemmas[synset].split(",")[0].strip() for synset in synsets)
