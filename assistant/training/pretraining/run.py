"""``assistant pretrain``: the image Q-Former, first without the LLM, then through it."""

import hashlib
import random
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import yaml

from assistant.core.config import from_yaml
from assistant.core.files import put_folder
from assistant.errors import InputError
from assistant.model.assistant import VideoAssistant
from assistant.model.loading import build_model, load_trained
from assistant.model.weight_files import read_weights, save_weights
from assistant.training.curves import draw_curves
from assistant.training.loop import CHECKPOINT, LOG, Loop, new_accelerator
from assistant.training.pretraining.config import PretrainConfig
from assistant.training.pretraining.examples import (
    PretrainExample,
    match_samples,
    photo_samples,
    scene_samples,
)
from assistant.training.pretraining.photos import Photos, photo_table
from assistant.training.pretraining.trainer import Data, Pretrainer
from assistant.training.pretraining.words import WordTruths
from assistant.training.run_folder import run_folder
from assistant.weights.base import BASE_CONFIG, BASE_WEIGHTS

BASE_RECIPE, CURVES = "pretrain.yaml", "curves.png"
SCENE_ROUNDS = 3  # of questions about each scene
REASONING = ("count", "existence", "position", "relation")  # types of questions about scenes


def run(
    config_file: Path,
    photos: Path,
    out: Path,
    *,
    resume: bool = False,
    start: Path | None = None,
    phase: int = 1,
) -> Path:
    """Pretrain as ``config_file`` says; returns the folder of the finished weights.

    ``out`` holds the feature tables, the checkpoint, ``log.jsonl`` and at the end ``base/``.

    Args:
        resume: go on with the run in ``out``.
        start: a folder of base weights to begin with, at ``phase`` (from 1), instead of nothing.
    Raises:
        InputError: ``out`` holds a run and ``resume`` is False, or there is no such phase.
        WeightsError: ``start`` holds no weights of this config.
    """
    config = from_yaml(PretrainConfig, config_file)
    if not 1 <= phase <= len(config.phases):
        raise InputError(f"phase is {phase}; {config_file} has {len(config.phases)}")
    Photos(photos)  # mistakes show before the model loads
    if start is not None:
        read_weights(start / BASE_WEIGHTS)
    with run_folder(out, resume):
        return _run(config, config_file, photos, out, start, phase)


def _run(
    config: PretrainConfig,
    config_file: Path,
    photos: Path,
    out: Path,
    start: Path | None,
    phase: int,
) -> Path:
    seed_everything(config.seed)
    model = build_model(config.model, attention="eager", seed=config.seed)
    if start is not None:
        load_trained(model.qformer, start / BASE_WEIGHTS)
    data = prepare(config, model, photos, out)
    accelerator = new_accelerator(out)
    trainer = Pretrainer(config, model, data, accelerator)
    loop = Loop(trainer, out, accelerator)
    loop.progress.phase = phase - 1
    begun = b"" if start is None else (start / BASE_WEIGHTS).read_bytes()
    trainer.identity |= {
        "set of photos": Photos(photos).digest,
        "beginning": f"{hashlib.sha256(begun).hexdigest()} {phase}",
    }
    if (out / CHECKPOINT).exists():
        loop.load()
    loop.run()
    loop.end()
    base, fresh = out / "base", out / ".base.part"
    shutil.rmtree(fresh, ignore_errors=True)  # of a killed run
    fresh.mkdir()
    save_weights(trainer.averages, fresh / BASE_WEIGHTS)
    model_yaml = yaml.safe_dump(asdict(config.model), sort_keys=False)  # nothing left to defaults
    (fresh / BASE_CONFIG).write_text(model_yaml)
    shutil.copyfile(config_file, fresh / BASE_RECIPE)
    draw_curves(out / LOG, fresh / CURVES)
    put_folder(fresh, base)
    return base


def seed_everything(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def prepare(config: PretrainConfig, model: VideoAssistant, folder: Path, out: Path) -> Data:
    """Encode photos and scenes where that was not done yet, and make the questions."""
    photos = Photos(folder)
    features = out / "features"
    train, dev = photos.splits["train"], photos.splits["dev"]
    seed = config.seed

    photo_features = photo_table(features, model.encoder, photos, dev, viewed=train, seed=seed)

    def asked(split: str) -> dict[str, list[PretrainExample]]:
        return photo_samples(
            photos, split, config.prompts, seed, features / f"photos-{split}.jsonl"
        )

    scenes, scene_train, objects = scene_samples(
        features, model.encoder, config.scenes, seed, "train", SCENE_ROUNDS
    )
    scenes_dev, scene_dev, dev_objects = scene_samples(
        features, model.encoder, config.dev_scenes, seed, "dev"
    )
    objects = {**objects, **dev_objects}
    return Data(
        tables=(photo_features, scenes, scenes_dev),
        train={
            **asked("train"),
            **by_reasoning(scene_train),
            "match": match_samples(photos, "train", seed),
        },
        dev={
            **asked("dev"),
            **by_reasoning(scene_dev),
            "match": match_samples(photos, "dev", seed),
        },
        objects=objects,
        names=tuple(model.encoder.names),
        truths=WordTruths(
            model.qformer_tokenizer,
            {**photos.captions_of("train"), **photos.captions_of("dev")},
            objects,
        ),
    )


def by_reasoning(scenes: list[PretrainExample]) -> dict[str, list[PretrainExample]]:
    """All samples of scenes, and once more those whose answer is not read off one object."""
    return {"scene": scenes, "reasoning": [s for s in scenes if s.type in REASONING]}
