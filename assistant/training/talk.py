"""``assistant pretrain talk``: what tells small talk from questions where the rules do not.

A logistic regression on frozen sentence vectors (`assistant.vqa.likely_talk`). How small its
weights are held, and how unlikely a question must be, are chosen by cross-validation, on texts that
were written by hand and say without others what they want.
"""

from __future__ import annotations

import math
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import yaml

from assistant.core.bounds import check_bounds
from assistant.core.config import from_yaml, read_yaml
from assistant.core.files import put_folder
from assistant.core.resources import adapters_dir
from assistant.errors import ConfigError, InputError
from assistant.model.sentences import WEIGHTS as ENCODER
from assistant.model.sentences import sentence_encoder
from assistant.model.weight_files import save_weights
from assistant.tasks.prompts import list_prompts
from assistant.training.reading.config import ReadingConfig
from assistant.training.reading.run import RECIPE, questions
from assistant.training.run_folder import run_folder
from assistant.vqa.followups import leans_on_another
from assistant.vqa.likely_talk import CONFIG, FOLDER, WEIGHTS, TalkConfig
from assistant.vqa.talk import LANGUAGE, NONSENSE, QUESTION, kind_of, words
from assistant.vqa.time_ranges import without_time
from assistant.weights.base import READING

SPLIT = "dev"  # of the files of turns: that alone is read
CHUNK = 64  # texts at once


@dataclass(frozen=True)
class TalkRecipe:
    """How it is taught."""

    seed: int = 7
    questions: int = 3000  # of those that are asked about photos
    strengths: tuple[float, ...] = (1.0, 10.0, 100.0)  # C that are tried
    folds: int = 5  # of the cross-validation
    lost: float = 0.01  # share of the written questions that may be taken for talk

    def __post_init__(self) -> None:
        check_bounds(self, seed=(0, 2**32 - 1), questions=(1, 1_000_000), folds=(2, 100))
        check_bounds(self, lost=(0, 1))
        if not self.strengths or min(self.strengths) <= 0:
            raise ConfigError(f"strengths are {self.strengths}; give some, each above 0")


@dataclass(frozen=True)
class Text:
    """One text to learn from."""

    text: str
    kind: str
    counts: bool  # in what is chosen


def run(config_file: Path, turns: Sequence[Path], photos: Path, out: Path) -> Path:
    """Learn as ``config_file`` says; returns the folder with the weights, ``out/talk``.

    Args:
        turns: files of texts by split and kind, or by split and task: those are questions.
        photos: a folder for each set of the recipe of the language model that reads.
    Raises:
        InputError: a file or a set is not as wanted, or scikit-learn is missing.
    """
    if find_spec("sklearn") is None:
        raise InputError("pretrain talk needs scikit-learn: pip install 'video-assistant[train]'")
    config = from_yaml(TalkRecipe, config_file)
    written = [text for path in turns for text in read_turns(path)]
    counted = Counter(text.kind for text in written)
    if QUESTION not in counted or len(counted) < 2 or min(counted.values()) < config.folds:
        raise InputError(
            f"{turns[0]}: {SPLIT} has {dict(counted)}; give questions and a kind of talk, "
            f"{config.folds} or more of each"
        )
    with run_folder(out, resume=False):
        asked = photo_questions(photos, config.questions, config.seed)
        texts = {one.text: one for one in reversed([*written, *asked])}  # the first of equal ones
        return write(*fit([*texts.values()], config), out)


def read_turns(path: Path) -> list[Text]:
    """The texts under ``dev``. Raises ConfigError, InputError: they are not as wanted."""
    data = read_yaml(path)
    by_kind = data.get(SPLIT) if isinstance(data, dict) else None
    if not isinstance(by_kind, dict):
        raise InputError(f"{path}: holds no {SPLIT!r} with texts by their kind; add it")
    tasks, found = list_prompts(), []
    for kind, texts in by_kind.items():
        if kind not in (QUESTION, *words().kinds, *tasks):
            raise InputError(
                f"{path}: {SPLIT} has {kind!r}; choose {QUESTION}, a kind of talk, or a task"
            )
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise InputError(f"{path}: {SPLIT}: {kind} is no list of texts; correct it")
        if kind not in (NONSENSE, LANGUAGE):
            told = QUESTION if kind in tasks else kind
            found += [
                Text(text, told, not leans_on_another(text))
                for text in texts
                if told != QUESTION or kind_of(text) == QUESTION  # it gets no further else
            ]
    return found


def photo_questions(photos: Path, count: int, seed: int) -> list[Text]:
    """So many of the different questions about training photos, by chance; those that the rules
    take for talk ("Where was it filmed?") are none."""
    reading = from_yaml(ReadingConfig, adapters_dir() / "mini" / READING / RECIPE)
    asked = questions(reading, photos, None)["train"]
    distinct = sorted({one.question for one in asked})
    order = np.random.default_rng(seed).permutation(len(distinct))
    drawn = (distinct[place] for place in order if kind_of(distinct[place]) == QUESTION)
    return [Text(question, QUESTION, False) for question in islice(drawn, count)]


def kinds_of(texts: Sequence[Text]) -> list[str]:
    """Each kind once, in order."""
    return sorted({text.kind for text in texts})


def fit(texts: Sequence[Text], config: TalkRecipe) -> tuple[TalkConfig, np.ndarray, np.ndarray]:
    """How to read the weights, ``(kinds, D)`` and ``(kinds,)``."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    plain, kinds = [without_time(text.text) for text in texts], [text.kind for text in texts]
    vectors = encoded(plain)
    counts = np.array([text.counts for text in texts])
    asks = np.array(kinds) == QUESTION
    folds = StratifiedKFold(config.folds, shuffle=True, random_state=config.seed)
    found = []
    for strength in config.strengths:
        model = LogisticRegression(C=strength, max_iter=2000)
        chances = cross_val_predict(model, vectors, kinds, cv=folds, method="predict_proba")
        question = chances[:, kinds_of(texts).index(QUESTION)]
        least, caught = threshold(question[counts & asks], question[counts & ~asks], config.lost)
        found.append((caught, -strength, least))
    _, strength, least = max(found)
    model = LogisticRegression(C=-strength, max_iter=2000)
    model.fit(vectors, kinds)
    told = TalkConfig(ENCODER, tuple(model.classes_.tolist()), least, -strength, config.seed)
    return told, model.coef_, model.intercept_


def encoded(texts: Sequence[str]) -> np.ndarray:
    """``(N, D)``, whose length is 1."""
    parts = [texts[first : first + CHUNK] for first in range(0, len(texts), CHUNK)]
    return np.concatenate([sentence_encoder()(part) for part in parts])


def threshold(asked: np.ndarray, talk: np.ndarray, lost: float) -> tuple[float, float]:
    """The highest chance of being a question below which at most ``lost`` of the questions are,
    and the share of talk that is."""
    place = min(int(lost * len(asked)), len(asked) - 1)
    least = math.floor(1000 * np.sort(asked)[place]) / 1000
    return least, float((talk < least).mean())


def write(config: TalkConfig, weight: np.ndarray, bias: np.ndarray, out: Path) -> Path:
    made, fresh = out / FOLDER, out / f".{FOLDER}.part"
    shutil.rmtree(fresh, ignore_errors=True)  # of a killed run
    fresh.mkdir()
    save_weights({"weight": torch.tensor(weight), "bias": torch.tensor(bias)}, fresh / WEIGHTS)
    told = asdict(config) | {"kinds": [*config.kinds]}
    (fresh / CONFIG).write_text(yaml.safe_dump(told, sort_keys=False))
    put_folder(fresh, made)
    return made
