"""``assistant finetune retrieval``: from a file of events to a head that an index uses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from accelerate import Accelerator
from retrieval_sight import COLORS, TinySight, tiny_sight
from space_checkpoints import write_space
from test_index import color_clip, color_photo

from assistant.cli.main import main
from assistant.core.jsonl import MOST_LISTED
from assistant.errors import InputError, WeightsError
from assistant.model.space.loading import load_space
from assistant.model.weight_files import save_weights
from assistant.retrieval import Index
from assistant.retrieval.embedding import Embedder, Item
from assistant.retrieval.fusion import FusionConfig, FusionNetwork, Tokens
from assistant.retrieval.head import FusionHead
from assistant.training.curves import read_log
from assistant.training.loop import CHECKPOINT, LOG, Loop
from assistant.training.retrieval.config import RetrievalConfig
from assistant.training.retrieval.events import Event, is_plain, pairs_of, read_events
from assistant.training.retrieval.features import Table
from assistant.training.retrieval.run import finetune_retrieval, train
from assistant.training.retrieval.trainer import (
    Data,
    RetrievalTrainer,
    chances,
    draw_parts,
    ranks_of,
)
from assistant.weights.spaces import HEAD_CONFIG, HEAD_WEIGHTS

SMALL = FusionConfig(inner=4, heads=2, concepts=3, hidden=8, dropout=0.1)
CONFIG = RetrievalConfig(fusion=SMALL, epochs=3, batch=4, lr=0.01, average=0.5)
WIDTH = 6
TEXT, IMAGE, CLIP = ("text",), ("image",), ("video",)


def write_events(folder: Path, lines: list[dict]) -> Path:
    path = folder / "events.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """Of each color a photo, a clip and two texts."""
    for name in COLORS:
        color_photo(tmp_path / f"{name}.png", name)
        color_clip(tmp_path / f"{name}.mp4", name, seconds=1)
    lines = []
    for split in ("train", "dev"):
        for name in COLORS:
            event = {"event": f"{split}-{name}", "split": split}
            media = {"image": f"{name}.png", "video": f"{name}.mp4"}
            lines += [event | media | {"text": f"a {name} wall"}, event | {"text": f"{name} all"}]
    return write_events(tmp_path, lines)


def random_data(count: int = 24) -> Data:
    """Events with two texts, a picture and, half of them, a clip; each is a direction, and its
    pictures lie elsewhere than its texts."""
    rng = torch.Generator().manual_seed(0)
    ways = torch.randn(count, WIDTH, generator=rng)
    apart = torch.randn(WIDTH, WIDTH, generator=rng)

    def near(way: torch.Tensor, rows: int) -> torch.Tensor:
        noise = torch.randn(rows, WIDTH, generator=rng) * 0.1
        return torch.nn.functional.normalize(way + noise, dim=-1)

    tables = {
        "text": Table.of([near(ways[n // 2], 3) for n in range(2 * count)]),
        "image": Table.of([near(way @ apart, 1) for way in ways]),
        "video": Table.of([near(way @ apart, 4) for way in ways[: count // 2]]),
    }
    parts = [
        {"text": (2 * n, 2 * n + 1), "image": (n,)} | ({"video": (n,)} if n < count // 2 else {})
        for n in range(count)
    ]
    found = [Event(n, own) for n, own in enumerate(parts)]
    return Data({"train": found[::2], "dev": found[1::2]}, tables, "random")


class TestEvents:
    def test_lines_of_one_event_belong_together(self, events):
        found = read_events(events)
        assert [len(found.splits[split]) for split in ("train", "dev")] == [3, 3]
        assert {len(own) for own in found.sources.values()} == {3, 6}  # equal ones are one
        first = found.splits["train"][0]
        assert first.id == "train-red" and len(first.parts["text"]) == 2
        assert found.sources["image"][0].path == events.parent / "red.png"

    def test_without_splits_one_event_in_ten_is_for_dev(self, tmp_path):
        color_photo(tmp_path / "a.png", "red")
        lines = [{"event": n, "text": f"up {n}", "image": "a.png"} for n in range(200)]
        found = read_events(write_events(tmp_path, lines)).splits
        assert 10 < len(found["dev"]) < 35 and len(found["train"]) == 200 - len(found["dev"])

    @pytest.mark.parametrize(
        ("line", "told"),
        [
            ({"text": "a"}, "event is None; give a text or a whole number"),
            ({"event": "a", "text": "b", "label": 1}, "has unknown label; known keys are event"),
            ({"event": "a"}, "has none of text, image, video; give one"),
            ({"event": "a", "text": 3}, "text is 3; give a text"),
            ({"event": "a", "image": "no.png"}, "image no.png: there is no such file"),
            ({"event": "a", "text": "b", "split": "test"}, "split is 'test'; choose train or dev"),
            ({"event": "a", "text": "b", "start": 1}, "has start or end and no video"),
            ({"event": "a", "video": "red.mp4", "start": 2, "end": 1}, "goes from 2.0 to 1.0 s"),
        ],
    )
    def test_a_bad_line_is_one_clear_line(self, events, line, told):
        with events.open("a") as file:
            file.write(json.dumps(line) + "\n")
        with pytest.raises(InputError) as raised:
            read_events(events)
        head, *wrong = str(raised.value).splitlines()
        assert head == f"{events}: nothing was learned, mend these lines"
        assert len(wrong) == 1 < MOST_LISTED and wrong[0].startswith(f"  line 13: {told}")

    def test_data_that_teach_nothing_are_refused(self, tmp_path):
        alone = [{"event": n, "text": t, "split": "train"} for n in range(4) for t in ("a", "b")]
        with pytest.raises(InputError, match="no two train events have a text and a picture each"):
            read_events(write_events(tmp_path, alone))
        split = [{"event": 1, "text": "a", "split": s} for s in ("train", "dev")]
        with pytest.raises(InputError, match="event 1 is in two splits"):
            read_events(write_events(tmp_path, split))


class TestPairs:
    def test_a_query_and_what_it_finds_share_no_part(self):
        event = Event("a", {"text": (5, 6), "image": (7,)})
        pairs = pairs_of([event, event])
        both = ("text", "image")
        assert {(TEXT, IMAGE), (TEXT, both), (TEXT, TEXT)} <= pairs.keys()
        assert not {(IMAGE, IMAGE), (TEXT, CLIP), (IMAGE, both)} & pairs.keys()
        for seed in range(20):
            query, wanted = draw_parts(event, (TEXT, both), np.random.default_rng(seed))
            assert {query["text"], wanted["text"]} == {5, 6} and wanted["image"] == 7

    def test_half_of_the_steps_have_one_modality_on_either_side(self):
        pairs = pairs_of(random_data().splits["train"])
        share = dict(zip(pairs, chances(pairs), strict=True))
        assert sum(share[pair] for pair in pairs if is_plain(pair)) == pytest.approx(0.5)
        assert share[TEXT, IMAGE] == pytest.approx(
            2 * share[TEXT, CLIP]
        )  # half of the events have a clip

    def test_a_batch_has_what_belongs_together_at_the_same_place(self):
        trainer = new_trainer(random_data())
        for seed in range(10):
            batch = trainer.draw(np.random.default_rng(seed))
            sizes = {len(own.values) for own in (*batch.queries.values(), *batch.keys.values())}
            assert sizes == {4}
            if "text" in batch.queries and "text" in batch.keys:
                alike = batch.queries["text"].values[:, 0] @ batch.keys["text"].values[:, 0].T
                assert (alike.argmax(1) == torch.arange(4)).all()


def new_trainer(data: Data, config: RetrievalConfig = CONFIG) -> RetrievalTrainer:
    torch.manual_seed(config.seed)
    network = FusionNetwork(WIDTH, config.fusion)
    return RetrievalTrainer(config, network, data, Accelerator(cpu=True), "space-1")


def test_ranks_by_the_nearest_of_an_events_own():
    scores = torch.tensor([[0.9, 0.5, 0.8], [0.1, 0.2, 0.3], [0.5, 0.4, 0.3]])
    ranks = ranks_of(scores, torch.tensor([1, 0, 2]), torch.tensor([0, 1, 1]))
    assert ranks.tolist() == [1, 2]  # the third query's event has no key


def test_it_learns_what_the_bare_space_cannot_tell(tmp_path):
    done = train(replace(CONFIG, epochs=40), random_data(), "space-1", tmp_path)
    assert done.folder is not None
    assert done.figures["text to image: R@1"] > done.bare["text to image: R@1"] + 10
    lines = read_log(tmp_path / LOG)
    assert any("loss" in line for line in lines) and (tmp_path / "curves.png").is_file()
    held = {path.name for path in done.folder.iterdir()}
    assert held == {"head.yaml", "head.safetensors", "recipe.yaml", "CARD.md", "curves.png"}


def test_no_head_is_kept_that_is_no_better(tmp_path):
    done = train(replace(CONFIG, lr=0.0), random_data(), "space-1", tmp_path)
    assert done.folder is None and not done.figures and not (tmp_path / "head").exists()


def test_a_resumed_run_ends_with_the_same_weights(tmp_path):
    data, ends = random_data(), []
    for stop in (None, 2, 4):  # within an epoch, and in another
        out = tmp_path / str(stop)
        out.mkdir()
        loop = Loop(new_trainer(data), out, Accelerator(cpu=True))
        if stop is not None:
            step, count = loop.step, iter(range(stop))

            def stopping(batch, step=step, count=count):
                if next(count, None) is None:
                    raise KeyboardInterrupt
                return step(batch)

            loop.step = stopping
            with pytest.raises(KeyboardInterrupt):
                loop.run()
            loop = Loop(new_trainer(data), out, Accelerator(cpu=True))
            loop.load()
            assert loop.progress.phase * 3 + loop.progress.step == stop
        loop.run()
        ends.append({**loop.trainable.trained, **loop.trainable.averages})
        assert (out / CHECKPOINT).is_file()
    for other in ends[1:]:
        assert all(torch.equal(ends[0][name], other[name]) for name in other)


@pytest.fixture
def mini(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> TinySight:
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))
    sight = tiny_sight()
    monkeypatch.setattr("assistant.model.sight_loading.load_sight", lambda name, **options: sight)
    return sight


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([*map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def recipe(folder: Path, **changes: object) -> Path:
    path = folder / "recipe.yaml"
    fusion = {"inner": 4, "heads": 2, "concepts": 3, "hidden": 8}
    told = {"fusion": fusion, "epochs": 4, "batch": 4, "lr": 0.02, "average": 0.5, **changes}
    path.write_text(yaml.safe_dump(told))
    return path


class TestCommand:
    def test_from_events_to_an_index_by_the_head(self, events, mini, tmp_path, capsys):
        words = {"red": "crimson", "green": "emerald", "blue": "azure"}  # the space knows none
        mini.space.embed_texts = other_words(mini.space.embed_texts, words)
        text = events.read_text()
        for name, other in words.items():
            text = text.replace(f"a {name} wall", f"{other} wall").replace(
                f"{name} all", f"all {other}"
            )
        events.write_text(text)
        command = ("finetune", "retrieval", "--data", events, "--out", tmp_path / "run")
        command = (*command, "--config", recipe(tmp_path, epochs=40))
        code, out, err = run(capsys, *command)
        assert code == 0, err
        assert "with the head" in out and f"head: {tmp_path / 'run/head'}" in out
        head = tmp_path / "run/head"
        code, _, err = run(capsys, *command)
        assert code == 2 and "holds a run already" in err
        code, out, err = run(capsys, *command, "--resume")
        assert code == 0 and f"head: {head}" in out
        place = ("--index", tmp_path / "index")
        code, _, err = run(
            capsys,
            "index",
            "add",
            tmp_path / "red.mp4",
            tmp_path / "blue.png",
            *("--head", head, "--quiet", *place),
        )
        assert code == 0, err
        asked = ("search", "azure wall", "--by", "meaning", "--json", *place)
        code, out, _ = run(capsys, *asked, "--head", head)
        assert code == 0
        assert json.loads(out)["hits"][0]["file"].endswith("blue.png")
        test = tmp_path / "test.jsonl"
        shown = {"azure wall": "blue.png", "crimson wall": "red.png"}
        lines = [{"event": text, "text": text, "image": file} for text, file in shown.items()]
        test.write_text("\n".join(map(json.dumps, lines)))
        out = ("--out", tmp_path / "report", "--json")
        code, out, err = run(capsys, "evaluate", "retrieval", "--data", test, "--head", head, *out)
        (report,) = json.loads(out)
        assert "+head-" in report["manifest"]["space"]
        assert report["directions"][0]["systems"]["vectors"]["recall"]["1"]["value"] == 1.0
        code, _, err = run(capsys, *asked)
        assert code == 2 and "colors-1+head-" in err and "--head" in err and "\n" not in err.strip()

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            (["--without", "dar"], "--without dar is not for retrieval; choose some of temporal"),
            (["--prompt", "a.yaml"], "--prompt is not for retrieval; leave it out"),
            (["--no-install"], "--no-install is not for retrieval"),
            (["--config", "none.yaml"], "none.yaml: cannot be read"),
            (["--resume"], "holds no run to resume"),
        ],
    )
    def test_a_wrong_option_is_one_line(self, events, mini, tmp_path, capsys, options, told):
        out = tmp_path / "run"
        code, _, err = run(
            capsys, "finetune", "retrieval", "--data", events, "--out", out, *options
        )
        assert code == 2 and told in err and "\n" not in err.strip() and not out.exists()

    def test_parts_of_a_head_are_not_for_adapters(self, events, tmp_path, capsys):
        code, _, err = run(
            capsys,
            "finetune",
            "motion",
            "--data",
            events,
            "--out",
            tmp_path / "run",
            *("--without", "pooling"),
        )
        assert code == 2 and "--without pooling is for retrieval alone" in err

    def test_a_file_that_cannot_be_read_is_one_line(self, events, mini, tmp_path, capsys):
        (tmp_path / "red.png").write_bytes(b"none")
        code, _, err = run(
            capsys, "finetune", "retrieval", "--data", events, "--out", tmp_path / "run"
        )
        last = err.strip().splitlines()[-1]
        assert code == 2 and "red.png: " in last and "leave out the lines that name it" in last

    def test_no_head_is_one_line(self, mini, tmp_path, capsys):
        code, _, err = run(capsys, "search", "red", "--head", tmp_path)
        assert code == 2 and "holds no head.yaml" in err and "\n" not in err.strip()


def other_words(embed, words):
    def embed_texts(texts):
        found = embed(texts)
        for row, text in zip(found, texts, strict=True):
            for place, word in enumerate(words.values()):
                row[4 + place] += word in text
        return torch.nn.functional.normalize(found, dim=-1)

    return embed_texts


def test_parts_are_encoded_once(events, mini, tmp_path, monkeypatch):
    found = read_events(events)
    finetune_retrieval(CONFIG, mini, found, tmp_path / "run")
    seen = []
    monkeypatch.setattr(Embedder, "see", lambda *_: seen.append(1))
    finetune_retrieval(replace(CONFIG), mini, found, tmp_path / "run", resume=True)
    assert seen == []
    with pytest.raises(InputError, match="was written with another recipe"):
        other = replace(CONFIG, temperature=0.5)
        finetune_retrieval(other, mini, found, tmp_path / "run", resume=True)


def kept_head(folder: Path, space, **changes) -> Path:
    """One with random weights."""
    torch.manual_seed(0)
    network = FusionNetwork(space.width, SMALL)
    with torch.no_grad():
        for value in network.parameters():
            value.add_(torch.randn_like(value) / 8)
    folder.mkdir()
    save_weights(network.state_dict(), folder / HEAD_WEIGHTS)
    fusion = {"inner": 4, "heads": 2, "concepts": 3, "hidden": 8, **changes}
    told = {"space": space.fingerprint, "temperature": 0.1, "fusion": fusion}
    (folder / HEAD_CONFIG).write_text(yaml.safe_dump(told))
    return folder


class TestHead:
    def test_it_belongs_to_one_space_and_marks_its_vectors(self, tmp_path):
        sight = tiny_sight()
        folder = kept_head(tmp_path / "head", sight.space)
        embedder = Embedder(sight, folder)
        assert embedder.fingerprint.startswith("colors-1+head-") and embedder.scale == 10
        with pytest.raises(InputError, match="was trained on the joint space colors-1, and this"):
            Embedder(tiny_sight("colors-2"), folder)
        kept_head(tmp_path / "more", sight.space, concepts=9)
        with pytest.raises(WeightsError, match=r"pooling.concepts does not fit head.yaml"):
            Embedder(sight, tmp_path / "more")

    def test_a_text_beside_frames_is_read(self, tmp_path):
        sight = tiny_sight()
        embedder = Embedder(sight, kept_head(tmp_path / "head", sight.space))
        frames = sight.space.embed_texts(["red", "red red", "blue"])
        alone, told, also = embedder.vectors(
            [Item(frames), Item(frames, "a green wall"), Item(frames, "  ")]
        )
        assert np.allclose(alone, also) and not np.allclose(alone, told, atol=1e-3)
        picture, text = embedder.vectors([Item(frames[:1]), Item(text="red")])
        assert np.allclose(np.linalg.norm([alone, told, picture, text], axis=1), 1, atol=1e-5)
        bare = Embedder(sight).vectors([Item(frames, "a green wall"), Item(frames)])
        assert np.array_equal(bare[0], bare[1])

    def test_the_index_holds_its_vectors(self, tmp_path):
        sight = tiny_sight()
        folder = kept_head(tmp_path / "head", sight.space)
        color_photo(tmp_path / "red.png", "red")
        index = Index(uri=str(tmp_path / "index"), assistant=sight, head=folder)
        index.add([tmp_path / "red.png"])
        (rows,) = index._store.scan("vector")
        network = FusionHead.load(folder, sight.space).network
        seen = torch.nn.functional.normalize(
            torch.tensor([[COLORS["red"]]], dtype=torch.float16).float() / 255, dim=-1
        )
        seen = torch.nn.functional.pad(seen, (0, 5))
        wanted = network({"image": Tokens(seen, torch.ones(1, 1, dtype=torch.bool))})[0]
        assert np.allclose(rows["vector"][0], wanted.detach(), atol=2e-3)
        with pytest.raises(InputError, match="holds vectors of the joint space colors-1"):
            Index(uri=str(tmp_path / "index"), assistant=sight).add([tmp_path / "red.png"])


def test_a_space_of_a_model_hub(events, tmp_path):
    """A tiny CLIP: dimensions and words from the checkpoint."""
    sight = tiny_sight()
    sight.space = load_space(
        str(write_space(tmp_path / "clip", "clip")), sight.encoder, device="cpu", precision="fp32"
    )
    config = replace(CONFIG, lr=0.003, epochs=20)
    done = finetune_retrieval(config, sight, read_events(events), tmp_path / "run")
    embedder = Embedder(sight, done.folder)
    seen = embedder.see(np.zeros((2, 32, 32, 3), np.uint8), [0.0, 1.0])
    vectors = embedder.vectors([Item(seen.frames, "a red wall"), Item(text="a red wall")])
    assert vectors.shape == (2, 24) and embedder.fingerprint.startswith(sight.space.fingerprint)
