"""Questions answered at once are answered as each would be alone, in a session of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from clips import make_clip
from tiny import tiny_assistant

from assistant.core.config import LoraSettings, TransferConfig
from assistant.model.features import FeatureStore
from assistant.tasks.recipes import Recipe
from assistant.vqa.assistants import Assistant, LoadedAdapter

QUESTIONS = ["what", "is it a cat on the mat", "who is there at 0:01", "is it", "how many dogs"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", 20, fps=10)


@pytest.fixture
def tiny(tmp_path: Path) -> Assistant:
    return Assistant(tiny_assistant(), FeatureStore(tmp_path / "features"))


def without_seconds(answer) -> dict:
    return {key: value for key, value in answer.as_dict().items() if key != "seconds"}


def one_by_one(tiny: Assistant, clip: Path, questions: list[str], **options) -> list[dict]:
    return [
        without_seconds(tiny.open(clip, frames=3).ask(question, **options))
        for question in questions
    ]


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("choices", [None, ["yes", "no", "a dog"]])
def test_together_as_alone(tiny, clip, monkeypatch, beams, choices):
    llm = tiny.model.llm
    monkeypatch.setattr(llm, "config", replace(llm.config, beams=beams, max_new_tokens=12))
    alone = one_by_one(tiny, clip, QUESTIONS, choices=choices)
    together = tiny.open(clip, frames=3).ask_many(QUESTIONS, choices=choices)
    assert [without_seconds(answer) for answer in together] == alone
    if choices is None:
        assert len({(answer["answer"], answer.get("reason")) for answer in alone}) > 1


def test_together_as_alone_with_an_adapter(tiny, clip, monkeypatch):
    adapters = tiny.model.adapters
    adapters.add("moved", LoraSettings(rank=4), TransferConfig(frames=4))
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in adapters.trainable("moved").values():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    loaded = LoadedAdapter("moved", "moved", Recipe(task="chat"))
    base = one_by_one(tiny, clip, QUESTIONS)
    monkeypatch.setattr(Assistant, "adapter", lambda self, stored: loaded)
    alone = one_by_one(tiny, clip, QUESTIONS)
    together = tiny.open(clip, frames=3).ask_many(QUESTIONS)
    assert [without_seconds(answer) for answer in together] == alone
    assert alone != base
