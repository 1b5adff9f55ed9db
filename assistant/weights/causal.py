"""Language models of a hub by name: what can be said of one before anything is loaded."""

from pathlib import Path
from typing import Any

from assistant.errors import WeightsError
from assistant.weights import store
from assistant.weights.checkpoints import CONFIG, read_json, weight_files
from assistant.weights.hub_names import folder_or_id
from assistant.weights.spaces import VOCABULARIES, WEIGHTS

SMALL_FILES = ("*.json", "*.txt", "*.model", "*.jinja")  # config, tokenizer, chat template
SERVE = "serve it (llama.cpp: llama-server -m FILE) and give the address, http://localhost:8080/v1"


def find_causal(name: str) -> Path | str:
    """The folder of a language model, or the hub id to fetch one by.

    Raises:
        InputError: ``name`` is neither. WeightsError: the folder lacks something.
    """
    advice = (
        "give a hub id (owner/name), the folder of a language model, or the address of a server "
        "(http://localhost:PORT/v1)"
    )
    found = folder_or_id("llm", name, SERVE if name.endswith(".gguf") else advice)
    if isinstance(found, Path):
        check_causal(found)
        weight_files(found)
    return found


def short_name(source: Path | str) -> str:
    """A hub id as it is; of a folder its last part, or the hub id whose copy in the cache it is."""
    if isinstance(source, str):
        return source
    path = source.resolve()
    if path.parent.name == "snapshots":  # the hub library's cache: .../models--owner--name
        return path.parents[1].name.removeprefix("models--").replace("--", "/")
    return path.name


def check_causal(folder: Path) -> dict[str, Any]:
    """``config.json`` of a checkpoint that has a tokenizer. Raises WeightsError."""
    if not (folder / CONFIG).is_file():
        raise WeightsError(f"{folder}: holds no {CONFIG}; give the folder of a language model")
    if not any((folder / name).is_file() for name in VOCABULARIES):
        raise WeightsError(
            f"{folder}: holds no tokenizer (wanted one of {', '.join(VOCABULARIES)}); "
            "get the whole checkpoint"
        )
    return read_json(folder / CONFIG)


def fetch_small(source: Path | str) -> Path:
    """The folder with config, tokenizer and chat template. Raises WeightsError."""
    if isinstance(source, Path):
        return source
    folder = store.ensure_hub(source, patterns=SMALL_FILES)
    check_causal(folder)
    return folder


def fetch_weights(source: Path | str) -> Path:
    """The same folder with the weights. Raises WeightsError."""
    if isinstance(source, Path):
        return source
    for weights in WEIGHTS:
        folder = store.ensure_hub(source, patterns=[*SMALL_FILES, weights])
        if any(folder.glob(weights)):
            break
    weight_files(folder)
    return folder
