"""Which joint space a model has: its own, or one of a model hub."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assistant.errors import InputError
from assistant.model.space.base import JointSpace
from assistant.weights.spaces import AUTO

if TYPE_CHECKING:
    from assistant.model.encoders.base import Encoder


def load_space(
    name: str,
    encoder: Encoder,
    *,
    device: str = AUTO,
    precision: str = AUTO,
    quantize: str = AUTO,
) -> JointSpace:
    """The joint space ``name``: "auto", for frames that ``encoder`` encodes, or one of a model hub.

    Args:
        device, precision, quantize: of one of a model hub.

    Raises:
        InputError: "auto", and there is none for this encoder; or an unknown name or option.
        WeightsError: weights missing, damaged or of another architecture.
        ModelError: no CUDA, no bitsandbytes, or not enough memory.
    """
    if name != AUTO:
        from assistant.model.space.hub_loading import load_hub_space  # takes seconds to import

        return load_hub_space(name, device=device, precision=precision, quantize=quantize)
    raise InputError(f"space {name!r}: there is none for the image encoder {encoder.fingerprint}")
