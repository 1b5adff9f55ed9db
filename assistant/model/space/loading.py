"""Which joint space a model has: its own, or one of a model hub."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assistant.errors import InputError
from assistant.model.space.base import JointSpace

if TYPE_CHECKING:
    from assistant.model.encoders.base import Encoder

AUTO = "auto"


def load_space(name: str, encoder: Encoder) -> JointSpace:
    """The joint space ``name``, for frames that ``encoder`` encodes.

    Raises:
        InputError: "auto", and there is none for this encoder.
    """
    raise InputError(f"space {name!r}: there is none for the image encoder {encoder.fingerprint}")
