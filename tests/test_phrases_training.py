"""Phrases as classifiers: what captions hold, what is learned, how sure it must be."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from test_phrases import NAMES, WORDS

from assistant.core.config import from_mapping
from assistant.sources.lexicon import Lexicon
from assistant.training.space.judged import (
    NEVER,
    PRECISION,
    Photos,
    columns,
    judge,
    threshold,
    truth_of,
)
from assistant.training.space.phrases import (
    Classifiers,
    calibrate,
    measure,
    train_classifiers,
)
from assistant.training.space.truth import Truth

LEXICON = from_mapping(Lexicon, WORDS, "here")


@pytest.mark.parametrize(
    ("phrase", "caption", "held"),
    [
        ("riding a bike", "A boy rides his bicycle down a hill .", True),
        ("riding a bike", "A man rides a horse ; a bike leans on a wall .", True),  # words, no more
        ("riding a bike", "A bike leans on a wall .", False),
        ("dog", "Two puppies are sleeping", True),
        ("puppy", "Two dogs are sleeping", False),
        ("person", "a little girl laughs", True),
        ("girl", "a person laughs", False),
        ("dog", "a hot dog with mustard", False),
        ("running", "a man runs", True),
        ("running", "a man jumps", False),
        ("waving", "a surfer on a wave", False),
        ("parking a car", "a car in a park", False),
        ("swimming pool", "kids in a pool", False),
        ("playing the drums", "a man plays drums", True),
        ("two dogs", "two brown dogs play", True),
    ],
)
def test_what_a_caption_holds(phrase, caption, held):
    assert Truth([[phrase]])([caption]) == [held]


def test_one_name_of_a_phrase_in_one_caption_is_enough():
    truth = Truth([["beach", "shore"], ["riding a bike"]])
    assert truth(["a dog on the shore", "a wall"]) == [True, False]
    assert truth(["a man rides", "a bike"]) == [False, False]  # not in one caption
    assert truth([]) == [False, False]


def photos_of(texts: dict[str, tuple[str, ...]], labels: dict[str, str] | None = None) -> Photos:
    told = SimpleNamespace(texts=texts, labels=labels or {})
    names = list(labels or texts)
    return judge(told, names, torch.zeros(len(names), 2), truth_of(LEXICON), LEXICON)


def test_silent_captions_deny_all_but_what_they_seldom_say():
    found = photos_of({"a": ("a dog runs on a shore",), "b": ("a man in fog",)})
    true = [{NAMES[i] for i in row.nonzero()[:, 0]} for row in found.true]
    assert true == [{"running", "beach", "dog", "a dog"}, {"fog", "a man"}]
    unknown = [{NAMES[i] for i in (~row).nonzero()[:, 0]} for row in found.known]
    assert unknown == [{"fog"}, set()]


def test_a_label_speaks_of_what_its_sets_labels_are_about():
    found = photos_of({}, {"a": "beach", "b": "kitchen", "c": "beach"})
    known = {NAMES[i] for i in found.known.all(0).nonzero()[:, 0]}
    assert known == {"beach", "kitchen"} == {NAMES[i] for i in found.known.any(0).nonzero()[:, 0]}
    assert found.true[:, NAMES.index("beach")].tolist() == [True, False, True]


def learnable(count: int = 600, seed: int = 0) -> tuple[torch.Tensor, Photos]:
    """Phrases whose own vectors do not tell them, and photos that do."""
    rng = torch.Generator().manual_seed(seed)
    phrases, width = len(NAMES), 24
    vectors = torch.nn.functional.normalize(torch.randn(phrases, width, generator=rng), dim=1)
    other = torch.linalg.qr(torch.randn(width, width, generator=rng))[0][:phrases]
    true = torch.rand(count, phrases, generator=rng) < 0.3
    pictures = true.float() @ other + 0.1 * torch.randn(count, width, generator=rng)
    pictures = torch.nn.functional.normalize(pictures, dim=1)
    return vectors, Photos(pictures, true, torch.ones_like(true))


def accuracy(found: Classifiers, photos: Photos) -> float:
    said = found.logits(photos.vectors) > 0
    return float((said == photos.true)[photos.known].float().mean())


def test_photos_move_a_phrase_and_what_is_not_known_does_not(monkeypatch):
    monkeypatch.setattr("assistant.training.space.phrases.EPOCHS", 400)
    vectors, photos = learnable()
    found = train_classifiers(vectors, photos, LEXICON, 0)
    assert accuracy(found, photos) > 0.9
    again = train_classifiers(vectors, photos, LEXICON, 0)
    assert torch.equal(found.weights, again.weights)
    unknown = Photos(photos.vectors, photos.true, photos.known.clone())
    unknown.known[:, 0] = False
    kept = train_classifiers(vectors, unknown, LEXICON, 0)
    alike = torch.nn.functional.cosine_similarity(kept.weights[0], vectors[0], dim=0)
    assert alike.abs() > 0.999  # the slope that all share may point either way
    assert torch.nn.functional.cosine_similarity(found.weights[0], vectors[0], dim=0).abs() < 0.9


def test_calibrated_chances_are_shares():
    rng = np.random.default_rng(0)
    count, phrases = 4000, len(NAMES)
    odds = rng.normal(size=(count, phrases)).astype(np.float32)
    true = torch.from_numpy(rng.random((count, phrases)) < 1 / (1 + np.exp(-odds)))
    dev = Photos(torch.from_numpy(odds), true, torch.ones_like(true))
    false_scale = Classifiers(5 * torch.eye(phrases), torch.full((phrases,), 3.0))
    found, thresholds = calibrate(false_scale, dev, LEXICON)
    chances = found.logits(dev.vectors).sigmoid()
    for low in (0.2, 0.4, 0.6):
        some = (chances > low) & (chances < low + 0.2)
        assert float(true[some].float().mean()) == pytest.approx(low + 0.1, abs=0.03)
    figures = measure(found, thresholds, dev, LEXICON)
    assert figures.keys() == columns(LEXICON).keys()
    for kind, own in figures.items():
        assert (
            own["precision"] == pytest.approx(100 * PRECISION, abs=2) or thresholds[kind] == NEVER
        )


def test_the_threshold_is_the_lowest_that_is_precise():
    chances = np.linspace(1, 0, 101)
    true = np.arange(101) < 40  # the 40 likeliest, and no other
    least = threshold(chances, true)
    said = chances >= least
    assert said.sum() == 50 and true[said].mean() == 0.8
    assert threshold(chances, np.zeros(101, bool)) == NEVER
    assert threshold(chances, np.arange(101) < 3) == NEVER  # rests on too few
