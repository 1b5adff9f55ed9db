"""Generated images with captions and questions.

``generate`` yields pictures with their questions, ``write_dataset`` writes them to a folder.
"""

from assistant.scenes.dataset import (
    KINDS,
    SPLITS,
    Dataset,
    SceneExample,
    example,
    generate,
    write_dataset,
)
from assistant.scenes.world import HELD_OUT_PAIRS

__all__ = [
    "HELD_OUT_PAIRS",
    "KINDS",
    "SPLITS",
    "Dataset",
    "SceneExample",
    "example",
    "generate",
    "write_dataset",
]
