"""A checkpoint of InstructBLIP or InstructBlipVideo in the hub's format, read tensor by tensor.

Sharded safetensors, or the older pickled ``.bin`` files, of which nothing but tensors is read.
Every name in it is used, or is in :data:`DERIVED`: what can be computed again from the rest.
"""

import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from assistant.core.progress import report
from assistant.core.shortage import pass_on_memory
from assistant.errors import WeightsError
from assistant.model.quantization import quantizable, quantized_linear
from assistant.weights.checkpoints import CONFIG, read_json, weight_files

FORMATS = ("instructblip", "instructblipvideo")  # model_type in config.json
LANGUAGE_MODELS = ("llama", "t5")
DERIVED = (  # patterns of names that older checkpoints hold and nobody needs
    r"qformer\.embeddings\.position_ids",  # 0, 1, 2 ...
    r"language_model\.model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq",
    r"language_model\.(encoder|decoder)\.embed_tokens\.weight",  # T5: the shared embeddings again
)
TIED = {"language_model.lm_head.weight": "language_model.shared.weight"}  # may be held once


class Checkpoint:
    """The tensors of a folder, by name; each is read when it is asked for."""

    def __init__(self, folder: Path) -> None:
        """
        Raises:
            WeightsError: no such folder, another architecture, a shard missing or damaged.
        """
        self.folder = folder
        self.config = _read_config(folder)
        self._places: dict[str, Any] = {}  # name -> an open safetensors file, or the tensor
        self._unused: set[str] = set()
        self._open()

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._places)

    def tensor(self, name: str) -> Tensor:
        """One tensor, now counted as used. Raises WeightsError: there is none of that name."""
        if name not in self._places:
            raise WeightsError(f"{self.folder}: lacks {name}; get the checkpoint again")
        self._unused.discard(name)
        held = self._places[name]
        return held if isinstance(held, Tensor) else held.get_tensor(name)

    def fill(
        self,
        network: nn.Module,
        place: Callable[[str], str],
        *,
        dtype: torch.dtype,
        device: torch.device,
        bits: int = 0,
    ) -> None:
        """Give every parameter and buffer in ``network``'s state its tensor, frozen.

        Args:
            place: a name in ``network`` to that in the checkpoint.
            dtype: of what is not quantized. bits: 8 or 4: quantize Linear layers as they are read.

        Raises:
            WeightsError: a name is missing, or a tensor has another shape than the config says.
        """
        small = {name for name, _ in quantizable(network, bits)} if bits else set()
        state = network.state_dict(keep_vars=True)
        for number, (name, wanted) in enumerate(list(state.items())):
            report(f"Loading the {type(network).__name__}", number, len(state))
            there = place(name)
            if _is_derived(there):
                continue
            if there not in self._places and TIED.get(there) in self._places:
                there = TIED[there]
            found = self.tensor(there)
            if found.shape != wanted.shape:
                raise WeightsError(
                    f"{self.folder}: {there} is {tuple(found.shape)}, its config wants "
                    f"{tuple(wanted.shape)}; get config.json and weights of one revision"
                )
            owner, _, leaf = name.rpartition(".")
            module = network.get_submodule(owner)
            if owner in small and leaf == "weight":
                fresh = quantized_linear(module, bits, dtype, device, found, owner)
                network.set_submodule(owner, fresh)
            else:
                held = nn.Parameter(found.to(device, dtype, copy=True), requires_grad=False)
                setattr(module, leaf, held)

    def finish(self) -> None:
        """
        Raises:
            WeightsError: a tensor was never asked for, so that this is another model.
        """
        left = sorted(name for name in self._unused if not _is_derived(name))
        if left:
            raise WeightsError(
                f"{self.folder}: holds {len(left)} tensors that this model has no place for "
                f"({', '.join(left[:3])}); give an InstructBLIP checkpoint as it was published"
            )

    def _open(self) -> None:
        paths, listed = weight_files(self.folder)
        for path in paths:
            self._places.update(_open_shard(path))
        self._unused = set(self._places)
        lacking = sorted(set(listed) - self._unused)
        if lacking:
            raise WeightsError(
                f"{self.folder}: its index lists {lacking[0]}, which no file holds; get it again"
            )


def _is_derived(name: str) -> bool:
    return any(re.fullmatch(pattern, name) for pattern in DERIVED)


def _read_config(folder: Path) -> dict[str, Any]:
    """``config.json`` of a model that this house can run."""
    path = folder / CONFIG
    if not path.is_file():
        raise WeightsError(
            f"{folder}: holds no {CONFIG}; give the folder of an InstructBLIP checkpoint"
        )
    config = read_json(path)
    found = config.get("model_type")
    if found not in FORMATS:
        raise WeightsError(
            f"{folder}: is a checkpoint of {found or 'an unnamed architecture'}, wanted "
            f"{' or '.join(FORMATS)}; give one of those"
        )
    language = config.get("text_config", {}).get("model_type")
    if language not in LANGUAGE_MODELS:
        raise WeightsError(
            f"{folder}: its language model is {language or 'not named'}, wanted "
            f"{' or '.join(LANGUAGE_MODELS)}; give another checkpoint"
        )
    return config


def _open_shard(path: Path) -> Iterator[tuple[str, Any]]:
    """Its names, each with the file or the tensor."""
    if path.suffix == ".safetensors":
        try:
            file = safe_open(path, framework="pt")
        except SafetensorError as error:
            pass_on_memory(error)
            raise WeightsError(f"{path}: is damaged ({error}); get the file again") from error
        return ((name, file) for name in file.keys())  # noqa: SIM118, not a dict
    try:
        try:
            tensors = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError:  # written before torch 1.6: cannot be mapped
            tensors = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        pass_on_memory(error)
        told = str(error).partition("\n")[0][:120]
        raise WeightsError(
            f"{path}: is damaged, or holds more than tensors ({told}); get the file again"
        ) from error
    return iter(tensors.items())
