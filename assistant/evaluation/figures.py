"""From a system's answers to its figures: by type, by class, by text, by speaker, by confidence.

Two scorers, as everywhere: by choices (the likeliest of those offered; the way of the datasets'
authors) and strict (the free answer is the right one once case, articles and punctuation are gone).
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from assistant.evaluation.bootstrap import Difference, bootstrap, difference, interval, share
from assistant.evaluation.classification import (
    ClassScores,
    class_scores,
    class_terms,
    confusion,
    weighted_f1,
)
from assistant.evaluation.metrics import (
    exact_match,
    most_common_answers,
    normalise_answer,
    wilson_interval,
)
from assistant.evaluation.text import text_scores
from assistant.tasks.recipes import Calibration
from assistant.training.calibration import Bin, reliability, reliability_error

CHOICES, STRICT = "choices (official)", "free text (strict)"
MOST_CLASSES = 12  # more answers than that are no classes
OTHER = ""  # a free answer that is none of the classes
Answers = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class TypeRow:
    """Figures of one type of question, shares of 1; nan where there is nothing to count."""

    type: str
    count: int
    chance: float
    majority: float
    blind: float  # by choices, without the clip
    by_choice: float
    interval: tuple[float, float]  # 95 %, of ``by_choice``; without choices of ``strict``
    strict: float  # free answers


@dataclass(frozen=True)
class ClassRow:
    """Questions of one type that have few answers, by one scorer."""

    type: str
    scorer: str
    count: int
    scores: ClassScores
    accuracy_interval: tuple[float, float]  # 95 %, bootstrapped
    f1_interval: tuple[float, float]  # of the weighted F1


@dataclass(frozen=True)
class TextRow:
    """One measure of all free answers."""

    name: str
    value: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Confusion:
    """How often what is right (rows) was told as what (columns), by choices."""

    type: str
    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Sureness:
    """What the probabilities of choices are worth."""

    calibration: Calibration
    error: float  # expected calibration error
    raw_error: float  # before the temperature
    bins: tuple[Bin, ...]
    answered: float  # share that is not unsure
    accuracy: float  # of those; nan where there is none


@dataclass(frozen=True)
class Figures:
    """Beside the rows by type."""

    classes: tuple[ClassRow, ...]
    texts: tuple[TextRow, ...]
    confusions: tuple[Confusion, ...]
    speakers: tuple[TypeRow, ...]  # ``type`` is the speaker of the last line, most lines first
    sureness: Sureness | None  # None: no choices


def figures_of(answers: Answers, calibration: Calibration, seed: int) -> Figures:
    """All figures of one system; ``seed`` is the bootstrap's, whose unit is a clip."""
    kinds = _by(answers, "type")
    offered = [answer for answer in answers if answer["choices"]]
    return Figures(
        classes=tuple(row for kind, some in kinds.items() for row in _class_rows(kind, some, seed)),
        texts=_text_rows(answers, seed),
        confusions=tuple(
            _confusion(kind, some)
            for kind, some in _by(offered, "type").items()
            if 1 < len(_labels(some)) <= MOST_CLASSES
        ),
        speakers=_speaker_rows(answers),
        sureness=_sureness(offered, calibration) if offered else None,
    )


def type_rows(answers: Answers) -> tuple[TypeRow, ...]:
    """A row for each type of question; where there are several, a last one for all."""
    rows = [type_row(kind or "questions", some) for kind, some in _by(answers, "type").items()]
    return (*rows, type_row("all", answers)) if len(rows) > 1 else tuple(rows)


def type_row(kind: str, answers: Answers) -> TypeRow:
    """The figures of some answers."""
    truth = [a["truth"] for a in answers]
    offered = [a for a in answers if a["choices"]]
    right = [a["choice"] == a["truth"] for a in offered]
    strict = exact_match([a["free"] for a in answers], truth)
    hits, out_of = (sum(right), len(right)) if offered else (round(strict * len(truth)), len(truth))
    return TypeRow(
        type=kind,
        count=len(answers),
        chance=_mean([1 / a["choices"] for a in offered]),
        majority=most_common_answers(truth, 1)[0][1] / len(truth),
        blind=_mean([a["blind"] == a["truth"] for a in offered]),
        by_choice=_mean(right),
        interval=wilson_interval(hits, out_of),
        strict=strict,
    )


