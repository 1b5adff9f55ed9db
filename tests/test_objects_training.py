"""How the object head learns: photos with boxes, colors of texts, targets, figures."""

import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from test_objects import SHAPE
from torch.nn.functional import adaptive_avg_pool2d, pixel_unshuffle

from assistant.cli.main import main
from assistant.core.config import EfficientNetConfig
from assistant.errors import ConfigError, InputError
from assistant.model.encoders.base import Encoder, FrameFeatures
from assistant.model.objects.config import ObjectsConfig
from assistant.model.objects.decoding import Boxes
from assistant.model.objects.loading import load_objects
from assistant.model.objects.network import Maps
from assistant.model.weight_files import read_weights
from assistant.training.loop import CHECKPOINT
from assistant.training.objects import run as training
from assistant.training.objects.colors import ColoredThing, box_of, colored_things
from assistant.training.objects.evaluate import Found, average_precision, measure
from assistant.training.objects.losses import center_loss, giou
from assistant.training.objects.naming import choose_naming
from assistant.training.objects.photos import MIRROR, BoxedPhotos
from assistant.training.objects.targets import targets

PLAIN = {"red": (210, 20, 20), "blue": (20, 20, 210)}
CLASSES = {"ball": ("balls", "sphere"), "box": ("boxes",)}
MODEL = ObjectsConfig(
    "efficientnet-lite0-64-head-16",
    CLASSES,
    dict.fromkeys(PLAIN, ()),
    **{**SHAPE, "fine": 3, "deep": 4, "side": 2, "width": 16},
    levels=2,
    color_hidden=8,
)


