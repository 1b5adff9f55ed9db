"""A conversational video assistant.

from assistant import load

session = load("mini").open("clip.mp4")
for piece in session.ask("What happens?"):
    print(piece, end="")
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assistant.features import FeatureStore
    from assistant.session import Assistant

__all__ = ["load"]


def load(
    name: str = "mini",
    *,
    base: Path | None = None,
    precision: str = "auto",
    store: FeatureStore | None = None,
) -> Assistant:
    """The named model, ready to open clips; fetches the weights that the cache lacks.

    Args:
        name: a shipped model. base: a folder of other base weights for it.
        precision: "auto", "fp32" or "bf16".
        store: where clip features are kept; by default memory and 2 GB of the cache folder.
    Raises:
        InputError: unknown name or precision. WeightsError: weights missing or damaged.
    """
    from assistant.model.loading import load_model
    from assistant.session import Assistant

    return Assistant(load_model(name, base=base, precision=precision), store)
