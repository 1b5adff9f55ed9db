"""``assistant pretrain objects``: the object head on an image encoder's features."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from assistant.core.config import ModelConfig, from_yaml
from assistant.core.files import put_folder
from assistant.errors import InputError
from assistant.model.encoders.base import Encoder
from assistant.model.encoders.loading import load_encoder
from assistant.model.memory import AUTO
from assistant.model.objects.config import StoredConfig
from assistant.model.objects.loading import check_encoder, save_objects
from assistant.model.objects.network import ObjectNet
from assistant.model.placement import choose_precision
from assistant.training.curves import draw_curves
from assistant.training.loop import CHECKPOINT, LOG, Loop, new_accelerator
from assistant.training.objects.colors import colored_things
from assistant.training.objects.config import ObjectsRecipe
from assistant.training.objects.evaluate import predict
from assistant.training.objects.naming import choose_naming
from assistant.training.objects.photos import BoxedPhotos
from assistant.training.objects.trainer import ObjectData, ObjectTrainer
from assistant.training.run_folder import run_folder

RECIPE, CURVES = "pretrain.yaml", "curves.png"


def run(recipe_file: Path, root: Path, boxes: Path, out: Path, *, resume: bool = False) -> Path:
    """Train as ``recipe_file`` says; returns the folder of the finished head.

    ``out`` holds the features, the checkpoint, ``log.jsonl`` and at the end ``objects/``.

    Args:
        root, boxes: see `assistant.training.objects.photos.BoxedPhotos`.
        resume: go on with the run in ``out``.
    Raises:
        InputError: ``out`` holds a run and ``resume`` is False, or the data are wrong.
        ConfigError: the recipe is.
    """
    recipe = from_yaml(ObjectsRecipe, recipe_file)
    photos = BoxedPhotos(root, boxes, tuple(recipe.model.classes))
    for split in ("train", "dev"):
        if not photos.keys(split):
            raise InputError(f"{boxes}: names no photo of the split {split}; give more photos")
    with run_folder(out, resume):
        return _run(recipe, recipe_file, photos, out)


def load_recipe_encoder(recipe: ObjectsRecipe) -> Encoder:
    """The frozen image encoder of a recipe. Raises ConfigError: the head is for another one."""
    encoder = load_encoder(ModelConfig("mini", recipe.encoder), choose_precision(AUTO))
    check_encoder(recipe.model, encoder.fingerprint)
    return encoder


def _run(recipe: ObjectsRecipe, recipe_file: Path, photos: BoxedPhotos, out: Path) -> Path:
    torch.manual_seed(recipe.seed)
    table = photos.table(out / "features", load_recipe_encoder(recipe), ("train", "dev"))
    net = ObjectNet(recipe.model)
    data = ObjectData(photos, table, colored_things(photos, recipe.model))
    accelerator = new_accelerator(out)
    trainer = ObjectTrainer(recipe, net, data, accelerator)
    loop = Loop(trainer, out, accelerator)
    if (out / CHECKPOINT).exists():
        loop.load()
    loop.run()
    loop.end()
    net.load_state_dict(trainer.averages)
    dev = photos.keys("dev")
    found = predict(net.eval(), table, dev, data.things_of("dev"))
    naming = choose_naming(
        found, [photos.labels(key) for key in dev], recipe.model, recipe.precision
    )
    return _store(out, StoredConfig(recipe.model, naming), net, recipe_file)


def _store(out: Path, stored: StoredConfig, net: ObjectNet, recipe_file: Path) -> Path:
    place, fresh = out / "objects", out / ".objects.part"
    shutil.rmtree(fresh, ignore_errors=True)  # of a killed run
    fresh.mkdir()
    save_objects(fresh, stored, net.state_dict())
    shutil.copyfile(recipe_file, fresh / RECIPE)
    draw_curves(out / LOG, fresh / CURVES)
    put_folder(fresh, place)
    return place
