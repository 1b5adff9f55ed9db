"""Generated images with captions and questions.

``generate`` yields pictures with their questions, ``write_dataset`` writes them to a folder.
"""

from assistant.data.scenes.dataset import (
    KINDS,
    SPLITS,
    Dataset,
    SceneExample,
    example,
    generate,
    write_dataset,
)
from assistant.data.scenes.questions import ask
from assistant.data.scenes.world import COLORS, HELD_OUT_PAIRS, MATERIALS, SHAPES, Scene

__all__ = [
    "COLORS",
    "HELD_OUT_PAIRS",
    "KINDS",
    "MATERIALS",
    "SHAPES",
    "SPLITS",
    "Dataset",
    "Scene",
    "SceneExample",
    "ask",
    "example",
    "generate",
    "write_dataset",
]
