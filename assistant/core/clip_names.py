"""What people call a clip, on the command line and in a list: as a path of this machine."""

import os
import re
import socket
from pathlib import Path, PureWindowsPath
from urllib.parse import unquote

from assistant.errors import InputError

# "https://", also as a path library leaves it ("https:/"); an address that lost its scheme.
WEB = re.compile(r"(?!file:)[a-z][a-z0-9+.-]+:/|www\.|youtu\.be/|(?:m\.)?youtube\.com/", re.I)
FILE = re.compile(r"file:(?://(?P<host>[^/]*))?(?P<path>.*)", re.I | re.S)
WINDOWS = re.compile(r"[a-z]:[\\/]|\\\\", re.I)
MOST_SHOWN = 80  # characters of a name in a message


def clip_path(name: str, folder: Path = Path()) -> Path:
    """Where the clip called ``name`` lies, which need not be there.

    What exists as it stands, beside the list in ``folder`` or in the working directory, is meant as
    it stands. Else ``file://`` and ``~`` are resolved, and backslashes part folders.

    Raises:
        InputError: it is empty, on the web, on another machine, or on a drive of Windows.
    """
    if not name.strip():
        raise InputError("the clip has no name; give the path of a video or picture file")
    beside = _there(name, folder)
    if beside is not None:
        return beside
    shown = name if len(name) <= MOST_SHOWN else f"{name[:MOST_SHOWN]}..."
    if address := FILE.fullmatch(name):
        host, path = address["host"] or "", address["path"]
        if host.lower() not in ("", "localhost", socket.gethostname().lower()):
            raise InputError(
                f"{shown}: names the machine {host!r} (a file here has three slashes, file:///); "
                "copy the clip to this machine and give its path"
            )
        path = unquote(path, errors="surrogateescape")
        path = path[1:] if WINDOWS.match(path, 1) else path
        return Path(path) if FILE.match(path) else clip_path(path, folder)  # an address in another
    if WEB.match(name):
        raise InputError(
            f"{shown}: is a web address, and nothing is fetched from there; download the clip "
            "first and give its file"
        )
    if WINDOWS.match(name):
        return _of_windows(name, shown)
    if name.startswith("~"):
        try:
            return Path(name).expanduser()
        except (RuntimeError, ValueError) as error:  # ValueError: a zero byte
            raise InputError(f"{shown}: there is no such user; give the whole path") from error
    plain = name.replace("\\", "/")
    return _there(plain, folder) or Path(plain)


def _there(name: str, folder: Path) -> Path | None:
    """The path ``name`` in ``folder``, else as it stands; None: nothing is there."""
    for path in (os.path.join(folder, name), name):  # noqa: PTH118, a name may be no path at all
        if os.path.exists(path):  # noqa: PTH110, of any length
            return Path(path)
    return None


def _of_windows(name: str, shown: str) -> Path:
    """Where Windows' drives are folders (WSL), its place there. Raises InputError elsewhere."""
    lettered = name[1] == ":"
    mounted = Path("/mnt", name[0].lower(), *PureWindowsPath(name).parts[1:])
    if lettered and (there := _there(str(mounted), Path())):
        return there
    what = "a drive" if lettered else "a share"
    raise InputError(
        f"{shown}: is on {what} of Windows, which this machine does not have; give the clip's "
        "path here, with forward slashes"
    )
