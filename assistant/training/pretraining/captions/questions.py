"""Questions and answers made from photo captions, in the way of COCO-QA.

Types: object, number, color, place, action and yes/no. The rules read the captions with a lexicon
(``parsing``), keep what a photo's captions agree on (``photo``), and ask about it
(``candidates``); here the answers are balanced and given wrong choices.

Source: the question types and the thinning of frequent answers follow COCO-QA (Ren, Kiros and
Zemel, "Exploring Models and Data for Image Question Answering", 2015); yes/no is ours.
"""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from assistant.errors import InputError
from assistant.training.pretraining.captions.candidates import (
    Candidate,
    candidates,
    could_be_true,
    spare_choices,
)
from assistant.training.pretraining.captions.claims import Claim, claims, denies
from assistant.training.pretraining.captions.lexicon import load_lexicon
from assistant.training.pretraining.captions.photo import Photo, read_photo

QUESTION_TYPES = ("object", "number", "color", "place", "action", "yes/no")
CHOICES = 4
ALWAYS_KEPT = 4

# The largest share of a type's questions that one answer may have, and of yes/no one question.
MAX_SHARE = {"object": 0.06, "number": 0.40, "color": 0.14, "place": 0.10, "action": 0.08}
MAX_YES_NO_SHARE = 0.01
# The largest share of the questions that draw on one pool of answers ("What animal ...?").
MAX_POOL_SHARE = 0.35

_Choice = tuple[str, tuple[str, ...]]

_SIDED = re.compile(r"\b(?:left|right|leftmost|rightmost|clockwise|counterclockwise)\b", re.I)
_CAPTION_KEY = re.compile(r"^(?P<photo>.+)#\d+$")


@dataclass(frozen=True)
class CaptionQuestion:
    """``support``: captions that say the answer (for "no": captions that leave room for none)."""

    photo: str
    question: str
    answer: str
    type: str
    support: int
    choices: tuple[str, ...]


def make_questions(captions: Mapping[str, Sequence[str]], seed: int) -> list[CaptionQuestion]:
    """Balanced questions of all types about photos with captions.

    ``captions``: photo name -> its captions. The result depends on the captions and ``seed`` only,
    not on their order. Every yes/no question text has as many yes as no answers.
    """
    lexicon = load_lexicon()
    rng = random.Random(seed)
    photos = [read_photo(name, captions[name], lexicon) for name in sorted(captions)]
    by_name = {photo.name: photo for photo in photos}
    asked = [candidate for photo in photos for candidate in candidates(photo)]
    kept = [c for kind in MAX_SHARE for c in _balanced([c for c in asked if c.type == kind], rng)]
    answers: dict[str, Counter[_Choice]] = defaultdict(Counter)
    for candidate in kept:
        answers[candidate.pool][candidate.answer, candidate.value] += 1
    offered = (_with_choices(c, by_name[c.photo], answers[c.pool], rng) for c in kept)
    questions = [question for question in offered if question is not None]
    questions += _yes_no(photos, rng)
    return sorted(questions, key=lambda q: (q.photo, QUESTION_TYPES.index(q.type), q.question))


def flip_safe(item: CaptionQuestion | str) -> bool:
    """Whether a question or caption stays true when its picture is mirrored left to right."""
    texts = (item,) if isinstance(item, str) else (item.question, item.answer, *item.choices)
    return not any(_SIDED.search(text) for text in texts)


def read_captions(path: Path | str) -> dict[str, tuple[str, ...]]:
    """Photo name -> captions from lines ``name#k<TAB>caption``. Raises InputError."""
    found: dict[str, list[str]] = {}
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        key, tab, caption = line.partition("\t")
        match = _CAPTION_KEY.match(key)
        if not tab or match is None or not caption.strip():
            raise InputError(
                f"{path}:{number} reads {line[:60]!r}, wanted 'photo.jpg#0<TAB>caption': "
                "correct or remove the line"
            )
        found.setdefault(match["photo"], []).append(caption.strip())
    if not found:
        raise InputError(f"{path} holds no captions, wanted lines 'photo.jpg#0<TAB>caption'")
    return {photo: tuple(texts) for photo, texts in found.items()}


def read_split(path: Path | str) -> tuple[str, ...]:
    """Photo names, one per line. Raises InputError for an empty file or a name given twice."""
    names = [line.strip() for line in read_lines(path) if line.strip()]
    if not names:
        raise InputError(f"{path} names no photos, wanted one file name per line")
    twice = next((name for name, times in Counter(names).items() if times > 1), None)
    if twice is not None:
        raise InputError(f"{path} names {twice!r} more than once: remove the repetition")
    return tuple(names)


def read_lines(path: Path | str) -> list[str]:
    """The lines of a text file. Raises InputError: it cannot be read as one."""
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as text ({error}): check the path") from error


