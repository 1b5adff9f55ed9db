"""Many questions from a JSONL file: one model, each clip decoded once, resumable.

``read_questions`` checks the whole input first; ``answer_all`` works through what is not answered
yet, clip by clip.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assistant.errors import AssistantError, InputError, VideoLimitError
from assistant.records import check_keys, in_seconds, lies_beside, read_records, text
from assistant.results import Results
from assistant.subtitles import Dialogue, parse_dialogue
from assistant.tasks.base import check_choices, check_range, find_task

if TYPE_CHECKING:
    from assistant.session import Assistant, Session

__all__ = ["Options", "Question", "answer_all", "read_questions"]

REQUIRED = ("id", "video", "question")
OPTIONAL = ("dialogue", "start", "end", "task", "choices")


@dataclass(frozen=True)
class Question:
    """One checked line of the input."""

    id: str | int
    video: Path | None  # None: it is about its dialogue alone
    question: str
    dialogue: Dialogue | None = None
    start: float | None = None  # seconds
    end: float | None = None
    task: str | None = None
    choices: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Options:
    """What holds for every question that does not say otherwise."""

    frames: int = 8
    decoder: str = "auto"
    task: str = "auto"
    adapter: str = "auto"
    max_new_tokens: int | None = None
    transcribe: bool = False
    without: tuple[str, ...] = ()  # parts of the model


def read_questions(path: Path, model: str = "mini") -> list[Question]:
    """Every question in ``path``; a relative video lies beside it, else in the working directory.

    Args:
        model: whose adapters' tasks a question may name.
    Raises:
        InputError: the file cannot be read, or some lines are wrong: all of them are named.
    """
    return read_records(
        path,
        lambda data: _question(data, path.parent, model),
        unit="question",
        outcome="nothing was asked",
    )


def answer_all(
    assistant: Assistant,
    questions: Sequence[Question],
    results: Results,
    options: Options = Options(),
) -> Iterator[dict[str, Any]]:
    """Ask what ``results`` lacks, clip by clip; write and yield one record per question.

    A question that fails gives ``{"id", "error"}``, and the rest goes on.

    Raises:
        ConfigError: the task in ``options``. InputError: the results cannot be written.
    """
    find_task(options.task, assistant.name)
    clips: dict[Path | None, list[Question]] = {}
    for question in questions:
        if question.id not in results.done:
            clips.setdefault(question.video, []).append(question)
    for group in clips.values():
        session: Session | None = None
        stuck: str | None = None  # a clip that took all its time once is not tried again
        for question in group:
            record: dict[str, Any] = {"id": question.id}
            try:
                if stuck is not None:
                    raise VideoLimitError(stuck)
                if session is None or question.video is None:
                    session = _open(assistant, question, options)
                record |= _ask(session, question, options)
            except VideoLimitError as error:
                stuck = str(error)
                record["error"] = stuck
            except AssistantError as error:
                record["error"] = str(error)
            except Exception as error:  # ours, but no reason to stop the other clips
                record["error"] = f"internal error ({type(error).__name__}: {error})"
            results.write(record)
            yield record


def _open(assistant: Assistant, question: Question, options: Options) -> Session:
    alone = question.video is None
    return assistant.open(
        question.video,
        frames=options.frames,
        decoder=options.decoder,
        dialogue=question.dialogue if alone else None,
        transcribe=options.transcribe and not alone,
        without=options.without,
    )


def _ask(session: Session, question: Question, options: Options) -> dict[str, Any]:
    session.clear()
    answer = session.ask(
        question.question,
        task=question.task or options.task,
        adapter=options.adapter,
        choices=question.choices,
        start=question.start,
        end=question.end,
        dialogue=question.dialogue,
        max_new_tokens=options.max_new_tokens,
    )
    return answer.as_dict()


def _question(data: dict[str, Any], folder: Path, model: str) -> Question:
    """One line, checked. Raises AssistantError saying what is wrong with it."""
    check_keys(data, REQUIRED, OPTIONAL)
    video = None if data["video"] is None else text(data, "video")
    question = text(data, "question")
    task = data.get("task")
    if task is not None:
        if not isinstance(task, str):
            raise InputError(f"task is {task!r}; give a name")
        find_task(task, model)
    dialogue = None if data.get("dialogue") is None else parse_dialogue(data["dialogue"])
    start, end = (in_seconds(data, key) for key in ("start", "end"))
    check_range(start, end)
    if video is None and not dialogue:
        raise InputError("video is null, and there is no dialogue; give one of them")
    if video is None and (start, end) != (None, None):
        raise InputError("video is null; then start and end are a part of nothing, leave them out")
    return Question(
        id=data["id"],
        video=None if video is None else lies_beside(video, folder),
        question=question,
        dialogue=dialogue,
        start=start,
        end=end,
        task=task,
        choices=check_choices(data.get("choices")),
    )
