"""Generated first-person clips: a walk past objects that a hand picks up and puts down."""

import numpy as np

from assistant.data.scenes.clips import ClipExample
from assistant.data.scenes.ego_layout import sample_walk
from assistant.data.scenes.ego_questions import ask_walk
from assistant.data.scenes.walk import Walk

STREAM = 11  # keeps walks from repeating the random numbers of pictures and clips


def ego_example(index: int, seed: int, split_number: int, split: str) -> ClipExample[Walk]:
    """Walk ``index`` of a split; it depends on nothing but these arguments."""
    rng = np.random.default_rng([seed, split_number, index, STREAM])
    walk = sample_walk(rng, split)
    return ClipExample(walk, ask_walk(walk, rng, split))
