"""One clip or dialogue, one conversation: decode and encode once, ask many times."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assistant.core.checks import check_choices, check_question, check_range
from assistant.dialogue.spoken import DialogueLike, Range, Spoken, as_dialogue, cut
from assistant.dialogue.subtitles import Dialogue
from assistant.errors import InputError
from assistant.model.features import ClipFeatures, FeatureStore
from assistant.sources import SOURCES
from assistant.tasks.prompts import TaskPrompt, list_prompts
from assistant.tasks.recipes import Calibration, Recipe
from assistant.tasks.store import adapter_folders, adapter_prompt, find_adapter
from assistant.vqa.answer import Answer, Basis, answer_together
from assistant.vqa.answering import Query
from assistant.vqa.clip import SessionClip
from assistant.vqa.conversation import Conversation, time_range, without_time
from assistant.vqa.request import compose, find_task
from assistant.vqa.task_choice import choose_task

if TYPE_CHECKING:
    import numpy as np

    from assistant.model.assistant import VideoAssistant

__all__ = ["Assistant", "Session"]

ANY_LENGTH = 1e7  # seconds: a clip so long that every time in a question lies within it
NO_PART = "start and end are a part of a clip, and there is no clip; leave them out"
TEXT_ALONE = "{task} was trained on text alone and does not see the pictures"
NO_ADAPTER = (
    "no adapter for {task} is there: the base weights answer, which never learned it "
    "(`assistant finetune {task}` makes one)"
)
BASE_TASKS = ("chat", "describe")  # what the base weights were pretrained on


@dataclass(frozen=True)
class LoadedAdapter:
    """An adapter in memory."""

    name: str
    key: str  # its name in the model
    recipe: Recipe


class Assistant:
    """A loaded model, ready to open clips."""

    def __init__(self, model: VideoAssistant, store: FeatureStore | None = None) -> None:
        self.model = model
        self.store = store or FeatureStore()

    @property
    def name(self) -> str:
        return self.model.name

    def adapter(self, name: str | Path, task: str) -> LoadedAdapter | None:
        """The adapter ``name`` in memory; "auto" is that of ``task``, if there is one.

        Raises:
            InputError: there is none. WeightsError: it belongs to another base, or is damaged.
        """
        if name == "none":
            return None
        if name == "auto":
            if task not in adapter_folders(self.name):
                return None
            name = task
        stored = find_adapter(name, self.name)
        key = self.model.load_adapter(stored.folder, stored.recipe)
        return LoadedAdapter(stored.name, key, stored.recipe)

    def open(
        self,
        path: str | Path | None = None,
        *,
        frames: int = 8,
        start: float | None = None,
        end: float | None = None,
        decoder: str = "auto",
        dialogue: DialogueLike | None = None,
        transcribe: bool = False,
        without: Collection[str] = (),
    ) -> Session:
        """A conversation about the clip (or picture) at ``path``; decoding waits for the first use.

        Args:
            path: None: there is no clip, and ``dialogue`` is what it is about.
            frames: how many are looked at, spread evenly over the range.
            start, end: the range looked at unless a question says otherwise, seconds.
            decoder: "auto", "pyav" or "decord".
            dialogue: a Path is read; text and turns are taken as they are. None: subtitles beside
                or inside the clip.
            transcribe: listen to the clip instead (needs the ``speech`` extra).
            without: sources to leave out, of ``assistant.sources.SOURCES``.
        Raises:
            InputError: an argument out of its range, or neither a clip nor a dialogue.
            VideoError: no such file. DialogueError: unreadable dialogue.
        """
        return Session(
            self,
            None if path is None else Path(path),
            frames=frames,
            start=start,
            end=end,
            decoder=decoder,
            dialogue=dialogue,
            transcribe=transcribe,
            without=without,
        )


class Session:
    """One clip or dialogue, one conversation. Made by ``Assistant.open``."""

    def __init__(
        self,
        assistant: Assistant,
        path: Path | None,
        *,
        frames: int,
        start: float | None,
        end: float | None,
        decoder: str,
        dialogue: DialogueLike | None,
        transcribe: bool,
        without: Collection[str],
    ) -> None:
        for part in without:
            if part not in SOURCES:
                raise InputError(f"without {part!r}: choose some of {', '.join(SOURCES)}")
        check_range(start, end)
        if path is None and (start, end) != (None, None):
            raise InputError(NO_PART)
        self.conversation = Conversation()
        self._assistant = assistant
        self._range = (start, end)
        self._clip = SessionClip(path, frames, decoder, assistant.model, assistant.store)
        self._spoken = Spoken(path, dialogue, transcribe)
        self._without = frozenset(without)

    @property
    def path(self) -> Path | None:
        """Of the clip; None: there is none."""
        return self._clip.path

    @property
    def dialogue(self) -> Dialogue:
        """What is said in the session's range: given, heard, beside the clip, or inside it."""
        return self._spoken.within(self._range)

    @property
    def duration(self) -> float:
        """Seconds of the whole clip. Raises InputError: there is none."""
        return self._clip.duration

    def look(self, start: float | None = None, end: float | None = None) -> ClipFeatures:
        """What the encoder sees in the range (seconds; None: the session's own); computed once.

        Raises:
            InputError: an empty range, or there is no clip. VideoError: nothing could be decoded.
        """
        if start is None and end is None:
            start, end = self._range
        return self._clip.look((start, end))

    def pictures(self, answer: Answer, max_side: int = 192) -> np.ndarray:
        """The frames that ``answer`` looked at, ``(T, H, W, 3)`` uint8, decoded once more.

        Raises:
            InputError: it looked at none. VideoError: the clip cannot be read any more.
        """
        return self._clip.pictures(answer, max_side)

    def ask(
        self,
        question: str | None = None,
        *,
        task: str | Path = "auto",
        adapter: str | Path = "auto",
        choices: Sequence[str] | None = None,
        start: float | None = None,
        end: float | None = None,
        dialogue: DialogueLike | None = None,
        max_new_tokens: int | None = None,
    ) -> Answer:
        """Ask; iterate the answer for its pieces, or take ``.text``.

        A time in the question ("At 0:42", "between 10 and 20 seconds") is where it looks, unless
        ``start`` or ``end`` say so; the model is then asked without it. The turn is remembered
        once its answer is complete. Without a clip, or by an adapter that reads text alone, nothing
        is decoded and no frame is looked at.

        Args:
            question: None asks the task's own, where it has one.
            task: a shipped prompt's name, that of an adapter, or a prompt file; "auto" is that of
                ``adapter`` where one is named, else what the question asks for (see
                `assistant.vqa.task_choice`): chat, or a task with an adapter.
            adapter: an adapter's name or folder; "none": the base weights alone; "auto": the
                task's own, where it has one.
            choices: answer with the likeliest of these.
            dialogue: instead of the session's, for this question.
        Raises:
            InputError: an unusable question, range or choices, or nothing that the task takes is
                there. VideoError: nothing to look at.
            ConfigError: unknown task. DialogueError: unreadable dialogue.
            WeightsError: the adapter belongs to another base, or is damaged.
        """
        began = time.perf_counter()
        if max_new_tokens is not None and max_new_tokens < 1:
            raise InputError(f"max_new_tokens is {max_new_tokens}; choose 1 or more")
        model = self._assistant.model
        prompt, task_score = self._task(task, adapter, question)
        loaded = self._assistant.adapter(adapter, prompt.name)
        question = check_question(question or prompt.question or "")
        choices = check_choices(choices)
        where, range_source = self._where((start, end), question)
        sees = self.path is not None and (loaded is None or loaded.recipe.frames > 0)
        clip = self.look(*where) if sees else None
        said = self._said(prompt, dialogue, where)
        left_out = self._without.union(loaded.recipe.without if loaded else ())
        wanted = [name for name in prompt.takes_sources if name not in left_out]
        sources = self._clip.perceive(where, wanted) if clip is not None else ()
        request = compose(
            prompt,
            model,
            without_time(question) if range_source == "question" else question,
            turns=self.conversation.turns,
            lines=[line.as_text() for line in said.lines],
            sources=sources,
            choices=choices,
            max_new_tokens=max_new_tokens,
            adapter=loaded.key if loaded else None,
            fused="fusion" not in left_out,
        )
        warnings = [*(clip.warnings if clip else ()), *self._clip.notes, *said.warnings]
        warnings += [source.warning for source in sources if source.warning]
        if self.path is not None and not sees:
            warnings.append(TEXT_ALONE.format(task=prompt.name))
        if loaded is None and adapter == "auto" and _wants_adapter(prompt):
            warnings.append(NO_ADAPTER.format(task=prompt.name))
        if request.dropped_lines:
            warnings.append(f"the oldest {request.dropped_lines} dialogue lines did not fit")
        basis = Basis(
            question=question,
            task=prompt.name,
            model=model.name,
            adapter=loaded.name if loaded else None,
            frames=clip.seconds if clip else (),
            start=clip.start if clip else where[0],
            end=clip.end if clip else where[1],
            window=where,
            range_source=range_source,
            dialogue_source=said.source,
            sources=sources,
            warnings=tuple(warnings),
            task_score=task_score,
            lacking=("dialogue",) if prompt.takes_dialogue and not said else (),
        )
        return Answer(
            basis,
            Query(model, request, None if clip is None else clip.patches),
            calibration=loaded.recipe.calibration if loaded else Calibration(),
            prior=model.choice_prior * (loaded.recipe.prior if loaded else 1.0),
            began=began,
            on_end=partial(self._remember, question),
        )

    def ask_many(self, questions: Sequence[str], **options: Any) -> list[Answer]:
        """Ask several questions at once, none of which knows of the others: faster than one by one.

        All are remembered, in their order. The answers are whole: there is nothing to stream.

        Args:
            options: of :meth:`ask`, for every question.
        Raises:
            InputError: no list of questions; and what :meth:`ask` raises.
        """
        if isinstance(questions, str):
            raise InputError(f"questions are {questions!r}; give a list of texts")
        answers = [self.ask(question, **options) for question in questions]
        answer_together(answers)
        return answers

    def clear(self) -> None:
        """Forget the conversation; what was seen stays."""
        self.conversation = Conversation()

    def _remember(self, question: str, answer: str) -> None:
        self.conversation = self.conversation.add(question, answer)

    def _task(
        self, task: str | Path, adapter: str | Path, question: str | None
    ) -> tuple[TaskPrompt, float | None]:
        """The prompt, and the score that chose it; None where it was not chosen by the question."""
        name = self._assistant.name
        if task != "auto":
            return find_task(task, name), None
        if adapter not in ("auto", "none"):
            return adapter_prompt(find_adapter(adapter, name)), None
        if adapter == "none" or not question:
            return find_task("chat"), None
        chosen = choose_task(question, name, base=self._assistant.model.fingerprint)
        prompt = find_task(chosen.task, name)
        if self.path is None and not prompt.takes_dialogue:  # it would have nothing to go by
            return find_task("chat"), None
        return prompt, None if math.isnan(chosen.score) else chosen.score

    def _said(self, prompt: TaskPrompt, given: DialogueLike | None, where: Range) -> Dialogue:
        """The dialogue that ``prompt`` takes, of the range. Raises InputError: no clip either."""
        takes, said = prompt.takes_dialogue, Dialogue()
        if takes:
            told = None if given is None else as_dialogue(given)
            said = self._spoken.within(where) if told is None else cut(told, where)
        if self.path is None and not said:
            lacks = "nothing is said" if takes else "it reads no dialogue"
            raise InputError(f"there is no clip for {prompt.name} to look at, and {lacks}")
        return said

    def _where(self, given: Range, question: str) -> tuple[Range, str]:
        """The range to look at, and who chose it."""
        if self.path is None:
            if given != (None, None):
                raise InputError(NO_PART)
            return given, "none"
        if given != (None, None):
            return given, "given"
        if time_range(question, ANY_LENGTH) is not None:  # without opening the clip
            named = time_range(question, self.duration)
            if named is not None and named.start < named.end:  # a picture has no range
                return (named.start, named.end), "question"
        return self._range, "clip" if self._range == (None, None) else "session"


def _wants_adapter(prompt: TaskPrompt) -> bool:
    """Whether ``prompt`` is a shipped task that the base weights do not know."""
    return prompt.name in list_prompts() and prompt.name not in BASE_TASKS
