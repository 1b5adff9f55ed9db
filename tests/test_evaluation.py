"""The base evaluation on a tiny model: tables are whole and the baselines are what they say."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from tiny import tiny_assistant

from assistant.training.features import FeatureTable
from assistant.training.pretraining import evaluate as evaluation
from assistant.training.pretraining import report as evaluation_report
from assistant.training.pretraining.examples import PretrainExample

EXAMPLE = {
    "photo": "12_ab.jpg",
    "described": "A dog.",
    "named": "dog",
    "nearest": "A cat.",
    "reference": ["a dog runs ."],
}


@pytest.fixture(scope="module")
def model():
    return tiny_assistant()


@pytest.fixture
def table(model, tmp_path):
    rng = np.random.default_rng(0)
    pictures = {f"p{i}": rng.integers(0, 255, (1, 64, 64, 3), dtype=np.uint8) for i in range(6)}
    return FeatureTable.open(
        tmp_path, model.encoder, 1, pictures, lambda keys: [pictures[key] for key in keys]
    )


def questions(answer="yes"):
    return [
        PretrainExample(f"p{i}", "Is it?", answer, "yes/no", choices=("yes", "no", "maybe so"))
        for i in range(6)
    ]


def test_pictures_are_clips_of_one_frame(model, table, tmp_path):
    again = FeatureTable.open(tmp_path, model.encoder, 1, ["p3"], lambda keys: [])
    names = ["p3", "p0"]
    assert torch.equal(again.stills(names), table.stills(names))
    assert table.stills(names).shape == (2, 1, model.encoder.patch_count, model.encoder.width)
    assert torch.equal(again.patches(names, torch.zeros(2, 1, dtype=int))[0], table.stills(names))


def test_choice_is_the_likeliest_whatever_the_batch(model, table):
    samples = questions()
    together = evaluation.choice_scores(model, table, samples, "x")
    for sample, row in zip(samples, together, strict=True):
        patches = table.stills([sample.picture])[0]
        visual = model.visual_tokens(patches[None], [sample.question])
        answers = [[(choice, True) for choice in sample.choices]]
        (scores,) = model.score_batch(visual, [sample.question], [()], answers)
        assert row == pytest.approx(scores, abs=1e-4)


def test_blind_answers_do_not_depend_on_the_picture(model, table):
    first, *others = evaluation.choice_scores(model, None, questions(), "x")
    assert all(row == pytest.approx(first, abs=1e-5) for row in others)


def test_row_counts_right_answers(model, table):
    scores = evaluation.choice_scores(model, table, questions(), "x")
    chosen = [("yes", "no", "maybe so")[int(np.argmax(row))] for row in scores]
    row = evaluation.question_row(model, table, "yes/no", questions(chosen[0]))
    assert row.by_choice == pytest.approx(chosen.count(chosen[0]) / 6)
    assert row.chance == pytest.approx(1 / 3)
    assert row.majority == 1.0
    told = row.told * row.right_told + (1 - row.told) * row.right_untold
    assert told == pytest.approx(row.by_choice)


def test_report_is_written_whole(model, table, tmp_path):
    row = evaluation.question_row(model, table, "yes/no", questions())
    report = evaluation_report.Report(
        model="tiny",
        split="dev",
        seed=1,
        captions=(evaluation_report.CaptionRow("ours", 0.5, 0.25),),
        things=(evaluation_report.ThingRow("ours", 0.4, 0.8),),
        faults=(evaluation.fault_row(model, "What is it?", ["a hat and a hat", "What is it? b"]),),
        questions=(row,),
        scenes=(row,),
        examples=(EXAMPLE,),
    )
    evaluation_report.save(report, tmp_path / "out")
    text = (tmp_path / "out" / "report.md").read_text()
    assert "| ours | 0.500 | 0.250 |" in text
    assert "| ours | 40.0 | 80.0 |" in text
    assert "| What is it? | 2 | 4.5 | 2 | 1 | 1 |" in text  # the tiny limit is six tokens
    assert "| 12 | a dog runs . | A dog. | dog |" in text
    assert json.loads((tmp_path / "out" / "report.json").read_text())["questions"][0]["count"] == 6
    assert (tmp_path / "out" / "examples.jsonl").read_text() == json.dumps(EXAMPLE) + "\n"