def _balanced(of_type: Sequence[Candidate], rng: random.Random) -> list[Candidate]:
    """One type's questions, no answer too frequent in its pool or in the type."""
    by_pool: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in of_type:
        by_pool[candidate.pool].append(candidate)
    share = max(MAX_POOL_SHARE, MAX_SHARE[of_type[0].type]) if of_type else 1.0
    evened = [c for pool in sorted(by_pool) for c in _thinned(by_pool[pool], share, rng)]
    return _thinned(evened, MAX_SHARE[evened[0].type], rng) if evened else []


def _thinned(asked: Sequence[Candidate], share: float, rng: random.Random) -> list[Candidate]:
    """Leaves out questions of over-frequent answers, those of least support first."""
    by_answer: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in asked:
        by_answer[candidate.answer].append(candidate)
    cap = _answer_cap([len(group) for group in by_answer.values()], share)
    return [c for answer in sorted(by_answer) for c in _best_supported(by_answer[answer], cap, rng)]


_Supported = TypeVar("_Supported", Candidate, Claim)


def _best_supported(group: Sequence[_Supported], cap: int, rng: random.Random) -> list[_Supported]:
    """At most ``cap`` of the group, the best supported first, in random order among equals."""
    return sorted(rng.sample(group, len(group)), key=lambda item: -item.support)[:cap]


def _answer_cap(sizes: Sequence[int], share: float) -> int:
    """Largest count per answer that keeps it within ``share`` of what is left.

    Few answers cannot have small shares: of n answers each may have 1.2 / n, and always
    ``ALWAYS_KEPT`` questions.
    """
    if len(sizes) > 1:
        share = max(share, 1.2 / len(sizes))
    low, high = ALWAYS_KEPT, max(sizes, default=0)
    while low < high:
        middle = (low + high + 1) // 2
        if middle <= share * sum(min(size, middle) for size in sizes):
            low = middle
        else:
            high = middle - 1
    return low


def _with_choices(
    candidate: Candidate, photo: Photo, answers: Mapping[_Choice, int], rng: random.Random
) -> CaptionQuestion | None:
    """Adds wrong choices that are often right elsewhere; None when too few exist.

    Drawn without replacement with the squared count as weight (Efraimidis and Spirakis, 2006): the
    likeliest answers are often ruled out as nearly true, and rare ones would give the right one
    away.
    """
    weighted = [(rng.random() ** (1 / count**2), choice) for choice, count in answers.items()]
    drawn = [choice for _, choice in sorted(weighted, reverse=True)]
    spare = spare_choices(photo, candidate)
    rng.shuffle(spare)
    choices = [candidate.answer]
    for answer, value in [*drawn, *spare]:
        if answer in choices or could_be_true(photo, candidate.pool, value, candidate.value):
            continue
        choices.append(answer)
        if len(choices) == CHOICES:
            rng.shuffle(choices)
            return CaptionQuestion(
                photo=photo.name,
                question=candidate.question,
                answer=candidate.answer,
                type=candidate.type,
                support=candidate.support,
                choices=tuple(choices),
            )
    return None


def _yes_no(photos: Sequence[Photo], rng: random.Random) -> list[CaptionQuestion]:
    """For every question text as many photos with no as with yes."""
    by_text: dict[str, list[Claim]] = defaultdict(list)
    own: dict[tuple[str, str], dict[str, list[Claim]]] = defaultdict(lambda: defaultdict(list))
    for photo in photos:
        for claim in claims(photo):
            by_text[claim.question].append(claim)
            own[claim.family, claim.subject][photo.name].append(claim)
    cap = _answer_cap([len(group) for group in by_text.values()], MAX_YES_NO_SHARE)
    questions: list[CaptionQuestion] = []
    for text in sorted(by_text):
        said = _best_supported(by_text[text], cap, rng)
        related = own[said[0].family, said[0].subject]
        against = _photos_against(said[0], len(said), photos, related, rng)
        for claim in said[: len(against)]:
            questions.append(_answered(claim.photo, text, "yes", claim.support))
        for photo in against:
            questions.append(_answered(photo.name, text, "no", len(photo.readings)))
    return questions


def _photos_against(
    claim: Claim,
    wanted: int,
    photos: Sequence[Photo],
    related: Mapping[str, Sequence[Claim]],
    rng: random.Random,
) -> list[Photo]:
    """Up to ``wanted`` photos, drawn at random, whose captions deny the claim."""
    if claim.family != "presence":
        photos = [photo for photo in photos if photo.name in related]
    found: list[Photo] = []
    for photo in rng.sample(photos, len(photos)):
        if len(found) == wanted:
            break
        if denies(photo, claim, related.get(photo.name, ())):
            found.append(photo)
    return found


def _answered(photo: str, text: str, answer: str, support: int) -> CaptionQuestion:
    return CaptionQuestion(photo, text, answer, "yes/no", support, ("yes", "no"))
