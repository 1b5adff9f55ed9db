"""Which joint space a model has: its own, or one of a model hub."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.core.resources import adapters_dir
from assistant.errors import InputError
from assistant.model.space.base import JointSpace
from assistant.model.space.mini import CONFIG, MiniSpace, read_base

if TYPE_CHECKING:
    from assistant.model.encoders.base import Encoder

AUTO = "auto"


def load_space(name: str, encoder: Encoder) -> JointSpace:
    """The joint space ``name``, for frames that ``encoder`` encodes.

    Raises:
        InputError: "auto", and there is none for this encoder. WeightsError: it cannot be used.
    """
    folder = adapters_dir() / "mini" / "space" if name == AUTO else Path(name)
    if (folder / CONFIG).is_file():
        if read_base(folder).encoder == encoder.config:
            return _mini(folder)
        raise InputError(
            f"the joint space in {folder} was trained on another image encoder; name one with --space"
        )
    raise InputError(f"space {name!r}: there is none for the image encoder {encoder.fingerprint}")


@lru_cache(maxsize=2)
def _mini(folder: Path) -> MiniSpace:
    return MiniSpace.load(folder)
