"""An index: files go in, hits come out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assistant.core.checks import check_text
from assistant.errors import InputError
from assistant.media.files import check_paths, under
from assistant.model.features import check_file
from assistant.retrieval.adding import Added, Adding, Outcome
from assistant.retrieval.ranking import (
    BY,
    CANDIDATES,
    LEAST,
    Hit,
    less_usual,
    rank,
    rank_enough,
)
from assistant.retrieval.rows import KINDS, Window
from assistant.retrieval.store import (
    LAYOUT,
    Store,
    check_name,
    check_there,
    default_uri,
    drop,
    names_in,
    writing,
)

if TYPE_CHECKING:
    from assistant.retrieval.embedding import Embedder, HasSight
    from assistant.retrieval.encoding import Spread
    from assistant.retrieval.listening import HasEars

DEFAULT = "default"
FRAMES = 8  # of a clip that is searched by
MOST_TOP = 1000


@dataclass(frozen=True)
class Info:
    """What an index is and holds."""

    name: str
    uri: str
    layout: int
    space: str  # fingerprint of the joint space
    width: int  # of the vectors
    files: dict[str, int]  # by kind
    windows: dict[str, int]  # by kind
    seconds: float  # of clips
    unfinished: int  # files that a run which was stopped left
    bytes: int | None  # on this machine's disk; None: it lies elsewhere
    form: str  # "exact", or the kind of the index of vectors
    indexed: int  # windows in that

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Verified:
    """What is wrong with an index; nothing where all of these are empty."""

    files: int
    windows: int
    unfinished: tuple[str, ...]  # `add` goes on with them
    changed: tuple[str, ...]  # since they were added
    gone: tuple[str, ...]  # no longer there
    damaged: tuple[str, ...]  # windows missing or twice, or vectors that are none

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Index:
    """A named index. Nothing is opened before it is needed, and no model is loaded but to add, and
    to search by meaning."""

    def __init__(
        self,
        name: str = DEFAULT,
        *,
        uri: str | None = None,
        assistant: HasSight | None = None,
        head: Path | None = None,
    ) -> None:
        """
        Args:
            uri: a folder, or what else LanceDB speaks; None: the user's data folder.
            assistant: whose joint space is used, as ``assistant.load(now=False)`` gives it.
            head: folder of a head that `assistant finetune retrieval` trained on that space.
        Raises:
            InputError: no index can be called so.
        """
        check_name(name)
        self.name, self.uri = name, default_uri() if uri is None else uri
        self._assistant, self._head = assistant, head

    @staticmethod
    def names(uri: str | None = None) -> list[str]:
        """Of all indexes there."""
        return names_in(default_uri() if uri is None else uri)

    def add(
        self,
        paths: Sequence[str | Path],
        watch: Callable[[Outcome], None] | None = None,
        *,
        listen: HasEars | None = None,
        spread: Callable[[str], Spread] | None = None,
    ) -> Added:
        """Index files, and those in folders; the index is made where it is not there.

        What is in it unchanged is skipped, what has changed is indexed anew, and what a run that
        was stopped left is gone on with. How far it is, by bytes, is reported.

        Args:
            watch: gets each file when it is done.
            listen: an ``Assistant`` that listens to clips, too: what is heard in them, and what is
                said where there are no subtitles; also to those that are there, if nobody did.
            spread: gets the fingerprint of the joint space, and gives what has files encoded
                elsewhere; they are added in the order in which they are done.
        Raises:
            InputError: a path is not there, none holds anything, another process writes the index,
                it holds vectors of another space, or nothing here can listen.
        """
        check_paths(paths)
        if listen is not None:
            from assistant.sources.heard import check_extra

            check_extra()
        with writing(self.uri, self.name):
            names_in(self.uri)  # or says why not, before a model is loaded
            embedder = self._embedder
            store = Store.create(self.uri, self.name, embedder.fingerprint, embedder.width)
            _check_space(store, embedder)
            store.complete()
            if listen is not None:
                store.keep_heard()
            elsewhere = None if spread is None else spread(embedder.fingerprint)
            return Adding(store, embedder, watch or (lambda _: None), listen, elsewhere).run(paths)

    def remove(self, paths: Sequence[str | Path] = (), *, gone: bool = False) -> list[str]:
        """Forget files, and those that lay in folders; the files stay. Returns their paths.

        Args:
            gone: of ``paths``, or of all where there are none, those that are no longer there.
        Raises:
            InputError: there is no such index, another process writes it, or it holds none of them.
        """
        with self._store.writing():
            known = self._store.known()
            found: set[str] = set(known) if gone and not paths else set()
            for path in map(os.path.abspath, paths):
                own = under(path, known)
                if not own:
                    raise InputError(f"{path}: nothing of it is in index {self.name!r}")
                found.update(own)
            removed = sorted(file for file in found if not (gone and os.path.exists(file)))  # noqa: PTH110
            if removed:
                self._store.remove(removed)
                self._store.tidy()
        return removed

    def drop(self) -> None:
        """Forget all of it. Raises InputError: there is none, or another process writes it."""
        check_there(self.uri, self.name)
        with writing(self.uri, self.name):
            drop(self.uri, self.name)

    def search(
        self,
        query: str | Path,
        *,
        top: int = 10,
        by: str | None = None,
        kinds: Collection[str] | None = None,
        rerank: bool = False,
    ) -> list[Hit]:
        """What fits ``query`` best, best first; windows of one file that overlap are one hit.

        Args:
            query: words; or a Path: of a picture or a clip.
            by: "meaning", by the joint space; "words", what sources and dialogue say; "both", fused
                by reciprocal rank. None: both for words, meaning for a file.
            kinds: which of "clip", "image" and "text" are wanted; None: all of them for words,
                clips and images for a file.
            rerank: look at the best clips and pictures again, word by word; words are asked for.
        Raises:
            InputError: an unusable argument, no such index, or one of another space. VideoError:
                the file cannot be read.
        """
        by = by or ("meaning" if isinstance(query, Path) else "both")
        if by not in BY:
            raise InputError(f"by is {by!r}; choose one of {', '.join(BY)}")
        if kinds is None:
            kinds = KINDS[:2] if isinstance(query, Path) else KINDS
        if not kinds or not set(kinds) <= set(KINDS):
            raise InputError(f"kinds are {list(kinds)}; choose some of {', '.join(KINDS)}")
        if not 1 <= top <= MOST_TOP:
            raise InputError(f"top is {top}; choose 1 to {MOST_TOP}")
        store = self._store
        if isinstance(query, Path):
            check_file(query)
        if rerank and (isinstance(query, Path) or by == "words"):
            raise InputError(
                "reranking compares words with what is seen; ask with words, by meaning"
            )
        if by == "words" and not isinstance(query, Path):
            words = _words_of(query)
            return rank_enough(
                lambda count: {"words": store.with_words(words, count, kinds)}, top, 1.0, words
            )
        embedder = self._embedder
        if by != "words":
            _check_space(store, embedder)
        vector, words = _query(query, embedder, named=by != "meaning")
        seen, is_text = [kind for kind in kinds if kind != "text"], not isinstance(query, Path)

        def rankings(count: int) -> dict[str, list[Window]]:
            found = {}
            if by != "words" and seen:
                found["seen"] = less_usual(store.nearest(vector, count, seen), text=is_text)
            if by != "words" and "text" in kinds:
                found["text"] = less_usual(store.nearest(vector, count, ["text"]), text=is_text)
            if by != "meaning" and words:
                found["words"] = store.with_words(words, count, kinds)
            return found

        if not rerank or not seen:
            return rank_enough(rankings, top, embedder.scale, words)
        from assistant.retrieval.reranking import rerank as anew

        found = rankings(max(LEAST, CANDIDATES * top))
        found["seen"] = anew(found["seen"], words, embedder)
        return rank(found, top, embedder.scale, words)

    def info(self) -> Info:
        """What it is and holds. Raises InputError: there is none."""
        windows: Counter[str] = Counter()
        files: Counter[str] = Counter()
        seconds = 0.0
        for part in self._store.scan("kind window last end"):
            windows.update(part["kind"])
            for kind, window, last, end in zip(*(part[name] for name in part), strict=True):
                files[kind] += window == 0
                seconds += end if last and kind == "clip" else 0.0
        unfinished = sum(not one.complete for one in self._store.known().values())
        form, indexed = self._store.form()
        return Info(
            name=self.name,
            uri=self.uri,
            layout=LAYOUT,
            space=self._store.space,
            width=self._store.width,
            files=dict(files),
            windows=dict(windows),
            seconds=seconds,
            unfinished=unfinished,
            bytes=self._store.size(),
            form=form,
            indexed=indexed,
        )

    def verify(self) -> Verified:
        """Whether each window is there once, with a vector, and its file as it was."""
        known, numbers = self._store.known(), dict[str, list[int]]()
        for part in self._store.scan("file window"):
            for file, window in zip(part["file"], part["window"], strict=True):
                numbers.setdefault(file, []).append(window)
        damaged = {file for file, own in numbers.items() if sorted(own) != [*range(len(own))]}
        damaged.update(self._store.without_vectors())
        now = {file: _stamp(file) for file in known}
        return Verified(
            files=len(numbers),
            windows=sum(map(len, numbers.values())),
            unfinished=tuple(sorted(file for file in known if not known[file].complete)),
            changed=tuple(
                sorted(file for file, stamp in now.items() if stamp and stamp > known[file].mtime)
            ),
            gone=tuple(sorted(file for file, stamp in now.items() if stamp is None)),
            damaged=tuple(sorted(damaged)),
        )

    @cached_property
    def _store(self) -> Store:
        return Store.open(self.uri, self.name)

    @cached_property
    def _embedder(self) -> Embedder:
        from assistant.retrieval.embedding import Embedder  # takes seconds to import

        if self._assistant is None:
            raise InputError("this index was opened without a model; give assistant")
        return Embedder(self._assistant.sight, self._head)


def _stamp(file: str) -> int | None:
    """When it changed last, ns; None: it is not there."""
    try:
        return Path(file).stat().st_mtime_ns
    except OSError:
        return None


def _check_space(store: Store, embedder: Embedder) -> None:
    if store.space != embedder.fingerprint:
        raise InputError(
            f"index {store.name!r} in {store.uri} holds vectors of the joint space {store.space}, "
            f"and this one is {embedder.fingerprint}; name that space with --space and its head "
            "with --head, or another index with --name"
        )


def _words_of(query: str) -> str:
    words = check_text("the query", query)
    if not words:
        raise InputError("the query is empty; give words, a picture or a clip")
    return words


def _query(query: str | Path, embedder: Embedder, *, named: bool) -> tuple[Any, str]:
    """Vector ``(E,)`` and words of a query; ``named``: whether those of a file are wanted."""
    from assistant.retrieval.embedding import Item

    if not isinstance(query, Path):
        words = _words_of(query)
        return embedder.vectors([Item(text=words)])[0], words
    from assistant.media.video import read_clip

    clip = read_clip(query, frames=FRAMES, max_side=embedder.side)
    seen = embedder.see(clip.frames, clip.seconds)
    told = ", ".join(embedder.words(seen)) if named else ""
    return embedder.vectors([Item(seen.frames)])[0], told
