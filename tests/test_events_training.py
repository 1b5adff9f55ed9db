"""``assistant finetune events``: from labelled segments to a head that tells them apart."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from accelerate import Accelerator
from retrieval_sight import TinySight, tiny_sight
from space_checkpoints import write_space
from test_event_evaluation import count_colors
from test_index import color_clip

from assistant.cli.main import main
from assistant.data.segments import LabelledClip, Segment, read_segments
from assistant.errors import ConfigError, InputError, WeightsError
from assistant.evaluation.branches import Branches
from assistant.evaluation.event_clips import look_at
from assistant.evaluation.events import evaluate_events
from assistant.model.features import FeatureStore
from assistant.model.space.hub_loading import load_hub_space
from assistant.model.weight_files import save_weights
from assistant.timeline.events import EventHead, zero_shot
from assistant.timeline.head_folder import CONFIG, WEIGHTS, EventHeadConfig, load_head
from assistant.timeline.making import maker_of
from assistant.timeline.ranges import Ranges
from assistant.training.curves import read_log
from assistant.training.events.config import EventsConfig
from assistant.training.events.features import Data, Rows, encode, parted, read_clips
from assistant.training.events.run import train
from assistant.training.events.trainer import (
    EventNetwork,
    EventsTrainer,
    align_loss,
    figures,
    label_loss,
    started,
)
from assistant.training.heads import put_head
from assistant.training.loop import CHECKPOINT, LOG, Loop

RECIPE = EventsConfig(rank=4, epochs=3, batch=8, lr=0.01)
LABELS, WIDTH, SCALE = ("a", "b", "c"), 6, 5.0
NAMES = {"red": "alarm", "green": "calm", "blue": "night"}  # labels that the space does not know


class Looking:
    """What looks and keeps what it saw."""

    def __init__(self, folder: Path, sight: TinySight | None = None) -> None:
        self.sight, self.store = sight or tiny_sight(), FeatureStore(folder=folder)


def made_up(several: bool = False, count: int = 48) -> Data:
    """Segments about a direction of their label, which is not that of its text."""
    rng = torch.Generator().manual_seed(0)
    texts, ways = (
        torch.nn.functional.normalize(torch.randn(3, WIDTH, generator=rng), dim=1) for _ in "ab"
    )
    truth = torch.eye(3)[torch.arange(count) % 3]
    if several:
        truth = ((truth + torch.eye(3)[(torch.arange(count) // 3) % 3]) > 0).float()

    def near(strength: float) -> torch.Tensor:
        noise = torch.randn(count, WIDTH, generator=rng)
        return torch.nn.functional.normalize(truth @ ways + strength * noise, dim=1)

    told = near(0.3)
    told[::4] = 0  # nothing is told
    rows = Rows(near(0.2), near(0.1), told, truth)
    start = EventHead(LABELS, SCALE * texts, torch.zeros(3))
    dev = torch.arange(count) % 4 == 1
    return Data(rows.some(~dev), rows.some(dev), start, texts, "made up")


def new_trainer(data: Data, config: EventsConfig = RECIPE) -> EventsTrainer:
    return EventsTrainer(config, data, Accelerator(cpu=True), "space-1", SCALE)


class TestLosses:
    def test_align_as_numpy_has_it(self):
        rng = np.random.default_rng(0)
        video, texts = (rng.normal(size=(5, 4)).astype(np.float32) for _ in "ab")
        truth = np.array([[1, 0], [0, 1], [1, 1], [1, 0], [0, 1]], np.float32)
        v = video / np.linalg.norm(video, axis=1, keepdims=True)
        t = texts / np.linalg.norm(texts, axis=1, keepdims=True)
        scores = 3.0 * v @ t.T
        wanted = 0.0
        for own in (scores, scores.T):
            likely = np.log(np.exp(own) / np.exp(own).sum(1, keepdims=True))
            for i in range(5):
                same = [j for j in range(5) if (truth[i] * truth[j]).any()]
                wanted -= np.mean([likely[i, j] for j in same]) / 5 / 2
        found = align_loss(*map(torch.from_numpy, (video, texts, truth)), 3.0)
        assert float(found) == pytest.approx(wanted, abs=1e-5)

    def test_labels_as_numpy_has_them(self):
        logits = np.array([[2.0, -1, 0.5], [0, 1, -3]], np.float32)
        one, many = np.eye(3, dtype=np.float32)[[0, 2]], np.float32([[1, 1, 0], [0, 0, 1]])
        likely = np.log(np.exp(logits) / np.exp(logits).sum(1, keepdims=True))
        found = label_loss(torch.from_numpy(logits), torch.from_numpy(one), False)
        assert float(found) == pytest.approx(-(likely * one).sum(1).mean(), abs=1e-5)
        p = 1 / (1 + np.exp(-logits))
        wanted = -(many * np.log(p) + (1 - many) * np.log(1 - p)).sum(1).mean()
        found = label_loss(torch.from_numpy(logits), torch.from_numpy(many), True)
        assert float(found) == pytest.approx(wanted, abs=1e-5)

    @pytest.mark.parametrize("several", [False, True])
    def test_the_sum_as_numpy_has_it(self, several):
        """L_align + L_scene + L_event of weights that have moved, z_s with alpha."""
        trainer = new_trainer(made_up(several), replace(RECIPE, alpha=0.25))
        torch.manual_seed(1)
        with torch.no_grad():
            for value in trainer.network.parameters():
                value.add_(torch.randn_like(value) / 4)
        batch = next(trainer.batches(0, 0))
        (loss,) = trainer.losses(batch, 0, np.random.default_rng(0))
        loss = loss.detach()
        w = {name: value.detach().numpy() for name, value in trainer.network.named_parameters()}
        start = trainer.start
        z_v, z_e, z_t, truth = (
            getattr(batch, name).numpy() for name in ("video", "event", "text", "truth")
        )
        turn = np.eye(WIDTH) + w["down"] @ w["up"]
        z_v, z_e = z_v @ turn, z_e @ turn
        told = (z_t != 0).any(1)
        assert told.any() and not told.all()
        z_s = np.where(told[:, None], 0.25 * z_v + 0.75 * z_t, z_v)

        def logits(z: np.ndarray, kind: str) -> torch.Tensor:
            weights = start.weights.numpy() + SCALE * w[f"{kind}_weights"]
            return torch.from_numpy(z @ weights.T + start.bias.numpy() + w[f"{kind}_bias"])

        texts = truth / truth.sum(1, keepdims=True) @ trainer.texts.numpy() + z_t
        wanted = label_loss(logits(z_e, "event"), batch.truth, several)
        wanted = wanted + label_loss(logits(z_s, "scene"), batch.truth, several)
        both = (torch.from_numpy(z).float() for z in (z_v, texts))
        aligned = align_loss(*both, batch.truth, SCALE)
        assert float(loss) == pytest.approx(float(wanted + aligned), abs=1e-5)
        head = trainer.network.head()
        own = batch.event @ head.weights.T + head.bias
        assert torch.allclose(own.double(), logits(z_e, "event"), atol=1e-5)

    def test_a_loss_can_be_left_out(self):
        data = made_up()
        batch = next(new_trainer(data).batches(0, 0))
        rng = np.random.default_rng(0)
        (alone,) = new_trainer(data, replace(RECIPE, losses=("event",))).losses(batch, 0, rng)
        alone = alone.detach()
        logits = batch.event @ data.start.weights.T
        assert float(alone) == pytest.approx(float(label_loss(logits, batch.truth, False)))
        with pytest.raises(ConfigError, match="wanted event, and some of align, scene, event"):
            EventsConfig(losses=("align",))


class TestLearning:
    @pytest.mark.parametrize("several", [False, True])
    def test_it_begins_as_the_texts_and_learns_more(self, tmp_path, several):
        data = made_up(several)
        first = figures(EventNetwork(started(data), SCALE, 4).head(), data.dev)
        done = train(replace(RECIPE, epochs=30), data, "space-1", SCALE, tmp_path)
        assert done.bare == first and done.main == ("mAP" if several else "top-1")
        assert done.folder is not None and done.figures[done.main] > done.bare[done.main] + 20
        losses = [line["loss"] for line in read_log(tmp_path / LOG) if "loss" in line]
        assert losses[-1] < 0.7 * losses[0]
        held = {path.name for path in done.folder.iterdir()}
        assert held == {CONFIG, WEIGHTS, "recipe.yaml", "CARD.md", "curves.png"}
        made = yaml.safe_load((done.folder / CONFIG).read_text())
        assert made["labels"] == list(LABELS) and made["several"] is several

    def test_without_texts_it_begins_as_zeros(self, tmp_path):
        data = made_up()
        config = replace(RECIPE, texts=False, epochs=30)
        trainer = new_trainer(data, config)
        assert not trainer.network.head().weights.any()
        done = train(config, data, "space-1", SCALE, tmp_path)
        assert done.bare == figures(data.start, data.dev)  # what it is compared with stays
        assert done.figures["top-1"] > done.bare["top-1"] + 20
        assert "begun without the labels' texts" in (done.folder / "CARD.md").read_text()

    def test_labels_that_are_true_at_once_are_each_told(self, tmp_path):
        """A softmax would share 1 among them."""
        data = made_up(several=True)
        train(replace(RECIPE, epochs=60), data, "space-1", SCALE, tmp_path)
        state = yaml.safe_load((tmp_path / "head" / CONFIG).read_text())
        assert state["several"]
        space = tiny_sight().space
        space.width, space.version = WIDTH, "space-1"
        likely = load_head(tmp_path / "head", space).probabilities(data.dev.event)
        both = data.dev.truth.sum(1) == 2
        assert both.any() and (likely[both] * data.dev.truth[both]).sum(1).mean() > 1.4
        shares = likely.mean()
        assert abs(float(shares) - float(data.dev.truth.mean())) < 0.1

    def test_no_head_is_kept_that_is_no_better(self, tmp_path):
        done = train(replace(RECIPE, lr=0.0), made_up(), "space-1", SCALE, tmp_path)
        assert done.folder is None and not done.figures and not (tmp_path / "head").exists()

    def test_a_resumed_run_ends_with_the_same_weights(self, tmp_path):
        data, ends = made_up(), []
        for stop in (None, 2, 7):  # within an epoch, and in another
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
                assert loop.progress.phase * 5 + loop.progress.step == stop
            loop.run()
            ends.append(loop.trainable.trained)
            assert (out / CHECKPOINT).is_file()
        for other in ends[1:]:
            assert all(torch.equal(ends[0][name], other[name]) for name in other)


def write_data(folder: Path, lines: list[dict]) -> Path:
    (folder / "data.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    """Clips of two colors, whose labels no text of the space knows."""
    folder = tmp_path_factory.mktemp("clips")
    lines = []
    for number, split in enumerate(("train", "train", "train", "dev", "test")):
        for first, second in (("red", "green"), ("green", "blue"), ("blue", "red")):
            name = f"{first}-{number}.mp4"
            color_clip(folder / name, first, second, seconds=2)
            segments = [
                {"label": NAMES[first], "start": 0, "end": 2},
                {"label": NAMES[second], "start": 2, "end": 4},
            ]
            lines.append({"video": name, "split": split, "segments": segments})
    return write_data(folder, lines)


class TestData:
    def test_splits_labels_and_vectors(self, clips, tmp_path):
        found = read_clips(clips)
        assert (len(found.train), len(found.dev)) == (9, 3)
        assert found.labels == ("alarm", "calm", "night")
        looking = Looking(tmp_path / "store")
        data = encode(found, looking, tmp_path / "features")
        assert data.train.truth.shape == (18, 3) and data.dev.truth.sum() == 6
        clip = found.train[0].video
        maker = maker_of(clip, looking, zero_shot(looking.sight.space, found.labels))
        own = maker.track.within(0, 2)
        wanted = maker.track.frames[own].mean(0)
        assert torch.allclose(data.train.video[0], wanted, atol=1e-3)  # kept in fp16
        assert torch.allclose(data.train.event[0], maker.event(own), atol=1e-3)
        scene = maker.scene(own, 0.0)
        told = data.train.text[0] if data.train.text[0].any() else wanted
        assert torch.allclose(told, scene, atol=1e-3)

    def test_what_was_looked_at_is_kept(self, clips, tmp_path, monkeypatch):
        looking = Looking(tmp_path / "store")
        found = read_clips(clips)
        first = encode(found, looking, tmp_path / "features")
        monkeypatch.setattr("assistant.training.events.features.look_at", None)
        again = encode(found, looking, tmp_path / "features")
        assert torch.equal(first.train.event, again.train.event)

    def test_without_splits_one_clip_in_five_is_for_dev(self, clips):
        every = [replace(clip, split=None) for clip in read_segments(clips)]
        train, dev = parted(every)
        assert len(dev) == 3 and len(train) == 12 and not {*train} & {*dev}
        assert parted(every[::-1])[1] and {*parted(every[::-1])[1]} == {*dev}

    def test_test_clips_are_never_learned(self, clips, tmp_path):
        """Where only train and test are named, a part of train is for dev."""
        lines = [json.loads(line) for line in (clips / "data.jsonl").read_text().splitlines()]
        for line in lines:
            line["video"] = str(clips / line["video"])
            line["split"] = "test" if line["split"] == "test" else "train"
        found = read_clips(write_data(tmp_path, lines))
        assert (len(found.train), len(found.dev)) == (10, 2)
        tested = {line["video"] for line in lines if line["split"] == "test"}
        assert not tested & {clip.id for clip in (*found.train, *found.dev)}

    def test_what_dev_was_cut_from_is_not_learned(self, tmp_path):
        lines = []
        for number, split in enumerate(("train", "train", "dev")):
            color_clip(tmp_path / f"{number}.mp4", "red", "blue", seconds=2)
            segments = [
                {
                    "label": label,
                    "start": 2 * n,
                    "end": 2 * n + 2,
                    "source": f"{label}-{number % 2}",
                }
                for n, label in enumerate(("alarm", "night"))
            ]
            lines.append({"video": f"{number}.mp4", "split": split, "segments": segments})
        found = read_clips(write_data(tmp_path, lines))
        data = encode(found, Looking(tmp_path / "store"), tmp_path / "features")
        assert len(data.train.truth) == 2 and len(data.dev.truth) == 2

    @pytest.mark.parametrize(
        ("splits", "labels", "told"),
        [
            (("train",), "a", "holds 1 clips of the split train and 0 of dev; give two of train"),
            (("test", "dev"), "ab", "holds 0 clips of the split train and 1 of dev"),
            (("train", "dev"), "ab", r"\(its train clips\): holds 1 labels; give 2 to 2000"),
            (("train", "train", "dev"), "abc", "no label of its dev clips is one of its train"),
        ],
    )
    def test_data_that_teach_nothing_are_refused(self, tmp_path, splits, labels, told):
        color_clip(tmp_path / "a.mp4", "red", seconds=1)
        lines = [
            {"video": "a.mp4", "split": split, "segments": [{"label": label}]}
            for split, label in zip(splits, labels, strict=True)
        ]
        with pytest.raises(InputError, match=told):
            read_clips(write_data(tmp_path, lines))


@pytest.fixture
def mini(monkeypatch: pytest.MonkeyPatch, fresh_cache: Path) -> TinySight:
    sight = tiny_sight()
    monkeypatch.setattr("assistant.model.sight_loading.load_sight", lambda name, **options: sight)
    monkeypatch.setattr("assistant.evaluation.branches.sentence_encoder", lambda: count_colors)
    return sight


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "own.yaml"
    path.write_text("epochs: 30\nlr: 0.02\nrank: 2\nbatch: 6\n")
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([*map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


class TestCommand:
    def test_from_clips_to_a_head_that_tells_events(self, clips, mini, recipe, tmp_path, capsys):
        out = tmp_path / "run"
        command = ("finetune", "events", "--data", clips, "--out", out, "--config", recipe)
        code, told, err = run(capsys, *command)
        assert code == 0, err
        head = out / "head"
        assert "18 segments of 3 labels learned, 6 to choose" in told and f"head: {head}" in told
        code, _, err = run(capsys, *command)
        assert code == 2 and "holds a run already" in err
        code, told, err = run(capsys, *command, "--resume")
        assert code == 0 and f"head: {head}" in told
        film = color_clip(tmp_path / "film.mp4", "red", "green", seconds=6)
        code, told, _ = run(capsys, "events", film, "--head", head, "--json")
        assert [one["label"] for one in json.loads(told)["segments"]] == ["alarm", "calm"]
        report = ("evaluate", "events", "--data", clips, "--head", head, "--out", tmp_path / "own")
        code, told, err = run(capsys, *report, "--views", "1x1", "--json")
        assert code == 0, err
        named = json.loads(told)
        known = [one for one in named["named"] if one["segments"] == "known"]
        by_name = {one["name"]: one["top1"]["value"] for one in known}
        assert by_name["trained head"] == 1 > by_name["mean pooling"]
        assert named["manifest"]["head"] == str(head) and not any(
            "learned from this file" in note for note in named["notes"]
        )
        code, told, _ = run(capsys, *report, "--views", "1x1", "--split", "dev")
        assert code == 0 and "| trained head | 1x1 |" in told
        assert "Note: the head learned from this file" in told

    def test_segments_that_overlap_teach_several_labels(self, mini, recipe, tmp_path, capsys):
        """As Charades has it: what is red is both, what is blue one of them."""
        lines = []
        for number, split in enumerate(("train", "train", "dev")):
            for color, labels in (("red", ("alarm", "night")), ("blue", ("night",))):
                name = f"{color}-{number}.mp4"
                color_clip(tmp_path / name, color, seconds=2)
                segments = [{"label": label, "start": 0, "end": 2} for label in labels]
                lines.append({"video": name, "split": split, "segments": segments})
            name = f"green-{number}.mp4"
            color_clip(tmp_path / name, "green", seconds=2)
            lines.append({"video": name, "split": split, "segments": [{"label": "calm"}]})
        words = ("--data", write_data(tmp_path, lines), "--out", tmp_path / "run")
        code, told, err = run(capsys, "finetune", "events", *words, "--config", recipe)
        assert code == 0, err
        assert " mAP " in told and f"head: {tmp_path / 'run/head'}" in told
        head = ("--head", tmp_path / "run/head", "--json")
        for color, true in (("red", {"alarm", "night"}), ("blue", {"night"}), ("green", {"calm"})):
            code, told, _ = run(capsys, "events", tmp_path / f"{color}-2.mp4", *head)
            (segment,) = json.loads(told)["segments"]
            assert {label for label, chance in segment["labels"] if chance > 0.5} == true

    def test_a_clip_that_cannot_be_read_is_one_line(self, clips, mini, tmp_path, capsys):
        (tmp_path / "bad.mp4").write_text("no clip")
        good = str(clips / "red-0.mp4")
        lines = [{"video": name, "segments": [{"label": name[-6:]}]} for name in ("bad.mp4", good)]
        lines += [{"video": good, "segments": [{"label": "bad.mp4"[-6:]}]}]
        words = ("--data", write_data(tmp_path, lines), "--out", tmp_path / "run")
        code, _, err = run(capsys, "finetune", "events", *words)
        last = err.strip().splitlines()[-1]
        assert code == 2 and "bad.mp4" in last and "Traceback" not in err

    def test_a_head_that_is_no_better_says_so(self, clips, mini, tmp_path, capsys):
        """Nothing moves at a learning rate of 0."""
        (tmp_path / "still.yaml").write_text("epochs: 1\nlr: 0.0\n")
        out = ("--out", tmp_path / "run", "--config", tmp_path / "still.yaml")
        code, told, _ = run(capsys, "finetune", "events", "--data", clips, *out)
        assert code == 0 and "better top-1 than the labels' texts: no head is kept" in told

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            (
                ["--without", "dar"],
                "--without dar is not for events; choose some of align, scene, texts",
            ),
            (["--prompt", "a.yaml"], "--prompt is not for events; leave it out"),
            (["--config", "none.yaml"], "none.yaml: cannot be read"),
            (["--resume"], "holds no run to resume"),
        ],
    )
    def test_a_wrong_option_is_one_line(self, clips, mini, tmp_path, capsys, options, told):
        out = tmp_path / "run"
        code, _, err = run(capsys, "finetune", "events", "--data", clips, "--out", out, *options)
        assert code == 2 and told in err and "\n" not in err.strip() and not out.exists()

    def test_a_wrong_head_is_one_line(self, clips, mini, tmp_path, capsys):
        film = clips / "red-4.mp4"
        head = kept_head(tmp_path / "head")
        (tmp_path / "labels").write_text("alarm\nnight\n")
        for arguments, told in (
            (["events", film, "--head", tmp_path], "holds no events.yaml; give a folder that"),
            (["events", film, "--head", head, "--labels", "things"], "leave out --labels"),
            (["events", film, "--head", head, "--few-shot", clips], "leave out --few-shot"),
            (["events", film, "--head", kept_head(tmp_path / "other", space="x-1")], "space x-1"),
            (["evaluate", "events", "--data", clips, "--head", head], "none of the 2 labels of"),
            (
                [
                    *("evaluate", "events", "--data", clips),
                    *("--head", head, "--labels", tmp_path / "labels"),
                ],
                "knows other labels",
            ),
        ):
            out = ["--out", tmp_path / "out"] if arguments[0] == "evaluate" else []
            code, _, err = run(capsys, *arguments, *out)
            assert code == 2 and told in err and "Traceback" not in err, (arguments, err)

    def test_parts_of_a_head_are_not_for_adapters(self, clips, tmp_path, capsys):
        words = ("finetune", "motion", "--data", clips, "--out", tmp_path / "run")
        code, _, err = run(capsys, *words, "--without", "scene")
        assert code == 2 and "--without scene is for events alone" in err


def kept_head(folder: Path, space: str = "colors-1", data: str = "") -> Path:
    names = ("red", "blue")
    put_head(
        folder,
        (WEIGHTS, {"weights": torch.eye(2, 8), "bias": torch.zeros(2)}),
        {CONFIG: EventHeadConfig(space=space, labels=names, data=data)},
    )
    return folder


def test_a_head_asked_about_what_it_learned_is_told(mini, tmp_path):
    """Without splits all clips are asked about, and were learned."""
    color_clip(tmp_path / "a.mp4", "red", "blue", seconds=2)
    segments = [{"label": "red", "start": 0, "end": 2}, {"label": "blue", "start": 2, "end": 4}]
    folder = write_data(tmp_path, [{"video": "a.mp4", "segments": segments}])
    digest = hashlib.sha256((folder / "data.jsonl").read_bytes()).hexdigest()
    for data, wanted in ((digest, True), ("another", False)):
        head = kept_head(tmp_path / data, data=data)
        looking = Looking(tmp_path / "store")
        notes = evaluate_events(looking, folder, head=head, views=["1x1"]).notes
        assert any("learned from this file" in note for note in notes) is wanted


class TestHead:
    def test_it_belongs_to_one_space(self, tmp_path):
        folder = kept_head(tmp_path / "head")
        head = load_head(folder, tiny_sight().space)
        assert head.names == ("red", "blue") and not head.once
        with pytest.raises(InputError, match="was trained on the joint space colors-1, and this"):
            load_head(folder, tiny_sight("colors-2").space)
        save_weights({"weights": torch.eye(3, 8), "bias": torch.zeros(3)}, folder / WEIGHTS)
        with pytest.raises(WeightsError, match=r"does not fit events\.yaml beside it"):
            load_head(folder, tiny_sight().space)
        (folder / CONFIG).write_text("space: colors-1\nlabels: [red]\n")
        with pytest.raises(InputError, match="holds 1 labels"):
            load_head(folder, tiny_sight().space)


def test_what_is_told_of_a_range_is_what_a_timeline_tells(mini, tmp_path):
    """By the lexicon's phrases, and not by the encoder's classes alone."""
    looking = Looking(tmp_path / "store")
    maker = maker_of(color_clip(tmp_path / "a.mp4", "red", "blue", seconds=5), looking)
    clip = LabelledClip(tmp_path / "a.mp4", (Segment("red", 0, 5),))
    looked = look_at(looking, clip)
    seen, own = looked.seen((0, 5)), maker.track.within(0, 5)
    wanted = maker.knowledge(own)
    assert wanted.environment  # no class of the encoder is one
    assert Ranges(looking.sight).told(seen) == wanted
    assert Branches(looking.sight, list(NAMES)).told(seen) == wanted


def test_a_space_of_a_model_hub(clips, tmp_path, fresh_cache, capsys):
    """The whole way on a tiny CLIP, by --space: dimensions and words from the checkpoint; the
    equations as NumPy has them."""
    folder = write_space(tmp_path / "clip", "clip")
    (tmp_path / "own.yaml").write_text("epochs: 40\nlr: 0.01\nbatch: 6\n")
    words = ("finetune", "events", "--data", clips, "--out", tmp_path / "run")
    code, told, err = run(
        capsys, *words, "--config", tmp_path / "own.yaml", "--space", folder, "--model", "mini"
    )
    assert code == 0, err
    assert "18 segments of 3 labels learned" in told
    head = tmp_path / "run/head"
    film = clips / "red-4.mp4"
    code, told, err = run(capsys, "events", film, "--head", head, "--space", folder, "--json")
    assert code == 0, err
    assert {one["label"] for one in json.loads(told)["segments"]} <= set(NAMES.values())
    code, _, err = run(capsys, "events", film, "--head", head)
    assert code == 2 and "was trained on the joint space" in err
    looking = Looking(tmp_path / "store")
    looking.sight.space = space = load_hub_space(str(folder))
    looked, ranges = look_at(looking, read_segments(clips)[0]), Ranges(looking.sight)
    seen = looked.seen(looked.spans[0])
    words = ["a red wall", "green", "night"]
    x, z = seen.frames.numpy(), space.embed_texts(words).numpy()
    e = np.exp(space.scale * (x @ z.T - (x @ z.T).max(0)))
    z_e = (e / e.sum(0)).mean(1) @ x
    np.testing.assert_allclose(ranges.event(seen, words).numpy(), z_e, atol=1e-5)
    own = load_head(head, space)
    logits = z_e @ own.weights.numpy().T + own.bias.numpy()
    p = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    np.testing.assert_allclose(own.probabilities(torch.from_numpy(z_e).float()), p, atol=1e-5)
