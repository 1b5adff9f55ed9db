"""``assistant finetune actions`` and ``assistant actions``: from labelled clips to their names."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from accelerate import Accelerator
from retrieval_sight import ColorSpace, TinySight, tiny_sight
from test_cli import run
from test_index import color_clip

from assistant.actions.bank import Bank, Described, bare_bank
from assistant.actions.head import CONFIG, load_head
from assistant.actions.recogniser import RecogniserConfig
from assistant.actions.zero_shot import NONE
from assistant.errors import ConfigError, InputError
from assistant.model.features import FeatureStore
from assistant.training.actions.config import ActionsConfig
from assistant.training.actions.features import Data, encode, parted, read_clips
from assistant.training.actions.run import begun, train
from assistant.training.actions.trainer import ActionsTrainer, figures
from assistant.training.loop import CHECKPOINT, Loop

SHAPE = RecogniserConfig(frames=4, grid=2, width=16, heads=2, layers=1, contrast=8, dropout=0.0)
RECIPE = ActionsConfig(SHAPE, negatives=4, epochs=2, least_steps=0, batch=4, lr=0.01)
ORDERS = {"blue first": ("blue", "red"), "red first": ("red", "blue")}  # nothing else tells them
BANK = {
    "actions": {
        "blue first": {
            "words": ["blue", "sky"],
            "sentences": ["A blue sky over all that is seen.", "It is blue and turns to another."],
            "long": "All of the picture is blue at first, and what follows is of a different tone.",
        },
        "red first": {
            "words": ["red", "fire"],
            "sentences": ["A red fire over all that is seen.", "It is red and turns to another."],
            "long": "All of the picture is red at first, and what follows is of a different tone.",
        },
    }
}


class CellSpace(ColorSpace):
    """It knows single patches, too."""

    def embed_cells(self, look):
        return torch.nn.functional.normalize(look.patches.float(), dim=-1)

    def embed_keywords(self, texts):
        return self.embed_texts(texts)


class ColorMotion:
    """What a motion adapter could tell of frames."""

    fingerprint, width = "colors", 3

    def __call__(self, patches):
        return patches.float().mean(1)[:, :3]


@pytest.fixture
def mini(monkeypatch: pytest.MonkeyPatch, fresh_cache: Path) -> TinySight:
    sight = TinySight(CellSpace())
    monkeypatch.setattr("assistant.model.sight_loading.load_sight", lambda name, **options: sight)
    return sight


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each label, with six clips."""
    folder = tmp_path_factory.mktemp("clips")
    for label, colors in ORDERS.items():
        (folder / label).mkdir()
        for number in range(6):
            color_clip(folder / label / f"{number}.mp4", *colors, seconds=0.8 + number / 5)
    return folder


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is seen of the clips, for tests that look at them in the same way."""
    return tmp_path_factory.mktemp("features")


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    path = tmp_path / "bank.yaml"
    path.write_text(yaml.safe_dump(BANK))
    return path


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        yaml.safe_dump({"recogniser": dict(vars(SHAPE)), "least_steps": 50, "batch": 5, "lr": 0.01})
    )
    return path


def looked(clips: Path, out: Path, config: ActionsConfig = RECIPE, space=None) -> Data:
    found = read_clips(clips)
    sight = TinySight(space or CellSpace())
    return encode(found, bare_bank(found.labels), config, sight, out)


def new_trainer(clips: Path, data: Data, config: ActionsConfig = RECIPE) -> ActionsTrainer:
    made = begun(config, read_clips(clips), tiny_sight())
    return ActionsTrainer(config, data, made, Accelerator(cpu=True))


def write_data(folder: Path, lines: list[dict]) -> Path:
    (folder / "data.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


class TestData:
    def test_a_folder_for_each_label(self, clips):
        found = read_clips(clips)
        assert found.labels == ("blue first", "red first")
        assert (len(found.train), len(found.dev)) == (10, 2)
        assert {example.label for example in found.dev} == {*ORDERS}
        assert not {*found.train} & {*found.dev}
        again = parted([*found.dev, *found.train])
        assert {*again[1]} == {*found.dev}

    def test_lines_with_splits(self, clips, tmp_path):
        lines = [
            {
                "video": str(clips / label / f"{number}.mp4"),
                "split": split,
                "segments": [{"label": label, "start": 0, "end": 1}],
            }
            for label in ORDERS
            for number, split in enumerate(("train", "train", "dev", "test"))
        ]
        found = read_clips(write_data(tmp_path, lines))
        assert (len(found.train), len(found.dev)) == (4, 2)
        assert all(example.clip.end == 1 for example in found.train)
        assert not any(example.clip.path.stem == "3" for example in (*found.train, *found.dev))

    def test_a_file_of_two_labels_is_on_one_side(self, clips, tmp_path):
        path = str(clips / "red first" / "0.mp4")
        cut = [{"label": "red", "start": 0, "end": 0.5}, {"label": "blue", "start": 0.5, "end": 1}]
        other = {"video": str(clips / "red first" / "1.mp4"), "segments": cut}
        found = read_clips(write_data(tmp_path, [{"video": path, "segments": cut}, other]))
        sides = [{example.clip.path for example in side} for side in (found.train, found.dev)]
        assert not sides[0] & sides[1] and [len(side) for side in sides] == [1, 1]

    @pytest.mark.parametrize(
        ("counts", "told"),
        [((1, 1), "no clip is left to choose the epoch by"), ((2,), "holds 1 labels; give 2")],
    )
    def test_data_that_teach_nothing_are_refused(self, clips, tmp_path, counts, told):
        for label, count in zip("ab", counts, strict=False):
            (tmp_path / label).mkdir()
            for number in range(count):
                (tmp_path / label / f"{number}.mp4").touch()
        with pytest.raises(InputError, match=told):
            read_clips(tmp_path)

    def test_what_was_seen_is_kept(self, clips, tmp_path, monkeypatch):
        first = looked(clips, tmp_path)
        assert first.taught.cells.shape == (12, 4, 4, 8)
        monkeypatch.setattr(CellSpace, "embed_frames", None)
        monkeypatch.setattr(CellSpace, "embed_cells", None)
        again = looked(clips, tmp_path)
        assert torch.equal(first.taught.frames, again.taught.frames)

    def test_keywords_hide_what_is_not_theirs(self, clips, features):
        """Each frame is of one color, so that no patch is more like a word than another."""
        config = replace(RECIPE, gate="cross")
        assert looked(clips, features, config).taught.mask.sum() == 0
        every = looked(clips, features, replace(config, keyword_covers=0.0))
        assert every.taught.mask.shape == (12, 4, 4) and every.taught.mask.min() == 1
        none = looked(clips, features, replace(config, keyword_covers=0.0, keyword_shown=0.99))
        assert none.taught.mask.sum() == 0

    def test_a_space_without_patches_cannot_teach_them(self, clips, features):
        with pytest.raises(InputError, match="colors-2 tells nothing of single patches"):
            looked(clips, features, space=ColorSpace("colors-2"))
        without = replace(RECIPE, losses=("ce", "text"))
        assert looked(clips, features, without, ColorSpace("colors-2")).taught.cells is None


class TestTraining:
    @pytest.mark.parametrize("gate", ["identity", "self", "cross"])
    def test_every_loss_and_gate_moves_the_recogniser_alone(self, clips, features, tmp_path, gate):
        config = replace(RECIPE, gate=gate, losses=("text", "image"), keyword_covers=0.0)
        data = looked(clips, features, config)
        before = data.texts.clone(), data.taught.cells[:].copy()
        loop = Loop(new_trainer(clips, data, config), tmp_path, Accelerator(cpu=True))
        start = {name: value.detach().clone() for name, value in loop.trainable.trained.items()}
        loop.run()
        moved = {n for n, v in loop.trainable.trained.items() if not torch.equal(v, start[n])}
        assert {"patch.weight", "to_text.weight", "distiller.to_teacher.weight"} <= moved
        assert ("distiller.gate.value.weight" in moved) is (gate == "self")
        assert "classifier.weight" not in moved
        assert torch.equal(data.texts, before[0]) and (data.taught.cells == before[1]).all()

    def test_a_resumed_run_ends_with_the_same_weights(self, clips, features, tmp_path):
        data, ends = looked(clips, features), []
        for stop in (None, 2, 4):  # within an epoch, and in another
            out = tmp_path / str(stop)
            out.mkdir()
            loop = Loop(new_trainer(clips, data), out, Accelerator(cpu=True))
            if stop is not None:
                step, count = loop.step, iter(range(stop))

                def stopping(batch, step=step, count=count):
                    if next(count, None) is None:
                        raise KeyboardInterrupt
                    return step(batch)

                loop.step = stopping
                with pytest.raises(KeyboardInterrupt):
                    loop.run()
                loop = Loop(new_trainer(clips, data), out, Accelerator(cpu=True))
                loop.load()
                assert loop.progress.phase * 3 + loop.progress.step == stop
            loop.run()
            ends.append(loop.trainable.trained)
            assert (out / CHECKPOINT).is_file()
        for other in ends[1:]:
            assert all(torch.equal(ends[0][name], other[name]) for name in other)

    def test_the_head_has_the_weights_that_were_measured(self, clips, features, tmp_path):
        """Of a recogniser by texts alone; the probabilities are those of the fitted temperature."""
        config = replace(RECIPE, losses=("text",))
        data = looked(clips, features, config)
        sight = TinySight(CellSpace())
        done = train(config, data, begun(config, read_clips(clips), sight), tmp_path)
        head = load_head(done.folder, sight)
        assert head.config.by == "texts" and head.config.temperature > 0
        seen = zip(data.keys[-2:], data.taught.frames[-2:], strict=True)
        shares = torch.stack([head.probabilities(data.table.clip(key), view) for key, view in seen])
        right = (shares.argmax(1) == data.truth[-2:]).float().mean()
        assert done.made.figures["top-1"] == pytest.approx(100 * float(right))
        assert torch.allclose(shares.sum(1), torch.ones(2))

    def test_the_joint_space_has_its_share(self, clips, features, tmp_path):
        data, sight = looked(clips, features), TinySight(CellSpace())
        done = train(RECIPE, data, begun(RECIPE, read_clips(clips), sight), tmp_path)
        config = done.folder / CONFIG
        share = f"teacher: {done.made.teacher}\n"
        config.write_text(config.read_text().replace(share, "teacher: 0.25\n"))
        head = load_head(done.folder, sight)
        seen, pictured = data.table.clip(data.keys[0]), data.taught.frames[0]
        together = 0.75 * head.scores(seen) + 0.25 * data.described.logits(pictured[None])[0]
        wanted = (together / head.config.temperature).softmax(0)
        assert torch.allclose(head.probabilities(seen, pictured), wanted, atol=1e-3)  # fp16 texts
        config.write_text(config.read_text().replace("space: ", "space: x"))
        with pytest.raises(InputError, match="was taught by the joint space x"):
            load_head(done.folder, sight)
        silent = replace(RECIPE, teacher=False)
        done = train(silent, data, begun(silent, read_clips(clips), sight), tmp_path / "silent")
        assert done.made.teacher == 0 and load_head(done.folder, sight).teacher is None

    def test_it_begins_with_what_the_motion_adapter_knows(
        self, clips, features, tmp_path, monkeypatch
    ):
        """The recogniser that is read sees what the one that was trained saw."""
        for module in ("assistant.model.motion", encode.__module__):
            monkeypatch.setattr(f"{module}.load_motion_reader", lambda encoder: ColorMotion())
        monkeypatch.setattr(f"{encode.__module__}.fits", lambda encoder: True)
        data, sight = looked(clips, features), TinySight(CellSpace())
        done = train(RECIPE, data, begun(RECIPE, read_clips(clips), sight), tmp_path)
        assert "the motion adapter `colors`" in (done.folder / "CARD.md").read_text()
        head, key = load_head(done.folder, sight), data.keys[0]
        moved = data.motion.rows[:1].float()
        assert moved.shape == (1, 4, 3) and moved.abs().sum() > 0
        there = torch.ones(1, 4, dtype=torch.long)
        seen = data.table.clip(key)[None]
        same, other = (head.network.states(seen, there, one) for one in (moved, moved.roll(1, -1)))
        assert torch.allclose(head.states(seen[0])[0], same, atol=1e-3)  # kept in fp16
        assert not torch.allclose(same, other, atol=1e-2)
        monkeypatch.setattr(ColorMotion, "fingerprint", "other")
        with pytest.raises(InputError, match="begins with the motion adapter colors, and the one"):
            load_head(done.folder, sight)
        without = looked(clips, features, replace(RECIPE, motion=False))
        assert without.motion is None

    def test_few_clips_are_gone_through_more_often(self, clips, features):
        data = looked(clips, features)
        assert new_trainer(clips, data).phases == 2
        assert new_trainer(clips, data, replace(RECIPE, least_steps=7)).phases == 3  # 3 steps each

    def test_figures(self):
        logits = torch.tensor([[2.0, 1, 0], [2, 1, 0], [0, 1, 2], [0, 1, 2]])
        found = figures(logits, torch.tensor([0, 0, 0, 1]))
        assert found["top-1"] == 50 and found["top-5"] == 100
        assert found["mean of labels"] == pytest.approx(100 / 3)

    @pytest.mark.parametrize(
        ("changes", "told"),
        [
            ({"losses": ("image",)}, "image alone names nothing"),
            ({"gate": "open"}, "choose one of identity, self, cross"),
            ({"alpha": -1}, "alpha is -1"),
        ],
    )
    def test_a_wrong_recipe_is_named(self, changes, told):
        with pytest.raises(ConfigError, match=told):
            replace(RECIPE, **changes)


class TestCommand:
    def test_from_clips_to_names(self, clips, mini, bank, recipe, tmp_path, capsys, monkeypatch):
        """The order of colors, which the teacher's mean of frames cannot tell."""
        monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))
        out = tmp_path / "run"
        command = ("finetune", "actions", "--data", clips, "--out", out, "--config", recipe)
        code, told, err = run(capsys, *command, "--bank", bank)
        assert code == 0, err
        head = out / "head"
        assert "10 clips of 2 labels learned, 2 to choose" in told and f"head: {head}" in told
        assert "blue first  100.0 %  most like: " in told
        assert (head / "CARD.md").is_file() and (head / "curves.png").is_file()
        code, _, err = run(capsys, *command)
        assert code == 2 and "holds a run already" in err
        code, told, err = run(capsys, *command, "--bank", bank, "--resume", "--name", "orders")
        assert code == 0 and f"head: {head}" in told
        assert f"kept as orders: {tmp_path / 'home' / 'actions' / 'orders'}\n" in told
        assert "try: assistant actions CLIP --head orders" in told
        code, _, err = run(capsys, *command, "--bank", bank, "--resume", "--name", "orders")
        assert code == 2 and "'orders' is there already; choose another --name, or remove" in err
        code, _, err = run(capsys, *command, "--resume")
        assert code == 2 and "was written with another data" in err  # it had descriptions
        films = [color_clip(tmp_path / f"{n}.mp4", *ORDERS[n], seconds=1.5) for n in ORDERS]
        code, told, err = run(capsys, "actions", *films, "--head", "orders", "--json")
        assert code == 0, err
        found = [json.loads(line) for line in told.splitlines()]
        assert [one["actions"][0]["label"] for one in found] == [*ORDERS]
        assert found[0]["by"] == "trained" and found[0]["video"] == str(films[0])
        for one in found:
            shares = [action["probability"] for action in one["actions"]]
            assert sum(shares) == pytest.approx(1, abs=1e-3) and shares[0] > 0.5
        other = color_clip(tmp_path / "other.mp4", "green", seconds=1.5)
        code, told, err = run(capsys, "actions", films[0], other, "--head", "orders", "--json")
        assert [json.loads(line)["none_likely"] for line in told.splitlines()] == [False, True]
        picture = tmp_path / "why.png"
        words = ("actions", films[0], "--head", head, "--evidence", picture)
        code, _, err = run(capsys, *words)
        assert code == 0 and "[evidence: " in err and picture.read_bytes()[1:4] == b"PNG"
        (tmp_path / "labels.txt").write_text("red first\nblue first\n")
        words = ("--labels", tmp_path / "labels.txt", "--bank", bank, "--top", "1")
        code, told, err = run(capsys, "actions", *films, "--head", head, *words)
        assert code == 0, err
        assert [line[6:] for line in told.splitlines() if "%" in line] == [*ORDERS]

    def test_any_labels_by_their_descriptions(self, mini, tmp_path, capsys):
        films = [color_clip(tmp_path / f"{name}.mp4", name, seconds=1) for name in ("red", "green")]
        (tmp_path / "labels.txt").write_text("something green\nsomething red\n")
        words = ("actions", *films, "--labels", tmp_path / "labels.txt")
        code, told, err = run(capsys, *words)
        assert code == 0, err
        first = [part.splitlines()[1] for part in told.strip().split("\n\n")]
        assert [line[6:] for line in first] == ["something red", "something green"]
        code, told, _ = run(capsys, *words, "--json", "--top", "1")
        assert [len(json.loads(line)["actions"]) for line in told.splitlines()] == [1, 1]
        assert json.loads(told.splitlines()[0])["by"] == "zero-shot"

    def test_none_of_the_labels_is_said_so(self, mini, tmp_path, capsys):
        """By a bound that is the space's own, and grows with the number of labels."""
        film = color_clip(tmp_path / "a.mp4", "red", "green", seconds=2)
        labels = tmp_path / "labels.txt"
        words = ("actions", film, "--labels", labels, "--every", "2")
        labels.write_text("red\nblue\n")
        code, told, _ = run(capsys, *words, "--json")
        assert code == 0 and "none_likely" not in told  # nobody calibrated it
        mini.space.folder = tmp_path / "space"
        mini.space.folder.mkdir()
        rule = mini.space.folder / NONE
        rule.write_text("space: colors-1\nstart: 0.5\nper_doubling: 0.1\n")
        code, told, err = run(capsys, *words, "--json")
        assert [json.loads(line)["none_likely"] for line in told.splitlines()] == [False, True], err
        code, told, _ = run(capsys, *words, "--top", "1")
        lines = told.splitlines()
        assert len(lines) == 5 and lines[3].startswith("none of these is likely (best: ")
        labels.write_text("red\nblue\nyellow\npink\ngray\nbrown\nblack\nwhite\n")
        rule.write_text("space: colors-1\nstart: 0.5\nper_doubling: 0.3\n")
        _, told, _ = run(capsys, *words, "--json")
        assert [json.loads(line)["none_likely"] for line in told.splitlines()] == [True, True]
        rule.write_text("space: another\nstart: 0.5\nper_doubling: 0.1\n")
        assert "none_likely" not in run(capsys, *words, "--json")[1]
        rule.write_text("start: 0.5\n")
        code, _, err = run(capsys, *words)
        assert code == 2 and NONE in err and "Traceback" not in err

    def test_windows_of_a_long_clip(self, mini, tmp_path, capsys):
        film = color_clip(tmp_path / "a.mp4", "red", "green", "red", seconds=2)
        (tmp_path / "labels.txt").write_text("green\nred\n")
        words = ("actions", film, "--labels", tmp_path / "labels.txt", "--top", "1")
        code, told, err = run(capsys, *words, "--every", "1.9", "--json")
        assert code == 0, err
        found = [json.loads(line) for line in told.splitlines()]
        assert [one["actions"][0]["label"] for one in found] == ["red", "green", "red"]
        assert [(one["start"], one["end"]) for one in found] == [(0, 2), (2, 4), (4, 6)]
        code, told, _ = run(capsys, *words, "--every", "3")
        assert code == 0 and [told.splitlines()[n] for n in (0, 2)] == ["0:00-0:03", "0:03-0:06"]
        code, told, _ = run(capsys, *words, "--every", "60")
        assert code == 0 and told.splitlines()[0] == "0:00-0:06"
        code, _, err = run(capsys, *words, "--every", "0.1")
        assert code == 2 and "--every is 0.1; give 0.5 seconds or more" in err

    def test_a_clip_is_looked_at_once(self, mini, tmp_path, capsys, monkeypatch):
        film = color_clip(tmp_path / "a.mp4", "red", seconds=1)
        (tmp_path / "labels.txt").write_text("red\ngreen\n")
        words = ("actions", film, "--labels", tmp_path / "labels.txt")
        first = run(capsys, *words)
        monkeypatch.setattr("assistant.actions.looking.encode_clip", None)
        assert run(capsys, *words)[:2] == first[:2] and first[0] == 0

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            (["--without", "dar"], "--without dar is not for actions; choose some of ce, text, im"),
            (["--without", "ce", "text"], "image alone names nothing"),
            (["--prompt", "a.yaml"], "--prompt is not for actions; leave it out"),
            (["--bank", "none.yaml"], "none.yaml is no bank and no file"),
            (["--bank", "fight300"], "fight300 does not describe 'blue first', 'red first'"),
            (["--config", "none.yaml"], "none.yaml: cannot be read"),
            (["--resume"], "holds no run to resume"),
        ],
    )
    def test_a_wrong_option_is_one_line(self, clips, mini, tmp_path, capsys, options, told):
        out = tmp_path / "run"
        code, _, err = run(capsys, "finetune", "actions", "--data", clips, "--out", out, *options)
        assert code == 2 and told in err and "\n" not in err.strip() and not out.exists()

    def test_what_cannot_name_a_clip_is_one_line(self, clips, mini, recipe, tmp_path, capsys):
        film = clips / "red first" / "0.mp4"
        out = tmp_path / "run"
        words = ("--data", clips, "--out", out, "--config", recipe, "--without", "text", "image")
        assert run(capsys, "finetune", "actions", *words)[0] == 0
        (tmp_path / "labels.txt").write_text("red\ngreen\n")
        labels = ("--labels", tmp_path / "labels.txt")
        for options, told in (
            ((), "nothing to choose among; give --head, --labels or --bank"),
            (
                (*labels, "--evidence", tmp_path / "a.png"),
                "a trained recogniser looks; give --head",
            ),
            (("--head", out / "head", "--evidence", tmp_path / "a.txt"), "is no picture's name"),
            (("--head", tmp_path), "holds no actions.yaml; give a folder that"),
            (("--head", out / "head", *labels), "was trained without text and names its own"),
            ((*labels, "--bank", "fight300"), "fight300 does not describe 'red', 'green'"),
        ):
            code, _, err = run(capsys, "actions", film, *options)
            assert code == 2 and told in err and "Traceback" not in err, (options, err)
        config = out / "head" / CONFIG
        config.write_text(config.read_text().replace("encoder: ", "encoder: x"))
        code, _, err = run(capsys, "actions", film, "--head", out / "head")
        assert code == 2 and "reads what the encoder x" in err

    def test_parts_of_a_recogniser_are_not_for_others(self, clips, tmp_path, capsys):
        words = ("finetune", "motion", "--data", clips, "--out", tmp_path / "run")
        code, _, err = run(capsys, *words, "--without", "ce")
        assert code == 2 and "--without ce is for actions alone" in err
        for option in ("--bank", "--name"):
            code, _, err = run(capsys, *words, option, "fight300")
            assert code == 2 and f"{option} is for actions alone" in err


def test_a_store_that_cannot_keep_says_so(mini, tmp_path, monkeypatch):
    from assistant.actions.naming import Namer

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    store = FeatureStore(folder=tmp_path / "store")
    monkeypatch.setattr(store, "put", refuse)
    bank = Bank("own", (Described("red"), Described("green")))
    named = Namer(mini, store, bank=bank).name(color_clip(tmp_path / "a.mp4", "red", seconds=1))
    assert named.actions[0][0] == "red"
    assert "not kept on disk: No space left" in named.warnings[-1]
