"""``assistant finetune``, ``adapters`` and ``evaluate TASK`` through the front door."""

from __future__ import annotations

import json

import pytest
import yaml
from test_cli import one_line, run
from tiny import tiny_assistant

from assistant.model import loading
from assistant.weights import presets

PROMPT = {
    "name": "mine",
    "description": "Odd or even.",
    "fusion": "{question}",
    "prompt": "{question}",
    "examples": ["is it 3?"],
    "max_new_tokens": 4,
}
RECIPE = {
    "task": "mine",
    "lora": {"rank": 2},
    "training": {"epochs": 2, "batch": 4, "silent_epochs": 1},
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A task that nobody here thought of: its prompt, a recipe and text examples."""
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(loading, "load_model", lambda *_, **__: tiny_assistant())
    monkeypatch.setattr(presets, "source_of", lambda model: model)  # "tiny" is no name that we know
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(PROMPT))
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    lines = [
        {
            "id": n,
            "video": None,
            "question": f"is it {n}?",
            "answer": "yes" if n % 2 else "no",
            "choices": ["yes", "no"],
            "split": "test" if n > 9 else "train",
        }
        for n in range(14)
    ]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def finetune(folder, capsys, *options):
    return run(
        capsys,
        *("finetune", "mine", "--model", "tiny", "--prompt", folder / "mine.yaml"),
        *("--data", folder / "data.jsonl", "--out", folder / "run"),
        *("--config", folder / "recipe.yaml", *options),
    )


def test_an_own_task_from_its_examples_to_its_figures(folder, capsys):
    code, out, _ = finetune(folder, capsys)
    assert code == 0
    assert "accuracy" in out and "parameters, kept: epoch" in out
    assert 'assistant ask CLIP "is it 3?" --task mine' in out

    code, out, _ = run(capsys, "adapters", "list", "--model", "tiny")
    assert code == 0 and out.startswith("mine") and "own" in out and "Odd or even." in out
    code, out, _ = run(capsys, "adapters", "show", "mine", "--model", "tiny")
    assert code == 0 and "base: tiny-0" in out and "# mine" in out
    code, out, _ = run(capsys, "adapters", "check", folder / "run/adapter", "--model", "tiny")
    assert (code, out) == (0, "adapter: whole, and made for tiny-0\n")

    code, out, _ = run(
        capsys,
        *("evaluate", "mine", "--model", "tiny", "--data", folder / "data.jsonl"),
        *("--out", folder / "report", "--compare", "mine", "none", folder / "run/adapter"),
    )
    assert code == 0
    assert "4 questions of the split test" in out
    assert {"report.md", "report.json", "accuracy.png"} <= {
        path.name for path in (folder / "report").iterdir()
    }


def test_a_finished_run_is_not_trained_over(folder, capsys):
    assert finetune(folder, capsys, "--no-install")[0] == 0
    code, _, err = finetune(folder, capsys)
    assert code == 2 and "--resume" in one_line(err.splitlines(keepends=True)[-1])
    assert finetune(folder, capsys, "--resume", "--no-install")[0] == 0
    assert run(capsys, "adapters", "list", "--model", "tiny")[1].startswith("no adapters yet")


def test_without_parts(folder, capsys):
    code, _, _ = finetune(folder, capsys, "--without", "mqt", "dar", "lora", "--no-install")
    assert code == 0
    recipe = yaml.safe_load((folder / "run/adapter/recipe.yaml").read_text())
    assert recipe["without"] == ["mqt", "dar", "lora"]
    assert recipe["transfer"]["temporal"] is False and recipe["lora"]["train"] is False


def test_a_damaged_recipe_of_ones_own_does_not_hide_the_rest(folder, capsys):
    finetune(folder, capsys)
    broken = folder / "home/adapters/tiny/broken"
    broken.mkdir()
    (broken / "recipe.yaml").write_text("task: [")
    code, out, _ = run(capsys, "adapters", "list", "--model", "tiny")
    assert code == 0 and "damaged" in out and "Odd or even." in out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("finetune", "base", "--data", "x", "--out", "y"), "'base'"),
        (("finetune", "my task", "--data", "x", "--out", "y"), "'my task'"),
        (("finetune", "mine", "--data", "x", "--out", "y"), "--prompt"),
        (("finetune", "chat", "--out", "y"), "--data --generate"),
        (("finetune", "chat", "--data", "none.jsonl", "--out", "y"), "none.jsonl"),
        (("adapters", "show", "nobody"), "'nobody'"),
        (("adapters", "check", "nobody"), "'nobody'"),
        (("evaluate", "base", "--out", "y"), "--photos"),
        (("evaluate", "chat", "--out", "y"), "--data"),
        (("evaluate", "chat", "--data", "x", "--out", "y"), "'chat'"),
        (("ask", "README.md", "What?", "--adapter", "nobody"), "'nobody'"),
    ],
)
def test_a_mistake_is_one_line(folder, capsys, arguments, named):
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert named in one_line(err)


@pytest.mark.parametrize("frames", [0, 1])
def test_a_recipe_for_text_says_that_it_looks_at_no_clip(folder, capsys, monkeypatch, frames):
    lines = (folder / "data.jsonl").read_text().splitlines()
    (folder / "a.mp4").write_bytes(b"never decoded")
    shown = [json.dumps(json.loads(line) | {"video": "a.mp4"}) for line in lines]
    (folder / "data.jsonl").write_text("\n".join(shown))
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE | {"frames": frames}))
    monkeypatch.setattr("assistant.cli.finetune.train", lambda *_: 0)
    code, _, told = finetune(folder, capsys)
    assert code == 0
    assert ("looked at" in told) is (frames == 0)
