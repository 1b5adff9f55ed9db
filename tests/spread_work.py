"""What workers of the tests do; they import it in processes of their own."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # torch takes a worker's seconds
    from assistant.retrieval.encoding import Encoded, Task
    from assistant.vqa.batch import Part, Records

ALWAYS, ONCE = "always", "once"  # items that kill their worker


def die_once(mark: Path) -> None:
    """``mark`` is left, so that the next one lives."""
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def doing(folder: Path) -> Callable[[str], tuple[str, str, int]]:
    """Notes in ``folder`` what is begun, a line for each time."""
    return partial(_do, folder)


def _do(folder: Path, item: str) -> tuple[str, str, int]:
    with (folder / "begun").open("a") as file:
        file.write(item + "\n")
    if item == ALWAYS:
        os.kill(os.getpid(), signal.SIGKILL)
    if item == ONCE:
        die_once(folder / item)
    return item, os.environ["ASSISTANT_OF_TEST"], int(os.environ["OMP_NUM_THREADS"])


def encoding(mark: Path, space: str) -> Callable[[Task], Encoded]:
    """Killed once, when it has encoded a file whose rows are not sent yet."""
    from retrieval_sight import tiny_sight

    from assistant.retrieval.embedding import Embedder
    from assistant.retrieval.encoding import Encoding

    encode = Encoding(Embedder(tiny_sight()), None, space)

    def work(task: Task) -> Encoded:
        encoded = encode(task)
        if task.file.path.endswith("film.mp4"):
            die_once(mark)
        return encoded

    return work


def answering(folder: Path) -> Callable[[Part], Records]:
    """A scripted model."""
    from fakes import ScriptedModel

    from assistant.model.features import FeatureStore
    from assistant.vqa.assistants import Assistant
    from assistant.vqa.batch import Answering, Options

    return Answering(Assistant(ScriptedModel(), FeatureStore(folder / "features")), Options(2))