def compare(first: Answers, second: Answers, seed: int) -> Difference:
    """Accuracy of the first system less that of the second, paired by question.

    By choices where all questions offer them, else strict.
    """
    scorer = CHOICES if all(answer["choices"] for answer in first) else STRICT
    terms = [_right_terms(*_told(answers, scorer)) for answers in (first, second)]
    return difference(terms[0], terms[1], share, groups=_clips(first), seed=seed)


def _class_rows(kind: str, answers: Answers, seed: int) -> list[ClassRow]:
    labels = _labels(answers)
    if not 1 < len(labels) <= MOST_CLASSES:
        return []
    rows = []
    for scorer in (CHOICES, STRICT):
        some = [answer for answer in answers if answer["choices"] or scorer == STRICT]
        if not some:
            continue
        told, truth = _told(some, scorer)
        terms = class_terms(told, truth, labels)
        drawn = bootstrap(_right_terms(told, truth), share, groups=_clips(some), seed=seed)
        f1 = bootstrap(terms, weighted_f1, groups=_clips(some), seed=seed)
        rows.append(
            ClassRow(
                type=kind or "questions",
                scorer=scorer,
                count=len(some),
                scores=class_scores(told, truth),
                accuracy_interval=interval(drawn),
                f1_interval=interval(f1),
            )
        )
    return rows


def _text_rows(answers: Answers, seed: int) -> tuple[TextRow, ...]:
    found = text_scores([a["free"] for a in answers], [a["truth"] for a in answers])
    rows = []
    for name, values in found.items():
        terms = np.column_stack([values, np.ones(len(values))])
        spread = interval(bootstrap(terms, share, groups=_clips(answers), seed=seed))
        rows.append(TextRow(name, float(values.mean()), spread))
    return tuple(rows)


def _confusion(kind: str, answers: Answers) -> Confusion:
    labels = _labels(answers)
    counts = confusion([a["choice"] for a in answers], [a["truth"] for a in answers], labels)
    return Confusion(kind or "questions", tuple(labels), tuple(map(tuple, counts.tolist())))


def _speaker_rows(answers: Answers) -> tuple[TypeRow, ...]:
    spoken = [answer for answer in answers if answer["speaker"]]
    names = [name for name, _ in Counter(a["speaker"] for a in spoken).most_common()]
    return tuple(type_row(name, [a for a in spoken if a["speaker"] == name]) for name in names)


def _sureness(answers: Answers, calibration: Calibration) -> Sureness:
    right = np.array([answer["choice"] == answer["truth"] for answer in answers])
    sure, raw = (np.array([answer[key] for answer in answers]) for key in ("sure", "raw"))
    told = sure >= calibration.unsure_below
    bins = reliability(sure, right)
    return Sureness(
        calibration=calibration,
        error=reliability_error(bins),
        raw_error=reliability_error(reliability(raw, right)),
        bins=bins,
        answered=float(told.mean()),
        accuracy=_mean(right[told].tolist()),
    )


def _told(answers: Answers, scorer: str) -> tuple[list[str], list[str]]:
    """What was told and what is right, by one scorer."""
    truth = [answer["truth"] for answer in answers]
    if scorer == CHOICES:
        return [answer["choice"] for answer in answers], truth
    plain = {normalise_answer(label): label for label in truth}
    return [plain.get(normalise_answer(answer["free"]), OTHER) for answer in answers], truth


def _right_terms(told: Sequence[str], truth: Sequence[str]) -> np.ndarray:
    """``(N, 2)``, of which `assistant.evaluation.bootstrap.share` is the accuracy."""
    return np.array([[one == right, 1.0] for one, right in zip(told, truth, strict=True)])


def _labels(answers: Answers) -> list[str]:
    return sorted({answer["truth"] for answer in answers})


def _clips(answers: Answers) -> list[Hashable]:
    return [answer["clip"] for answer in answers]


def _by(answers: Answers, key: str) -> dict[str, list[dict[str, Any]]]:
    values = sorted({answer[key] for answer in answers})
    return {value: [a for a in answers if a[key] == value] for value in values}


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
