"""Many questions from a JSONL file: one model, each clip decoded once, several of its questions
answered at once, resumable.

``read_questions`` checks the whole input first, as training data are checked; ``answer_all`` works
through what is not answered yet, clip by clip, here or spread over workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assistant.core.jsonl import WrongLine, check_keys, refusal, scan_records
from assistant.core.results import Results
from assistant.core.shortage import shortage_of
from assistant.data.items import OPTIONAL as OF_TRAINING
from assistant.data.items import check_asked, data_file
from assistant.dialogue.subtitles import Dialogue
from assistant.errors import AssistantError, InputError, VideoLimitError
from assistant.tasks.store import find_adapter, find_task
from assistant.vqa.answer import AT_ONCE, answer_together

if TYPE_CHECKING:
    from assistant.vqa.answer import Answer
    from assistant.vqa.assistants import Assistant
    from assistant.vqa.session import Session

REQUIRED = ("id", "video", "question")
OPTIONAL = ("dialogue", "start", "end", "task", "choices")
UNREAD = ("answer", *(key for key in OF_TRAINING if key not in OPTIONAL))  # of training data


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
    transcribe: str = "auto"
    without: tuple[str, ...] = ()  # parts of the model
    head: str | None = None  # a recogniser of actions


def read_questions(path: Path, model: str = "mini") -> list[Question | WrongLine]:
    """Every line of ``path``, a file or a folder with ``data.jsonl``; a relative video lies beside
    it, else in the working directory.

    Args:
        model: whose adapters' tasks a question may name.
    Raises:
        InputError: the file cannot be read, no line is right, or one that is wrong has no id of its
            own, so that no record could tell of it: all that are wrong are named.
    """
    path = data_file(path)
    questions, wrong = scan_records(
        path, lambda data: _question(data, path.parent, model), unit="question"
    )
    if not questions or any(line.id is None for line in wrong):
        raise refusal(path, "nothing was asked", wrong)
    return [*wrong, *questions]


Part = Sequence[Question]
"""Questions about one clip that are answered together."""

Records = list[dict[str, Any]]


def answer_all(
    assistant: Assistant,
    questions: Sequence[Question | WrongLine],
    results: Results,
    options: Options = Options(),
    spread: Callable[[Sequence[Part]], Iterator[Records]] | None = None,
) -> Iterator[dict[str, Any]]:
    """Ask what ``results`` lacks, clip by clip, some questions of a clip at a time; write and
    yield one record per question.

    A wrong line, or a question that fails, gives ``{"id", "error"}``, and the rest goes on.

    Args:
        spread: has each part answered by an `Answering` elsewhere, and gives its records, in any
            order; None: ``assistant`` answers, one part after another.
    Raises:
        ConfigError: the task in ``options``. InputError: the results cannot be written.
    """
    find_task(options.task, assistant.name)
    if options.adapter not in ("auto", "none"):
        find_adapter(options.adapter, assistant.name)
    clips: dict[Path | None, list[Question]] = {}
    for question in questions:
        if question.id in results.done:
            continue
        if isinstance(question, WrongLine):
            record = {"id": question.id, "error": question.fault}
            results.write(record)
            yield record
        else:
            clips.setdefault(question.video, []).append(question)
    parts = [
        group[first : first + AT_ONCE]
        for group in clips.values()
        for first in range(0, len(group), AT_ONCE)
    ]
    if parts and spread is None:
        assistant.load()
    for records in (spread or partial(map, Answering(assistant, options)))(parts):
        results.write(*records)  # answered together, now and after a stop
        yield from records


class Answering:
    """Answers parts; the clip of the last one stays open."""

    def __init__(self, assistant: Assistant, options: Options) -> None:
        self._assistant, self._options = assistant, options
        self._path: Path | None = None
        self._clip = _Clip(assistant, options)

    def __call__(self, part: Part) -> Records:
        if part[0].video != self._path:
            self._path, self._clip = part[0].video, _Clip(self._assistant, self._options)
        told = zip(part, self._clip.answer(part), strict=True)
        return [{"id": question.id, **rest} for question, rest in told]


class _Clip:
    """A clip whose questions are answered side by side, each as the first about it."""

    def __init__(self, assistant: Assistant, options: Options) -> None:
        self._assistant, self._options = assistant, options
        self._session: Session | None = None
        self._stuck: str | None = None  # a clip that took all its time once is not tried again

    def answer(self, questions: Sequence[Question]) -> list[dict[str, Any]]:
        """What the record of each says: an answer, or an error."""
        begun = [self._begin(question) for question in questions]
        answers = [one for one in begun if not isinstance(one, str) and one.query.model]
        if len(answers) > 1:
            try:
                answer_together(answers)
            except Exception:  # of one of them: each is asked alone, and says what it meets
                begun = [self._begin(question) for question in questions]
        return [_told(one) for one in begun]

    def _begin(self, question: Question) -> Answer | str:
        """The answer, not begun; or why there is none."""
        if self._stuck is not None:
            return self._stuck
        try:
            if self._session is None or question.video is None:
                self._session = self._open(question)
            return self._ask(self._session, question)
        except VideoLimitError as error:
            self._stuck = str(error)
            return self._stuck
        except Exception as error:
            return _failure(error)

    def _open(self, question: Question) -> Session:
        alone = question.video is None
        return self._assistant.open(
            question.video,
            frames=self._options.frames,
            decoder=self._options.decoder,
            dialogue=question.dialogue if alone else None,
            transcribe="no" if alone else self._options.transcribe,
            without=self._options.without,
            head=self._options.head,
        )

    def _ask(self, session: Session, question: Question) -> Answer:
        session.clear()
        return session.ask(
            question.question,
            task=question.task or self._options.task,
            adapter=self._options.adapter,
            choices=question.choices,
            start=question.start,
            end=question.end,
            dialogue=question.dialogue,
            max_new_tokens=self._options.max_new_tokens,
        )


def _told(answer: Answer | str) -> dict[str, Any]:
    """The rest of a record."""
    if isinstance(answer, str):
        return {"error": answer}
    try:
        return answer.as_dict()
    except Exception as error:
        return {"error": _failure(error)}


def _failure(error: Exception) -> str:
    """For a record: a fault of ours is no reason to stop the other clips."""
    if isinstance(error, AssistantError):
        return str(error)
    return shortage_of(error) or f"internal error ({type(error).__name__}: {error})"


def _question(data: dict[str, Any], folder: Path, model: str) -> Question:
    """One line, checked. Raises AssistantError saying what is wrong with it."""
    check_keys(data, REQUIRED, OPTIONAL, UNREAD)
    task = data.get("task")
    if task is not None:
        if not isinstance(task, str):
            raise InputError(f"task is {task!r}; give a name")
        find_task(task, model)
    asked = check_asked(data, folder)
    if asked["video"] is None and asked["dialogue"] is None:
        raise InputError("video is null, and there is no dialogue; give one of them")
    return Question(id=data["id"], task=task, **asked)
