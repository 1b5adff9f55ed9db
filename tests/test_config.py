"""The strict loader of frozen configs."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import pytest

from assistant.core.config import ModelConfig, TransferConfig, from_mapping, from_yaml
from assistant.errors import ConfigError


def test_nested_values_arrive_typed():
    config = from_mapping(ModelConfig, {"name": "x", "llm": {"repetition_penalty": 2}}, "here")
    assert config.llm.repetition_penalty == 2.0
    assert isinstance(config.llm.repetition_penalty, float)
    assert config.qformer.queries == 32


def test_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ModelConfig("x").name = "y"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({}, "'name' is missing"),
        ({"name": "x", "encodr": {}}, "unknown key 'encodr'"),
        ({"name": "x", "qformer": {"layers": "six"}}, "layers is 'six', wanted int"),
        ({"name": "x", "qformer": {"layers": True}}, "layers is True, wanted int"),
        ({"name": "x", "qformer": {"width": 100, "heads": 7}}, "100 is not a multiple of heads 7"),
        ({"name": "x", "qformer": {"heads": 0}}, "model.yaml: qformer: heads is 0"),
        ({"name": "x", "encoder": {"kind": "vit", "patch": 0}}, "patch is 0"),
        ({"name": "x", "llm": {"repetition_penalty": float("nan")}}, "repetition_penalty is nan"),
        (["name"], "holds list"),
    ],
)
def test_mistakes_are_named(data, told):
    with pytest.raises(ConfigError, match=told):
        from_mapping(ModelConfig, data, "model.yaml")


def test_files_that_are_missing_or_no_yaml(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        from_yaml(ModelConfig, tmp_path / "none.yaml")
    bad = tmp_path / "bad.yaml"
    bad.write_text("a: [1\nb: 2")
    with pytest.raises(ConfigError, match="is not YAML") as error:
        from_yaml(ModelConfig, bad)
    assert "\n" not in str(error.value)


@dataclasses.dataclass(frozen=True)
class Grown:
    """A config whose file format has a past."""

    RENAMED: ClassVar[dict[str, str]] = {"rate": "lr"}
    RETIRED: ClassVar[dict[str, Any]] = {"reuse": True}

    lr: float = 0.1


def test_files_of_earlier_versions_load_or_say_why_not():
    assert from_mapping(Grown, {"rate": 0.5, "reuse": True}, "recipe.yaml").lr == 0.5
    with pytest.raises(ConfigError, match=r"recipe.yaml: reuse is False; this version only has Tr"):
        from_mapping(Grown, {"reuse": False}, "recipe.yaml")
    with pytest.raises(ConfigError, match="unknown key 'RENAMED'"):
        from_mapping(Grown, {"RENAMED": 1}, "recipe.yaml")


def test_recipes_with_routing_keys_of_earlier_versions_load():
    old = {"masks": 3, "router_width": 16, "temperature": 0.1, "layers": 4}
    assert from_mapping(TransferConfig, old, "recipe.yaml") == TransferConfig(layers=4)
    with pytest.raises(ConfigError, match="masks is 2; this version only has 3"):
        from_mapping(TransferConfig, old | {"masks": 2}, "recipe.yaml")
