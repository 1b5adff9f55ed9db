"""A checkpoint in a model hub's format as files: what must be there before anything is loaded."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from assistant.errors import WeightsError

CONFIG = "config.json"
FILES = (  # an index of shards, or the one file; the first that is there is read
    ("model.safetensors.index.json", "model.safetensors"),
    ("pytorch_model.bin.index.json", "pytorch_model.bin"),
)


def weight_files(folder: Path) -> tuple[list[Path], Iterable[str]]:
    """The files that hold a checkpoint's weights, and the names of tensors that its index lists.

    Raises:
        WeightsError: there are none, or not all of them.
    """
    listed: dict[str, str] = {}
    for index, single in FILES:
        if (folder / index).is_file():
            listed = read_json(folder / index).get("weight_map", {})
            if not isinstance(listed, dict) or not listed:
                raise WeightsError(f"{folder / index}: lists no tensors; get the file again")
            shards = sorted({str(shard) for shard in listed.values()})
            break
        if (folder / single).is_file():
            shards = [single]
            break
    else:
        raise WeightsError(
            f"{folder}: holds no weights (wanted {FILES[0][0]}, {FILES[0][1]}, "
            f"{FILES[1][0]} or {FILES[1][1]}); get the whole checkpoint"
        )
    for shard in shards:
        if not (folder / shard).is_file():
            raise WeightsError(
                f"{folder / shard}: is not there, one of {len(shards)}; get it again"
            )
    return [folder / shard for shard in shards], listed


def read_json(path: Path) -> dict[str, Any]:
    """Keys and values in a file. Raises WeightsError."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: cannot be read ({error}); get the file again") from error
    if not isinstance(found, dict):
        raise WeightsError(f"{path}: holds no keys and values; get the file again")
    return found
