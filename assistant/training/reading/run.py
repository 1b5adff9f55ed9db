"""``assistant pretrain reading``: the base's language model learns to read notes."""

import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch
import yaml
from torch import Tensor

from assistant.core.config import from_yaml
from assistant.core.files import put_folder
from assistant.errors import InputError
from assistant.model.assistant import VideoAssistant
from assistant.model.llm_weights import merge_language_model
from assistant.model.loading import load_model
from assistant.model.objects.config import StoredConfig
from assistant.model.objects.loading import CONFIG as OBJECTS_CONFIG
from assistant.model.weight_files import read_weights, save_weights
from assistant.sources import SOURCES
from assistant.sources.objects import HEAD
from assistant.training.curves import draw_curves
from assistant.training.features import FeatureTable
from assistant.training.loop import CHECKPOINT, LOG, Loop, new_accelerator
from assistant.training.pretraining.photos import Archive, photo_table
from assistant.training.reading.config import ReadingConfig
from assistant.training.reading.notes import PhotoNotes
from assistant.training.reading.questions import Asking, box_questions, by_split, read_set
from assistant.training.reading.trainer import Data, ReadingTrainer
from assistant.training.reading.weighing import by_form, fit, gather
from assistant.training.run_folder import run_folder
from assistant.vqa.weighing import WEIGHING
from assistant.weights.base import READING, READING_CONFIG, READING_WEIGHTS, Reading

RECIPE, CURVES = "pretrain.yaml", "curves.png"
WEIGHED = ("caption", "told", "question", "yes/no", "coco", "daquar", "label", "count")  # kinds


def run(
    config_file: Path,
    photos: Path,
    boxes: Path | None,
    out: Path,
    *,
    resume: bool = False,
    start: Path | None = None,
) -> Path:
    """Train as ``config_file`` says; returns the folder with the finished weights.

    ``photos`` holds a folder for each of the recipe's sets, ``boxes`` labelled boxes in some of
    them. ``out`` holds features, notes, the checkpoint, ``log.jsonl`` and at the end ``reading/``.

    Args:
        start: a folder with such weights to begin with, instead of nothing.
    Raises:
        InputError: ``out`` holds a run and ``resume`` is False, or a set is not as wanted.
        WeightsError: ``start`` holds no such weights.
    """
    config = from_yaml(ReadingConfig, config_file)
    if unknown := [name for name in config.reads if name not in SOURCES]:
        raise InputError(
            f"{config_file}: reads {unknown[0]!r}; choose some of {', '.join(SOURCES)}"
        )
    asked = questions(config, photos, boxes)  # mistakes show before the model loads
    begun = {} if start is None else read_weights(start / READING_WEIGHTS)
    with run_folder(out, resume):
        return _run(config, photos, asked, out, begun)


def questions(config: ReadingConfig, photos: Path, boxes: Path | None) -> dict[str, list[Asking]]:
    """All that is asked, by split. Raises InputError: a set is not there, or not as wanted."""
    for name in config.sets:
        if not (photos / name).is_dir():
            raise InputError(f"{photos}: holds no folder {name}, a set of the recipe; see --config")
    found: list[Asking] = []
    for name, one in config.sets.items():
        found += read_set(photos / name, one, config.prompts, config.seed)
    if boxes is not None:
        classes = from_yaml(StoredConfig, HEAD / OBJECTS_CONFIG).model.classes
        found += box_questions(boxes, classes, list(config.sets), config.seed)
    return by_split(photos, found)


def _run(
    config: ReadingConfig,
    photos: Path,
    asked: dict[str, list[Asking]],
    out: Path,
    begun: Mapping[str, Tensor],
) -> Path:
    torch.manual_seed(config.seed)
    model = load_model("mini", attention="eager", reading=False)
    data = prepare(config, model, photos, asked, out / "features")
    accelerator = new_accelerator(out)
    trainer = ReadingTrainer(config, model, data, accelerator, begun)
    loop = Loop(trainer, out, accelerator)
    if (out / CHECKPOINT).exists():
        loop.load()
    loop.run()
    loop.end()
    made, fresh = out / READING, out / f".{READING}.part"
    shutil.rmtree(fresh, ignore_errors=True)  # of a killed run
    fresh.mkdir()
    save_weights(trainer.averages, fresh / READING_WEIGHTS)
    reading = Reading(model.fingerprint, config.reads, config.lora)
    for name, told in ((READING_CONFIG, reading), (RECIPE, config)):
        (fresh / name).write_text(yaml.safe_dump(asdict(told), sort_keys=False))
    draw_curves(out / LOG, fresh / CURVES)
    _weigh(config, data, fresh)
    put_folder(fresh, made)
    return made


def run_weighing(
    config_file: Path, photos: Path, boxes: Path | None, out: Path, folder: Path
) -> Path:
    """The last step of `run` alone, for finished weights in ``folder``: how answers are weighed.

    Raises:
        InputError: a set is not as wanted. ConfigError, WeightsError: ``folder`` holds no weights.
    """
    config = from_yaml(ReadingConfig, config_file)
    asked = questions(config, photos, boxes)
    model = load_model("mini", reading=False)
    data = prepare(config, model, photos, {**asked, "train": []}, out / "features")
    _weigh(config, data, folder)
    return folder / WEIGHING


def _weigh(config: ReadingConfig, data: Data, folder: Path) -> None:
    """Fit how candidates are weighed, with the weights in ``folder``."""
    reading = from_yaml(Reading, folder / READING_CONFIG)
    model = load_model("mini", reading=False)
    weights = read_weights(folder / READING_WEIGHTS)
    merge_language_model(model.llm.network, weights, reading.lora)
    dev = {kind: some for kind, some in data.dev.items() if kind in WEIGHED}
    weighing = fit(list(gather(model, data, by_form(dev, config.weighed, config.seed))))
    (folder / WEIGHING).write_text(yaml.safe_dump(asdict(weighing), sort_keys=False))


def prepare(
    config: ReadingConfig,
    model: VideoAssistant,
    photos: Path,
    asked: dict[str, list[Asking]],
    folder: Path,
) -> Data:
    """Encode photos and take notes of them where that was not done yet."""
    names: dict[str, dict[str, list[str]]] = {name: {} for name in config.sets}
    for split in ("train", "dev"):
        for photo in dict.fromkeys(reading.photo for reading in asked[split]):
            own, _, name = photo.partition("/")
            names[own].setdefault(split, []).append(name)
    tables: dict[str, FeatureTable] = {}
    wanted: dict[str, tuple[FeatureTable, str]] = {}
    for own, told in names.items():
        archive = Archive(photos / own, "a folder with a zip of photos")
        train, dev = told.get("train", []), told.get("dev", [])
        tables[own] = photo_table(folder, model.encoder, archive, dev, viewed=train)
        wanted |= {f"{own}/{name}": (tables[own], name) for name in [*dev, *train]}
    notes = PhotoNotes(folder, model, config.reads)
    notes.add(wanted)
    return Data(tables, notes, by_kind(asked["train"]), by_kind(asked["dev"]))


def by_kind(readings: list[Asking]) -> dict[str, list[Asking]]:
    found: dict[str, list[Asking]] = {}
    for reading in readings:
        found.setdefault(reading.kind, []).append(reading)
    return found
