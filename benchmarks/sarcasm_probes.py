"""What tells sarcasm beside the words: how the LLM expected the line, and what other texts teach.

    assistant data convert mustard MUStARD/data bare --no-speakers
    assistant data convert texts csc.csv csc            # text, context, sarcasm
    assistant data convert laughs sitcom_laughs.csv laughs
    python benchmarks/sarcasm_probes.py bare --csc csc --laughs laughs --out RUNS

Logistic regressions over the folds, on frozen features. What is chosen (the cost of weights, how
sure is sure: the median over the training folds) is chosen by cross-validation within them.
Printed: accuracy with its 95 % interval, area under the ROC curve, and the accuracy of what is
sure. The features are kept in RUNS.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from text_baselines import all_vectors, last_vectors

from assistant.data.items import Item, read_items
from assistant.evaluation.bootstrap import bootstrap, difference, interval, share
from assistant.model.expectation import signals
from assistant.model.loading import load_model
from assistant.tasks.recipes import Recipe
from assistant.tasks.store import find_task
from assistant.training.examples import make_examples
from assistant.training.regression import features

COSTS = [1e-4, 1e-3, 1e-2]
FOLDS = 3  # within the training folds
OTHERS = 1000  # lines of other texts that are learned from, at most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="with folds, as data convert writes it")
    parser.add_argument("--csc", type=Path, required=True, help="replies that are sarcastic or not")
    parser.add_argument("--laughs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    items = read_items(args.data)
    truth = np.array([item.answer == "yes" for item in items])
    folds = np.array([item.fold for item in items])
    print("| features | accuracy | area | sure | of which right | ahead of words alone |")
    print("|---|---|---|---|---|---|")
    parts = words_of(items, args)
    first = asked([parts["words"]], truth, folds)[0]
    plain = [("line",), ("words",), ("words", "csc"), ("words", "laugh")]
    for names in plain:
        show(names, asked([parts[name] for name in names], truth, folds), truth, first)
    parts |= read_by_an_adapter(items, args)
    for names in (
        ("expected",),
        ("line", "expected"),
        ("words", "expected"),
        ("words", "expected", "csc", "laugh"),
        ("embedded",),
        ("embedded", "expected"),
    ):
        show(names, asked([parts[name] for name in names], truth, folds), truth, first)
    for name in ("csc", "laugh", "expected"):
        areas = [roc_auc_score(truth, column) for column in parts[name].T]
        print(f"{name}: area of each alone {' '.join(f'{area:.3f}' for area in areas)}")


def show(
    names: Sequence[str],
    told: tuple[np.ndarray, np.ndarray, np.ndarray],
    truth: np.ndarray,
    first: np.ndarray,
) -> None:
    """A row of the table."""
    right, scores, sure = told
    low, high = interval(bootstrap(terms(right), share))
    by = difference(terms(right), terms(first), share)
    ahead = f"{100 * by.value:+.1f} ({100 * by.interval[0]:+.1f} to {100 * by.interval[1]:+.1f})"
    print(
        f"| {' + '.join(names)} | {100 * right.mean():.1f} ({100 * low:.0f}-{100 * high:.0f}) "
        f"| {100 * roc_auc_score(truth, scores):.1f} | {100 * sure.mean():.0f} % "
        f"| {100 * right[sure].mean():.1f} | {ahead} |",
        flush=True,
    )


def words_of(items: Sequence[Item], args: argparse.Namespace) -> dict[str, np.ndarray]:
    """``(N, F)`` each, of MiniLM: the last line, that and those before, what other sets teach."""
    kept = args.out / "words.npz"
    if not kept.exists():
        args.out.mkdir(parents=True, exist_ok=True)
        words = all_vectors(items)
        line = words[:, : words.shape[1] // 2]
        csc, laugh = taught(args.csc, line), taught(args.laughs, line)
        np.savez(kept, line=line, words=words, csc=csc, laugh=laugh)
    return dict(np.load(kept))


def read_by_an_adapter(items: Sequence[Item], args: argparse.Namespace) -> dict[str, np.ndarray]:
    """``(N, F)`` each, of what an adapter's regression reads: the embedded text's mean, and what
    the language model expected."""
    kept = args.out / "read.npz"
    if not kept.exists():
        model, prompt = load_model("mini", reading=False), find_task("sarcasm")
        recipe = Recipe("sarcasm", frames=0, with_=("regression",))
        examples = make_examples(items, prompt, model, None, {}, recipe)
        count = signals(prompt.expects)
        read = features(model, examples, count)
        np.savez(kept, embedded=read[:, :-count], expected=read[:, -count:])
    return dict(np.load(kept))


def taught(path: Path, line: np.ndarray) -> np.ndarray:
    """``(N, 1)``: the score of lines by what is learned from the last lines of another set."""
    items = [item for item in read_items(path) if item.split != "test"]
    drawn = [items[place] for place in np.random.default_rng(0).permutation(len(items))[:OTHERS]]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, max_iter=100))
    model.fit(last_vectors(drawn), [item.answer == "yes" for item in drawn])
    return model.decision_function(line)[:, None]


def asked(
    blocks: Sequence[np.ndarray], truth: np.ndarray, folds: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whether each is right ``(N,)``, its score, and whether it is sure. Blocks weigh alike."""
    right, scores = np.zeros(len(truth), bool), np.zeros(len(truth))
    sure = np.zeros(len(truth), bool)
    for fold in np.unique(folds):
        test = folds == fold
        scaled = [StandardScaler().fit(block[~test]).transform(block) for block in blocks]
        table = np.hstack([block * np.sqrt(100 / block.shape[1]) for block in scaled])
        search = GridSearchCV(
            LogisticRegression(max_iter=100), {"C": COSTS}, cv=FOLDS, scoring="neg_log_loss"
        ).fit(table[~test], truth[~test])
        inner = cross_val_predict(
            search.best_estimator_, table[~test], truth[~test], cv=FOLDS, method="decision_function"
        )
        scores[test] = search.decision_function(table[test])
        right[test] = (scores[test] > 0) == truth[test]
        sure[test] = abs(scores[test]) >= np.median(abs(inner))
    return right, scores, sure


def terms(right: np.ndarray) -> np.ndarray:
    return np.stack([right, np.ones(len(right))], 1)


if __name__ == "__main__":
    main()
