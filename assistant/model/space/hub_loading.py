"""From a hub id or a folder to a joint space: fetched, checked, loaded in the wanted precision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoImageProcessor, AutoTokenizer

from assistant.core.progress import report
from assistant.errors import InputError
from assistant.model.hub_files import errors_alone, fetched, read_network, unusable
from assistant.model.memory import AUTO, within_memory
from assistant.model.placement import choose_device, choose_dtype
from assistant.model.quantization import QUANTIZATIONS, check_quantization, quantize_network
from assistant.model.space.hub import KINDS, HubSpace
from assistant.weights.spaces import check_small_files, find_space, space_config

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
    folder = fetched(find_space(name), _check)
    kind, architecture = KINDS[space_config(folder)["model_type"]]
    report(f"Loading the joint space {name}", 0.0)
    with errors_alone():
        images = _part(folder, "image processor", AutoImageProcessor)
        tokenizer = _part(folder, "tokenizer", AutoTokenizer)
        network = read_network(folder, architecture, dtype)
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
        raise unusable(folder, "image processor", error) from error
    return space


def _check(folder: Path) -> None:
    """Raises WeightsError: it is no joint space, as far as small files tell."""
    space_config(folder)
    check_small_files(folder)


def _part(folder: Path, what: str, kind: Any) -> Any:
    """Image processor or tokenizer of a checkpoint. Raises WeightsError."""
    try:
        return kind.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # damaged files make the libraries raise anything
        raise unusable(folder, what, error) from error
