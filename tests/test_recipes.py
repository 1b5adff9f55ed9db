"""Recipes: strict, and the same after a round through the file."""

from __future__ import annotations

import math

import pytest
import yaml

from assistant.core.config import LoraSettings, TransferConfig
from assistant.errors import ConfigError
from assistant.tasks.recipes import RECIPE, Calibration, Provenance, Recipe, Training, load_recipe

MADE = Provenance(
    "mini-1",
    "abc",
    12,
    3,
    {"accuracy": 0.5},
    {"torch": "2"},
    "2026-11-21",
    Calibration(0.3, 0.6, 80),
)
WHOLE = Recipe(
    task="motion",
    frames=4,
    without=("dar",),
    lora=LoraSettings(rank=4),
    transfer=TransferConfig(routing="none", pooling="learned"),
    training=Training(epochs=3, betas=(0.9, 0.95)),
    made=MADE,
)


@pytest.mark.parametrize("recipe", [Recipe(task="mine"), WHOLE])
def test_comes_back_as_it_was_saved(tmp_path, recipe):
    recipe.save(tmp_path)
    assert load_recipe(tmp_path) == recipe
    assert load_recipe(tmp_path / RECIPE) == recipe
    assert [path.name for path in tmp_path.iterdir()] == [RECIPE]


def test_a_few_keys_are_enough(tmp_path):
    (tmp_path / RECIPE).write_text("task: mine\ntraining: {epochs: 2}\n")
    recipe = load_recipe(tmp_path)
    assert recipe.training == Training(epochs=2)
    assert recipe.paper.batch == 2 and recipe.made is None


def test_keys_of_earlier_versions_are_read(tmp_path):
    old = "{rate: 0.1, llm_rate: 0.5, slots: 0.0, motion: 2.0, naming: 0.0, patience: 0}"
    (tmp_path / RECIPE).write_text(f"task: mine\ntraining: {old}\npaper: {{rate: 0.2}}\n")
    recipe = load_recipe(tmp_path)
    weights = {"slots": 0.0, "llm": 1.0, "motion": 2.0, "walking": 2.0}
    assert recipe.training == Training(lr=0.1, llm_lr=0.5, losses=weights)
    assert recipe.paper.lr == 0.2


def test_an_adapter_of_before_calibration_is_as_sure_as_its_scores(tmp_path):
    text = "task: mine\nmade: {base: mini-1, data: abc, examples: 12, epoch: 3}\n"
    (tmp_path / RECIPE).write_text(text)
    assert load_recipe(tmp_path).calibration == Recipe(task="x").calibration == Calibration()
    assert Calibration().temperature == 1 and Calibration().unsure_below == 0
    for wrong in ("temperature: 0.0", "temperature: .inf", "unsure_below: 1.5"):
        (tmp_path / RECIPE).write_text(
            text.replace("epoch: 3", f"epoch: 3, calibration: {{{wrong}}}")
        )
        with pytest.raises(ConfigError, match=wrong.split(":")[0]):
            load_recipe(tmp_path)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"frame": 8}, "'frame'"),
        ({"task": 3}, "task"),
        ({"frames": -1}, "frames is -1"),
        ({"without": ["smell"]}, "'smell'"),
        ({"with": ["smell"]}, "'smell'"),
        ({"training": {"epochs": 0}}, "epochs is 0"),
        ({"training": {"epochs": 2, "silent_epochs": 3}}, "silent_epochs is 3"),
        ({"training": {"slots": 0.0, "llm": 0.0}}, "nothing to learn"),
        ({"training": {"dev_share": 0.2}}, "dev_share"),
        ({"transfer": {"routing": "dynamic"}}, "'dynamic'"),
        ({"lora": {"rank": 0}}, "lora: rank is 0; give 1 to"),
        ({"lora": {"rank": -4}}, "rank is -4"),
        ({"lora": {"rank": 4_000_000}}, "rank is 4000000"),
        ({"lora": {"alpha": math.nan}}, "alpha is nan"),
        ({"lora": {"alpha": 10**400}}, "alpha is inf"),
        ({"lora": {"dropout": 1.0}}, "dropout is 1.0"),
        ({"transfer": {"layers": -2}}, "transfer: layers is -2"),
        ({"transfer": {"frames": 9_000_000}}, "transfer: frames is 9000000"),
        ({"transfer": {"gate": math.inf}}, "gate is inf"),
        ({"transfer": {"contrast": 10**9}}, "contrast is 1000000000"),
        ({"transfer": {"text_mean": -1}}, "text_mean is -1"),
        ({"frames": 9_000_000}, "frames is 9000000"),
        ({"training": {"batch": 10**9}}, "batch is 1000000000"),
        ({"training": {"jitter": 10**6}}, "jitter is 1000000"),
        ({"training": {"lr": math.nan}}, "lr is nan"),
        ({"training": {"weights": {"left": -1.0}}}, "weights: left is -1.0"),
        ({"training": {"losses": {"slots": math.nan}}}, "losses: slots is nan"),
        ({"training": {"betas": [0.9]}}, "betas"),
        ({"training": {"seed": -1}}, "seed is -1"),
    ],
)
def test_names_what_cannot_be(tmp_path, change, named):
    (tmp_path / RECIPE).write_text(yaml.safe_dump({"task": "mine", **change}))
    with pytest.raises(ConfigError, match=named) as error:
        load_recipe(tmp_path)
    assert "\n" not in str(error.value) and str(tmp_path) in str(error.value)


def test_what_is_no_text_is_no_recipe(tmp_path):
    for data in (b"\xff\xfe\x00", b"task: " + b"9" * 5000, b"[" * 9999):
        (tmp_path / RECIPE).write_bytes(data)
        with pytest.raises(ConfigError, match="is not YAML"):
            load_recipe(tmp_path)


def test_what_is_none_is_kept(tmp_path):
    recipe = Recipe(task="tell", transfer=TransferConfig(gate=None))
    recipe.save(tmp_path)
    assert load_recipe(tmp_path) == recipe


def test_a_finished_adapter_loads_whatever_it_was_trained_by(tmp_path):
    """How it was trained is past; what it computes is not."""
    made = {"base": "b", "data": "0", "examples": 9, "epoch": 1}
    past = {"patience": 3, "warmup": 0.1, "sparse_epochs": 1, "only": "reread"}
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"task": "mine", "training": past, "made": made}))
    assert load_recipe(path).made.epoch == 1
    path.write_text(yaml.safe_dump({"task": "mine", "training": past}))
    with pytest.raises(ConfigError, match="this version only has"):
        load_recipe(path)
    path.write_text(yaml.safe_dump({"task": "mine", "transfer": {"masks": 2}, "made": made}))
    with pytest.raises(ConfigError, match="masks is 2"):
        load_recipe(path)


@pytest.mark.parametrize(
    ("training", "told"),
    [
        ({"losses": None, "motion": 1.0}, "losses is None, wanted keys"),
        ({"losses": [1], "motion": 1.0}, r"losses is \[1\], wanted keys"),
        ({"rate": 0.1, "lr": 0.2}, "given twice, as 'rate' and as 'lr'"),
        ({"motion": 0.1, "losses": {"motion": 0.2}}, "given twice, as 'motion'"),
    ],
)
def test_old_and_new_keys_do_not_mix(tmp_path, training, told):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({"task": "t", "training": training}))
    with pytest.raises(ConfigError, match=told):
        load_recipe(tmp_path / "recipe.yaml")
