"""Trained weights as files: fp16 safetensors, whole or not there, every number finite."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from assistant.core.shortage import pass_on_memory
from assistant.errors import WeightsError


def save_weights(state: Mapping[str, Tensor], path: Path) -> None:
    """Write them, atomically. Raises WeightsError: some are not finite in fp16; none is written."""
    halves = {name: value.detach().half().contiguous() for name, value in state.items()}
    _check_finite(halves, path)
    part = path.with_name(path.name + ".part")
    part.write_bytes(save(halves))  # safetensors' own writer lets nobody else read the file
    part.replace(path)


def read_weights(path: Path) -> dict[str, Tensor]:
    """
    Raises:
        WeightsError: the file is missing or damaged, or a number in it is not finite.
    """
    try:
        state = load_file(path)
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: is not there; give a folder that holds {path.name}") from error
    except PermissionError as error:
        raise WeightsError(
            f"{path}: cannot be read ({error.strerror}); check its rights"
        ) from error
    except SafetensorError as error:
        pass_on_memory(error)
        raise WeightsError(f"{path}: is damaged ({error}); get the file again") from error
    _check_finite(state, path)
    return state


def _check_finite(state: Mapping[str, Tensor], path: Path) -> None:
    for name, value in state.items():
        if not value.isfinite().all():
            raise WeightsError(f"{path}: {name} has numbers that are not finite; train it again")
