"""Which task a question is for: that of the example question which it is most like.

Candidates are chat and every task with an adapter that was made for the loaded base; without such
an adapter nothing is computed. Chat wins where its own examples are nearer, and where no task's are
near enough: a wrong task answers another question, chat at least this one.

Only the question counts. Choices that are given do not change the task, the person's own win over
the task's. A task that reads dialogue is taken without any, too: chat would know no more of what is
said, and an answer that is unsure for that says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.errors import AssistantError
from assistant.tasks.prompts import load_prompt
from assistant.tasks.recipes import RECIPE
from assistant.tasks.store import adapter_folders, adapter_prompt, find_adapter
from assistant.vqa.time_ranges import without_time

if TYPE_CHECKING:
    import numpy as np

CHAT = "chat"
# Chosen on the questions under `dev` in tests/task_questions.yaml.
LEAST_SCORE = 0.42


@dataclass(frozen=True)
class TaskChoice:
    """A task, and the cosine of the question with the nearest of its example questions."""

    task: str
    score: float  # -1 to 1; nan where there was nothing to choose from


def choose_task(question: str, model: str = "mini", *, base: str | None = None) -> TaskChoice:
    """The task of ``model`` that ``question`` is for: chat, or one with an adapter.

    Args:
        base: fingerprint of the loaded base weights: adapters made for others are left out.
            None: all are in.
    Raises:
        WeightsError: the sentence encoder cannot be fetched.
    """
    known = _examples_by_task(model, base)
    if not known:
        return TaskChoice(CHAT, math.nan)
    from assistant.model.sentences import sentence_encoder

    (vector,) = sentence_encoder()((without_time(question),))
    known[CHAT] = load_prompt(CHAT).examples
    scores = {task: float((_vectors(texts) @ vector).max()) for task, texts in known.items()}
    best = max(scores, key=scores.__getitem__)
    task = best if scores[best] >= LEAST_SCORE else CHAT
    return TaskChoice(task, scores[task])


def _examples_by_task(model: str, base: str | None) -> dict[str, tuple[str, ...]]:
    """Example questions of every task but chat that can be answered by its own adapter."""
    found = {}
    for name, (folder, _) in adapter_folders(model).items():
        made_for, examples = _told(name, model, folder, (folder / RECIPE).stat().st_mtime_ns)
        if name != CHAT and made_for is not None and base in (None, made_for):
            found[name] = examples
    return found


@lru_cache(maxsize=64)
def _told(name: str, model: str, folder: Path, changed: int) -> tuple[str | None, tuple[str, ...]]:
    """What an adapter was made for and its examples; (None, ()) for one that is damaged.

    ``folder`` and ``changed`` tell it from another that has its name; reading takes 10 ms.
    """
    try:
        stored = find_adapter(name, model)
        examples = adapter_prompt(stored).examples
    except AssistantError:  # `assistant adapters list` shows it
        return None, ()
    return (None, ()) if stored.recipe.made is None else (stored.recipe.made.base, examples)


@lru_cache(maxsize=64)
def _vectors(texts: tuple[str, ...]) -> np.ndarray:
    """``(N, D)`` unit vectors."""
    from assistant.model.sentences import sentence_encoder

    return sentence_encoder()(texts)
