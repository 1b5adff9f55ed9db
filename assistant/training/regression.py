"""A logistic regression of what is said, fitted in closed form before an adapter is trained.

It reads the mean of the embedded text and how expected the last line was, each standardised; the
two weigh alike. How far it is held back is chosen by cross-validation.
"""

from __future__ import annotations

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

COSTS = (1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0)  # inverse strength of the penalty
FOLDS = 5
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
    for choice in choices:
        right = sum(item.answer == choice for item in items)
        if right < FOLDS:
            raise InputError(
                f"with regression: {choice!r} is right in {right} examples; give {FOLDS} or more"
            )
    return choices


def scores_of(choices: Sequence[str]) -> int:
    """How many scores tell these choices apart."""
    return 1 if len(choices) == 2 else len(choices)


@torch.no_grad()
def fit_regression(
    regression: TextRegression, model: VideoAssistant, examples: Sequence[Example]
) -> None:
    """Give ``regression`` the weights that tell the answers of ``examples``."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold

    known = features(model, examples, regression.signals)  # (N, D+K)
    middle, spread = known.mean(0), known.std(0).clip(min=1e-6)
    sizes = np.full(known.shape[1], known.shape[1] - regression.signals)  # of each one's block
    sizes[len(sizes) - regression.signals :] = regression.signals
    spread = spread * np.sqrt(sizes)
    kinds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    plain: Any = LogisticRegression(max_iter=1000)
    search = GridSearchCV(plain, {"C": list(COSTS)}, scoring="neg_log_loss", cv=kinds)
    search.fit((known - middle) / spread, [example.answer for example in examples])
    weight = search.best_estimator_.coef_ / spread
    bias = search.best_estimator_.intercept_ - weight @ middle
    regression.weight.copy_(torch.tensor(weight))
    regression.bias.copy_(torch.tensor(bias))


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
