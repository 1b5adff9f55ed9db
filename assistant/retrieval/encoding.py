"""Files encoded elsewhere than where the index is written: one process appends what many send."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assistant.core.shortage import shortage_of
from assistant.errors import AssistantError, DialogueError, InputError, VideoError
from assistant.media.files import File
from assistant.retrieval.rows import Row

if TYPE_CHECKING:
    from assistant.retrieval.embedding import Embedder
    from assistant.retrieval.listening import HasEars


@dataclass(frozen=True)
class Task:
    """A file, from one of its windows on."""

    file: File
    first: int = 0


@dataclass(frozen=True, eq=False)
class Encoded:
    """What came of a task."""

    task: Task
    rows: tuple[Row, ...] = ()  # those before a fault, too
    unheard: str = ""  # why it was not listened to
    fault: str = ""


Spread = Callable[[Sequence[Task]], Iterator[Encoded]]
"""Has each task done by an `Encoding`, and gives what comes of it, in any order."""


class Encoding:
    """Encodes files; no index is opened."""

    def __init__(self, embedder: Embedder, ears: HasEars | None, space: str) -> None:
        """
        Args:
            ears: what listens to clips, too.
            space: fingerprint of the joint space that the index is of.
        Raises:
            InputError: ``embedder`` has another.
        """
        if embedder.fingerprint != space:
            raise InputError(
                f"a worker's joint space is {embedder.fingerprint}, and that of the process which "
                f"writes the index is {space}; give all machines the same weights"
            )
        from assistant.media.reader import Reader

        self._embedder, self._ears, self._reader = embedder, ears, Reader()

    def __call__(self, task: Task) -> Encoded:
        """Raises AssistantError: all files will meet it."""
        from assistant.retrieval.listening import listened
        from assistant.retrieval.windows import open_file, rows_of

        file, rows, unheard = task.file, list[Row](), ""
        try:
            opened = open_file(file, self._embedder.side, self._reader)
            heard = listened(opened.clip, opened.lines, self._ears)
            unheard = "" if heard is None else heard.fault
            for some in rows_of(file, opened, self._embedder, task.first, heard):
                rows += some
        except Exception as error:
            return Encoded(task, tuple(rows), unheard, fault_of(error, file.path))
        return Encoded(task, tuple(rows), unheard)


def fault_of(error: Exception, path: str) -> str:
    """What is wrong with a file. What is wrong with all of them is raised again."""
    if isinstance(error, VideoError | DialogueError):
        return str(error).removeprefix(f"{path}: ")
    if isinstance(error, AssistantError):
        raise error
    return shortage_of(error) or f"internal error ({type(error).__name__}: {error})"
