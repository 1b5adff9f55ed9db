"""How near free answers come to the right ones: exact match, ROUGE-L, METEOR, CIDEr."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from assistant.errors import InputError
from assistant.evaluation.classification import check_extra
from assistant.evaluation.metrics import normalise_answer, plain_tokens

METEOR = "METEOR (exact, stem)"


class _NoSynonyms:
    """Stands where nltk's METEOR wants WordNet, which would have to be downloaded."""

    @staticmethod
    def synsets(word: str) -> tuple[()]:
        return ()


def text_scores(told: Sequence[str], truth: Sequence[str]) -> dict[str, np.ndarray]:
    """Each answer's scores, ``(N,)`` by name, from nothing that is fetched or needs Java.

    "exact match" is strict: equal once case, articles and punctuation are gone. "ROUGE-L" is
    rouge-score's F1 of stems. "METEOR (exact, stem)" is nltk's with the parameters of Banerjee and
    Lavie 2005, without synonyms: below the published metric where synonyms are told, and 0.5 for
    an answer of one right word, as that formula has it. "CIDEr" is pycocoevalcap's; it weighs
    words by how few answers have them and is 0 where all are the same.

    Raises:
        InputError: nothing to score, or the ``train`` extra is missing.
    """
    if not truth or len(told) != len(truth):
        raise InputError(f"{len(told)} answers to {len(truth)} questions: wanted one for each")
    check_extra()
    from nltk.translate.meteor_score import single_meteor_score
    from pycocoevalcap.cider.cider import Cider
    from rouge_score.rouge_scorer import RougeScorer

    rouge = RougeScorer(["rougeL"], use_stemmer=True)
    meteor = partial(single_meteor_score, wordnet=_NoSynonyms())
    words = [
        (plain_tokens(one), plain_tokens(right)) for one, right in zip(told, truth, strict=True)
    ]
    pairs = list(zip(told, truth, strict=True))
    _, cider = Cider().compute_score(
        {place: [" ".join(right)] for place, (_, right) in enumerate(words)},
        {place: [" ".join(one)] for place, (one, _) in enumerate(words)},
    )
    return {
        "exact match": np.array(
            [normalise_answer(one) == normalise_answer(right) != "" for one, right in pairs], float
        ),
        "ROUGE-L": np.array([rouge.score(right, one)["rougeL"].fmeasure for one, right in pairs]),
        METEOR: np.array([meteor(right, one) if one else 0.0 for one, right in words]),
        "CIDEr": np.asarray(cider, float),
    }
