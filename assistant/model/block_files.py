"""What was computed of a part of a clip as a file, beside the clip's features: named tensors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from assistant.core.shortage import pass_on_memory
from assistant.model.features import FeatureKey, FeatureStore, touch

if TYPE_CHECKING:
    from torch import Tensor


def get_block(store: FeatureStore, key: FeatureKey) -> dict[str, Tensor] | None:
    """The tensors of ``key``; None: there are none, or damaged ones, which are gone then.

    OSError: the folder is there and cannot be read."""
    from safetensors import SafetensorError, safe_open

    path = store.folder / _name(key)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            found = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        if metadata["sha256"] != _checksum(found, key):
            raise ValueError("another's, or changed")
    except FileNotFoundError:
        return None
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        pass_on_memory(error)
        path.unlink(missing_ok=True)
        return None
    touch(path)
    return found


def put_block(store: FeatureStore, key: FeatureKey, tensors: Mapping[str, Tensor]) -> None:
    """Keep contiguous tensors under ``key``. OSError: they are not kept."""
    from safetensors.torch import save

    store.write(_name(key), save(dict(tensors), {"sha256": _checksum(tensors, key)}))


def _name(key: FeatureKey) -> str:
    return f"{key.stem}.block.safetensors"


def _checksum(tensors: Mapping[str, Tensor], key: FeatureKey) -> str:
    import torch

    total = hashlib.sha256(json.dumps(asdict(key), sort_keys=True).encode())
    for name in sorted(tensors):
        total.update(name.encode() + repr(tuple(tensors[name].shape)).encode())
        total.update(tensors[name].view(torch.uint8).numpy().data)
    return total.hexdigest()
