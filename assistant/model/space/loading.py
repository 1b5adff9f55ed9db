"""Which joint space a model has: its own, or one of a model hub."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.core.resources import adapters_dir
from assistant.errors import InputError
from assistant.model.space.base import JointSpace
from assistant.weights.spaces import AUTO, OWN_CONFIG

if TYPE_CHECKING:
    from assistant.model.encoders.base import Encoder
    from assistant.model.space.mini import MiniSpace


def load_space(
    name: str,
    encoder: Encoder,
    *,
    device: str = AUTO,
    precision: str = AUTO,
    quantize: str = AUTO,
) -> JointSpace:
    """The joint space ``name``: "auto" or a folder that `assistant pretrain space` wrote, for
    frames that ``encoder`` encodes; or one of a model hub.

    Args:
        device, precision, quantize: of one of a model hub.

    Raises:
        InputError: there is none for this encoder; or an unknown name or option.
        ConfigError: its config is not usable.
        WeightsError: weights missing, damaged or of another architecture.
        ModelError: no CUDA, no bitsandbytes, or not enough memory.
    """
    folder = adapters_dir() / "mini" / "space" if name == AUTO else Path(name).expanduser()
    if name != AUTO and not (folder / OWN_CONFIG).is_file():
        from assistant.model.space.hub_loading import load_hub_space  # takes seconds to import

        return load_hub_space(name, device=device, precision=precision, quantize=quantize)
    from assistant.model.space.mini import read_base

    if read_base(folder).encoder != encoder.config:
        raise InputError(
            f"the joint space in {folder} is not of the image encoder {encoder.fingerprint}; name "
            "another one with --space (docs/models.md)"
        )
    return _mini(folder)


@lru_cache(maxsize=2)
def _mini(folder: Path) -> MiniSpace:
    from assistant.model.space.mini import MiniSpace

    return MiniSpace.load(folder)
