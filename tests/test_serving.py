"""The server as its clients meet it: the official package, curl, and one more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from clips import make_clip
from fakes import ScriptedModel, leave_sources
from serving_room import Served, about, data_url, serving

openai = pytest.importorskip("openai", reason="openai is not installed: pip install openai")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", 8, fps=4)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as patch:
        leave_sources(patch)
        model = ScriptedModel(scores={"a cat": -0.1, "a dog": -2.0})
        with serving(model, tmp_path_factory.mktemp("serving")) as found:
            yield found


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.address}/v1", api_key="none", max_retries=0) as found:
        yield found


def test_models(client):
    assert client.models.list().data[0].id == "scripted"
    assert client.models.retrieve("scripted").object == "model"


def test_an_answer(client, clip):
    found = client.chat.completions.create(model="scripted", messages=[about(data_url(clip))])
    assert found.choices[0].message.content == "I see 0 1 2 3 4 5 6 7"
