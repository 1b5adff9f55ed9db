"""``assistant evaluate TASK``: what is counted, and that frames really change their order."""

from __future__ import annotations

import json
import math

import pytest
import torch
from clips import make_clip
from test_training import PROMPT, RECIPE
from tiny import tiny_assistant

from assistant.errors import InputError
from assistant.recipes import Recipe
from assistant.task_evaluation import _Ordered, drawn, evaluate_task, type_row
from assistant.task_report import render_task, save_task
from assistant.training import examples_from, finetune
from assistant.training_data import Item, read_items
from assistant.training_features import ClipTable, clips_of


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))
    make_clip(tmp_path / "a.mp4", range(12))
    lines = [
        {
            "id": n,
            "video": "a.mp4" if n % 3 else None,
            "question": f"is it {n}?",
            "answer": "yes" if n % 2 else "no",
            "type": "even" if n % 2 else "odd",
            "split": "train" if n < 4 else "test",
            **({"choices": ["yes", "no"]} if n != 5 else {}),
        }
        for n in range(10)
    ]
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_an_adapter_and_the_base_in_one_table(data, tmp_path):
    finetune(RECIPE, PROMPT, tiny_assistant(), examples_from(data), tmp_path / "run", install=True)
    report = evaluate_task(
        tiny_assistant(), "tell", data, ["tell", "none"], tmp_path / "work", frames=2
    )
    adapter, base = report.systems
    assert [row.type for row in adapter.rows] == ["even", "odd", "all"]
    assert adapter.rows[-1].count == 6
    assert adapter.parameters > 0 == base.parameters
    assert adapter.adapter.startswith("tell-") and base.adapter == "none"
    assert [a["id"] for a in adapter.answers] == [4, 5, 6, 7, 8, 9]
    save_task(report, tmp_path / "out")
    assert "| tell |" in render_task(report) and "| none |" in render_task(report)
    kept = json.loads((tmp_path / "out/report.json").read_text())
    assert kept["manifest"]["questions"] == 6
    assert (tmp_path / "out/accuracy.png").stat().st_size > 1000
    assert len((tmp_path / "out/answers-tell.jsonl").read_text().splitlines()) == 6


def answer(truth, choice, free="", choices=2, blind="no"):
    return {"truth": truth, "choice": choice, "free": free, "choices": choices, "blind": blind}


def test_counts_choices_and_strict_answers_apart():
    row = type_row(
        "x",
        [answer("yes", "yes", "Yes."), answer("yes", "no", "yes"), answer("no", "no", "no no")],
    )
    assert row.by_choice == pytest.approx(2 / 3)
    assert row.strict == pytest.approx(2 / 3)
    assert row.blind == pytest.approx(1 / 3)
    assert row.majority == pytest.approx(2 / 3)
    assert row.chance == 0.5
    assert row.interval[0] < 2 / 3 < row.interval[1]


def test_without_choices_the_interval_is_that_of_the_free_answers():
    row = type_row("x", [answer("dog", None, "a dog", choices=0, blind=None)] * 3)
    assert math.isnan(row.by_choice) and math.isnan(row.chance)
    assert row.strict == 1.0 and row.interval[1] == pytest.approx(1.0)


def test_frames_come_in_the_order_asked_for(tmp_path):
    make_clip(tmp_path / "a.mp4", range(40))
    keys = clips_of([Item(1, tmp_path / "a.mp4", "?", "yes")])
    model = tiny_assistant()
    table = ClipTable.open(tmp_path / "work", model.encoder, keys, 8)
    (key,) = keys.values()

    def seen(order, seed=0):
        return _Ordered(model, Recipe(task="x"), table, None, order, seed).frames([key])[0]

    forward = seen("forward")
    assert torch.equal(seen("reversed"), forward.flip(1))
    shuffled = seen("shuffled")
    assert not torch.equal(shuffled, forward)
    assert torch.equal(shuffled, seen("shuffled")) and not torch.equal(
        shuffled, seen("shuffled", 1)
    )
    assert torch.equal(shuffled.sum(1), forward.sum(1))


def test_draws_at_most_so_many_of_a_type(data):
    items = read_items(data)
    some = drawn(items, 2, 3)
    assert sorted(item.type for item in some) == ["even", "even", "odd", "odd"]
    assert some == drawn(items, 2, 3) != drawn(items, 2, 4)


def test_says_what_is_missing(data, tmp_path):
    with pytest.raises(InputError, match="dev"):
        evaluate_task(tiny_assistant(), "chat", data, ["none"], tmp_path / "w", split="dev")
    with pytest.raises(InputError, match="'nobody'"):
        evaluate_task(tiny_assistant(), "chat", data, ["nobody"], tmp_path / "w")
