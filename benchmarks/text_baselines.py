"""What answers questions about text without us: each is fitted on some examples, asked of others.

A baseline is a function from (examples to learn from, examples to answer) to answers. Its settings
are chosen by cross-validation within the examples it learns from.
"""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch
from own_loop import library_network
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm

from assistant.data.items import Item
from assistant.dialogue.subtitles import Dialogue, Line
from assistant.model.assistant import VideoAssistant
from assistant.model.sentences import sentence_encoder
from assistant.tasks.prompts import TaskPrompt
from assistant.vqa.request import compose

__all__ = ["Baseline", "baselines"]

Baseline = Callable[[Sequence[Item], Sequence[Item]], list[str]]
COSTS = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0]
FOLDS = 5  # within the training examples
SHOTS = 4
BATCH = 64
VECTORS: dict[str, np.ndarray] = {}
SHOWN = 400  # characters of an example that the LLM is shown


def baselines(prompt: TaskPrompt, model: VideoAssistant) -> dict[str, Baseline]:
    """By name; those of the LLM are asked as ``prompt`` asks."""
    return {
        "majority": majority,
        "speaker's name": speaker,
        "punctuation, you and I": punctuation,
        "TF-IDF + SVM": tfidf,
        "MiniLM + SVM": minilm,
        "MiniLM and name + SVM": minilm_and_name,
        "SmolLM2 zero-shot": lambda train, test: llm(prompt, model, [], test),
        f"SmolLM2 {SHOTS} examples": lambda train, test: llm(prompt, model, shots(train), test),
    }


def majority(train: Sequence[Item], test: Sequence[Item]) -> list[str]:
    return [commonest(item.answer for item in train)] * len(test)


def speaker(train: Sequence[Item], test: Sequence[Item]) -> list[str]:
    """The commonest answer for who speaks the last line; of strangers, and in a draw, of all."""
    whole = commonest(item.answer for item in train)
    counted: dict[str, Counter[str]] = {}
    for item in train:
        counted.setdefault(who(item), Counter())[item.answer] += 1
    told = []
    for item in test:
        most = counted.get(who(item), Counter()).most_common(2)
        drawn = not most or (len(most) == 2 and most[0][1] == most[1][1])
        told.append(whole if drawn else most[0][0])
    return told


def punctuation(train: Sequence[Item], test: Sequence[Item]) -> list[str]:
    """A tree of three questions about marks and the words you and I."""
    return fitted(make_pipeline(FunctionTransformer(marks), DecisionTreeClassifier(max_depth=3)))(
        train, test
    )


def tfidf(train: Sequence[Item], test: Sequence[Item]) -> list[str]:
    """Words and pairs of words, of the last line or of all of them."""
    model = Pipeline(
        [
            ("text", FunctionTransformer()),
            ("words", TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)),
            ("svm", LinearSVC()),
        ]
    )
    grid = {"text__func": [last_lines, all_lines], "svm__C": COSTS}
    return fitted(GridSearchCV(model, grid, cv=FOLDS))(train, test)


def minilm(train: Sequence[Item], test: Sequence[Item]) -> list[str]:
    """The vector of the last line, alone or with that of the lines before it."""
    model = Pipeline([("text", FunctionTransformer()), ("scale", StandardScaler()), ("svm", SVC())])
    grid = {
        "text__func": [last_vectors, all_vectors],
        "svm__C": COSTS,
        "svm__kernel": ["rbf", "linear"],
    }
    if len(train) > 2000:  # kernels would take hours
        model.set_params(svm=LinearSVC(dual=False))
        del grid["svm__kernel"]
    if all(len(lines_of(item)) == 1 for item in train):  # there is nothing before the last line
        grid["text__func"] = [last_vectors]
    return fitted(GridSearchCV(model, grid, cv=FOLDS, n_jobs=1))(train, test)


def minilm_and_name(train: Sequence[Item], test: Sequence[Item]) -> list[str]:
    """The vectors, and a column for who speaks the last line: how far the two go together."""
    text = Pipeline([("lines", FunctionTransformer()), ("scale", StandardScaler())])
    name = make_pipeline(FunctionTransformer(speakers), OneHotEncoder(handle_unknown="ignore"))
    model = Pipeline([("both", FeatureUnion([("text", text), ("name", name)])), ("svm", SVC())])
    grid = {
        "both__text__lines__func": [last_vectors, all_vectors],
        "both__transformer_weights": [{"name": weight} for weight in (1.0, 5.0, 20.0)],
        "svm__C": COSTS,
        "svm__kernel": ["rbf", "linear"],
    }
    return fitted(GridSearchCV(model, grid, cv=FOLDS))(train, test)


def fitted(model: Pipeline | GridSearchCV) -> Baseline:
    def answer(train: Sequence[Item], test: Sequence[Item]) -> list[str]:
        model.fit(list(train), [item.answer for item in train])
        return list(model.predict(list(test)))

    return answer


