"""``assistant finetune actions --video-encoder``: a video encoder learns whole, from labelled clips
to their names; in one process, or in two."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from retrieval_sight import TinySight
from space_checkpoints import write_space
from test_actions_training import SHAPE, CellSpace
from test_cli import run
from test_index import color_clip
from video_checkpoints import FRAMES, GRID, SIDE, WIDTH, write_video_encoder

from assistant.actions.bank import bare_bank
from assistant.actions.head import CONFIG, VIDEO, load_head
from assistant.actions.video import VideoEncoder, load_video_encoder
from assistant.errors import InputError, WeightsError
from assistant.model.space.loading import load_space
from assistant.training.actions import pixels
from assistant.training.actions.config import ActionsConfig, video_recipe
from assistant.training.actions.features import Data, encode, read_clips
from assistant.training.actions.run import begun, train
from assistant.training.actions.trainer import ActionsTrainer
from assistant.training.loop import Loop

LABELS = ("green", "red")
RECIPE = ActionsConfig(SHAPE, negatives=4, epochs=2, least_steps=0, batch=2, lr=3e-3)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each label, with three clips."""
    folder = tmp_path_factory.mktemp("clips")
    for label in LABELS:
        (folder / label).mkdir()
        for number in range(3):
            color_clip(folder / label / f"{number}.mp4", label, seconds=1 + number)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("checkpoints")
    return {
        "clip": write_space(root / "clip", "clip"),
        "videomae": write_video_encoder(root / "videomae", "videomae"),
    }


@pytest.fixture(scope="module")
def sight(folders) -> TinySight:
    """Taught by a CLIP."""
    return TinySight(load_space(str(folders["clip"]), None, device="cpu", precision="fp32"))


@pytest.fixture
def video(folders) -> VideoEncoder:
    return load_video_encoder(str(folders["videomae"]))


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("features")


@pytest.fixture(scope="module")
def head(clips, folders, sight, features, tmp_path_factory) -> Path:
    config = replace(RECIPE, losses=("ce",), epochs=1)
    video = load_video_encoder(str(folders["videomae"]))
    data = looked(clips, sight, video, features, config)
    out = tmp_path_factory.mktemp("run")
    return train(config, data, begun(config, read_clips(clips), sight, video), out).folder


