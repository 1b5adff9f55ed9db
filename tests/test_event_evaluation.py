"""``assistant evaluate events``: branches, protocols, and the command, on clips of colors."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from retrieval_sight import COLORS, tiny_sight
from test_index import color_clip

from assistant.cli.main import main
from assistant.data.joined import join_clips
from assistant.data.segments import read_segments
from assistant.evaluation.branches import (
    ATTRIBUTES,
    FUSION,
    MEAN,
    OWN,
    VIDEO,
    WEIGHTS,
    Branches,
    choose_fusion,
    fused,
    many_views,
    square_crops,
)
from assistant.evaluation.events import evaluate_events
from assistant.model.features import FeatureStore
from assistant.model.space.seeing import Seen
from assistant.timeline.saliency import event_vector, saliency
from assistant.timeline.types import Knowledge


class Looking:
    """What looks and keeps what it saw."""

    def __init__(self, folder: Path) -> None:
        self.sight, self.store = tiny_sight(), FeatureStore(folder=folder)


def count_colors(texts):
    """In place of MiniLM."""
    found = np.array([[0.1 + text.count(name) for name in COLORS] for text in texts])
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.fixture(autouse=True)
def no_minilm(monkeypatch):
    monkeypatch.setattr("assistant.evaluation.branches.sentence_encoder", lambda: count_colors)


@pytest.fixture
def looking(tmp_path) -> Looking:
    return Looking(tmp_path / "features")


@pytest.fixture(scope="module")
def joined(tmp_path_factory) -> Path:
    """Three clips of each color, and two long ones of them."""
    folder = tmp_path_factory.mktemp("colors")
    for name in COLORS:
        (folder / name).mkdir()
        for number in range(3):
            color_clip(folder / name / f"{name}-{number}.mp4", name, seconds=5 + number)
    out = tmp_path_factory.mktemp("joined")
    join_clips(folder, out, 2, seed=1, parts=(5, 6))
    return out


def soft(scores: np.ndarray, steepness: float) -> np.ndarray:
    return torch.from_numpy(steepness * scores).softmax(1).numpy()


class TestBranches:
    def seen(self, *colors: str) -> Seen:
        sight = tiny_sight()
        frames = np.stack([np.full((8, 8, 3), COLORS[name], np.uint8) for name in colors])
        from assistant.model.space.seeing import see

        return see(sight, frames, list(range(len(colors))))

    def test_each_tells_probabilities(self):
        branches = Branches(tiny_sight(), list(COLORS))
        scores = branches([self.seen("red", "red"), self.seen("red")])
        assert set(scores) == {MEAN, VIDEO, OWN, ATTRIBUTES}
        for name, own in scores.items():
            assert own.shape == (3,) and own.sum() == pytest.approx(1, abs=1e-5), name
            assert branches.labels[own.argmax()] == "red", name

    def test_saliency_finds_what_is_short(self):
        """One frame in six is red: against the mean, red is likelier where its frame counts."""
        branches = Branches(tiny_sight(), list(COLORS))
        view = self.seen("blue", "blue", "red", "blue", "blue", "blue")
        pooled = branches.pooled(view)[0]
        assert branches.salient(view, ["red"])[0] > 2 * pooled
        assert branches.salient(view, ["blue"])[0] < pooled
        assert branches.salient(view, [])[0] == pytest.approx(pooled, abs=1e-5)
        assert branches.salient_by_label(view)[0] > 2 * pooled
        space = branches.space
        words, there = space.embed_words(["red"])
        shares = saliency(view.frames, words[0], there[0], 1 / space.scale)
        logits = event_vector(view.frames, shares) @ branches.head.weights[0]
        blue = space.embed_words(["blue"])
        shares = saliency(view.frames, blue[0][0], blue[1][0], 1 / space.scale)
        other = event_vector(view.frames, shares) @ branches.head.weights[2]
        found = branches.salient_by_label(view)
        bias = branches.head.bias
        assert np.log(found[0] / found[2]) == pytest.approx(
            float(logits + bias[0] - other - bias[2]), abs=1e-4
        )

    def test_where_nothing_is_told_all_labels_are_alike(self):
        branches = Branches(tiny_sight(), list(COLORS))
        assert branches.attributes(Knowledge()).tolist() == pytest.approx([1 / 3] * 3)

    def test_weight_of_the_fusion(self):
        truth, labels = [{"a"}, {"b"}, {"c"}, {"a"}], list("abc")
        right = np.eye(3)[[0, 1, 2, 0]]
        wrong = np.roll(right, 1, axis=1)
        branches = Branches(tiny_sight(), labels)

        def weight(video, attributes):
            scores = {VIDEO: soft(video, 5), ATTRIBUTES: soft(attributes, 20)}
            return choose_fusion(scores, truth, branches)

        assert weight(right, wrong).weight > 0.5 > weight(wrong, right).weight
        assert weight(right, right).weight == 0.5
        assert weight(right, right).steepness == 40  # sure, and right
        assert weight(right, wrong).steepness == 2
        assert WEIGHTS[0] == 0 and WEIGHTS[-1] == 1
        assert fused({VIDEO: right, ATTRIBUTES: wrong}, 0.25) == pytest.approx(
            0.25 * right + 0.75 * wrong
        )

    @pytest.mark.parametrize(("height", "width"), [(6, 12), (12, 6), (6, 6)])
    def test_crops_reach_both_ends(self, height, width):
        frames = np.arange(2 * height * width * 3, dtype=np.uint8).reshape(2, height, width, 3)
        first, middle, last = square_crops(frames)
        assert first.shape == middle.shape == last.shape == (2, 6, 6, 3)
        assert (first[:, 0, 0] == frames[:, 0, 0]).all()
        assert (last[:, -1, -1] == frames[:, -1, -1]).all()
        if width == 12:
            assert (middle == frames[:, :, 3:9]).all()

    def test_many_views(self, tmp_path):
        color_clip(tmp_path / "a.mp4", "red", "blue", seconds=2)
        views = many_views(tmp_path / "a.mp4", 0, 4, tiny_sight())
        assert len(views) == 12 and all(len(view.frames) == 4 for view in views)
        told = [COLORS_BY_PLACE[int(view.classes.mean(0).argmax())] for view in views]
        assert told == ["red", "red", "blue", "blue"] * 3


COLORS_BY_PLACE = list(COLORS)


class TestEvaluates:
    def test_what_is_easy_is_right(self, looking, joined):
        report = evaluate_events(looking, joined, seed=3)
        found, even = report.parted
        assert found.borders.value == 1 and found.segments["0.7"].value == 1
        assert found.labelled["0.5"].value == 1
        assert even.borders.value < 1 and not even.labelled
        assert found.iou.value > 0.85
        names = {(one.name, one.segments, one.views) for one in report.named}
        assert names == {
            (name, segments, views)
            for name in (MEAN, VIDEO, OWN, ATTRIBUTES)
            for segments, views in (("known", "1x1"), ("known", "4x3"), ("found", "1x1"))
        }
        for one in report.named:
            if one.name != ATTRIBUTES:
                assert one.top1.value == one.balanced == one.ap == 1, one
        assert report.chance == (pytest.approx(1 / 3), 1)
        assert any("without --dev" in note for note in report.notes)
        shots = {one.name: one for one in report.drawn}
        assert set(shots) == {"1 example of a class", "2 examples of a class"}  # 1 class is no half
        assert shots["2 examples of a class"].classes == 3
        assert shots["1 example of a class"].figures["few-shot"] == (1, 0)
        assert any("5 examples" in note for note in report.notes)
        strip = report.strips[0]
        assert [label for *_, label in strip.known] == [label for *_, label in strip.found]

    def test_draws_are_seeded_and_apart(self, looking, joined, monkeypatch):
        """What is an example is not asked about."""
        from assistant.evaluation import event_draws

        asked = []
        whole = event_draws.few_shot

        def kept(space, examples, labels=()):
            asked.append({name: own.clone() for name, own in examples.items()})
            return whole(space, examples, labels)

        monkeypatch.setattr(event_draws, "few_shot", kept)
        one = evaluate_events(looking, joined, views=["1x1"], seed=3).drawn
        first, asked[:] = list(asked), []
        again = evaluate_events(looking, joined, views=["1x1"], seed=3).drawn
        assert one == again
        for before, after in zip(first, asked, strict=True):
            assert all(torch.equal(before[name], after[name]) for name in before)
        sources = [s.source for clip in read_segments(joined) for s in clip.segments]
        counts = {source: sources.count(source) for source in sources}
        two = next(d for d in one if d.name.startswith("2"))
        assert two.queries == pytest.approx(len(sources) / 3, abs=1) and max(counts.values()) < 3

    def test_examples_come_from_the_train_split(self, looking, tmp_path):
        lines = []
        for number, (split, name) in enumerate(
            (split, name) for split in ("train", "test") for name in COLORS
        ):
            clip = color_clip(tmp_path / f"{number}.mp4", name, seconds=2)
            lines.append({"video": clip.name, "split": split, "segments": [{"label": name}]})
        (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, lines)))
        report = evaluate_events(looking, tmp_path, views=["1x1"])
        (drawn,) = report.drawn
        assert drawn.name == "1 example of a class" and drawn.queries == 3
        assert drawn.figures["few-shot"] == (1, 0)
        assert report.parted == () and any("no clip has a border" in n for n in report.notes)

    def test_what_comes_twice_is_drawn_as_one(self, looking, tmp_path):
        """Segments of one source are all right or all wrong, and so is every draw of two alike."""
        color_clip(tmp_path / "a.mp4", *(["red"] * 4 + ["blue"] * 4), seconds=2)
        widths = []
        for sources in ("aaaabbbb", "abcdefgh"):
            segments = [
                {"label": "red", "start": 2 * n, "end": 2 * n + 2, "source": source}
                for n, source in enumerate(sources)
            ]
            path = tmp_path / f"{sources}.jsonl"
            path.write_text(json.dumps({"video": "a.mp4", "segments": segments}))
            own = evaluate_events(looking, path, labels=list(COLORS), views=["1x1"]).named[0].top1
            assert own.value == 0.5
            widths.append(own.high - own.low)
        assert widths[0] == 1 > widths[1]

    def test_several_labels_at_once(self, looking, tmp_path):
        color_clip(tmp_path / "a.mp4", "red", "blue", seconds=5)
        segments = [{"label": "red", "start": 0, "end": 5}, {"label": "blue", "start": 5}]
        segments.append({"label": "green", "start": 0, "end": 5})  # as Charades has it
        line = {"video": "a.mp4", "segments": segments}
        (tmp_path / "data.jsonl").write_text(json.dumps(line))
        report = evaluate_events(looking, tmp_path, views=["1x1"])
        assert report.named[0].top1.value == 1  # "red" is right of both that share its time
        assert report.manifest["labels"] == 3 and report.parted[0].borders.value == 1


class TestCommand:
    @pytest.fixture
    def mini(self, monkeypatch):
        sight = tiny_sight()
        monkeypatch.setattr(
            "assistant.model.sight_loading.load_sight", lambda name, **options: sight
        )

    @pytest.mark.usefixtures("mini")
    def test_report_and_json(self, joined, tmp_path, capsys):
        dev = tmp_path / "dev"
        join_clips(joined_sources(tmp_path), dev, 1, seed=9, parts=(4, 4))
        out = tmp_path / "out"
        words = ["evaluate", "events", "--out", out, "--data", joined, "--views", "1x1"]
        words = [*map(str, words), "--dev", str(dev)]
        assert main(words) == 0
        told = capsys.readouterr().out
        assert f"| {FUSION} | 1x1 | 100.0 (100.0-100.0) |" in told
        assert "| timeline | 100.0 (100.0-100.0) | 100.0 |" in told
        assert "| chance | - | 33.3 | 100.0 | 33.3 | - |" in told
        assert re.search(r"in the fusion the video branch weighs 0\.\d+\.", told)
        for name in ("report.md", "report.json", "labels.png", "borders.png"):
            assert (out / name).stat().st_size > 500
        assert main([*words, "--json"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert report["manifest"]["labels"] == 3

    @pytest.mark.usefixtures("mini")
    def test_mistakes_are_one_line_each(self, joined, tmp_path, capsys):
        (tmp_path / "few").write_text("red\nblue\n")
        late = {"video": str(joined / "000.mp4"), "segments": [{"label": "red", "start": 999}]}
        (tmp_path / "late.jsonl").write_text(json.dumps(late))
        (tmp_path / "bad.jsonl").write_text('{"video": "gone.mp4", "segments": []}')
        for arguments, told in (
            ([], "evaluate events needs one --data PATH"),
            (["--data", tmp_path / "gone.jsonl"], "cannot be read"),
            (["--data", tmp_path / "bad.jsonl"], "line 1: video 'gone.mp4' is not there"),
            (["--data", joined, "--dev", joined], "--dev is --data itself"),
            (["--data", joined, "--labels", tmp_path / "few"], "none of the 2 labels"),
            (["--data", joined, "--labels", tmp_path / "gone"], "no such file"),
            (["--data", tmp_path / "late.jsonl", "--labels", tmp_path / "few"], "begins at 999"),
            (["--data", tmp_path / "late.jsonl"], "has one label alone"),
            (["--data", joined, "--views", "2x2"], "invalid choice"),
        ):
            words = ["evaluate", "events", "--out", tmp_path / "out", *arguments]
            assert main([*map(str, words)]) == 2, told
            err = capsys.readouterr().err
            assert told in err and "Traceback" not in err


def joined_sources(folder: Path) -> Path:
    for name in COLORS:
        (folder / "own" / name).mkdir(parents=True)
        color_clip(folder / "own" / name / "a.mp4", name, seconds=4)
    return folder / "own"
