"""Input files of one JSON object a line: read whole, and every wrong line named."""

import json
import math
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Protocol, TypeVar

from assistant.errors import AssistantError, InputError

MOST_LISTED = 100  # problems named one by one


class Identified(Protocol):
    @property
    def id(self) -> str | int: ...


R = TypeVar("R", bound=Identified)


def read_records(
    path: Path, parse: Callable[[dict[str, Any]], R], *, unit: str, outcome: str
) -> list[R]:
    """Every line of ``path`` as ``parse`` reads it.

    Args:
        parse: one object; raises AssistantError saying what is wrong with it.
        unit: what a line is, for the message. outcome: what a wrong line led to.
    Raises:
        InputError: the file cannot be read or holds nothing, or lines are wrong: all are named.
    """
    try:
        lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a JSONL file") from error
    records: list[R] = []
    problems: list[str] = []
    first_line: dict[str | int, int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = parse(json_object(line))
        except AssistantError as error:
            problems.append(f"line {number}: {error}")
            continue
        if record.id in first_line:
            problems.append(
                f"line {number}: id {record.id!r} is that of line {first_line[record.id]}; "
                "give each its own"
            )
        first_line.setdefault(record.id, number)
        records.append(record)
    if problems:
        more = len(problems) - MOST_LISTED
        listed = problems[:MOST_LISTED] + ([f"and {more} more"] if more > 0 else [])
        raise InputError("\n  ".join([f"{path}: {outcome}, mend these lines", *listed]))
    if not records:
        raise InputError(f"{path}: holds no {unit}; give one JSON object a line")
    return records


def json_object(line: bytes) -> dict[str, Any]:
    """
    Raises:
        InputError: the line is not JSON, or not an object.
    """
    try:
        data = json.loads(line.decode())
        json.dumps(data, ensure_ascii=False).encode()  # an escape can name half a character
    except (ValueError, RecursionError) as error:
        raise InputError(f"is not JSON ({error}); give one object a line") from error
    if not isinstance(data, dict):
        raise InputError(f"holds a {type(data).__name__}; give one JSON object a line")
    return data


def finite(value: Any) -> Any:
    """``value`` as JSON can hold it: a number that is none (NaN, infinity) becomes None."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def is_id(value: Any) -> bool:
    """A text or a whole number."""
    return isinstance(value, str | int) and not isinstance(value, bool)


def check_keys(data: dict[str, Any], required: Collection[str], optional: Collection[str]) -> None:
    """
    Raises:
        InputError: a key is missing or unknown, or the id is none.
    """
    missing = [key for key in required if key not in data]
    unknown = [key for key in data if key not in (*required, *optional)]
    if missing or unknown:
        lacks = [f"lacks {', '.join(missing)}"] if missing else []
        knows = [f"has unknown {', '.join(unknown)}"] if unknown else []
        known = ", ".join((*required, *optional))
        raise InputError(f"{' and '.join(lacks + knows)}; known keys are {known}")
    if not is_id(data["id"]):
        raise InputError(f"id is {data['id']!r}; give a text or a whole number")


def text(data: dict[str, Any], key: str) -> str:
    """
    Raises:
        InputError: ``data[key]`` is no text, or an empty one.
    """
    value = data[key]
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise InputError(f"{key} is {value!r}; give a text")
    return value


def in_seconds(data: dict[str, Any], key: str) -> float | None:
    """
    Raises:
        InputError: ``data[key]`` is there and no number.
    """
    value = data.get(key)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise InputError(f"{key} is {value!r}; give seconds as a number")
    try:
        return None if value is None else float(value)
    except OverflowError as error:
        raise InputError(f"{key} is a number of {len(str(value))} digits; give seconds") from error


def lies_beside(video: str, folder: Path) -> Path:
    """A relative path in ``folder``, where it is there; else as it stands."""
    beside = folder / video  # an absolute path stays as it is
    return beside if beside.exists() else Path(video)
