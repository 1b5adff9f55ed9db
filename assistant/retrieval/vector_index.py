"""An index of the vectors of a LanceDB table. Exact search reads every vector: some 10 ms for each
thousand windows.

IVF_RQ: partitions by k-means, and in them RaBitQ codes (Gao and Long, SIGMOD 2024), a bit for each
number of a vector. What seems nearest by these is compared again by whole vectors, so that
similarities stay exact cosines. Why this form, and these settings: ``benchmarks/search_scale.py``.

LanceDB puts what was added later into a part of its own, and each part is searched: after some, or
once there is much more than there was, all of it is made anew.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

COLUMN = "vector"
MANY = 10_000  # windows from which on an index pays
FRESH = 1_000  # windows that are searched exactly, before they enter it
GROWN = 2  # times as many windows as when it was made
MOST_PARTS, MOST_PIECES = 16, 64  # of the index, and of the table
PROBED = 20  # partitions looked into
REFINED = 3  # times as many windows as are wanted are compared again


def index_of(table: Any) -> Any | None:
    """LanceDB's description of it; None: every search is exact."""
    return next((one for one in table.list_indices() if COLUMN in one.columns), None)


def tuned(query: Any) -> Any:
    """A search that finds nearly all that an exact one does, and as many under a filter."""
    # 0: no limit, where the first partitions hold too few of the kinds that are wanted
    query = query.minimum_nprobes(PROBED).maximum_nprobes(0)
    return query.refine_factor(REFINED)


def tidy(table: Any, kept: timedelta) -> None:
    """Small pieces become large ones, new rows enter the indexes, versions older than ``kept``
    leave; the index of vectors is made where it is due."""
    index, rows = index_of(table), table.count_rows()
    if index is None or index.num_segments > MOST_PARTS or rows >= GROWN * _made_of(index):
        if index is not None:
            table.drop_index(index.name)  # pieces that it holds apart would never be one
        table.optimize(cleanup_older_than=kept)
        if rows >= MANY:
            _make(table, rows)
    elif rows - index.num_indexed_rows >= FRESH or _pieces(table) >= MOST_PIECES:
        table.optimize(cleanup_older_than=kept)


def _make(table: Any, rows: int) -> None:
    from lancedb.index import IvfFlat, IvfRq

    form = IvfFlat if table.schema.field(COLUMN).type.list_size % 8 else IvfRq  # bits fill bytes
    # The name tells how many rows its partitions were made of: LanceDB does not.
    table.create_index(COLUMN, config=form(distance_type="dot"), name=f"{COLUMN}_{rows}")


def _made_of(index: Any) -> int:
    made_of = index.name.rpartition("_")[2]
    return int(made_of) if made_of.isdecimal() else 0


def _pieces(table: Any) -> int:
    return int(table.stats()["fragment_stats"]["num_fragments"])
