"""New clips in folders, looked through for what is said in words, each once.

A record is appended for each clip and query, so that whoever starts again goes on, and says by the
clip's own size and time whether it was looked through as it is now.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from assistant.core.results import Results
from assistant.errors import AssistantError
from assistant.media.files import CLIPS, Failed, File, find_files
from assistant.timeline.making import Looks, maker_of
from assistant.timeline.types import Moment, Query

Record = dict[str, Any]


class Watch:
    """What is looked for, and where."""

    def __init__(
        self,
        assistant: Looks,
        folders: Sequence[Path],
        queries: Sequence[str],
        results: Results,
    ) -> None:
        """``queries``: checked (`assistant.timeline.moments.check_query`); ``results``: open."""
        self._assistant, self._folders, self._queries = assistant, folders, queries
        self._results = results
        self._last: dict[str, tuple[int, int]] = {}  # size and time at the last round

    def round(self, failed: Failed, *, settled: bool = True) -> Iterator[Record]:
        """Look through each clip that is new or has changed; yields its records once written.

        Args:
            failed: gets a folder that cannot be read, and why.
            settled: pass over what has changed since the round before: it may still be written.
        """
        now: dict[str, tuple[int, int]] = {}
        for file in find_files(self._folders, failed):
            if Path(file.path).suffix.lower() not in CLIPS:
                continue
            now[file.path] = (file.size, file.mtime)
            if settled and self._last.get(file.path) != now[file.path]:
                continue
            new = [q for q in self._queries if _id(file, q) not in self._results.done]
            if new:
                records = self._records(file, new)
                self._results.write(*records)
                yield from records
        self._last = now

    def _records(self, file: File, queries: Sequence[str]) -> list[Record]:
        looked = datetime.now(UTC).isoformat(timespec="seconds")
        about = {q: {"id": _id(file, q), "video": file.path, "query": q} for q in queries}
        try:
            maker = maker_of(file.path, self._assistant)
            groups = maker.groups()
            ranges = maker.ranges(groups)
            found = [maker.find(query, groups, ranges) for query in queries]
        except AssistantError as error:
            fault = {"error": str(error).removeprefix(f"{file.path}: "), "looked": looked}
            return [about[query] | fault for query in queries]
        return [about[one.text] | _told(one) | {"looked": looked} for one in found]


def _told(query: Query) -> Record:
    return {
        "answer": ", ".join(map(_range, query.moments)) or "does not appear",
        "appears": query.appears,
        "moments": [one.as_dict() for one in query.moments],
        "likeliest": query.best.as_dict(),
        "threshold": query.threshold,
        "sure": query.sure,
        "score_kind": query.score_kind,
        "calibrated": query.calibrated,
    }


def _id(file: File, query: str) -> str:
    return f"{file.path} {file.size} {file.mtime} {query}"


def _range(one: Moment) -> str:
    return f"{one.start:.1f}-{one.end:.1f} s"
