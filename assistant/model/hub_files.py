"""Checkpoints of a model hub, whatever they are of: fetched, and read with errors of one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assistant.core.shortage import pass_on_memory
from assistant.errors import WeightsError
from assistant.weights import store as weights_store
from assistant.weights.checkpoints import weight_files
from assistant.weights.spaces import SMALL_FILES, WEIGHTS

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


def fetched(source: Path | str, check: Callable[[Path], object]) -> Path:
    """The folder with the whole checkpoint: it itself, or the one of a hub id.

    Args:
        check: raises where the small files in a folder are not those that are wanted, so that
            another architecture shows before its weights are fetched.

    Raises:
        WeightsError: it is not there or not whole, or what ``check`` raises.
    """
    if isinstance(source, Path):
        return source
    folder = weights_store.ensure_hub(source, patterns=SMALL_FILES)
    check(folder)
    for weights in WEIGHTS:
        folder = weights_store.ensure_hub(source, patterns=[*SMALL_FILES, weights])
        if any(folder.glob(weights)):
            break
    weight_files(folder)
    return folder


@contextmanager
def errors_alone() -> Iterator[None]:
    """Without what transformers tells of every published SigLIP: token ids of no meaning."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)


def read_network(
    folder: Path, architecture: type[PreTrainedModel], dtype: torch.dtype, **options: Any
) -> Any:
    """Raises WeightsError: damaged, or a tensor is missing or of another shape."""
    try:
        network, found = architecture.from_pretrained(
            folder, dtype=dtype, local_files_only=True, output_loading_info=True, **options
        )
    except Exception as error:  # damaged files make the libraries raise anything
        raise unusable(folder, architecture.__name__, error) from error
    missing = sorted(map(str, found["missing_keys"]))
    if missing:
        raise WeightsError(
            f"{folder}: lacks {missing[0]}, one of {len(missing)}; give the checkpoint of a "
            f"{architecture.__name__} as it was published"
        )
    return network


def unusable(folder: Path, what: str, error: BaseException) -> WeightsError:
    """What there is to say of a part of a checkpoint that a library cannot read."""
    pass_on_memory(error)
    told = str(error).strip().partition("\n")[0][:160]
    return WeightsError(f"{folder}: holds no usable {what} ({told}); get the whole checkpoint")
