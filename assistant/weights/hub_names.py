"""A model that a person names: a folder, or an id of a model hub."""

import os
import re
from pathlib import Path

from assistant.errors import InputError

HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")


def folder_or_id(what: str, name: str, advice: str) -> Path | str:
    """The folder ``name``, or ``name`` itself where it is an id and no such folder is there.

    Args:
        what: the model is for ("space"). advice: what to give instead of what is neither.
    Raises:
        InputError: it is neither.
    """
    path = Path(os.path.expanduser(name))  # noqa: PTH111, leaves an unknown ~user as it is
    if path.is_dir():
        return path
    if path.exists() or not HUB_ID.fullmatch(name):
        found = "is a file" if path.exists() else "there is no such folder"
        raise InputError(f"{what} {name!r}: {found}; {advice}")
    return name
