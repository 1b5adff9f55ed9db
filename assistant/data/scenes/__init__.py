"""Generated images with captions and questions, and clips of actions.

``generate`` yields pictures with their questions, ``write_dataset`` writes them to a folder;
``write_actions`` writes clips in which only motion tells the action.
"""

from assistant.data.scenes.actions import write_actions
from assistant.data.scenes.acts import ACTIONS
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
    "ACTIONS",
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
    "write_actions",
    "write_dataset",
]
