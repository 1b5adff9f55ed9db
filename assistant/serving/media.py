"""From what a message names to a file that may be looked at."""

from __future__ import annotations

import base64
import binascii
import mimetypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from assistant.dialogue.spoken import can_listen
from assistant.dialogue.subtitles import Dialogue, find_dialogue
from assistant.errors import InputError
from assistant.serving.fetching import IsAllowed, fetch, is_public
from assistant.serving.files import PREFIX, Files, suffix_of
from assistant.serving.limits import Limits
from assistant.serving.problems import Problem, problem_of
from assistant.serving.wire import Sound
from assistant.ui import uploads

NAME = "the clip"  # in messages: no path of the host is told
WAYS = "give a data URL, or the id of a file that was uploaded to /v1/files"


@dataclass(frozen=True)
class Media:
    """What clips may be named."""

    files: Files
    limits: Limits
    folders: Sequence[Path] = ()  # below which ``file://`` is read; resolved
    remote: bool = False  # whether http(s) is
    is_allowed: IsAllowed = is_public  # which addresses are fetched from

    def clip(self, url: str, owner: str, folder: Path, told: str = NAME) -> Path:
        """Where the clip lies; what is sent or fetched is put into ``folder``.

        ``told``: what messages call it.

        Raises:
            Problem: it may not be named so, is not there, is no clip, or is too large or long.
        """
        scheme = url.partition(":")[0].lower()
        if url.startswith(PREFIX):
            return self.files.find(owner, url).path  # which was checked
        if scheme == "data":
            path = self._sent(url, folder)
        elif scheme == "file":
            path = self._here(url)
        elif scheme in ("http", "https"):
            path = self._fetched(url, folder)
        else:
            raise Problem(400, f"{url[:60]!r} is no URL that is read; {WAYS}", code="invalid_url")
        self.check(path, told)
        return path

    def name(self, url: str, owner: str) -> str:
        """What a clip that was had is called beside others; "": it came without a name."""
        if url.startswith(PREFIX):
            return self.files.find(owner, url).name
        from assistant.core.clip_names import clip_path

        return clip_path(url).name if url.startswith("file:") else ""

    def sound(self, sound: Sound, folder: Path) -> Path:
        """Where a message's sound lies. Raises Problem: it is no base64."""
        return _written(folder / "sound", _decoded(sound.data, "input_audio.data"))

    def check(self, path: Path, name: str = NAME) -> None:
        """Raises Problem: ``path`` is no clip or picture, or larger or longer than is taken."""
        own = self.limits
        limits = replace(uploads.Limits(), bytes=own.bytes, seconds=own.clip_seconds)
        with without_paths(path, name):
            uploads.check_clip(path, name, limits)

    def _sent(self, url: str, folder: Path) -> Path:
        head, _, data = url.partition(",")
        kind, *options = head.partition(":")[2].split(";")
        if "base64" not in (option.strip().lower() for option in options):
            raise Problem(400, "a data URL is to be data:TYPE;base64,DATA", code="invalid_url")
        suffix = suffix_of(f"x{mimetypes.guess_extension(kind.strip().lower()) or ''}")
        return _written(folder / f"clip{suffix}", _decoded(data, "the data URL"))

    def _here(self, url: str) -> Path:
        """A file of the host. Raises Problem: it is not there, or not below an allowed folder;
        which of the two is not told."""
        from assistant.core.clip_names import clip_path

        refused = Problem(
            400,
            f"{url[:80]!r} is no file below a folder that this server reads from (--allow-files); "
            f"{WAYS}",
            code="file_not_allowed",
        )
        try:
            path = clip_path(url).resolve(strict=True)  # links are followed before they are judged
        except (InputError, OSError, ValueError, RuntimeError):
            raise refused from None
        if not any(path.is_relative_to(folder) for folder in self.folders) or not path.is_file():
            raise refused
        return path

    def _fetched(self, url: str, folder: Path) -> Path:
        if not self.remote:
            raise Problem(
                400,
                f"nothing is fetched from the web (the server was not started with "
                f"--allow-remote); {WAYS}",
                code="remote_not_allowed",
            )
        path = folder / f"clip{suffix_of(url.partition('?')[0])}"
        limits = self.limits
        fetch(
            url,
            path,
            most=limits.bytes,
            seconds=limits.body_seconds,
            is_allowed=self.is_allowed,
        )
        return path


@contextmanager
def without_paths(path: Path, name: str = NAME) -> Iterator[None]:
    """What goes wrong is told without where the file lies.

    Raises:
        Problem: instead of what its reader can mend; a fault of ours stays what it is.
    """
    try:
        yield
    except Exception as error:
        problem = problem_of(error)
        if problem.status == 500:
            raise
        problem.args = (hidden(str(problem), path, name),)
        raise problem from error


def hidden(text: str, path: Path, name: str = NAME) -> str:
    """The text without where the file lies."""
    return text.replace(str(path), name).replace(str(path.parent), "...")


def said_in(path: Path) -> Dialogue | None:
    """What is said beside or inside a clip; None: it is to be listened to."""
    found = find_dialogue(path)
    warnings = tuple(hidden(one, path) for one in found.warnings)
    return replace(found, warnings=warnings) if found or not can_listen() else None


def _decoded(data: str, what: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Problem(400, f"{what} is no base64 ({error})", code="invalid_base64") from error


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path
