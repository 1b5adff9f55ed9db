"""Where an index lies: a LanceDB table. Only `vector_index` knows LanceDB, too.

A row is a window. Rows of a file are appended in the order of its windows, each append whole or not
at all, and its last row is marked: so a file is known to be complete, and one that a killed run
left is gone on with. Layout and joint space stand in the table's schema.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assistant.core.resources import user_dir
from assistant.core.results import held_alone
from assistant.core.shortage import shortage_of
from assistant.errors import InputError
from assistant.retrieval import vector_index
from assistant.retrieval.rows import KINDS, Known, Row, Window

if TYPE_CHECKING:
    import numpy as np

HEARD = "heard"  # a column of indexes whose clips were listened to
LAYOUT = 2  # of the columns and of what is in them: windows, words, what is usual
EXTRA = "pip install 'video-assistant[search]'"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
KEPT = timedelta(minutes=10)  # versions of before, for who reads while it is written
ROUNDED = 1e-3  # that the length of a vector may be off
AT_ONCE = 4096  # rows read at once
MOST_NAMED = 500  # files in one condition
_LAYOUT, _SPACE = b"assistant.layout", b"assistant.space"  # keys of the schema


def default_uri() -> str:
    """Where indexes lie unless one says otherwise."""
    return str(user_dir() / "index")


def names_in(uri: str) -> list[str]:
    """Names of the indexes. Raises InputError: they cannot be reached."""
    local = _folder(uri)
    if local is not None and not local.is_dir():
        return []
    with _told(uri):
        database, names, page = _connect(uri), [], None
        while True:
            listed = database.list_tables(page_token=page)
            names += listed.tables
            page = listed.page_token
            if not page:
                return sorted(names)


class Store:
    """One index."""

    def __init__(self, uri: str, name: str, table: Any) -> None:
        self.uri, self.name, self._table = uri, name, table
        told = table.schema.metadata or {}
        layout = told.get(_LAYOUT, b"none").decode()
        if layout != str(LAYOUT):
            raise InputError(
                f"index {name!r} in {uri} has layout {layout}, and {LAYOUT} is read here; "
                "add the files to one with another --name, or forget this one with "
                f"`assistant index remove --all --name {name}` and add them anew"
            )
        self.space = told[_SPACE].decode()
        self.width: int = table.schema.field("vector").type.list_size

    @classmethod
    def open(cls, uri: str, name: str) -> Store:
        """Raises InputError: there is none, or it cannot be read here."""
        check_there(uri, name)
        with _told(uri):
            return cls(uri, name, _connect(uri).open_table(name))

    @classmethod
    def create(cls, uri: str, name: str, space: str, width: int) -> Store:
        """The index, made where it is not there yet. Raises InputError: it cannot be."""
        check_name(name)
        if name in names_in(uri):
            return cls.open(uri, name)
        import pyarrow as pa

        columns = {
            "file": pa.string(),
            "kind": pa.string(),
            "window": pa.int32(),
            "last": pa.bool_(),
            "start": pa.float64(),
            "end": pa.float64(),
            "text": pa.string(),
            "vector": pa.list_(pa.float32(), width),
            "size": pa.int64(),
            "mtime": pa.int64(),
            "usual": pa.float32(),
        }
        told = {_LAYOUT: str(LAYOUT).encode(), _SPACE: space.encode()}
        with _told(uri):
            if (local := _folder(uri)) is not None:
                local.mkdir(parents=True, exist_ok=True)
            table = _connect(uri).create_table(name, schema=pa.schema(columns, metadata=told))
            return cls(uri, name, table)

    def complete(self) -> None:
        """Make the indexes of words and files where they are not there: a run may have been killed
        between making the table and these."""
        from lancedb.index import FTS, Bitmap, BTree

        with _told(self.uri):
            there = {index.columns[0] for index in self._table.list_indices()}
            for column, config in (("text", FTS()), ("file", BTree()), ("kind", Bitmap())):
                if column not in there:
                    self._table.create_index(column, config=config)

    def writing(self) -> AbstractContextManager[None]:
        """This process alone writes. Raises InputError: another one does."""
        return writing(self.uri, self.name)

    def known(self) -> dict[str, Known]:
        """Every file that there are rows of."""
        found: dict[str, Known] = {}
        told = [HEARD] if self.keeps_heard else []
        for part in self.scan(" ".join(["file size mtime last", *told]), "window = 0 OR last"):
            rows = zip(*(part[name] for name in part), strict=True)
            for file, size, mtime, last, *heard in rows:
                complete = last or (file in found and found[file].complete)
                found[file] = Known(size, mtime, complete, any(heard))
        return found

    @property
    def keeps_heard(self) -> bool:
        """Whether it is told of each file if somebody listened to it."""
        return HEARD in self._table.schema.names

    def keep_heard(self) -> None:
        """From now on; to those that are there nobody did."""
        if not self.keeps_heard:
            with _told(self.uri):
                self._table.add_columns({HEARD: "cast(false as boolean)"})

    def windows_of(self, file: str) -> int:
        """How many are there."""
        with _told(self.uri):
            return self._table.count_rows(f"file = {_quoted(file)}")

    def append(self, rows: Sequence[Row]) -> None:
        """All of them, or none."""
        import numpy as np
        import pyarrow as pa

        schema = self._table.schema
        columns: dict[str, Any] = {
            name: [getattr(row, name) for row in rows] for name in schema.names if name != "vector"
        }
        flat = np.concatenate([row.vector for row in rows]).astype(np.float32)
        columns["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(flat), self.width)
        with _told(self.uri):
            self._table.add(pa.table(columns, schema=schema))

    def remove(self, files: Collection[str]) -> None:
        """All rows of these files."""
        names = sorted(files)
        for first in range(0, len(names), MOST_NAMED):
            some = ", ".join(map(_quoted, names[first : first + MOST_NAMED]))
            with _told(self.uri):
                self._table.delete(f"file IN ({some})")

    def tidy(self) -> None:
        """After rows came or went; the index of vectors is made where there are many."""
        with _told(self.uri):
            vector_index.tidy(self._table, KEPT)

    def form(self) -> tuple[str, int]:
        """How vectors are searched, "exact" or the kind of their index, and how many windows that
        holds; those added since are searched exactly."""
        with _told(self.uri):
            index = vector_index.index_of(self._table)
        return ("exact", 0) if index is None else (index.index_type, index.num_indexed_rows)

    def nearest(self, vector: np.ndarray, count: int, kinds: Collection[str]) -> list[Window]:
        """The windows most like ``(E,)``, by cosine; nearly all of them where there are many."""
        with _told(self.uri):
            query = self._table.search(vector, query_type="vector").distance_type("dot")
            query = vector_index.tuned(query)
            return self._windows(query, "_distance", count, kinds, lambda far: 1.0 - far)

    def with_words(self, text: str, count: int, kinds: Collection[str]) -> list[Window]:
        """The windows whose words are those of ``text``, by BM25; any of them will do."""
        with _told(self.uri):
            query = self._table.search(text, query_type="fts", fts_columns="text")
            return self._windows(query, "_score", count, kinds, float)

    def _windows(
        self, query: Any, column: str, count: int, kinds: Collection[str], score: Any
    ) -> list[Window]:
        columns = ["file", "kind", "window", "start", "end", "text", "usual", column]
        # Passing a million windows costs more than the search: not where none are others.
        if self._table.count_rows(_of_kinds(set(KINDS) - set(kinds))):
            query = query.where(_of_kinds(kinds), prefilter=True)
        found = query.select(columns).limit(count)
        return [
            Window(
                row["file"],
                row["kind"],
                row["window"],
                row["start"],
                row["end"],
                row["text"],
                score(row[column]),
                usual=row["usual"],
            )
            for row in found.to_list()
        ]

    def scan(self, columns: str, where: str | None = None) -> Iterator[dict[str, list[Any]]]:
        """Some rows at a time: ``columns``, parted by spaces, as lists."""
        return (batch.to_pydict() for batch in self._batches(columns, where))

    def _batches(self, columns: str, where: str | None) -> Iterator[Any]:
        with _told(self.uri):
            query = self._table.search().select(columns.split())
            query = query if where is None else query.where(where)
            yield from query.limit(self._table.count_rows() or 1).to_batches(AT_ONCE)

    def without_vectors(self) -> set[str]:
        """Files that have a vector whose length is not 1."""
        import numpy as np

        found: set[str] = set()
        for batch in self._batches("file vector", None):
            flat = batch.column("vector").flatten().to_numpy(zero_copy_only=False)
            lengths = np.linalg.norm(flat.reshape(-1, self.width), axis=1)
            files = batch.column("file").to_pylist()
            found.update(files[n] for n in np.flatnonzero(~(np.abs(lengths - 1) < ROUNDED)))
        return found

    def size(self) -> int | None:
        """Bytes on this machine's disk; None: it lies elsewhere."""
        local = _folder(self.uri)
        if local is None:
            return None
        return sum(one.stat().st_size for one in local.glob(f"{self.name}.lance/**/*"))


