"""Several threads that ask one model: what each is answered is what it would be alone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier, Thread

import pytest
import torch
from clips import make_clip
from tiny import tiny_assistant

from assistant.core.config import LoraSettings, TransferConfig
from assistant.errors import ModelError
from assistant.model.features import ClipFeatures, FeatureKey, FeatureStore
from assistant.tasks.recipes import Provenance, Recipe
from assistant.training.finetune import finetune
from assistant.vqa.assistants import Assistant, LaterAssistant

THREADS, ROUNDS = 4, 2
RECIPE = Recipe(
    "chat", lora=LoraSettings(rank=4), made=Provenance("tiny-0", data="", examples=1, epoch=1)
)
RECIPES = (
    RECIPE,
    replace(RECIPE, transfer=TransferConfig(frames=3, routing="mixture")),
    replace(RECIPE, lora=LoraSettings(rank=2)),
)


@pytest.fixture(autouse=True)
def impatient() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", 20, fps=10)


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Folders of adapters, none of which says what another does."""
    folders = []
    for seed, recipe in enumerate(RECIPES):
        adapters, folder = tiny_assistant().adapters, tmp_path_factory.mktemp("adapter")
        adapters.add("moved", recipe.lora, recipe.transfer)
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter in adapters.trainable("moved").values():
                parameter.add_(torch.randn_like(parameter) * 0.3)
        adapters.save("moved", folder)
        recipe.save(folder)
        folders.append(str(folder))
    return ["none", *folders]


def asked(tiny: Assistant, clip: Path, adapter: str) -> tuple[str, str, list[float]]:
    """What is said in words, what is chosen, and what each frame weighs."""
    session = tiny.open(clip, frames=3)
    free = session.ask("what", task="chat", adapter=adapter, beams=1).text
    session.clear()
    chosen = session.ask("is it", task="chat", adapter=adapter, choices=["yes", "no", "a dog"])
    return free, chosen.text, [*(chosen.probabilities or {}).values(), *chosen.evidence()]


def test_threads_that_ask_while_adapters_load_get_what_they_would_alone(clip, adapters, tmp_path):
    alone = [
        asked(Assistant(tiny_assistant(), FeatureStore(tmp_path)), clip, name) for name in adapters
    ]
    numbers = torch.tensor([found[2] for found in alone])
    assert all(torch.pdist(numbers) > 1e-3)
    for turn in range(ROUNDS):
        tiny, together = Assistant(tiny_assistant(), FeatureStore(tmp_path)), Barrier(THREADS)

        def ask(first: int, tiny=tiny, together=together) -> None:
            together.wait()
            for place in range(first, first + len(adapters)):
                place %= len(adapters)
                text, choice, weights = asked(tiny, clip, adapters[place])
                assert (text, choice) == alone[place][:2]
                assert weights == pytest.approx(alone[place][2], abs=1e-5)

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(ask, range(turn, turn + THREADS)))


def test_a_reader_who_idles_holds_up_nobody(clip, adapters, tmp_path):
    tiny = Assistant(tiny_assistant(), FeatureStore(tmp_path))
    slow = tiny.open(clip, frames=3).ask("what", task="chat", adapter=adapters[1], beams=1)
    next(slow)
    other = Thread(target=asked, args=(tiny, clip, adapters[2]), daemon=True)
    other.start()
    other.join(60)
    assert not other.is_alive()
    slow.close()


def test_who_asks_a_model_that_is_trained_gets_one_line(clip, adapters, tmp_path, monkeypatch):
    tiny = Assistant(tiny_assistant(), FeatureStore(tmp_path))
    begun = tiny.open(clip, frames=3).ask("what", task="chat", adapter=adapters[1], beams=1)
    alone = asked(tiny, clip, adapters[2])

    def elsewhere(work: Callable[[], object]) -> object:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(work).result()

    def train(*_: object) -> None:
        ways = (
            lambda: asked(tiny, clip, adapters[2]),  # its adapter is in memory
            lambda: asked(tiny, clip, "none"),
            lambda: begun.text,
            lambda: finetune(RECIPE, None, tiny.model, None, tmp_path / "other"),
        )
        for way in ways:
            with pytest.raises(ModelError, match="being trained in this process"):
                elsewhere(way)
        asked(tiny, clip, adapters[2])  # the run itself measures

    monkeypatch.setattr("assistant.training.finetune._finetune", train)
    finetune(RECIPE, None, tiny.model, None, tmp_path / "run")
    assert elsewhere(lambda: asked(tiny, clip, adapters[2])) == alone


def test_threads_share_a_store_of_features(tmp_path):
    store = FeatureStore(tmp_path, memory_bytes=2_000, disk_bytes=0)
    patches, classes = torch.zeros(1, 4, 20, dtype=torch.half), torch.zeros(1, 10)
    clips = [
        ClipFeatures(patches, classes, (0.0,), str(n), 0.0, 1.0, 1.0, "tiny") for n in range(40)
    ]

    def use(first: int) -> None:
        for turn in range(1_000):
            kept = clips[(first + turn) % len(clips)]
            key = FeatureKey(kept.digest, None, None, 1, "auto", "tiny")
            store.put(key, kept)
            assert store.get(key) in (kept, None)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(use, range(0, len(clips), len(clips) // THREADS)))


def test_threads_that_ask_first_load_one_model(tmp_path):
    loads: list[object] = []
    together = Barrier(THREADS)

    def load():
        loads.append(object())
        return tiny_assistant()

    later = LaterAssistant("tiny", load, FeatureStore(tmp_path))

    def model(_: int) -> object:
        together.wait()
        return later.model

    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(model, range(THREADS)))
    assert len(loads) == 1 and len(set(map(id, found))) == 1
