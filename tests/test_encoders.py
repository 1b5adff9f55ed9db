"""The image encoder as a protocol: a ViT named in the config goes through everything."""

from __future__ import annotations

import json
from typing import get_args

import pytest
import torch
import yaml
from checkpoints import PATCH, SIDE, VISION
from clips import make_clip
from safetensors.torch import load_file, save_file
from test_pretraining import CONFIG, photos  # noqa: F401, a fixture
from tiny import TURN, bert_folder, tiny_llm
from transformers import InstructBlipVisionConfig, InstructBlipVisionModel

from assistant.core.config import (
    EfficientNetConfig,
    EncoderConfig,
    LoraSettings,
    ModelConfig,
    TransferConfig,
    ViTConfig,
    from_mapping,
    from_yaml,
)
from assistant.errors import ConfigError, InputError, WeightsError
from assistant.model.encoders.loading import ENCODERS, load_encoder
from assistant.model.loading import load_model
from assistant.tasks.prompts import TaskPrompt
from assistant.tasks.recipes import Recipe, Training
from assistant.training.finetune import examples_from, finetune
from assistant.training.pretraining import run as pretraining
from assistant.vqa.assistants import Assistant

PROMPT = TaskPrompt("tell", "Tells.", "{question}", "{question}", ("is it?",), 8)
RECIPE = Recipe(
    task="tell",
    frames=2,
    lora=LoraSettings(rank=2),
    transfer=TransferConfig(frames=2),
    training=Training(epochs=2, batch=2, silent_epochs=1),
)


@pytest.fixture
def vision(tmp_path):
    """A random image encoder in the hub's format, with weights large enough to see."""
    torch.manual_seed(0)
    config = InstructBlipVisionConfig(**VISION | {"initializer_range": 0.02})
    InstructBlipVisionModel(config).save_pretrained(tmp_path / "vision")
    return tmp_path / "vision"


@pytest.fixture
def model(vision, tmp_path):
    """A whole model's keys, as they stand in a YAML: every part of it from a folder."""
    bert, words = bert_folder(tmp_path / "bert"), tmp_path / "llm"
    llm = tiny_llm()
    llm.network.save_pretrained(words)
    llm.tokenizer.save_pretrained(words)
    sizes = {"queries": 4, "width": 16, "layers": 3, "heads": 2, "intermediate": 32}
    return {
        "name": "seeing",
        "encoder": encoder_keys(vision),
        "qformer": {"weights": str(bert), **sizes, "text_positions": 40, "vocabulary": 120},
        "llm": {"weights": str(words), "turn": TURN, "end": "\n", "max_new_tokens": 6},
    }


def encoder_keys(folder, **changed):
    keys = {"size": SIDE, "patch": PATCH, "width": VISION["hidden_size"], "layers": 2}
    return {"kind": "vit", "weights": str(folder), **keys, **changed}


def test_the_kind_chooses_the_encoders_config():
    def encoder(**keys):
        return from_mapping(ModelConfig, {"name": "x", "encoder": keys}, "model.yaml").encoder

    assert encoder(kind="vit", patch=16, size=32) == ViTConfig(patch=16, size=32)
    assert encoder(deep="last") == encoder(kind="efficientnet", deep="last")
    assert encoder(deep="last") == EfficientNetConfig(deep="last")
    with pytest.raises(ConfigError, match="kind is 'vgg'; choose one of efficientnet, vit"):
        encoder(kind="vgg")
    with pytest.raises(ConfigError, match="unknown key 'deep'"):
        encoder(kind="vit", deep="last")
    assert list(ENCODERS) == [config.kind for config in get_args(EncoderConfig)]


def test_a_vit_pretrains_answers_and_learns_a_task(
    model,
    photos,  # noqa: F811
    tmp_path,
    monkeypatch,
):
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))
    recipe = tmp_path / "pretrain.yaml"
    recipe.write_text(yaml.safe_dump({**CONFIG, "model": model}))
    base = pretraining.run(recipe, photos, tmp_path / "run")
    assert from_yaml(ModelConfig, base / "model.yaml") == from_mapping(ModelConfig, model, "")
    seeing = load_model(base=base, precision="fp32")

    clips = [make_clip(tmp_path / f"{n}.mp4", range(n * 9, n * 9 + 9)) for n in range(2)]
    patches = [Assistant(seeing).open(clip, frames=2).look().patches for clip in clips]
    assert patches[0].shape == (2, 5, VISION["hidden_size"])
    assert (patches[0] - patches[1]).abs().max() > 1e-2  # it sees
    bare = Assistant(seeing).open(clips[0], frames=2).ask("is it?", choices=["yes", "no"])
    assert sum(bare.probabilities.values()) == pytest.approx(1.0, abs=1e-3)

    lines = [
        {"id": f"{n}-{turn}", "video": clip.name, "question": f"is it {turn}?", "answer": answer}
        | {"choices": ["yes", "no"], "split": "dev" if turn == 3 else "train"}
        for n, clip in enumerate(clips)
        for turn, answer in enumerate(["yes", "no", "no", "yes"])
    ]
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(line) + "\n" for line in lines))
    finetune(RECIPE, PROMPT, seeing, examples_from(data), tmp_path / "tell", install=True)
    session = Assistant(seeing).open(clips[0], frames=2)
    told = session.ask("is it?", task="tell", choices=["yes", "no"])
    assert told.as_dict()["adapter"] == "tell"
    assert told.probabilities != bare.probabilities


def test_weights_that_are_not_the_configs_are_refused_in_one_line(vision, tmp_path):
    def load(**changed):
        keys = {"name": "x", "encoder": encoder_keys(vision, **changed)}
        return load_encoder(from_mapping(ModelConfig, keys, "model.yaml"), torch.float32)

    before = load().fingerprint
    with pytest.raises(WeightsError, match="has hidden_size 32, the config says width 48"):
        load(width=48)
    with pytest.raises(InputError, match="names no weights"):
        load(weights="")
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsError, match="holds no InstructBLIP image encoder"):
        load(weights=f"{tmp_path}/empty")
    state = load_file(vision / "model.safetensors")
    norm = state.pop("post_layernorm.weight")
    save_file(state, vision / "model.safetensors", {"format": "pt"})
    with pytest.raises(WeightsError, match=r"lacks post_layernorm\.weight"):
        load()
    state["post_layernorm.weight"] = norm + 1.0
    save_file(state, vision / "model.safetensors", {"format": "pt"})
    assert load().fingerprint != before  # features of other weights are never taken for these
