"""When an answer is whole, and what it may not say again: rules on the scores of its next token.

A rule takes ids ``(R, N)`` and scores ``(R, V)`` and returns scores, as `generate` of
`transformers` calls it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from assistant.model.tokens import Tokens

# A line's end, or a sentence's: not the point of "2.5" or "Dr."
SENTENCE_END = re.compile(r"\n|(?<![\d\s])(?<!\b[A-Z])(?<!\b[DMS][rst])(?<!\bMrs)[.!?]$")
BEGINS = ("Ġ", "▁")  # a token that begins a word begins with one of these
ARTICLES = frozenset(("a", "an"))
JOINTS = frozenset(("and", "or", "but", "while", "as", ","))  # after one a thing may come again
WORDS = """
    a an the and or but of in on at to with by for from into onto over under up down out off is are
    was were be being it its his her their he she they them this that these those while as near next
    there has have having which who one two some another other
"""
FUNCTION_WORDS = frozenset(WORDS.split())  # those that name nothing


def is_whole(text: str) -> bool:
    """Whether an answer has come to the end of its first sentence or line, or says a list anew."""
    return bool(SENTENCE_END.search(text.lstrip())) or _starts_over(text)


def list_once(text: str) -> str:
    """A list up to where it starts over: "dog, ball, dog, ball" is "dog, ball"."""
    items = text.split(", ")
    again = (at for at, item in enumerate(items) if item.rstrip(".,") in items[:at])
    return ", ".join(items[: next(again, len(items))])


def _starts_over(text: str) -> bool:
    """Whether a list that may still go on has said one of its whole items twice."""
    whole = text.strip().rpartition(",")[0]
    return list_once(whole) != whole


class NoLoops:
    """Keeps a short answer from going round.

    Nothing is said a third time after the same word ("a man and a man and a man"), and no thing
    that stood alone comes again in its clause ("a material that is made from a material"). "A man
    in a red shirt and a man in a blue one", "a red bike on a red wall" may be said.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase | Tokens) -> None:
        self.tokenizer = tokenizer
        self._words: dict[int, str] = {}

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        for row, said in enumerate(ids.tolist()):
            again = sorted(self.said_already(said))
            if again:
                scores = scores.clone()
                scores[row, again] = -float("inf")
        return scores

    def said_already(self, ids: Sequence[int]) -> set[int]:
        """Tokens that may not follow."""
        words = [self._word(token) for token in ids]
        if not words:
            return set()
        pairs = Counter(
            token
            for before, word, token in zip(words, words[1:], ids[1:], strict=False)
            if before == words[-1] and _has_content(word)
        )
        found = {token for token, count in pairs.items() if count > 1}
        if words[-1] in ARTICLES:
            clause = max((at for at, word in enumerate(words) if word in JOINTS), default=-1) + 1
            found |= {
                ids[at]
                for at in range(clause + 1, len(ids) - 1)
                if words[at - 1] in ARTICLES
                and _has_content(words[at])
                and words[at + 1] in FUNCTION_WORDS
            }
        return found

    def _word(self, token: int) -> str:
        """What begins with the token, in small letters; ``*`` where it goes on with a word."""
        if token not in self._words:
            piece = self.tokenizer.convert_ids_to_tokens([token])[0] or ""
            text = piece.lstrip("".join(BEGINS))
            begins = piece.startswith(BEGINS) or not text.isalpha() or text in ("A", "An")
            self._words[token] = text.lower() if begins else "*"
        return self._words[token]


def _has_content(word: str) -> bool:
    return word.isalpha() and word not in FUNCTION_WORDS


def penalise(ids: Tensor, scores: Tensor, penalty: float) -> Tensor:
    """Make less likely what was said (Keskar et al. 2019)."""
    said = scores.gather(1, ids)
    return scores.scatter(1, ids, torch.where(said < 0, said * penalty, said / penalty))


def never_twice(ids: Tensor, scores: Tensor, count: int) -> Tensor:
    """Rule out what would say ``count`` tokens in a row again."""
    scores = scores.clone()
    for row, said in enumerate(ids.tolist()):
        last = said[len(said) - count + 1 :]
        for at in range(len(said) - count + 1):
            if said[at : at + count - 1] == last:
                scores[row, said[at + count - 1]] = -float("inf")
    return scores
