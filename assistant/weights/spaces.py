"""Joint spaces by name: what can be said of one before anything is loaded."""

import os
from pathlib import Path
from typing import Any

from assistant.errors import InputError, WeightsError
from assistant.weights.checkpoints import CONFIG, read_json, weight_files
from assistant.weights.hub_names import folder_or_id

AUTO = "auto"  # the model's own
OWN_CONFIG, OWN_WEIGHTS = "space.yaml", "space.safetensors"  # of one that we trained
HEAD_CONFIG, HEAD_WEIGHTS = "head.yaml", "head.safetensors"  # of a head trained on one
ARCHITECTURES = {  # by model_type in config.json
    "clip": "CLIPModel",
    "siglip": "SiglipModel",
    "siglip2": "Siglip2Model",
    "blip-2": "Blip2ForImageTextRetrieval",
}
SMALL_FILES = ("*.json", "*.txt", "*.model")  # config, tokenizer, image processor
WEIGHTS = (
    "model*.safetensors",
    "pytorch_model*.bin",
)  # the second where there is none of the first
VOCABULARIES = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt")
PICTURES = ("preprocessor_config.json", "processor_config.json")  # how they are prepared


def find_space(name: str) -> Path | str:
    """The folder of a joint space of ours, or of a checkpoint that can be one, or the hub id to
    fetch one by.

    Raises:
        InputError: ``name`` is neither. WeightsError: another architecture, weights missing.
    """
    path = Path(os.path.expanduser(name))  # noqa: PTH111, leaves an unknown ~user as it is
    if (path / OWN_CONFIG).is_file():
        if not (path / OWN_WEIGHTS).is_file():
            raise WeightsError(f"{path / OWN_WEIGHTS}: is not there; give the whole folder")
        return path
    advice = (
        "give auto, a hub id (owner/name) or the folder of a checkpoint of CLIP, SigLIP, SigLIP 2 "
        "or BLIP-2-ITM"
    )
    found = folder_or_id("space", name, advice)
    if isinstance(found, Path):
        space_config(found)
        weight_files(found)
        check_small_files(found)
    return found


def check_space(name: str) -> None:
    """Raises InputError, WeightsError: ``name`` is no joint space, as far as files tell."""
    if name != AUTO:
        find_space(name)


def check_head(folder: Path) -> None:
    """Raises InputError: ``folder`` holds no head for retrieval, as far as names of files tell."""
    for name in (HEAD_CONFIG, HEAD_WEIGHTS):
        if not (folder / name).is_file():
            raise InputError(
                f"head {folder}: holds no {name}; give a folder that assistant finetune retrieval "
                "wrote"
            )


def check_small_files(folder: Path) -> None:
    """That words and pictures can be prepared; without a vocabulary a tokenizer of CLIP would know
    three words. Raises WeightsError."""
    for what, names in (("tokenizer", VOCABULARIES), ("image processor", PICTURES)):
        if not any((folder / name).is_file() for name in names):
            raise WeightsError(
                f"{folder}: holds no {what} (wanted one of {', '.join(names)}); "
                "get the whole checkpoint"
            )


def space_config(folder: Path) -> dict[str, Any]:
    """``config.json`` of a checkpoint that can be a joint space. Raises WeightsError."""
    wanted = f"wanted {', '.join(ARCHITECTURES.values())}; give a checkpoint of one of those"
    if not (folder / CONFIG).is_file():
        raise WeightsError(f"{folder}: holds no {CONFIG}; {wanted}")
    config = read_json(folder / CONFIG)
    kind, classes = config.get("model_type"), config.get("architectures")
    known = ARCHITECTURES.get(kind) if isinstance(kind, str) else None
    if known is None or (classes and known not in classes):
        found = kind or "an unnamed architecture"
        if known is not None and isinstance(classes, list):
            found = f"{found} as {', '.join(map(str, classes))}"
        raise WeightsError(f"{folder}: is a checkpoint of {found}, {wanted}")
    return config