class PlainEncoder(Encoder):
    """Sees the mean color of each cell, and whether a patch is above."""

    config, width, patch_count = EfficientNetConfig(size=64), 16, 4
    fingerprint = f"{MODEL.encoder}-torch.float32"

    def encode(self, pictures):
        mean = pictures.float() / 128 - 1
        fine = pixel_unshuffle(adaptive_avg_pool2d(mean, 4), 2)
        above = torch.tensor([1.0, -1.0]).view(1, 1, 2, 1).expand(len(mean), 1, 2, 2)
        both = torch.cat([fine, adaptive_avg_pool2d(mean, 2), above], dim=1)
        return FrameFeatures(both.flatten(2).transpose(1, 2).half(), torch.zeros(len(mean), 0))

    load = width_of = classmethod(lambda *arguments: None)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Sets "listed" (with lists of its own) and "hashed"; on the left of each photo a ball above or
    a box below, in a color."""
    folder = tmp_path_factory.mktemp("data")
    lines = []
    for name, count in (("listed", 16), ("hashed", 20)):
        (folder / name).mkdir()
        texts, asked = [], []
        with zipfile.ZipFile(folder / name / "images.zip", "w") as archive:
            for i in range(count):
                kind, color = list(CLASSES)[i % 2], list(PLAIN)[i // 2 % 2]
                picture = np.full((64, 64, 3), 90, np.uint8)
                half = slice(0, 32) if kind == "ball" else slice(32, 64)
                picture[half, :32] = PLAIN[color]
                data = io.BytesIO()
                Image.fromarray(picture).save(data, "PNG")
                archive.writestr(f"images/p{i}.png", data.getvalue())
                y = half.start / 64
                box = [kind, 0.9, 0.0, y, 0.5, y + 0.5]
                lines.append({"set": name, "name": f"p{i}.png", "boxes": [box]})
                texts.append(f"p{i}.png#0\tA {color} {kind} is here .")
                asked.append(f"p{i}.png\twhat is the color of the {kind}\t{color}\tcolor")
        (folder / name / "captions.tsv").write_text("\n".join(texts) + "\n")
        (folder / name / "qa.tsv").write_text("\n".join(asked) + "\n")
    (folder / "listed" / "dev.txt").write_text("p12.png\np13.png\n")
    (folder / "listed" / "test.txt").write_text("p14.png\np15.png\n")
    (folder / "boxes.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    return folder


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    encoder = PlainEncoder()
    monkeypatch.setattr(training, "load_recipe_encoder", lambda recipe: encoder)
    path = tmp_path / "pretrain.yaml"
    told = {
        "encoder": {"kind": "efficientnet", "size": 64},
        "model": json.loads(json.dumps(vars(MODEL))),
        "epochs": 3,
        "batch": 8,
        "lr": 0.01,
        "average": 0.5,
    }
    path.write_text(yaml.safe_dump(told))
    return path


def boxed(root) -> BoxedPhotos:
    return BoxedPhotos(root, root / "boxes.jsonl", list(CLASSES))


def test_splits_are_the_sets_own_or_by_the_photos_name(root):
    photos = boxed(root)
    assert photos.split["listed/p12.png"] == "dev"
    assert photos.split["listed/p14.png"] == "test"
    assert photos.split["listed/p0.png"] == "train"
    found = {photos.split[key] for key in photos.split if key.startswith("hashed/")}
    assert found == {"train", "dev", "test"}
    assert boxed(root).split == photos.split
    assert sum(len(photos.keys(split)) for split in ("train", "dev", "test")) == 36


def test_a_mirror_image_has_mirrored_boxes(root):
    plain, mirrored = (boxed(root).labels("listed/p0.png" + end) for end in ("", MIRROR))
    assert plain[0].tolist() == pytest.approx([0, 0.9, 0.0, 0.0, 0.5, 0.5])
    assert mirrored[0].tolist() == pytest.approx([0, 0.9, 0.5, 0.0, 1.0, 0.5])


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "line 1"),
        ('{"set": "listed", "name": "p0.png", "boxes": [["cat", 0.9, 0, 0, 1, 1]]}', "cat"),
        ('{"set": "listed", "name": "p0.png", "boxes": [["ball", 0.9, 0, 0, 1]]}', "line 1"),
        ('{"set": "listed", "name": "p0.png", "boxes": [["ball", NaN, 0, 0, 1, 1]]}', "finite"),
        ('{"set": "gone", "name": "p0.png", "boxes": []}', "holds no zip"),
        ("", "empty"),
    ],
)
def test_wrong_boxes_are_told_in_a_line(root, tmp_path, line, told):
    path = tmp_path / "boxes.jsonl"
    path.write_text(line)
    with pytest.raises(InputError, match=told) as caught:
        BoxedPhotos(root, path, list(CLASSES))
    assert "\n" not in str(caught.value)


def test_a_photo_that_the_zip_lacks_is_told(root, tmp_path, recipe):
    line = {"set": "listed", "name": "gone.png", "boxes": []}
    path = tmp_path / "boxes.jsonl"
    path.write_text((root / "boxes.jsonl").read_text() + json.dumps(line) + "\n")
    with pytest.raises(InputError, match=r"lacks gone\.png"):
        training.run(recipe, root, path, tmp_path / "run")


def test_colors_are_told_by_captions_and_questions(root):
    things = colored_things(boxed(root), MODEL)
    assert len(things) == 2 * 36
    about = [thing for thing in things if thing.key == "listed/p2.png"]
    assert sorted(about, key=lambda thing: thing.asked) == [
        ColoredThing("listed/p2.png", 0, 1, False),
        ColoredThing("listed/p2.png", 0, 1, True),
    ]


def test_of_several_boxes_a_text_means_the_sure_and_large_one():
    labels = np.array([[0, 0.9, 0, 0, 0.1, 0.1], [0, 0.8, 0, 0, 1, 1], [1, 0.9, 0, 0, 1, 0.5]])
    assert box_of(labels, 0).tolist() == [0, 0, 1, 1]


def test_targets_say_where_how_large_and_how_many():
    sure, unsure = [0, 0.9, 0.0, 0.0, 0.5, 1.0], [0, 0.3, 0.5, 0.0, 1.0, 1.0]
    wanted = targets([np.array([sure, unsure], np.float32)], classes=2, grid=8, levels=3)
    assert wanted.centers.tolist() == [[0, 0, 4, 2], [0, 0, 4, 6]]
    assert wanted.trust[0] == 1.0 and wanted.trust[1] < 0.7
    assert wanted.heat[0, 0, 4, 2] == 1.0 and wanted.heat[0, 1].max() == 0.0
    assert wanted.boxes[0, :, 4, 2].tolist() == [0.0, 0.0, 0.5, 1.0]
    assert wanted.counts[0, 0].tolist() == [1.0, 0.5, 0.0]
    assert wanted.count_weights[0, 0].tolist() == [1.0, 0.25, 1.0]
    assert wanted.counts[0, 1].tolist() == [0.0, 0.0, 0.0]


def test_no_box_at_all_is_a_target_too():
    wanted = targets([np.zeros((0, 6), np.float32)], classes=2, grid=8, levels=3)
    heat = torch.full((1, 2, 8, 8), -5.0)
    assert center_loss(heat, wanted) < center_loss(heat + 5.0, wanted)


def test_the_loss_of_centers_is_least_where_they_are():
    label = np.array([[1, 0.9, 0.0, 0.0, 0.5, 1.0]], np.float32)
    wanted = targets([label], classes=2, grid=8, levels=3)
    right = torch.full((1, 2, 8, 8), -6.0)
    right[0, 1, 4, 2] = 6.0
    wrong = torch.full((1, 2, 8, 8), -6.0)
    wrong[0, 0, 4, 6] = 6.0
    assert center_loss(right, wanted) < 0.01 < center_loss(wrong, wanted)
    box = torch.tensor([[0.0, 0.0, 0.5, 1.0]])
    assert giou(box, box).item() == pytest.approx(1.0)
    assert giou(box, box + torch.tensor([0.5, 0, 0.5, 0])).item() == pytest.approx(0.0)


def found_of(*photos: list[tuple[int, float, tuple[float, ...]]]) -> list[Boxes]:
    return [
        Boxes(
            torch.tensor([box for _, _, box in photo]).reshape(-1, 4),
            torch.tensor([score for _, score, _ in photo]),
            torch.tensor([kind for kind, _, _ in photo], dtype=torch.long),
        )
        for photo in photos
    ]


HERE, THERE = (0.0, 0.0, 0.4, 0.4), (0.6, 0.6, 1.0, 1.0)


def label(kind: int, score: float, box: tuple[float, ...]) -> np.ndarray:
    return np.array([[kind, score, *box]], np.float32)


def test_average_precision_counts_each_label_once_and_forgives_what_may_be():
    labels = [np.concatenate([label(0, 0.9, HERE), label(0, 0.3, THERE)])]
    assert average_precision(found_of([(0, 0.9, HERE)]), labels, 0) == 1.0
    assert average_precision(found_of([(0, 0.9, THERE), (0, 0.8, HERE)]), labels, 0) == 1.0
    twice = found_of([(0, 0.9, HERE), (0, 0.8, HERE)])
    assert average_precision(twice, labels, 0) == 1.0  # the second one comes after all labels
    wrong = found_of([(0, 0.9, (0.5, 0.0, 0.9, 0.4)), (0, 0.8, HERE)])
    assert average_precision(wrong, labels, 0) == 0.5
    assert average_precision(found_of([(1, 0.9, HERE)]), labels, 0) == 0.0


def found_with(present: list[float], boxes: list[Boxes] | None = None) -> Found:
    """One class, 2 levels; nothing is more than once there."""
    more = torch.tensor([[[p, 0.0]] for p in present])
    return Found(boxes or found_of(*([] for _ in present)), more, [])


def test_figures_of_existence_and_number():
    labels = [label(0, 0.9, HERE), label(0, 0.9, HERE), label(0, 0.3, HERE), np.zeros((0, 6))]
    labels += [np.concatenate([label(0, 0.9, HERE)] * 3)]
    figures = measure(found_with([0.9, 0.2, 0.9, 0.1, 0.9]), labels, {0: 0.5})
    assert figures.existence[0] == pytest.approx((2 / 3 + 1) / 2)  # the third is not asked
    assert figures.within_one[0] == pytest.approx(2 / 3)
    assert figures.exact[0] == pytest.approx(2 / 3)
    assert figures.photos[0] == 3
    best = measure(found_with([0.9, 0.2, 0.9, 0.1, 0.9]), labels)
    assert best.existence[0] == 1.0 and best.thresholds[0] == pytest.approx(0.2)


def test_a_color_is_right_where_the_thing_is_found_and_has_it():
    colors = [(0, torch.tensor([0.7, 0.3])), (1, torch.tensor([0.7, 0.3])), (0, torch.zeros(2))]
    found = replace(found_with([0.9]), colors=colors)
    figures = measure(found, [label(0, 0.9, HERE)])
    assert (figures.asked, figures.color) == (3, pytest.approx(1 / 3))


def test_thresholds_keep_what_is_named_right():
    config = replace(MODEL, classes={"ball": ("balls",)})
    there, gone = label(0, 0.9, HERE), np.zeros((0, 6), np.float32)
    present = [0.99] * 10 + [0.6] * 10 + [0.5] * 4
    labels = [there] * 10 + [there] * 4 + [gone] * 6 + [gone] * 4
    boxes = found_of(*([(0, p, HERE)] for p in present))
    naming = choose_naming(found_with(present, boxes), labels, config, 0.85)
    assert 0.6 < naming.present["ball"] <= 0.99
    assert choose_naming(found_with(present, boxes), labels, config, 0.5).present["ball"] <= 0.6
    never = choose_naming(found_with(present, boxes), [gone] * 24, config, 0.85)
    assert never.present == {}


def test_an_interrupted_and_resumed_run_ends_in_the_same_weights(
    root, tmp_path, recipe, monkeypatch
):
    whole = training.run(recipe, root, root / "boxes.jsonl", tmp_path / "whole")
    steps = training.ObjectTrainer.moved

    def stop(self, step):
        steps(self, step)
        stop.left -= 1
        if not stop.left:
            raise KeyboardInterrupt

    stop.left = 5
    with monkeypatch.context() as patch:
        patch.setattr(training.ObjectTrainer, "moved", stop)
        with pytest.raises(KeyboardInterrupt):
            training.run(recipe, root, root / "boxes.jsonl", tmp_path / "parts")
    assert (tmp_path / "parts" / CHECKPOINT).exists()
    with pytest.raises(InputError, match="holds a run already"):
        training.run(recipe, root, root / "boxes.jsonl", tmp_path / "parts")
    parts = training.run(recipe, root, root / "boxes.jsonl", tmp_path / "parts", resume=True)
    one, two = (read_weights(folder / "objects.safetensors") for folder in (whole, parts))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    _, stored = load_objects(parts)
    assert stored.model == MODEL
    assert (parts / "pretrain.yaml").read_text() == recipe.read_text()


def test_it_learns_what_is_where_and_of_which_color(root, tmp_path, recipe):
    told = yaml.safe_load(recipe.read_text()) | {"epochs": 30, "lr": 0.02, "count_weight": 3.0}
    recipe.write_text(yaml.safe_dump(told))
    folder = training.run(recipe, root, root / "boxes.jsonl", tmp_path / "run")
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in log if "loss" in line]
    assert losses[-1] < losses[0] / 2
    net, _ = load_objects(folder)
    photos = boxed(root)
    table = photos.table(tmp_path / "run" / "features", training.load_recipe_encoder(None))
    maps: Maps = net(table.stills(photos.keys("test"))[:, 0].float())
    kinds = [int(photos.labels(key)[0, 0]) for key in photos.keys("test")]
    assert set(kinds) == {0, 1}
    assert maps.heat.amax((2, 3)).argmax(1).tolist() == kinds
    assert all(log[-1][name] == 1.0 for name in ("color: asked", "count: first class"))
    for i, kind in enumerate(kinds):
        y, x = divmod(int(maps.heat[i, kind].argmax()), 8)
        assert (x < 4, y < 4) == (True, kind == 0)


def test_a_head_for_another_encoder_is_refused(recipe):
    told = training.from_yaml(training.ObjectsRecipe, recipe)
    training.check_encoder(told.model, "efficientnet-lite0-64-head-16-torch.bfloat16")
    with pytest.raises(ConfigError, match="are for efficientnet-lite0-64-head-16"):
        training.check_encoder(told.model, "efficientnet-lite0-96-head-16-torch.bfloat16")


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["objects", "--photos", "p"], "needs --boxes"),
        (["objects", "--photos", "p", "--boxes", "b", "--phase", "2"], "base weights"),
        (["objects", "--photos", "p", "--boxes", "gone.jsonl"], "gone.jsonl: cannot be read"),
        (["--photos", "p", "--boxes", "b"], "--boxes is for objects and reading"),
    ],
)
def test_the_command_says_what_is_wrong(capsys, tmp_path, flags, told):
    assert main(["pretrain", *flags, "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1
