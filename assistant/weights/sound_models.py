"""Models of a hub that name sounds, by name: what can be said of one before anything is loaded."""

from pathlib import Path
from typing import Any

from assistant.errors import WeightsError
from assistant.weights.checkpoints import CONFIG, read_json, weight_files
from assistant.weights.hub_names import folder_or_id
from assistant.weights.spaces import SMALL_FILES, VOCABULARIES
from assistant.weights.store import ensure_hub

CLAP = "clap"  # model_type of what compares sounds with words
HEADS = ("ForAudioClassification", "ForSequenceClassification")  # how architectures' names end
SOUNDS = ("preprocessor_config.json", "processor_config.json")  # how they are prepared
WANTED = (
    "an audio classifier of transformers (AST, wav2vec 2.0, HuBERT, WavLM, Whisper ...) or a CLAP"
)


def find_sound_model(name: str) -> Path | str:
    """The folder of a checkpoint, or the hub id to fetch one by.

    Raises:
        InputError: ``name`` is neither. WeightsError: another kind of model, or files are missing.
    """
    advice = f"give auto, a hub id (owner/name) or the folder of {WANTED}"
    found = folder_or_id("sounds", name, advice)
    if isinstance(found, Path):
        check_small_files(found)
        weight_files(found)
    return found


def fetch_small(name: str) -> Path:
    """The folder with config, feature extractor and tokenizer. Raises as `find_sound_model`."""
    found = find_sound_model(name)
    folder = ensure_hub(found, patterns=SMALL_FILES) if isinstance(found, str) else found
    check_small_files(folder)
    return folder


def check_small_files(folder: Path) -> dict[str, Any]:
    """``config.json`` of what names sounds and can be used. Raises WeightsError."""
    wanted = f"wanted {WANTED}; give a checkpoint of one of those"
    if not (folder / CONFIG).is_file():
        raise WeightsError(f"{folder}: holds no {CONFIG}; {wanted}")
    config = read_json(folder / CONFIG)
    kind, classes = config.get("model_type"), config.get("architectures") or []
    if kind != CLAP and not any(str(one).endswith(HEADS) for one in classes):
        found = " as ".join(filter(None, (str(kind or ""), ", ".join(map(str, classes)))))
        raise WeightsError(
            f"{folder}: is a checkpoint of {found or 'an unnamed architecture'}; {wanted}"
        )
    needed = [("feature extractor", SOUNDS)] + ([("tokenizer", VOCABULARIES)] * (kind == CLAP))
    for what, names in needed:
        if not any((folder / one).is_file() for one in names):
            raise WeightsError(
                f"{folder}: holds no {what} (wanted one of {', '.join(names)}); "
                "get the whole checkpoint"
            )
    if kind != CLAP and not isinstance(config.get("id2label"), dict):
        raise WeightsError(f"{folder / CONFIG}: names no classes (id2label); {wanted}")
    return config
