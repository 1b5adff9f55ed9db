"""Datasets for tests: made in their official layouts, or real ones where a person has them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from assistant.data.formats.convert import convert
from assistant.errors import InputError


def real(name: str) -> Path:
    """A data set of the folder that ASSISTANT_TEST_DATA names."""
    folder = os.environ.get("ASSISTANT_TEST_DATA")
    if not folder or not (Path(folder) / name).exists():
        pytest.skip(f"ASSISTANT_TEST_DATA names no folder with {name}")
    return Path(folder) / name


def write_json(path: Path, data: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))
    return path


def refused(name: str, path: Path, out: Path, **options: object) -> str:
    """The one line of complaint; nothing is left behind."""
    with pytest.raises(InputError) as caught:
        convert(name, path, out, **options)
    assert "\n" not in str(caught.value)
    assert not out.exists() or not list(out.iterdir())
    return str(caught.value)