@pytest.fixture(autouse=True, scope="module")
def no_curves():
    """They take longer than the training."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("heads", "actions.run"):
            patch.setattr(f"assistant.training.{module}.draw_curves", lambda *_: None)
        yield


def looked(clips: Path, sight: TinySight, video: VideoEncoder | None, out: Path, config=RECIPE):
    found = read_clips(clips)
    return encode(found, bare_bank(found.labels), config, sight, out, video)


def trainer_of(clips, data: Data, sight, config: ActionsConfig = RECIPE) -> ActionsTrainer:
    made = begun(config, read_clips(clips), sight, data.video)
    return ActionsTrainer(config, data, made, Accelerator(cpu=True))


class TestPixels:
    def test_clips_are_decoded_once(self, clips, sight, video, tmp_path, monkeypatch):
        """What a stopped run has decoded stays; the rest is decoded then, and nothing twice."""
        read, wanted = pixels.read_ahead, []

        def counting(refs, *options):
            for place, frames in enumerate(read(refs, *options)):
                if len(wanted) == 2 and place == 2:
                    raise KeyboardInterrupt
                wanted.append(refs[place].path)
                yield frames

        monkeypatch.setattr(pixels, "read_ahead", counting)
        with pytest.raises(KeyboardInterrupt):
            looked(clips, sight, video, tmp_path)
        data = looked(clips, sight, video, tmp_path)
        looked(clips, sight, video, tmp_path)
        assert len(wanted) == len(set(wanted)) == 6
        example = read_clips(clips).train[0]
        found = data.table.clip(data.keys[0])
        assert found.shape == (FRAMES, SIDE, SIDE, 3) and found.dtype == torch.uint8
        frames = example.clip.read(FRAMES, video.side)
        assert (found.numpy() == video.pictures(frames)).all()

    def test_the_teacher_sees_the_middle_of_each_tubelet(self, clips, sight, video, features):
        """The same square of the picture at the same time as the patches that it teaches."""
        data = looked(clips, sight, video, features)
        assert data.taught.cells.shape == (6, FRAMES // 2, 16, sight.space.width)
        squares = data.table.clip(data.keys[3]).numpy()[1::2]
        look = data.table.look(data.keys[3], sight)
        assert (look.pictures(2, 99)[0] == squares).all()
        wanted = sight.space.embed_cells(look).half().numpy()
        assert np.array_equal(data.taught.cells[3], wanted)

    def test_clips_that_cannot_be_read_are_named(self, clips, sight, video, tmp_path):
        for label in LABELS:
            (tmp_path / label).mkdir()
            for number in range(2):
                (tmp_path / label / f"{number}.mp4").write_text("no clip")
        with pytest.raises(InputError, match="clips that cannot be used; mend or remove them") as e:
            looked(tmp_path, sight, video, tmp_path / "out")
        assert str(e.value).count(".mp4") == 4


class TestTraining:
    @pytest.mark.parametrize("loss", ["ce", "text", "image"])
    def test_a_step_moves_the_encoder_and_not_the_teacher(
        self, clips, sight, video, features, tmp_path, loss
    ):
        losses = {"ce": ("ce",), "text": ("text",), "image": ("text", "image")}[loss]
        config = replace(RECIPE, losses=losses, alpha=10.0, gate="identity")
        data = looked(clips, sight, video, features, config)
        teacher = {n: v.clone() for n, v in sight.space.network.state_dict().items()}
        trainer = trainer_of(clips, data, sight, config)
        start = {name: value.detach().clone() for name, value in trainer.trained.items()}
        loop = Loop(trainer, tmp_path, Accelerator(cpu=True))
        for loop.progress.step, batch in enumerate(trainer.batches(0, 0)):
            loop.step(batch)  # the first one's rate is 0
        moved = {n for n, v in trainer.trained.items() if not torch.equal(v, start[n])}
        encoder = {n for n in start if n.startswith("video.network.")}
        assert len(encoder) > 30 and encoder <= moved | {n for n in encoder if "key" in n}
        assert ("classifier.weight" in moved) is (loss == "ce")
        assert ("distiller.to_teacher.weight" in moved) is (loss == "image")
        assert all(torch.equal(v, teacher[n]) for n, v in sight.space.network.state_dict().items())
        for name, value in video.named_parameters():  # another run begins with the checkpoint
            assert torch.equal(value, start[f"video.{name}"])

    def test_the_paper_s_recipe(self):
        recipe = video_recipe()
        assert (recipe.lr, recipe.epochs, recipe.weight_decay) == (1.5e-4, 40, 0.05)
        assert (recipe.alpha, recipe.tau, recipe.positives) == (10, 0.07, 1)

    @pytest.mark.parametrize("own", [True, False])
    def test_two_processes_learn_what_one_does(self, clips, sight, video, features, tmp_path, own):
        """One with batches of four, and two with batches of two; of mini's recogniser, too."""
        eyes = video if own else None
        teaches = sight if own else TinySight(CellSpace())
        config = replace(RECIPE, checkpointing=own)
        data = looked(clips, teaches, eyes, features, config)
        made = begun(config, read_clips(clips), teaches, eyes)
        outs = [tmp_path / name for name in ("one", "two")]
        for out in outs:
            out.mkdir()
        train(replace(config, batch=4), data, made, outs[0])
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]

        def work(rank: int) -> None:
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
            os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
            AcceleratorState._reset_state(reset_partial_state=True)  # the parent's, of one process
            train(config, data, made, outs[1])

        context = multiprocessing.get_context("fork")  # they need not import everything again
        workers = [context.Process(target=work, args=(rank,)) for rank in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
            assert worker.exitcode == 0
        alone, together = (
            [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
            for out in outs
        )
        assert len(alone) == len(together) == 4
        for line, other in zip(alone, together, strict=True):
            for figure in line.keys() - {"time"}:
                assert other[figure] == pytest.approx(line[figure], rel=1e-4), figure
        heads = [load_head(out / "head", teaches) for out in outs]
        for one, two in zip(*(head.network.parameters() for head in heads), strict=True):
            assert torch.allclose(one, two, atol=2e-3)


class TestCommand:
    @pytest.fixture
    def mini(self, sight, monkeypatch: pytest.MonkeyPatch, fresh_cache: Path) -> TinySight:
        monkeypatch.setattr("assistant.model.sight_loading.load_sight", lambda name, **_: sight)
        return sight

    def test_from_clips_to_names(
        self, clips, folders, mini, video, features, tmp_path, capsys, monkeypatch
    ):
        out, recipe = tmp_path / "run", tmp_path / "recipe.yaml"
        data = looked(clips, mini, video, features)
        shutil.copytree(features, out / "features")  # so that nothing is decoded again
        recipe.write_text(yaml.safe_dump({"epochs": 8, "lr": 1e-2, "batch": 4, "least_steps": 0}))
        command = ("finetune", "actions", "--data", clips, "--out", out, "--config", recipe)
        code, told, err = run(capsys, *command, "--video-encoder", folders["videomae"])
        assert code == 0 and "decoding" not in err, err
        head = out / "head"
        assert "4 clips of 2 labels learned, 2 to choose" in told and f"head: {head}" in told
        told = (head / "CARD.md").read_text()
        assert "by its classifier: a video encoder, fine-tuned whole, that was\n`videomae-" in told
        monkeypatch.setattr("assistant.actions.video.read_network", None)  # the head has it all
        films = [example.clip.path for example in read_clips(clips).dev]
        code, told, err = run(capsys, "actions", *films, "--head", head, "--json")
        assert code == 0, err
        found = [json.loads(line) for line in told.splitlines()]
        loaded = load_head(head, mini)
        for key, pictured, one in zip(data.keys[-2:], data.taught.frames[-2:], found, strict=True):
            shares = loaded.probabilities(data.table.clip(key), pictured).tolist()
            wanted = dict(zip(loaded.config.labels, shares, strict=True))
            named = {action["label"]: action["probability"] for action in one["actions"]}
            assert named == pytest.approx(wanted, abs=1e-4) and one["by"] == "trained"
        assert [one["actions"][0]["label"] for one in found] == [*LABELS]
        monkeypatch.setattr("assistant.media.video.read_clip", None)  # what was looked at is kept
        picture = tmp_path / "why.png"
        code, again, err = run(
            capsys, "actions", films[0], "--head", head, "--evidence", picture, "--json"
        )
        assert code == 0 and picture.read_bytes()[1:4] == b"PNG", err
        assert json.loads(again) == found[0]

    @pytest.mark.parametrize(
        ("task", "options", "told"),
        [
            ("actions", ["--video-encoder", "none"], "'none': there is no such folder; give a hub"),
            ("actions", ["--video-encoder", "clip"], "a checkpoint of clip, no video encoder"),
            ("events", ["--video-encoder", "a/b"], "--video-encoder is for actions alone"),
        ],
    )
    def test_a_wrong_option_is_one_line(
        self, clips, folders, mini, tmp_path, capsys, task, options, told
    ):
        options = [folders.get(word, word) for word in options]
        out = tmp_path / "run"
        code, _, err = run(capsys, "finetune", task, "--data", clips, "--out", out, *options)
        assert code == 2 and told in err and "\n" not in err.strip() and not out.exists()


class TestHead:
    def test_what_an_action_rests_on_is_seen_at_its_place(self, head, sight):
        from assistant.actions.evidence import rests_on

        loaded = load_head(head, sight)
        pictures = torch.randint(0, 256, (FRAMES, SIDE, SIDE, 3), dtype=torch.uint8)
        heat = rests_on(loaded, pictures, 1)
        assert heat.shape == (FRAMES // 2, GRID, GRID) and heat.max() <= 1 and heat.min() >= 0

    @pytest.mark.parametrize(
        ("file", "change", "told"),
        [
            (f"{VIDEO}/config.json", ("0.0", "0.1"), "is not what actions.yaml beside it was"),
            (f"{VIDEO}/config.json", (f": {WIDTH}", ": 32"), "is not what actions.yaml beside"),
            (f"{VIDEO}/config.json", None, "holds no config.json"),
            (f"{VIDEO}/preprocessor_config.json", None, "holds no image processor"),
            (CONFIG, ("- red", "- red\n- third"), "does not fit actions.yaml"),
        ],
    )
    def test_a_head_of_another_is_refused(self, head, sight, tmp_path, file, change, told):
        copy = Path(shutil.copytree(head, tmp_path / "head"))
        path = copy / file
        if change is None:
            path.unlink()
        else:
            text = path.read_text()
            assert change[0] in text
            path.write_text(text.replace(*change))
        with pytest.raises(WeightsError) as found:
            load_head(copy, sight)
        assert told in str(found.value) and "\n" not in str(found.value)
