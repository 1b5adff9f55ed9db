"""Who is here, and what is left of who is gone."""

import contextlib
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

from assistant.ui.visitor import Visitor

from assistant.errors import InputError

SETTLED = 60.0  # seconds after which an empty file is not just being written
TOKEN = re.compile(r"[0-9a-f]{32}")  # see vaToken in page.js


class Visitors:
    """Who is here. A page that is loaded again in its tab is the same visitor."""

    def __init__(self, root: Path, *, grace: float, idle: float) -> None:
        self.root, self.grace, self.idle = root, grace, idle
        self._here: dict[str, Visitor] = {}  # by the tab's token, or by the only page
        self._keys: dict[str, str] = {}  # of each page
        self._open: set[str] = set()  # pages
        self._lock = threading.Lock()
        self.on_gone: Callable[[str], object] = str  # gets every page of who is gone

    def __len__(self) -> int:
        return len(self._here)

    def join(self, page: str | None, token: str) -> Visitor:
        """A page was opened in the tab that holds ``token``; without one it is a new visitor."""
        if page and TOKEN.fullmatch(token or ""):
            with self._lock:
                self._keys[page] = token
        return self.of(page)

    def of(self, page: str | None) -> Visitor:
        """The visitor of a page; an unknown page is a new visitor.

        Raises:
            InputError: no page.
        """
        if not page:
            raise InputError("This page has no visitor; load it again.")
        with self._lock:
            key = self._keys.setdefault(page, page)
            self._open.add(page)
            visitor = self._here.get(key)
            if visitor is None:
                visitor = self._here[key] = Visitor(self.root)
            visitor.active, visitor.left = time.monotonic(), None
            return visitor

    def leave(self, page: str | None) -> None:
        """The page was closed; a phone that only slept comes back within the grace."""
        with self._lock:
            self._open.discard(page or "")
            key = self._keys.get(page or "")
            if key in self._here and not any(self._keys[other] == key for other in self._open):
                self._here[key].left = time.monotonic()
                self._here[key].go()

    def lent(self) -> list[str]:
        """The files on the host that visitors may fetch just now: what they found."""
        with self._lock:
            return [file for here in self._here.values() for file in here.lent.files]

    def sweep(self) -> int:
        """Remove who is gone, with their files; how many."""
        now = time.monotonic()
        with self._lock:
            gone = [
                key
                for key, visitor in self._here.items()
                if (visitor.left is not None and now - visitor.left >= self.grace)
                or now - visitor.active >= self.idle
            ]
            leaving = [self._here.pop(key) for key in gone]
            pages = [page for page, key in self._keys.items() if key not in self._here]
            for page in pages:
                del self._keys[page]
            self._open &= self._keys.keys()
        for visitor in leaving:
            visitor.close()
        for page in pages:
            self.on_gone(page)
        return len(leaving)

    def sweep_uploads(self, folder: Path) -> None:
        """Remove uploads that nobody took: an interrupted one, a page that was closed."""
        old, recent = time.time() - self.grace, time.time() - min(self.grace, SETTLED)
        for path in folder.rglob("*"):
            with contextlib.suppress(OSError):  # taken just now
                found = path.stat()
                # Gradio leaves an empty file with every upload
                if path.is_file() and found.st_mtime < (old if found.st_size else recent):
                    path.unlink()
        for path in sorted(folder.rglob("*"), reverse=True):
            with contextlib.suppress(OSError):  # not empty
                path.rmdir()

    def drop_sessions(self, model: object) -> None:
        """Let go of a model that leaves memory; a question opens its clip again."""
        with self._lock:
            clips = [clip for here in self._here.values() for clip in here.clips.values()]
            turns = [turn for here in self._here.values() for turn in (*here.turns, *here.cleared)]
        for clip in clips:
            if clip.model is model:
                clip.session = clip.model = None
            if clip.scenes is not None and clip.scenes.model is model:
                clip.scenes.maker = clip.scenes.model = None
        for turn in turns:
            turn.live = None

    def close(self) -> None:
        """Everybody leaves."""
        with self._lock:
            leaving, self._here = list(self._here.values()), {}
        for visitor in leaving:
            visitor.close()
