"""How good answers are: caption metrics, accuracies and their intervals."""

import math
import re
from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence

from assistant.errors import InputError

DIGITS = {
    "zero": "0",
    "one": "1",
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
    "ten": "10",
}
ARTICLES = frozenset(("a", "an", "the"))


def plain_tokens(text: str) -> list[str]:
    """Lower-case words without punctuation; ``man's`` becomes ``mans``.

    Stands in for the PTB tokenizer of the published metrics, which needs Java; on Flickr8k's test
    captions (one person's against four) CIDEr is 0.793 instead of 0.789, BLEU-4 0.210 in place of
    0.209.
    """
    return re.findall(r"\w+", re.sub(r"['\u2019]", "", text.lower()))


def caption_scores(
    predictions: Sequence[str], references: Sequence[Sequence[str]]
) -> dict[str, float]:
    """CIDEr (1.0 = 100 in tables that multiply), BLEU-1 to BLEU-4 and ROUGE-L over a corpus.

    pycocoevalcap's implementations on ``plain_tokens``. CIDEr weighs words by how few of the
    photos have them in their references: it needs many photos and is 0 for one.

    Args:
        predictions: one caption per photo. references: at least one per photo.
    Raises:
        InputError: lengths differ, nothing to score, or the ``train`` extra is missing.
    """
    _check_pairs(predictions, references)
    try:
        from pycocoevalcap.bleu.bleu import Bleu
        from pycocoevalcap.cider.cider import Cider
        from pycocoevalcap.rouge.rouge import Rouge
    except ImportError as error:
        raise InputError(
            f"caption metrics need the 'train' extra ({error}): "
            "pip install pycocoevalcap matplotlib"
        ) from error

    told = {n: [_joined(text)] for n, text in enumerate(predictions)}
    wanted = {n: [_joined(text) for text in texts] for n, texts in enumerate(references)}
    bare = [n for n, texts in wanted.items() if not any(texts)]
    if bare:
        raise InputError(f"photo {bare[0]} has no reference caption: wanted at least one")
    bleus, _ = Bleu(4).compute_score(wanted, told, verbose=0)
    return {
        "CIDEr": float(Cider().compute_score(wanted, told)[0]),
        **{f"BLEU-{n}": float(bleu) for n, bleu in enumerate(bleus, 1)},
        "ROUGE-L": float(Rouge().compute_score(wanted, told)[0]),
    }


def accuracy(predictions: Sequence[Hashable], truth: Sequence[Hashable]) -> float:
    """Share of equal pairs."""
    _check_pairs(predictions, truth)
    return _share([told == right for told, right in zip(predictions, truth, strict=True)])


def balanced_accuracy(predictions: Sequence[Hashable], truth: Sequence[Hashable]) -> float:
    """Mean recall over the classes of ``truth``: answering always the same scores 1 / classes."""
    _check_pairs(predictions, truth)
    hits: dict[Hashable, list[bool]] = {}
    for told, right in zip(predictions, truth, strict=True):
        hits.setdefault(right, []).append(told == right)
    return sum(_share(of_class) for of_class in hits.values()) / len(hits)


def exact_match(predictions: Sequence[str], truth: Sequence[str]) -> float:
    """Share of pairs that are equal once normalised; an answer without words matches nothing."""
    _check_pairs(predictions, truth)
    pairs = zip(map(normalise_answer, predictions), map(normalise_answer, truth), strict=True)
    return _share([told == right != "" for told, right in pairs])


def normalise_answer(text: str) -> str:
    """Words in lower case without punctuation and articles, numbers to ten as digits."""
    words = (DIGITS.get(word, word) for word in plain_tokens(text))
    return " ".join(word for word in words if word not in ARTICLES)


def most_common_answers(answers: Sequence[str], count: int = 5) -> list[tuple[str, int]]:
    """The most frequent answers and how often each was given, most frequent first."""
    return Counter(answers).most_common(count)


def wilson_interval(successes: int, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's score interval of a share; the default ``z`` gives 95 %.

    Raises:
        InputError: not 0 <= successes <= trials, or no trial.
    """
    if not 0 <= successes <= trials or trials == 0:
        raise InputError(
            f"{successes} successes of {trials} trials: wanted 0 <= successes <= trials"
        )
    share = successes / trials
    centre = share + z * z / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2)
    scale = 1 + z * z / trials
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def noun_precision_recall(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    nouns: Mapping[str, str] | Collection[str],
    support: int = 2,
) -> tuple[float, float]:
    """How many named things are there, and how many things there are named, over all photos.

    Precision: of the things that the captions name, the share that a reference of the same photo
    names. Recall: of the things that at least ``support`` references name (all, where there are
    fewer), the share that the caption names. 0 where there is nothing to divide by.

    Args:
        nouns: the words that count; a mapping also says which thing each word names
            (``{"dogs": "dog", "puppy": "dog"}``).
    """
    _check_pairs(predictions, references)
    things = nouns if isinstance(nouns, Mapping) else {noun: noun for noun in nouns}

    def named(text: str) -> set[str]:
        return {things[word] for word in plain_tokens(text) if word in things}

    told = right = due = found = 0
    for prediction, texts in zip(predictions, references, strict=True):
        mentions = Counter(thing for text in texts for thing in named(text))
        agreed = {thing for thing, count in mentions.items() if count >= min(support, len(texts))}
        caption = named(prediction)
        told += len(caption)
        right += len(caption & mentions.keys())
        due += len(agreed)
        found += len(caption & agreed)
    return (right / told if told else 0.0), (found / due if due else 0.0)


_TWICE = re.compile(r"\b(\w+(?: \w+){0,5})[ ,]+(?:and )?\1\b")


def repeats_itself(text: str) -> bool:
    """Whether a phrase of up to six words is said twice in a row ("a hat and a hat")."""
    return _TWICE.search(" ".join(text.lower().split())) is not None


def echoes(answer: str, question: str) -> bool:
    """Whether the answer begins with the question, or with the statement in its last words."""
    told, asked = (plain_tokens(text) for text in (answer, question))
    return len(asked) > 2 and told[: len(asked)] == asked


def _joined(text: str) -> str:
    return " ".join(plain_tokens(text))


def _share(hits: Sequence[bool]) -> float:
    return sum(hits) / len(hits)


def _check_pairs(predictions: Sequence[object], truth: Sequence[object]) -> None:
    if len(predictions) != len(truth) or not predictions:
        raise InputError(
            f"{len(predictions)} predictions for {len(truth)} answers: wanted one for each, "
            "and at least one"
        )
