"""Checks of what a person gives with a question; each raises InputError of one line."""

import math
from collections.abc import Sequence

from assistant.errors import InputError


def check_choices(choices: Sequence[str] | None) -> tuple[str, ...] | None:
    """``choices`` stripped, as a tuple.

    Raises:
        InputError: fewer than two, one of them empty, or one given twice.
    """
    if choices is None:
        return None
    if isinstance(choices, str) or not isinstance(choices, Sequence):
        raise InputError(f"choices are {choices!r:.60}; give a list of texts")
    names = tuple(check_text("a choice", choice) for choice in choices)
    if len(names) < 2 or len(set(names)) < len(names) or not all(names):
        raise InputError(f"choices are {list(choices)!r:.60}; give at least two different answers")
    return names


def check_question(question: str) -> str:
    """``question`` stripped.

    Raises:
        InputError: it is empty, or no text.
    """
    asked = check_text("the question", question)
    if not asked:
        raise InputError("the question is empty; ask something about the clip")
    return asked


def check_text(name: str, text: str) -> str:
    """``text`` stripped; ``name`` is what the person gave it as.

    Raises:
        InputError: it is no text, or not of Unicode's characters.
    """
    if not isinstance(text, str):
        raise InputError(f"{name} is {text!r:.60}; give a text")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{name} is not valid UTF-8 text; type it again") from error
    return text.strip()


def check_range(start: float | None, end: float | None) -> None:
    """
    Raises:
        InputError: a time that is negative or not a number, or a range that is empty.
    """
    for name, value in (("start", start), ("end", end)):
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise InputError(
                f"{name} is {value}; give seconds from the clip's beginning, 0 or more"
            )
    if end is not None and end <= (start or 0.0):
        raise InputError(f"start {start or 0.0:g} s is not before end {end:g} s; give a range")
