"""Video encoders of a model hub by name: what can be said of one before anything is loaded."""

from pathlib import Path
from typing import Any

from assistant.errors import WeightsError
from assistant.weights.checkpoints import CONFIG, read_json, weight_files
from assistant.weights.hub_names import folder_or_id

KINDS = {"videomae": "VideoMAE", "timesformer": "TimeSformer", "vivit": "ViViT"}  # by model_type
WANTED = "VideoMAE, TimeSformer or ViViT"
PICTURES = ("preprocessor_config.json", "video_preprocessor_config.json")  # how they are prepared


def find_video_encoder(name: str) -> Path | str:
    """The folder of a checkpoint, or the hub id to fetch one by.

    Raises:
        InputError: ``name`` is neither. WeightsError: another architecture, or files are missing.
    """
    advice = f"give a hub id (owner/name) or the folder of a checkpoint of {WANTED}"
    found = folder_or_id("video encoder", name, advice)
    if isinstance(found, Path):
        check_small_files(found)
        weight_files(found)
    return found


def check_small_files(folder: Path) -> None:
    """That it is a video encoder whose pictures can be prepared. Raises WeightsError."""
    video_config(folder)
    pictures_file(folder)


def video_config(folder: Path) -> dict[str, Any]:
    """``config.json`` of a checkpoint that is a video encoder. Raises WeightsError."""
    wanted = f"wanted {WANTED}; give a checkpoint of one of those"
    if not (folder / CONFIG).is_file():
        raise WeightsError(f"{folder}: holds no {CONFIG}; {wanted}")
    config = read_json(folder / CONFIG)
    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in KINDS:
        found = kind or "an unnamed architecture"
        raise WeightsError(f"{folder}: is a checkpoint of {found}, no video encoder; {wanted}")
    return config


def pictures_file(folder: Path) -> Path:
    """What says how pictures are prepared. Raises WeightsError: there is none."""
    for name in PICTURES:
        if (folder / name).is_file():
            return folder / name
    raise WeightsError(
        f"{folder}: holds no image processor (wanted {' or '.join(PICTURES)}); "
        "get the whole checkpoint"
    )
