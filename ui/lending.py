"""Found files of the host, under names in a visitor's own folder."""

import os
import shutil
from pathlib import Path
from uuid import uuid4


class Lent:
    """What one visitor may fetch of the host's files; no path of the host is told."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lent: dict[Path, str] = {}

    @property
    def files(self) -> list[str]:
        """Their own paths."""
        return [*self._lent.values()]

    def lend(self, file: str) -> Path:
        """Another name for ``file``.

        Raises:
            OSError: it is not there, or neither a clip nor a picture, whatever an index says.
        """
        from assistant.media.files import CLIPS, PICTURES  # not for the page's start

        own = Path(file).resolve(strict=True)
        if own.suffix.lower() not in CLIPS | PICTURES:
            raise PermissionError(file)
        place = self._folder / f"{uuid4().hex}{own.suffix.lower()}"
        try:
            place.symlink_to(own)
        except OSError:  # Windows lets only some people link
            shutil.copyfile(own, place)
        self._lent[place] = os.fspath(own)
        return place

    def take_back(self, place: Path) -> None:
        """The name is no more; the file stays."""
        if self._lent.pop(place, None) is not None:
            place.unlink(missing_ok=True)
