"""Pickles of plain data, read without running anything in them.

A pickle may name any function and call it. Here every name but numpy's arrays and numbers is
refused, and those are answered by stand-ins, so that the only code that runs is this file's.
"""

import pickle
import re
import struct
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from assistant.errors import InputError

KIND = re.compile(r"[biuf][1248]")  # of numpy's numbers: i8, f4 ...
BYTE_ORDERS = "<>=|"
# What the unpickler raises on damaged data.
DAMAGE = (
    pickle.UnpicklingError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)


def read_pickle(path: Path, origin: str) -> Any:
    """Dicts, lists (tuples, sets and arrays too become lists), texts and numbers.

    Args:
        origin: where a sound file is to be got.
    Raises:
        InputError: the file cannot be read, is damaged, or names anything else.
    """
    try:
        with path.open("rb") as file:
            return _plain(_PlainUnpickler(file, encoding="latin1").load(), {})
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its path") from error
    except _Refused as error:
        raise InputError(
            f"{path}: names {error}, and may hold only lists, dicts, texts and numbers; "
            f"nothing in it was run: get it from {origin}"
        ) from error
    except DAMAGE as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: is no sound pickle ({why}); get it from {origin}") from error


class _Refused(Exception):
    """The name of what was asked for."""


class _Kind:
    """Stands in for a numpy dtype."""

    __slots__ = ("name", "order")

    def __init__(self, name: str) -> None:
        self.name, self.order = name, "="

    def __setstate__(self, state: tuple) -> None:
        if state[1] not in BYTE_ORDERS:
            raise ValueError("an unknown byte order")
        self.order = "=" if state[1] == "|" else state[1]

    def read(self, data: object) -> np.ndarray:
        """The numbers in ``data``, one axis."""
        raw = data.encode("latin1") if isinstance(data, str) else data
        if not isinstance(raw, bytes | bytearray):
            raise ValueError("an array without its bytes")
        return np.frombuffer(raw, np.dtype(self.order + self.name))


class _Array:
    """Stands in for a numpy array."""

    __slots__ = ("values",)

    def __setstate__(self, state: tuple) -> None:
        _, shape, kind, by_column, data = state
        if not isinstance(kind, _Kind):
            raise ValueError("an array without a kind")
        self.values = kind.read(data).reshape(shape, order="F" if by_column else "C").tolist()


class _NewKind:
    __slots__ = ()

    def __call__(self, name: str, *_: object) -> _Kind:
        if not isinstance(name, str) or not KIND.fullmatch(name):
            raise _Refused(f"an array of {name!r:.40}")
        return _Kind(name)


class _NewArray:
    __slots__ = ()

    def __call__(self, *_: object) -> _Array:
        return _Array()


class _FullArray:
    """``_frombuffer``: how protocol 5 spells arrays."""

    __slots__ = ()

    def __call__(self, data: object, kind: _Kind, shape: tuple, order: str) -> _Array:
        array = _Array()
        array.__setstate__((1, shape, kind, order == "F", data))
        return array


class _Number:
    __slots__ = ()

    def __call__(self, kind: _Kind, data: object) -> object:
        return kind.read(data).item()


class _Bytes:
    """``_codecs.encode`` and ``bytes()``: how protocols 0 to 2 spell bytes."""

    __slots__ = ()

    def __call__(self, text: str = "", *_: object) -> bytes:
        return text.encode("latin1")


# Instances without a dictionary: a pickle can call them, and cannot set anything on them.
STAND_INS: dict[str, object] = {
    "numpy.dtype": _NewKind(),
    "numpy.ndarray": None,  # an argument of _reconstruct
    "numpy.core.multiarray._reconstruct": _NewArray(),
    "numpy.core.numeric._frombuffer": _FullArray(),
    "numpy.core.multiarray.scalar": _Number(),
    "_codecs.encode": _Bytes(),
    "builtins.bytes": _Bytes(),
    "builtins.set": set,
    "builtins.frozenset": frozenset,
    "collections.OrderedDict": OrderedDict,
}


class _PlainUnpickler(pickle._Unpickler):
    """That of Python's own code: the one in C makes room for as many objects as a damaged byte says
    that there are, 16 GB of it. Four seconds for 16 MB, six times as long."""

    read: Callable[[int], bytes]  # both are set by load()
    append: Callable[[Any], None]

    def load_bytearray8(self) -> None:
        """The same without room for more bytes than there are."""
        (size,) = struct.unpack("<Q", self.read(8))
        self.append(bytearray(self.read(size)))

    dispatch: ClassVar[dict[int, Any]] = {
        **pickle._Unpickler.dispatch,
        pickle.BYTEARRAY8[0]: load_bytearray8,
    }

    def find_class(self, module: str, name: str) -> Any:
        module = module.replace("numpy._core", "numpy.core").replace("__builtin__", "builtins")
        asked = f"{module}.{name}"
        if asked not in STAND_INS:
            raise _Refused(asked)
        return STAND_INS[asked]


def _plain(value: Any, done: dict[int, Any]) -> Any:
    """``value`` in lists and dicts; what is there twice is made once (``done``, by identity)."""
    if value is None or isinstance(value, str | bytes | bool | int | float):
        return value
    if id(value) not in done:
        done[id(value)] = _container(value, done)
    return done[id(value)]


def _container(value: Any, done: dict[int, Any]) -> Any:
    if isinstance(value, dict):
        return {_key(key): _plain(inner, done) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner, done) for inner in value]
    if isinstance(value, _Array):
        return value.values
    raise _Refused(f"a {type(value).__name__}")


def _key(key: Any) -> str | int:
    if not isinstance(key, str | int):
        raise _Refused(f"the key {key!r:.40}")
    return key
