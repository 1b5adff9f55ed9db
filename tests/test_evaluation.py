"""The base evaluation on a tiny model: tables are whole and the baselines are what they say."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from tiny import tiny_assistant

from assistant import evaluation
from assistant.pretraining_data import FeatureTable, Sample


@pytest.fixture(scope="module")
def model():
    return tiny_assistant()


@pytest.fixture
def table(model, tmp_path):
    rng = np.random.default_rng(0)
    pictures = [(f"p{i}", rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)) for i in range(6)]
    return FeatureTable.open(tmp_path / "t.npy", model.encoder, iter(pictures), 6, "test")


def questions(answer="yes"):
    return [
        Sample(f"p{i}", "Is it?", answer, "yes/no", choices=("yes", "no", "maybe so"))
        for i in range(6)
    ]


def test_a_finished_table_is_read_and_not_encoded_again(model, table, tmp_path):
    again = FeatureTable.open(tmp_path / "t.npy", None, iter([]), 0, "test")
    names = ["p3", "p0"]
    assert torch.equal(again.patches(names), table.patches(names))
    assert table.patches(names).shape == (2, 1, model.encoder.patch_count, model.encoder.width)


def test_choice_is_the_likeliest_whatever_the_batch(model, table):
    samples = questions()
    together = evaluation.choose(model, table, samples, "x")
    for sample, chosen in zip(samples, together, strict=True):
        patches = table.patches([sample.picture])[0]
        scores = model.score(
            patches, fusion=sample.question, prompt=sample.question, choices=sample.choices
        )
        assert chosen == sample.choices[int(np.argmax(scores))]


def test_blind_answers_do_not_depend_on_the_picture(model, table):
    assert len(set(evaluation.choose(model, None, questions(), "x"))) == 1


def test_row_counts_right_answers(model, table):
    chosen = evaluation.choose(model, table, questions(), "x")
    row = evaluation.question_row(model, table, "yes/no", questions(chosen[0]))
    assert row.by_choice == pytest.approx(chosen.count(chosen[0]) / 6)
    assert row.chance == pytest.approx(1 / 3)
    assert row.majority == 1.0


def test_report_is_written_whole(model, table, tmp_path):
    row = evaluation.question_row(model, table, "yes/no", questions())
    report = evaluation.Report(
        "tiny", "dev", 1, (evaluation.CaptionRow("ours", 0.5, 0.25),), (row,), (row,), ({"a": 1},)
    )
    evaluation.save(report, tmp_path / "out")
    text = (tmp_path / "out" / "report.md").read_text()
    assert "| ours | 0.500 | 0.250 |" in text
    assert json.loads((tmp_path / "out" / "report.json").read_text())["questions"][0]["count"] == 6
    assert (tmp_path / "out" / "examples.jsonl").read_text() == '{"a": 1}\n'
