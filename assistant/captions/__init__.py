"""Questions and answers made from photo captions."""

from assistant.captions.questions import (
    CaptionQuestion,
    flip_safe,
    make_questions,
    read_captions,
    read_split,
)

__all__ = ["CaptionQuestion", "flip_safe", "make_questions", "read_captions", "read_split"]
