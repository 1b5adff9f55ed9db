"""``assistant evaluate TASK``: what is counted, and that frames really change their order."""

from __future__ import annotations

import json
import math

import pytest
import torch
from clips import make_clip
from test_training import PROMPT, RECIPE
from tiny import tiny_assistant

from assistant.data.items import Item, read_items
from assistant.errors import InputError
from assistant.evaluation.figures import compare, figures_of, type_row, type_rows
from assistant.evaluation.report import render_task, save_task
from assistant.evaluation.tasks import OrderedLearner, drawn, evaluate_task
from assistant.tasks.recipes import Calibration, Recipe, load_recipe
from assistant.training.clips import clip_table, clips_of
from assistant.training.finetune import examples_from, finetune


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))
    make_clip(tmp_path / "a.mp4", range(12))
    lines = [
        {
            "id": n,
            "video": "a.mp4" if n % 3 else None,
            **({} if n % 2 else {"dialogue": [{"speaker": "ANN", "text": "Hm|m."}]}),
            "question": f"is it {n}?",
            "answer": "yes" if n % 2 else "no",
            "type": "left" if n % 4 < 2 else "right",
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
    report = evaluate_task(tiny_assistant(), "tell", data, ["tell", "none"], tmp_path / "work")
    assert report.manifest["frames"] == {"tell": RECIPE.frames, "none": 8}
    adapter, base = report.systems
    assert [row.type for row in adapter.rows] == ["left", "right", "all"]
    assert adapter.rows[-1].count == 6
    assert adapter.parameters > 0 == base.parameters
    assert adapter.adapter.startswith("tell-") and base.adapter == "none"
    assert [a["id"] for a in adapter.answers] == [4, 5, 6, 7, 8, 9]
    save_task(report, tmp_path / "out")
    assert "| tell |" in render_task(report) and "| none |" in render_task(report)
    kept = json.loads((tmp_path / "out/report.json").read_text())
    assert kept["manifest"]["questions"] == 6
    for name in ("accuracy", "reliability", "confusion-tell", "confusion-none"):
        assert (tmp_path / f"out/{name}.png").stat().st_size > 1000
        assert f"({name}.png)" in (tmp_path / "out/report.md").read_text()
    text = (tmp_path / "out/report.md").read_text()
    for told in (
        "| tell less |",
        "| ANN | 3 |",
        "Expected calibration error",
        "| data |",
        "| base | tiny-0 |",
    ):
        assert told in text, told
    made = load_recipe(tmp_path / "run/adapter").calibration
    assert f"before the temperature {made.temperature:g}" in text and "no temperature" in text
    assert kept["systems"][0]["figures"]["sureness"]["calibration"]["examples"] == made.examples
    probabilities = [a["sure"] for a in adapter.answers if a["choices"]]
    assert len(probabilities) == 5 and all(0.5 <= sure <= 1 for sure in probabilities)
    assert len((tmp_path / "out/answers-tell.jsonl").read_text().splitlines()) == 6


def answer(truth, choice, free="", choices=2, blind="no", **more):
    told = {"truth": truth, "choice": choice, "free": free, "choices": choices, "blind": blind}
    about = {"id": 1, "type": "", "question": "?", "speaker": "", "clip": "a", "sure": 0.8}
    return about | told | {"raw": 0.6} | more


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


def test_figures_by_class_by_both_scorers():
    answers = [
        answer("yes", "yes", "Yes.", clip="a"),
        answer("yes", "no", "yes", clip="b"),
        answer("no", "no", "who knows", clip="c"),
    ]
    official, strict = figures_of(answers, Calibration(), 11).classes
    assert official.scorer == "choices (official)" and official.count == 3
    assert official.scores.f1 == pytest.approx(2 / 3)  # yes: 1, 1/2; no: 1/2, 1
    assert strict.scores.accuracy == pytest.approx(2 / 3) and strict.scores.macro_recall == 0.5
    low, high = official.f1_interval
    assert 0 <= low < 2 / 3 < high <= 1
    (table,) = figures_of(answers, Calibration(), 11).confusions
    assert table.labels == ("no", "yes") and table.counts == ((1, 0, 0), (1, 1, 0))


def test_many_different_answers_are_no_classes():
    answers = [answer(str(n), None, str(n), choices=0, blind=None, sure=None) for n in range(20)]
    found = figures_of(answers, Calibration(), 11)
    assert found.classes == found.confusions == found.speakers == ()
    assert found.sureness is None
    assert {row.name: row.value for row in found.texts}["exact match"] == 1.0


def test_what_is_unsure_is_counted_apart():
    sure = [answer("yes", "yes", sure=0.9, raw=0.5)] * 3
    unsure = [answer("yes", "no", sure=0.55, raw=0.5), answer("yes", "yes", sure=0.55, raw=0.5)]
    found = figures_of(sure + unsure, Calibration(0.5, 0.7, 50), 11).sureness
    assert (found.answered, found.accuracy) == (0.6, 1.0)
    assert found.error == pytest.approx((3 * 0.1 + 2 * 0.05) / 5)
    assert found.raw_error == pytest.approx(0.3)  # four of five are right at 0.5


def test_speakers_come_by_how_much_they_say():
    answers = [answer("yes", "yes", speaker=name) for name in ("BOB", "ANN", "ANN", "")]
    rows = figures_of(answers, Calibration(), 11).speakers
    assert [(row.type, row.count, row.by_choice) for row in rows] == [
        ("ANN", 2, 1.0),
        ("BOB", 1, 1.0),
    ]


def test_a_lead_is_paired_by_question_and_drawn_by_clip():
    right = [answer("yes", "yes", clip=str(n)) for n in range(40)]
    worse = [answer("yes", "yes" if n % 2 else "no", clip=str(n)) for n in range(40)]
    found = compare(right, worse, 11)
    assert found.value == 0.5 and found.interval[0] > 0.3 and found.p < 0.001
    one_clip = [{**told, "clip": "a"} for told in right]
    assert compare(one_clip, worse, 11).interval == (0.5, 0.5)
    free = [answer("yes", None, "yes", choices=0) for _ in range(4)]
    wrong = [answer("yes", None, "no", choices=0) for _ in range(4)]
    assert compare(free, wrong, 11).value == 1.0


def test_rows_by_type_end_with_all_of_them():
    answers = [answer("yes", "yes", type="a"), answer("yes", "no", type="b")]
    assert [row.type for row in type_rows(answers)] == ["a", "b", "all"]
    assert [row.type for row in type_rows([answer("yes", "yes")])] == ["questions"]


def test_the_surest_mistakes_come_first(data, tmp_path):
    from assistant.evaluation.report import _worst

    class System:
        name = "x"
        answers = (
            answer("yes", "no", "no", sure=0.6, id="less"),
            answer("yes", "no", "no | no", sure=0.9, id="more"),
            answer("yes", "yes", "no", sure=0.99, id="right"),
        )

    *_, first, second = _worst(System)
    assert first.startswith("| more |") and second.startswith("| less |")
    assert r"no \| no" in first


def test_frames_come_in_the_order_asked_for(tmp_path):
    make_clip(tmp_path / "a.mp4", range(40))
    keys = clips_of([Item(1, tmp_path / "a.mp4", "?", "yes")])
    model = tiny_assistant()
    table = clip_table(tmp_path / "work", model.encoder, keys, 8)
    (key,) = keys.values()

    def seen(order, seed=0):
        learner = OrderedLearner(model, Recipe(task="x"), table, None, order, seed)
        return learner.frames([key], torch.arange(8)[None])[0]

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
    assert sorted(item.type for item in some) == ["left", "left", "right", "right"]
    assert some == drawn(items, 2, 3) != drawn(items, 2, 4)


def test_says_what_is_missing(data, tmp_path):
    with pytest.raises(InputError, match="dev"):
        evaluate_task(tiny_assistant(), "chat", data, ["none"], tmp_path / "w", split="dev")
    with pytest.raises(InputError, match="'nobody'"):
        evaluate_task(tiny_assistant(), "chat", data, ["nobody"], tmp_path / "w")