@torch.inference_mode()
def llm(
    prompt: TaskPrompt, model: VideoAssistant, examples: Sequence[Item], test: Sequence[Item]
) -> list[str]:
    """The likelier answer to the task's question under the dialogue, after some examples."""
    llm = model.llm
    history = [(as_asked(prompt, model, item), item.answer) for item in examples]
    asked = [llm.prompt_ids(as_asked(prompt, model, item), history) for item in test]
    shared = shared_start(asked)  # the examples: read once
    network = library_network(llm).base_model
    head = llm.network.get_output_embeddings()
    read = network(input_ids=asked[0][None, :shared], use_cache=True).past_key_values
    told = []
    for item, ids in tqdm(list(zip(test, asked, strict=True)), desc="LLM", unit="question"):
        assert item.choices
        answers = [llm.answer_ids(choice) for choice in item.choices]
        before = len(ids) - shared
        rows = [torch.cat([ids[shared:], answer]) for answer in answers]
        past = copy.deepcopy(read)
        past.batch_repeat_interleave(len(rows))
        states = network(
            input_ids=pad_sequence(rows, batch_first=True), past_key_values=past, use_cache=True
        ).last_hidden_state
        scores = []
        for row, answer in zip(states, answers, strict=True):
            said = head(row[before - 1 : before - 1 + len(answer)]).float().log_softmax(-1)
            scores.append(float(said.gather(1, answer[:, None]).mean()))
        told.append(item.choices[int(np.argmax(scores))])
    return told


def shared_start(texts: Sequence[torch.Tensor]) -> int:
    """How many ids all texts begin with, short of the whole of any."""
    shortest = min(map(len, texts)) - 1
    rows = torch.stack([ids[:shortest] for ids in texts])
    differs = (rows != rows[0]).any(0)
    return int(differs.int().argmax()) if differs.any() else shortest


def as_asked(prompt: TaskPrompt, model: VideoAssistant, item: Item) -> str:
    """The dialogue, and the task's question under it, as the LLM reads without a Q-Former."""
    said = Dialogue(tuple(Line(line[-SHOWN:]) for line in lines_of(item)))
    plain = replace(prompt, qformer_text="{dialogue}")
    return compose(
        plain, model, item.question, said=said, choices=item.choices, without=("fusion",)
    ).prompt


def shots(train: Sequence[Item]) -> list[Item]:
    """As many of each answer, in turn."""
    rng = np.random.default_rng(0)
    answers = sorted({item.answer for item in train})
    drawn = [
        list(rng.permutation([place for place, i in enumerate(train) if i.answer == answer]))
        for answer in answers
    ]
    return [train[drawn[turn % len(answers)][turn // len(answers)]] for turn in range(SHOTS)]


def commonest(answers: Iterable[str]) -> str:
    return Counter(sorted(answers)).most_common(1)[0][0]


def who(item: Item) -> str:
    lines = item.dialogue.lines if item.dialogue else ()
    return (lines[-1].speaker or "") if lines else ""


def speakers(items: Sequence[Item]) -> np.ndarray:
    return np.array([[who(item)] for item in items])


def lines_of(item: Item) -> list[str]:
    return [line.as_text() for line in item.dialogue.lines] if item.dialogue else [item.question]


def last_lines(items: Sequence[Item]) -> list[str]:
    return [lines_of(item)[-1] for item in items]


def all_lines(items: Sequence[Item]) -> list[str]:
    return ["\n".join(lines_of(item)) for item in items]


def last_vectors(items: Sequence[Item]) -> np.ndarray:
    return vectors(last_lines(items))


def all_vectors(items: Sequence[Item]) -> np.ndarray:
    before = ["\n".join(lines_of(item)[:-1]) for item in items]
    return np.hstack([last_vectors(items), vectors(before)])


def vectors(texts: Sequence[str]) -> np.ndarray:
    """``(N, D)``; a text is encoded once."""
    new = sorted(set(texts) - VECTORS.keys(), key=len)
    for start in range(0, len(new), BATCH):
        part = new[start : start + BATCH]
        VECTORS.update(zip(part, sentence_encoder()(part), strict=True))
    return np.stack([VECTORS[text] for text in texts])


def marks(items: Sequence[Item]) -> np.ndarray:
    """How often each mark and each of you and I occurs, and how the last line ends."""
    rows = []
    for text in last_lines(items):
        words = re.findall(r"[a-z']+", text.lower())
        ends = [text.rstrip().endswith(mark) for mark in ".!?"]
        counts = [text.count(mark) for mark in ".,!?\"'-:"]
        people = [words.count(word) for word in ("you", "your", "i", "my", "me")]
        rows.append([*ends, *counts, *people, len(words)])
    return np.array(rows, float)
