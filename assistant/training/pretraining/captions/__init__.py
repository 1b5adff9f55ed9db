"""Questions and answers made from photo captions."""

from assistant.training.pretraining.captions.questions import (
    CaptionQuestion,
    flip_safe,
    make_questions,
    read_captions,
    read_lines,
    read_split,
)
from assistant.training.pretraining.captions.things import (
    THING_SUPPORT,
    PhotoConcepts,
    photo_concepts,
    thing_words,
    things_in,
)

__all__ = [
    "THING_SUPPORT",
    "CaptionQuestion",
    "PhotoConcepts",
    "flip_safe",
    "make_questions",
    "photo_concepts",
    "read_captions",
    "read_lines",
    "read_split",
    "thing_words",
    "things_in",
]
