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
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from text_baselines import all_vectors, last_vectors, lines_of
from tqdm import tqdm

from assistant.data.items import Item, read_items
from assistant.evaluation.bootstrap import bootstrap, difference, interval, share
from assistant.model.llm import LanguageModel
from assistant.model.loading import load_model

COSTS = [1e-4, 1e-3, 1e-2]
FOLDS = 3  # within the training folds
MOST_BEFORE, MOST_LINE = 40, 30  # tokens that are read
OTHERS = 1000  # lines of other texts that are learned from, at most
AFTER = (" I was being sarcastic.", " I really mean it.")
INSTEAD = ("That's great!", "That's terrible.")
VERB = r"\b(is|am|are|was|were|will|would|can|could|should|do|does|did|have|has|had|'s|'m|'re)\b"


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
    parts |= expectations_of(items, args)
    for names in (
        ("expected",),
        ("line", "expected"),
        ("words", "expected"),
        ("words", "expected", "csc", "laugh"),
        ("words", "states"),
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


def expectations_of(items: Sequence[Item], args: argparse.Namespace) -> dict[str, np.ndarray]:
    """``(N, F)`` each, of the language model: likelihoods, and the line's mean state."""
    kept = args.out / "expected.npz"
    if not kept.exists():
        llm = load_model("mini", reading=False).llm
        found = [expected(llm, lines_of(item)) for item in tqdm(items, desc="LLM")]
        np.savez(
            kept,
            expected=np.array([likelihoods for likelihoods, _ in found]),
            states=np.array([state for _, state in found]),
        )
    return dict(np.load(kept))


def taught(path: Path, line: np.ndarray) -> np.ndarray:
    """``(N, 1)``: the score of lines by what is learned from the last lines of another set."""
    items = [item for item in read_items(path) if item.split != "test"]
    drawn = [items[place] for place in np.random.default_rng(0).permutation(len(items))[:OTHERS]]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, max_iter=100))
    model.fit(last_vectors(drawn), [item.answer == "yes" for item in drawn])
    return model.decision_function(line)[:, None]


@torch.inference_mode()
def expected(llm: LanguageModel, lines: Sequence[str]) -> tuple[list[float], np.ndarray]:
    """How likely the last line is after those before it, beside itself alone, its negation, replies
    of plain feeling, and what could follow it; and its mean state ``(D,)``.

    All is one sequence, in which each part sees only what it follows.
    """

    def ids(text: str) -> list[int]:
        return llm.answer_ids(text, ended=False).tolist()

    before = [llm.tokenizer.eos_token_id, *ids("".join(f"{one}\n" for one in lines[:-1]))]
    before = before[-MOST_BEFORE:]
    line, negated = ids(lines[-1])[:MOST_LINE], ids(negation(lines[-1]))[:MOST_LINE]
    texts = [before, line, negated, *map(ids, INSTEAD), *map(ids, AFTER), line]
    follows = [[], [0], [0], *[[0]] * len(INSTEAD), *[[0, 1]] * len(AFTER), []]
    owner = torch.cat([torch.full((len(text),), place) for place, text in enumerate(texts)])
    sees = torch.stack(
        [torch.isin(owner, torch.tensor([place, *follows[place]])) for place in owner.tolist()]
    )
    sees &= torch.ones_like(sees).tril()
    network = llm.network
    tokens = network.get_input_embeddings()(torch.tensor([[one for t in texts for one in t]]))
    bias = torch.zeros(1, 1, *sees.shape, dtype=tokens.dtype)
    states = network.base_model(
        inputs_embeds=tokens,
        attention_mask=bias.masked_fill(~sees, torch.finfo(tokens.dtype).min),
        position_ids=sees.sum(1)[None] - 1,
        use_cache=False,
    ).last_hidden_state[0]  # (N, D)
    head, starts = network.get_output_embeddings(), np.cumsum([0, *map(len, texts)])
    told: list[torch.Tensor] = []
    for place in range(1, len(texts)):
        own = list(range(starts[place], starts[place + 1]))
        last = [starts[follows[place][-1] + 1] - 1] if follows[place] else []
        shares = head(states[[*last, *own[:-1]]]).float().log_softmax(-1)
        labels = torch.tensor(texts[place][0 if last else 1 :])
        told.append(shares.gather(1, labels[:, None])[:, 0])
    after, alone = told[0], told[-1]
    means = [float(one.mean()) if len(one) else 0.0 for one in told]
    more = [after.sum(), after.min(), after[0], after[-4:].mean()]
    gained = [
        means[0] - means[-1],
        means[0] - means[1],
        float(after[-4:].mean() - alone[-4:].mean()),
    ]
    if len(alone) == 0:
        gained[-1] = 0.0
    state = states[starts[1] : starts[2]].float().mean(0).numpy()
    return [*means, *map(float, more), *gained], state


def negation(line: str) -> str:
    """The line with a "not" more, or less."""
    if re.search(r"n't\b| not\b", line):
        return re.sub(r"n't\b| not\b", "", line, count=1)
    if re.search(VERB, line, re.IGNORECASE):
        return re.sub(VERB, r"\1 not", line, count=1, flags=re.IGNORECASE)
    return f"It is not true: {line}"


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
