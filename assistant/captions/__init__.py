"""Questions and answers made from photo captions."""

from assistant.captions.questions import (
    CaptionQuestion,
    flip_safe,
    make_questions,
    read_captions,
    read_split,
)
from assistant.captions.things import THING_SUPPORT, thing_words, things_in

__all__ = [
    "THING_SUPPORT",
    "CaptionQuestion",
    "flip_safe",
    "make_questions",
    "read_captions",
    "read_split",
    "thing_words",
    "things_in",
]
