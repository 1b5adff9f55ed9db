"""A logistic regression of what is said, fitted in closed form before an adapter is trained.

It reads the mean of the embedded text and what the last line stands beside, each standardised; the
two weigh alike. How far it is held back is chosen by cross-validation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from assistant.data.items import Item
from assistant.errors import InputError
from assistant.model.adapter_parts import TextRegression, mean_token
from assistant.model.assistant import VideoAssistant
from assistant.training.examples import Example

COSTS = (0.03, 0.1, 0.3, 1.0, 3.0)  # inverse strength of the penalty
FOLDS = 5
LEAST = 1e-6  # spread of a feature
BATCH = 64


def choices_of(items: Sequence[Item]) -> tuple[str, ...]:
    """The choices that all items have.

    Raises:
        InputError: they are not the same everywhere, one of them is never right, or scikit-learn is
            missing.
    """
    if find_spec("sklearn") is None:
        raise InputError("with regression needs scikit-learn: pip install 'video-assistant[train]'")
    offered = {tuple(sorted(item.choices or ())) for item in items}
    choices = offered.pop()
    if offered or not choices:
        raise InputError(
            "with regression: the examples have different choices, or none; give all of them the "
            "same, like yes and no, or leave it out"
        )
    right = Counter((item.type, item.answer) for item in items)
    for kind in kinds_of(items):
        for choice in choices:
            if right[kind, choice] < FOLDS:
                raise InputError(
                    f"with regression: {choice!r} is right in {right[kind, choice]} examples of "
                    f"type {kind!r}; give {FOLDS} or more"
                )
    return choices


def scores_of(choices: Sequence[str]) -> int:
    """How many scores tell these choices apart."""
    return 1 if len(choices) == 2 else len(choices)


def kinds_of(items: Sequence[Item] | Sequence[Example]) -> list[str]:
    """The types of lines that are told apart."""
    return sorted({item.type for item in items})


@torch.no_grad()
def fit_regression(
    regression: TextRegression, model: VideoAssistant, examples: Sequence[Example]
) -> None:
    """Give ``regression`` the weights that tell the answers of ``examples``, by their types."""
    known = features(model, examples, regression.signals)  # (N, D+K)
    answers = np.array([example.answer for example in examples])
    types = np.array([example.type for example in examples])
    kinds = kinds_of(examples)
    fitted = [
        fit(known[types == kind], answers[types == kind], regression.signals) for kind in kinds
    ]
    if len(kinds) == 2:  # one row tells them apart
        weight, bias = fit(known, types, regression.signals)
        fitted += [(np.zeros_like(weight), np.zeros_like(bias)), (weight, bias)]
    elif len(kinds) > 2:
        fitted.append(fit(known, types, regression.signals))
    regression.weight.copy_(torch.tensor(np.concatenate([weight for weight, _ in fitted])))
    regression.bias.copy_(torch.tensor(np.concatenate([bias for _, bias in fitted])))


def fit(known: np.ndarray, labels: np.ndarray, signals: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights ``(S, D+K)`` and biases ``(S,)`` that tell the labels of features ``(N, D+K)``."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold

    middle, spread = known.mean(0), known.std(0)
    spread[spread < LEAST] = np.inf  # what never varies tells nothing
    sizes = np.full(known.shape[1], known.shape[1] - signals)  # of each one's block
    sizes[len(sizes) - signals :] = signals
    spread = spread * np.sqrt(sizes)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    plain: Any = LogisticRegression(max_iter=1000)
    search = GridSearchCV(plain, {"C": list(COSTS)}, scoring="neg_log_loss", cv=folds)
    search.fit((known - middle) / spread, labels)
    weight = search.best_estimator_.coef_ / spread
    return weight, search.best_estimator_.intercept_ - weight @ middle


@torch.no_grad()
def features(model: VideoAssistant, examples: Sequence[Example], signals: int) -> np.ndarray:
    """``(N, D+K)``, as `TextRegression` reads them."""
    rows = []
    for start in range(0, len(examples), BATCH):
        part = examples[start : start + BATCH]
        ids, mask = model.qformer_ids([example.shown.qformer_text for example in part])
        mean = mean_token(model.qformer.embed(ids)[1].float(), mask)[:, 0].cpu()  # (B, D)
        nothing = torch.zeros(signals)
        expected = [nothing if one.expected is None else one.expected for one in part]
        rows.append(torch.cat([mean, torch.stack(expected)], dim=1))
    return torch.cat(rows).double().numpy()