def drop(uri: str, name: str) -> None:
    """All of an index, also of one that cannot be read here. Raises InputError: there is none."""
    check_there(uri, name)
    with _told(uri):
        _connect(uri).drop_table(name)


@contextmanager
def writing(uri: str, name: str) -> Iterator[None]:
    """This process alone writes the index ``name``. Raises InputError: another one does."""
    local = _folder(uri)
    digest = hashlib.sha256(uri.encode()).hexdigest()[:16]
    folder = user_dir() / "locks" / digest if local is None else local
    with _told(uri):
        folder.mkdir(parents=True, exist_ok=True)
    told = f"index {name!r} in {uri}: another process is writing it; run this again when it is done"
    with held_alone(folder / f".{name}.lock", told):
        yield


def check_there(uri: str, name: str) -> None:
    """Raises InputError: there is no such index."""
    check_name(name)
    there = names_in(uri)
    if name not in there:
        which = f"there are {', '.join(there)}" if there else "none is there yet"
        raise InputError(
            f"there is no index {name!r} in {uri} ({which}); `assistant index add` makes one"
        )


def check_name(name: str) -> None:
    """Raises InputError: no index can be called so."""
    if not NAME.fullmatch(name):
        raise InputError(f"index name {name!r:.80}; give up to 64 letters, digits, '-', '_', '.'")


def _folder(uri: str) -> Path | None:
    """The folder of an index on this machine; None: it lies elsewhere."""
    if uri.startswith("file://"):
        return Path(uri.removeprefix("file://"))
    return None if "://" in uri else Path(uri).expanduser().absolute()


def _connect(uri: str) -> Any:
    os.environ.setdefault("LANCEDB_LOG", "error")  # it warns on stderr of partitions left empty
    try:
        import lancedb
    except ImportError as error:
        raise InputError(f"searching needs the 'search' extra ({error}): {EXTRA}") from error
    local = _folder(uri)
    # What others write is seen at once, however long an index stays open.
    return lancedb.connect(local or uri, read_consistency_interval=timedelta(0))


def _of_kinds(kinds: Collection[str]) -> str:
    return f"kind IN ({', '.join(map(_quoted, sorted(kinds)))})" if kinds else "false"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@contextmanager
def _told(uri: str) -> Iterator[None]:
    """What LanceDB meets, in one line. Raises InputError."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        if shortage_of(error):
            raise
        what = next(iter(str(error).splitlines()), type(error).__name__)[:160]
        raise InputError(f"{uri}: the index cannot be used ({what}); check --index") from error
