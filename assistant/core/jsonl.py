"""Input files of one JSON object a line: read whole, and every wrong line named."""

import json
import math
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from assistant.errors import AssistantError, InputError

MOST_LISTED = 100  # problems named one by one


class Identified(Protocol):
    @property
    def id(self) -> str | int: ...


R = TypeVar("R", bound=Identified)


@dataclass(frozen=True)
class WrongLine:
    """What is wrong with a line."""

    place: str  # "line 3"
    fault: str
    id: str | int | None  # None: it has none of its own, so that nothing can be matched to it

    def __str__(self) -> str:
        return f"{self.place}: {self.fault}"


def read_records(
    path: Path, parse: Callable[[dict[str, Any]], R], *, unit: str, outcome: str
) -> list[R]:
    """Every line of ``path`` as ``parse`` reads it.

    Args:
        outcome: what a wrong line led to. The others: see `scan_records`.
    Raises:
        InputError: the file cannot be read or holds nothing, or lines are wrong: all are named.
    """
    records, wrong = scan_records(path, parse, unit=unit)
    if wrong:
        raise refusal(path, outcome, wrong)
    return records


def scan_records(
    path: Path, parse: Callable[[dict[str, Any]], R], *, unit: str
) -> tuple[list[R], list[WrongLine]]:
    """The lines of ``path``, or the items of the one list in it, that are right; and the others.

    Args:
        parse: one object; raises AssistantError saying what is wrong with it.
        unit: what a line is, for the message.
    Raises:
        InputError: the file cannot be read or holds nothing, or no line of it is JSON.
    """
    records: list[R] = []
    wrong: list[WrongLine] = []
    places: dict[str | int, str] = {}
    strange: list[WrongLine] = []  # no JSON at all
    for place, line in _lines(path):
        own = None
        try:
            data = json_object(line)
            own = data["id"] if is_id(data.get("id")) else None
            if own is not None and own in places:
                told = f"id {own!r} is that of {places[own]}; give each its own"
                own = None
                raise InputError(told)
            if own is not None:
                places[own] = place
            records.append(parse(data))
        except NoJSON as error:
            strange.append(WrongLine(place, str(error), None))
            wrong.append(strange[-1])
        except AssistantError as error:
            wrong.append(WrongLine(place, str(error), own))
    if strange and len(strange) == len(wrong) and not records:
        raise InputError(f"{path}: no line of it is JSON; {strange[0]}")
    if not (records or wrong):
        raise InputError(f"{path}: holds no {unit}; give one JSON object a line")
    return records, wrong


def refusal(path: Path, outcome: str, wrong: Sequence[WrongLine]) -> InputError:
    """That the file is refused: ``outcome``, and what to mend, a line each."""
    more = len(wrong) - MOST_LISTED
    listed = [*map(str, wrong[:MOST_LISTED]), *([f"and {more} more"] if more > 0 else [])]
    return InputError("\n  ".join([f"{path}: {outcome}, mend these lines", *listed]))


def _lines(path: Path) -> list[tuple[str, bytes]]:
    """The place and the text, in UTF-8, of each record. Raises InputError."""
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        told = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read ({told}); give a JSONL file") from error
    encoding = json.detect_encoding(data)
    if not encoding.startswith("utf-8"):
        try:
            data = data.decode(encoding).encode()
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: is no text in UTF-8; give a JSONL file") from error
    data = data.removeprefix(b"\xef\xbb\xbf")
    if data.lstrip().startswith(b"["):
        try:
            items = json.loads(data)
            return [(f"item {n}", json.dumps(item).encode()) for n, item in enumerate(items, 1)]
        except (ValueError, RecursionError):
            pass  # each line is a list of its own, or damaged: it is named
    lines = enumerate(re.split(rb"\r\n|\n|\r", data), 1)
    return [(f"line {number}", line) for number, line in lines if line.strip()]


class NoJSON(InputError):
    """A line is not JSON."""


def json_object(line: bytes) -> dict[str, Any]:
    """
    Raises:
        InputError: the line is not JSON (NoJSON), or not an object.
    """
    try:
        data = json.loads(line.decode())
        json.dumps(data, ensure_ascii=False).encode()  # an escape can name half a character
    except UnicodeError as error:
        raise NoJSON("is not JSON in UTF-8; save the file as UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise NoJSON(f"is not JSON ({error}); give one object a line") from error
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


def check_keys(
    data: dict[str, Any],
    required: Collection[str],
    optional: Collection[str],
    unread: Collection[str] = (),
) -> None:
    """``unread``: keys that may be there and say nothing here.

    Raises:
        InputError: a key is missing or unknown, or the id is none.
    """
    missing = [key for key in required if key not in data]
    unknown = [key for key in data if key not in (*required, *optional, *unread)]
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
