"""Where the person's own recognisers of actions lie: ``ASSISTANT_HOME/actions``, by name."""

from __future__ import annotations

import shutil
from pathlib import Path
from uuid import uuid4

from assistant.core.resources import user_dir
from assistant.errors import InputError

CONFIG, WEIGHTS = "actions.yaml", "actions.safetensors"  # that a recogniser's folder holds


def user_recognisers() -> Path:
    """Their folder."""
    return user_dir() / "actions"


def recogniser_names() -> tuple[str, ...]:
    """Of all folders there; whether each holds a recogniser is not looked at."""
    found = (path.name for path in user_recognisers().glob("*/") if path.is_dir())
    return tuple(sorted(name for name in found if not name.startswith(".")))


def find_recogniser(named: str | Path) -> Path:
    """The folder of a recogniser, by its name or by the folder itself.

    Raises:
        InputError: there is none.
    """
    if str(named) in (names := recogniser_names()):
        return user_recognisers() / str(named)
    path = Path(named).expanduser()
    if not path.is_dir():
        raise InputError(
            f"no recogniser {str(named)!r}; there are: {', '.join(names) or 'none yet'}; or give "
            "a folder that assistant finetune actions wrote (RUN/head)"
        )
    return path


def recogniser_called(folder: Path) -> str:
    """What a recogniser is called: its name, or of ``RUN/head`` that of the run."""
    path = folder.resolve()
    return path.parent.name if path.name == "head" and path.parent.name else path.name


def written(folder: Path) -> tuple[int, ...]:
    """When each file of a recogniser was written, in ns; 0: it is not there."""
    files = (folder / name for name in (CONFIG, WEIGHTS))
    return tuple(path.stat().st_mtime_ns if path.is_file() else 0 for path in files)


def check_free(name: str) -> None:
    """Raises InputError: a recogniser cannot be called so, or one is already."""
    if not name.isidentifier():
        raise InputError(f"a recogniser cannot be called {name!r}; use letters, digits and _")
    place = user_recognisers() / name
    if place.exists():
        raise InputError(
            f"a recogniser {name!r} is there already; choose another --name, or remove {place}"
        )


def install_recogniser(folder: Path, name: str) -> Path:
    """Copy a finished recogniser to the person's own, whole or not at all.

    Raises:
        InputError: as `check_free`.
    """
    check_free(name)
    place = user_recognisers() / name
    place.parent.mkdir(parents=True, exist_ok=True)
    fresh = place.with_name(f".{uuid4().hex}")
    shutil.copytree(folder, fresh, copy_function=shutil.copyfile)  # rights by the umask
    fresh.rename(place)
    return place
