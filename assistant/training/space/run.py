"""``assistant pretrain space``: the joint space, from photos with captions or labels."""

import shutil
from dataclasses import asdict
from pathlib import Path

import torch
import yaml

from assistant.core.config import ModelConfig, from_yaml
from assistant.core.files import put_folder
from assistant.errors import InputError
from assistant.model.encoders.base import Encoder
from assistant.model.encoders.loading import load_encoder
from assistant.model.memory import AUTO
from assistant.model.placement import choose_precision
from assistant.model.sentences import SentenceEncoder
from assistant.model.space.mini import MiniSpace
from assistant.model.space.network import SpaceNetwork
from assistant.model.weight_files import save_weights
from assistant.training.curves import draw_curves
from assistant.training.features import FeatureTable
from assistant.training.loop import CHECKPOINT, LOG, Loop, new_accelerator
from assistant.training.pretraining.photos import photo_table
from assistant.training.run_folder import run_folder
from assistant.training.space.config import SpaceTrainingConfig
from assistant.training.space.photos import PhotoSet
from assistant.training.space.phrases import fit_phrases
from assistant.training.space.texts import TokenStates
from assistant.training.space.trainer import Data, SpaceTrainer
from assistant.training.space.truth import check_extra
from assistant.training.space.usual import fit_usual
from assistant.weights import store as weights_store
from assistant.weights.spaces import OWN_CONFIG, OWN_WEIGHTS

CURVES = "curves.png"


def run(config_file: Path, photos: Path, out: Path, *, resume: bool = False) -> Path:
    """Train a joint space as ``config_file`` says; returns the folder of the finished weights.

    ``photos`` holds a folder for each of the recipe's sets. ``out`` holds feature tables, the
    checkpoint, ``log.jsonl`` and at the end ``space/``.

    Raises:
        InputError: ``out`` holds a run and ``resume`` is False, or a set is not as wanted.
    """
    config = from_yaml(SpaceTrainingConfig, config_file)
    sets = open_sets(config, photos)  # mistakes show before anything loads
    check_extra()
    with run_folder(out, resume):
        return _run(config, sets, out)


def open_sets(config: SpaceTrainingConfig, folder: Path) -> dict[str, PhotoSet]:
    """The recipe's sets in ``folder``. Raises InputError: one is not there, or not as wanted."""
    for name in config.sets:
        if not (folder / name).is_dir():
            raise InputError(f"{folder}: holds no folder {name}, a set of the recipe; see --config")
    return {name: PhotoSet(folder / name, one) for name, one in config.sets.items()}


def _run(config: SpaceTrainingConfig, sets: dict[str, PhotoSet], out: Path) -> Path:
    torch.manual_seed(config.seed)
    encoder = load_encoder(ModelConfig("mini", config.encoder), choose_precision(AUTO))
    sentences = SentenceEncoder(weights_store.ensure_source(config.space.weights))
    data = prepare(config, sets, encoder, sentences, out / "features")
    network = SpaceNetwork(config.space, encoder.width, sentences.width, encoder.class_count)
    name_classes(network, encoder, sentences)
    accelerator = new_accelerator(out)
    trainer = SpaceTrainer(config, network, data, accelerator, encoder.fingerprint)
    loop = Loop(trainer, out, accelerator)
    if (out / CHECKPOINT).exists():
        loop.load()
    loop.run()
    loop.end()
    made, fresh = out / "space", out / ".space.part"
    shutil.rmtree(fresh, ignore_errors=True)  # of a killed run
    fresh.mkdir()
    save_weights({**network.state_dict(), **trainer.averages}, fresh / OWN_WEIGHTS)
    recipe = yaml.safe_dump(asdict(config), sort_keys=False)  # nothing left to defaults
    (fresh / OWN_CONFIG).write_text(recipe)
    draw_curves(out / LOG, fresh / CURVES)
    fit_phrases(MiniSpace.load(fresh), data, fresh, config.seed)
    fit_usual(MiniSpace.load(fresh), data, fresh, config.seed)
    put_folder(fresh, made)
    return made


def run_phrases(config_file: Path, photos: Path, out: Path, folder: Path) -> str:
    """The last step of `run` alone, for finished weights: their phrases, and the bank of queries
    that a search compares with; returns the phrases' figures.

    ``out`` is that of the run, or another one that will hold feature tables; ``folder`` holds the
    weights and gets the phrases.

    Raises:
        InputError: a set is not as wanted. ConfigError, WeightsError: ``folder`` holds no space.
    """
    config = from_yaml(SpaceTrainingConfig, config_file)
    sets = open_sets(config, photos)
    check_extra()
    space = MiniSpace.load(folder)
    encoder = load_encoder(ModelConfig("mini", config.encoder), choose_precision(AUTO))
    data = prepare(config, sets, encoder, space.sentences, out / "features")
    told = fit_phrases(space, data, folder, config.seed)
    fit_usual(space, data, folder, config.seed)
    return told


def name_classes(network: SpaceNetwork, encoder: Encoder, sentences: SentenceEncoder) -> None:
    """Tell the network what the encoder's classes are called."""
    network.class_names.copy_(torch.from_numpy(sentences(encoder.names)))


def prepare(
    config: SpaceTrainingConfig,
    sets: dict[str, PhotoSet],
    encoder: Encoder,
    sentences: SentenceEncoder,
    folder: Path,
) -> Data:
    """Encode photos and texts where that was not done yet."""
    tables: dict[str, FeatureTable] = {}
    for name, photos in sets.items():
        plain = [*photos.splits["dev"], *photos.splits["test"]]
        train = photos.splits["train"]
        tables[name] = photo_table(folder, encoder, photos, plain, viewed=train)
    texts = sorted({text for one in sets.values() for told in one.texts.values() for text in told})
    return Data(sets, tables, TokenStates(folder, sentences, texts))
