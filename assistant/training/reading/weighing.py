"""Fits how candidates are weighed (`assistant.vqa.weighing`) on dev photos."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from tqdm import tqdm

from assistant.model.assistant import VideoAssistant
from assistant.sources import Look, perceiver
from assistant.training.reading.questions import LABELLED, Asking
from assistant.training.reading.trainer import Data, ask
from assistant.training.space.truth import Truth
from assistant.vqa import forms
from assistant.vqa.candidates import candidates, lifts_of
from assistant.vqa.forms import form_of
from assistant.vqa.weighing import (
    KINDS,
    Candidate,
    Weigher,
    Weighing,
    Weights,
    doubts,
)

WORD = re.compile(r"[a-z]+")
LITTLE_WORDS = "a an the in on at of to with and is are its his her their up down"
LITTLE = frozenset(LITTLE_WORDS.split())
TRUE = 0.75  # share of a description's words that captions have, where it counts as right
TELLING = 2  # words that it has in common with them at least
WRONG = 1.0  # what a wrong word of a description takes away, in right ones
NO_WEIGHTS = Weights((), ())
PRIOR = (1.0, -0.25, 3.0, 0.0, 0.0, 1.0)  # weights of FEATURES that few questions may move little
HELD = 0.005  # how much they are held to it: by cross-validation on dev


@dataclass(frozen=True)
class Weighed:
    """A question, its candidates, and which are right."""

    asking: Asking
    kind: str  # of its form, as weighing has it
    candidates: tuple[Candidate, ...]
    right: tuple[bool, ...]


def gather(model: VideoAssistant, data: Data, asked: Sequence[Asking]) -> Iterator[Weighed]:
    """Candidates of each question and what speaks for them."""
    for asking in tqdm(asked, desc="weighing", mininterval=30):
        notes = data.notes.of(asking.photo)
        one = ask(asking.photo, asking.question, asking.answers, notes)
        dark = ask(asking.photo, asking.question, asking.answers, {})
        form = form_of(asking.question)
        look = data.look(model, asking.photo)
        with torch.inference_mode():
            sources = [perceiver(name).look_at(name, look) for name in notes]
        weigher = Weigher(
            form,
            NO_WEIGHTS,
            tuple(candidates(form, sources)),
            partial(_likeness, model, look),
            lifts_of(sources),
        )
        with torch.inference_mode():
            patches = data.patches([asking.photo])
            visual = model.visual_tokens(patches, [one.qformer_text])
            blind = model.visual_tokens(None, [dark.qformer_text])
            written = model.propose(visual, [one.prompt], [()])[0]
            texts = weigher.candidates(written)
            claims = [[(text, True) for text in texts]]
            (seen,) = model.score_batch(visual, [one.prompt], [()], claims)
            (alone,) = model.score_batch(blind, [dark.prompt], [()], claims)
            found = weigher.weighed(texts, seen, alone, written)
        kind = form.kind if form.kind in KINDS else forms.OTHER
        yield Weighed(asking, kind, found, tuple(right(asking, form.kind, t) for t in texts))


def _likeness(model: VideoAssistant, look: Look, texts: Sequence[str]) -> list[float]:
    return model.space.compare(look, texts).mean(0).tolist()


def right(asking: Asking, kind: str, text: str) -> bool:
    """Whether an answer is as good as one of those given; a description: whether nearly all of its
    words are in the captions, and some tell more than that there is somebody."""
    said = text.lower().strip(" .")
    if asking.kind == LABELLED:  # of a photo no more than its label is known
        return Truth([asking.choices])([said])[0]
    if kind == forms.DESCRIBE:
        held = held_words(said, asking.answers)
        return sum(held) >= TELLING and sum(held) / len(held) >= TRUE
    if kind in (forms.YES_NO, forms.COUNT):
        return said in asking.answers
    return any(
        Truth([[said]])([answer])[0] or Truth([[answer]])([said])[0] for answer in asking.answers
    )


def held_words(said: str, answers: Sequence[str]) -> list[bool]:
    """Of each word that says something: whether the answers have it, or a kind of it."""
    words = [word for word in WORD.findall(said) if word not in LITTLE]
    return Truth([[word] for word in words])(answers) if words else []


def best_told(row: Weighed) -> tuple[bool, ...]:
    """Which candidates are to win: the right ones; of descriptions those that tell most, less what
    is wrong in them."""
    if row.kind != forms.DESCRIBE or row.asking.kind == LABELLED:
        return row.right
    gains = []
    for one in row.candidates:
        held = held_words(one.text.lower(), row.asking.answers)
        gains.append(sum(held) - WRONG * (len(held) - sum(held)))
    best = max(gains)
    return tuple(best > 0 and gain == best for gain in gains)


def fit(found: Sequence[Weighed]) -> Weighing:
    """Weights of each kind of question."""
    kinds: dict[str, list[Weighed]] = {}
    for one in found:
        kinds.setdefault(one.kind, []).append(one)
    return Weighing({kind: fit_kind(rows) for kind, rows in kinds.items()})


def fit_kind(rows: Sequence[Weighed]) -> Weights:
    """Of one kind: a softmax over candidates, then a logistic model of the best."""
    from sklearn.linear_model import LogisticRegression

    wanted = [(row, best_told(row)) for row in rows]
    usable = [(row, best) for row, best in wanted if any(best) and not all(best)]
    features = [torch.tensor([c.features for c in row.candidates]) for row, _ in usable]
    masks = [torch.tensor(best) for _, best in usable]
    prior = torch.tensor(PRIOR)
    weights = prior.clone().requires_grad_(True)
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        losses = [
            x.matmul(weights).logsumexp(0) - x.matmul(weights)[mask].logsumexp(0)
            for x, mask in zip(features, masks, strict=True)
        ]
        total = torch.stack(losses).mean() + HELD * (weights - prior).square().sum()
        total.backward()
        return total

    optimizer.step(loss)
    score = tuple(weights.detach().tolist())
    told, true = [], []
    for row in rows:
        scores = [
            sum(w * v for w, v in zip(score, c.features, strict=True)) for c in row.candidates
        ]
        told.append(doubts(row.candidates, scores))
        true.append(row.right[max(range(len(scores)), key=scores.__getitem__)])
    x, y = np.array(told), np.array(true)
    if y.all() or not y.any():  # there is nothing to tell apart
        odds = (y.sum() + 1) / ((~y).sum() + 1)
        return Weights(score, (0.0, 0.0, 0.0, 0.0, float(np.log(odds))))
    line = LogisticRegression(C=1.0, fit_intercept=False).fit(x, y)
    return Weights(score, tuple(line.coef_[0].tolist()))


def by_form(asked: Mapping[str, Sequence[Asking]], count: int, seed: int) -> list[Asking]:
    """``count`` questions of each kind of form, and as many that a label describes."""
    pools: dict[str, list[Asking]] = {}
    for readings in asked.values():
        for reading in readings:
            kind = form_of(reading.question).kind
            kind = kind if kind in KINDS else forms.OTHER
            pools.setdefault(LABELLED if reading.kind == LABELLED else kind, []).append(reading)
    rng = np.random.default_rng(seed)
    return [pool[place] for pool in pools.values() for place in rng.permutation(len(pool))[:count]]
