"""From a hub id or a folder to a joint space: fetched, checked, loaded in the wanted precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoImageProcessor, AutoTokenizer, PreTrainedModel
from transformers.utils import logging

from assistant.core.progress import report
from assistant.core.shortage import pass_on_memory
from assistant.errors import InputError, WeightsError
from assistant.model.memory import AUTO, within_memory
from assistant.model.placement import choose_device, choose_dtype
from assistant.model.quantization import QUANTIZATIONS, check_quantization, quantize_network
from assistant.model.space.hub import KINDS, HubSpace
from assistant.weights import store as weights_store
from assistant.weights.checkpoints import weight_files
from assistant.weights.spaces import (
    SMALL_FILES,
    WEIGHTS,
    check_small_files,
    find_space,
    space_config,
)

EIGHT_BIT = ("8bit", "4bit")  # image encoders are never in 4 bit


def load_hub_space(
    name: str, *, device: str = AUTO, precision: str = AUTO, quantize: str = AUTO
) -> HubSpace:
    """The joint space of the checkpoint ``name``, a hub id or a folder; fetched where absent.

    Args:
        device: auto is a GPU, where there is one.
        quantize: 8bit and 4bit take the encoders' layers to 8 bit; auto is none.

    Raises:
        InputError: an unknown name or option. WeightsError: the checkpoint is not there, damaged,
            or of another architecture. ModelError: no CUDA, no bitsandbytes, not enough memory.
    """
    if quantize not in (AUTO, *QUANTIZATIONS):
        raise InputError(f"quantize is {quantize!r}; choose {', '.join((AUTO, *QUANTIZATIONS))}")
    place = choose_device(device, large=True)
    dtype = choose_dtype(precision, place)
    bits = 8 if quantize in EIGHT_BIT else 0
    check_quantization(bits, place)
    folder = _fetched(find_space(name))
    kind, architecture = KINDS[space_config(folder)["model_type"]]
    report(f"Loading the joint space {name}", 0.0)
    with _errors_alone():
        images = _part(folder, "image processor", AutoImageProcessor)
        tokenizer = _part(folder, "tokenizer", AutoTokenizer)
        network = _network(folder, architecture, dtype)
    with within_memory("close what else uses it, or load with --quantize 8bit or --device cpu"):
        for part in (network.vision_model, getattr(network, "text_model", None)):
            if bits and part is not None:
                quantize_network(part.encoder, bits, dtype, place)
        network.to(place)
    kept = f"{dtype}-{bits}bit" if bits else f"{dtype}"
    space = kind(folder, network.requires_grad_(False).eval(), images, tokenizer, kept)
    try:
        space.check_pictures()
    except Exception as error:  # wrong settings make the library raise anything
        raise _unusable(folder, "image processor", error) from error
    return space


@contextmanager
def _errors_alone() -> Iterator[None]:
    """Without what transformers tells of every published SigLIP: token ids of no meaning."""
    logging.disable_progress_bar()
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)


def _fetched(source: Path | str) -> Path:
    """The folder with the whole checkpoint. Raises WeightsError."""
    if isinstance(source, Path):
        return source
    folder = weights_store.ensure_hub(source, patterns=SMALL_FILES)
    space_config(folder)  # another architecture shows before its weights are fetched
    check_small_files(folder)
    for weights in WEIGHTS:
        folder = weights_store.ensure_hub(source, patterns=[*SMALL_FILES, weights])
        if any(folder.glob(weights)):
            break
    weight_files(folder)
    return folder


def _part(folder: Path, what: str, kind: Any) -> Any:
    """Image processor or tokenizer of a checkpoint. Raises WeightsError."""
    try:
        return kind.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # damaged files make the libraries raise anything
        raise _unusable(folder, what, error) from error


def _network(folder: Path, architecture: type[PreTrainedModel], dtype: torch.dtype) -> Any:
    """Raises WeightsError: damaged, or a tensor is missing or of another shape."""
    try:
        network, found = architecture.from_pretrained(
            folder, dtype=dtype, local_files_only=True, output_loading_info=True
        )
    except Exception as error:  # damaged files make the libraries raise anything
        raise _unusable(folder, architecture.__name__, error) from error
    missing = sorted(map(str, found["missing_keys"]))
    if missing:
        raise WeightsError(
            f"{folder}: lacks {missing[0]}, one of {len(missing)}; give the checkpoint of a "
            f"{architecture.__name__} as it was published"
        )
    return network


def _unusable(folder: Path, what: str, error: BaseException) -> WeightsError:
    pass_on_memory(error)
    told = str(error).strip().partition("\n")[0][:160]
    return WeightsError(f"{folder}: holds no usable {what} ({told}); get the whole checkpoint")
