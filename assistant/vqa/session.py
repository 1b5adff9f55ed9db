"""One clip or dialogue, one conversation: decode and encode once, ask many times.

Longer than most: half of it is what the methods promise.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assistant.actions.store import find_recogniser
from assistant.core.checks import check_choices, check_question, check_range
from assistant.dialogue.spoken import DialogueLike, Range, Spoken, as_dialogue, cut
from assistant.dialogue.subtitles import Dialogue
from assistant.errors import InputError
from assistant.model.features import ClipFeatures
from assistant.sources import SOURCES, Perceived, perceiver
from assistant.tasks.prompts import TaskPrompt, list_prompts
from assistant.tasks.store import (
    StoredAdapter,
    adapter_folders,
    adapter_prompt,
    find_adapter,
    find_task,
)
from assistant.vqa.answer import Answer, answer_together
from assistant.vqa.asked import Asked
from assistant.vqa.asked_actions import asks_for_action
from assistant.vqa.by_llm import answer_by, sources_noted
from assistant.vqa.by_model import answer_by_model
from assistant.vqa.by_recogniser import answer_by_recogniser, heated, recognise
from assistant.vqa.by_sound import answer_by_sound
from assistant.vqa.by_timeline import answer_by_timeline, at_moment, scenes_noted
from assistant.vqa.clip import SessionClip
from assistant.vqa.conversation import ACTIONS, Conversation
from assistant.vqa.evidence import check_frames
from assistant.vqa.hearing import Heard, hear, say
from assistant.vqa.perception import Perception
from assistant.vqa.several.asking import wants_several
from assistant.vqa.task_choice import choose_task
from assistant.vqa.time_ranges import range_of
from assistant.vqa.times import Times

if TYPE_CHECKING:
    import numpy as np

    from assistant.actions.naming import Namer
    from assistant.model.chat.base import ChatModel
    from assistant.timeline import Timeline
    from assistant.vqa.assistants import Assistant

NO_PART = "start and end are a part of a clip, and there is no clip; leave them out"
NOT_RECOGNISED = "a recogniser of actions names one of its own labels, of a clip; leave choices out"
NO_ADAPTER = (
    "no adapter for {task} is there: the base weights answer, which never learned it "
    "(`assistant finetune {task}` makes one)"
)
ONE_ALONE = "this compares, and one clip is given: it alone is asked; give the others beside it"
BASE_TASKS = ("chat", "describe")  # what the base weights were pretrained on


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
        transcribe: str,
        without: Collection[str],
        head: str | Path | None = None,
    ) -> None:
        for part in without:
            if part not in SOURCES:
                raise InputError(f"without {part!r}: choose some of {', '.join(SOURCES)}")
        check_range(start, end)
        if path is None and (start, end) != (None, None):
            raise InputError(NO_PART)
        self.conversation = Conversation()
        self._last: Answer | None = None  # to the last question about the clip
        self._assistant = assistant
        self._range, self._frames = (start, end), frames
        self._clip = SessionClip(path, frames, decoder, assistant)
        self._spoken = Spoken(path, dialogue, transcribe, self._clip.transcribe)
        self._without = frozenset(without)
        self._head = None if head is None else find_recogniser(head)
        self._namers: dict[tuple[Path, tuple[int, ...]], Namer] = {}

    @property
    def assistant(self) -> Assistant:
        """What looks and answers."""
        return self._assistant

    @property
    def path(self) -> Path | None:
        """Of the clip; None: there is none."""
        return self._clip.path

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the person should know of the clip, a line each."""
        return self._clip.notes

    @property
    def without(self) -> frozenset[str]:
        """Names of the sources that are left out."""
        return self._without

    @property
    def dialogue(self) -> Dialogue:
        """What is said in the session's range: given, heard, beside the clip, or inside it."""
        return self._spoken.within(self._range)

    @property
    def duration(self) -> float:
        """Seconds of the whole clip. Raises InputError: there is none."""
        return self._clip.duration

    @property
    def clip(self) -> SessionClip:
        """What is looked at, by its ranges."""
        return self._clip

    def range_asked(
        self, question: str, start: float | None = None, end: float | None = None
    ) -> tuple[Range, str, str]:
        """Where a question looks (seconds), who chose that (see `Basis.range_source`), and the
        question without the time that it names. ``start``, ``end``: instead of the question's.

        Raises:
            InputError: a range that is empty, or beyond the clip.
        """
        if self.path is None:
            return (start, end), "none", question
        return range_of(question, (start, end), self._range, lambda: self.duration)

    def look(self, start: float | None = None, end: float | None = None) -> ClipFeatures:
        """What the encoder sees in the range (seconds; None: the session's own); computed once.

        Raises:
            InputError: an empty range, or there is no clip. VideoError: nothing could be decoded.
        """
        if start is None and end is None:
            start, end = self._range
        return self._clip.look((start, end))

    def perceive(
        self,
        start: float | None = None,
        end: float | None = None,
        sources: Collection[str] | None = None,
    ) -> Perception:
        """All that is perceived in the range (seconds; None: the session's own), as words.

        Those that cost seconds are asked, too, for a question may not have wanted them. Kept on
        disk with the clip's features. The language model is not loaded for it.

        Args:
            sources: which, of ``assistant.sources.SOURCES``; None: all that were not left out.
        Raises:
            InputError: an empty range, an unknown source, or there is no clip. VideoError: nothing
                could be decoded.
        """
        where = self._range if start is None and end is None else (start, end)
        for name in sources or ():
            if name not in SOURCES:
                raise InputError(f"source {name!r}: choose some of {', '.join(SOURCES)}")
        wanted = [
            name
            for name in SOURCES
            if name not in self._without and (sources is None or name in sources)
        ]
        return self._clip.perception(where, wanted)

    def perceived(self, answer: Answer) -> tuple[Perceived, ...]:
        """What the sources that a question wants say of its frames, whether its prompt reads them
        or not; () where it looked at none. Raises VideoError: the clip cannot be read any more."""
        basis = answer.basis
        if not answer.frames or basis.task == ACTIONS:  # which looked with its own
            return ()
        asked = basis.asked_as or basis.question
        wanted = [name for name in SOURCES if perceiver(name).wanted(asked)]
        found = self.perceive(*basis.window, sources=wanted)
        return tuple(item for source in found.sources for item in source.items)

    def timeline(self, queries: Sequence[str] = ()) -> Timeline:
        """What happens when in the whole clip, and the moments of what is said in words; made once.

        The clip is decoded from end to end for it; no language model is loaded.

        Raises:
            InputError: there is no clip, it is a picture, or a query is empty. VideoError: nothing
                could be decoded.
        """
        return self._times.with_queries(queries)

    def pictures(self, answer: Answer | Perception, max_side: int = 192) -> np.ndarray:
        """The frames that ``answer`` looked at, ``(T, H, W, 3)`` uint8, decoded once more; of one
        by a recogniser with what it rests on over them.

        Raises:
            InputError: it looked at none. VideoError: the clip cannot be read any more.
        """
        if isinstance(answer, Answer):
            check_frames(answer)
            if answer.basis.task == ACTIONS:
                return heated(answer, max_side)
            return self._clip.pictures(answer.basis.window, max_side)
        return self._clip.pictures(answer.window, max_side)

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
        beams: int | None = None,
        recogniser: str | Path | None = None,
    ) -> Answer:
        """Ask; iterate the answer for its pieces, or take ``.text``.

        A time in the question ("At 0:42", "between 10 and 20 seconds") is where it looks, unless
        ``start`` or ``end`` say so; the model is then asked without it. A follow-up is asked as
        what was talked about makes it (`assistant.vqa.followups`), and small talk is no question:
        no model is asked (`assistant.vqa.talk`), or even loaded where rules tell it. The turn is
        remembered once its answer is complete. Without a clip, or by an adapter that reads text
        alone, nothing is decoded and no frame is looked at.

        Args:
            question: None asks the task's own, where it has one.
            task: a shipped prompt's name, that of an adapter, or a prompt file; "auto" is that of
                ``adapter`` where one is named, else what the question asks for (see
                `assistant.vqa.task_choice`): chat, or a task with an adapter.
            adapter: an adapter's name or folder; "none": the base weights alone; "auto": the
                task's own, where it has one.
            choices: answer with the likeliest of these.
            dialogue: instead of the session's, for this question.
            max_new_tokens: instead of the task's own. beams: of beam search, instead of the
                model's; 1 streams.
            recogniser: one of actions, by name or folder, that answers whatever is asked about the
                clip; the session's own (``head``) only what asks for an action.
        Raises:
            InputError: an unusable question, range or choices, or nothing that the task takes is
                there. VideoError: nothing to look at.
            ConfigError: unknown task. DialogueError: unreadable dialogue.
            WeightsError: the adapter belongs to another base, or is damaged.
        """
        for name, value in (("max_new_tokens", max_new_tokens), ("beams", beams)):
            if value is not None and (not isinstance(value, int) or value < 1):
                raise InputError(f"{name} is {value!r}; choose 1 or more")
        if self.path is None and (start, end) != (None, None):
            raise InputError(NO_PART)
        check_range(start, end)
        choices = check_choices(choices)
        if recogniser is not None and (self.path is None or choices):
            raise InputError(NOT_RECOGNISED)
        asked = check_question(question) if question else None
        prompt, stored = self._named(task, adapter)
        typed = asked or check_question((prompt or find_task("chat")).question or "")
        fixed = choices is not None or (prompt is not None and prompt.choices is not None)
        talks = asked is not None and not fixed
        heard = self._heard(typed, dialogue, talks=talks)
        if heard.reply:
            return say(heard.reply, typed, self._assistant.name, self._remember)
        question = heard.question
        where, range_source, plain = self.range_asked(question, start, end)
        if self._assistant.waits:
            self._check(where, prompt, stored)
            if prompt is not None and self.path is None:
                self._said(prompt, dialogue, where)
        asked_now = Asked(
            question,
            typed,
            plain,
            heard.turns,
            where,
            range_source,
            choices,
            dialogue,
            max_new_tokens,
            beams,
        )
        plainly = recogniser is None and (prompt is None or prompt.name == "chat")
        if talks and plainly and stored is None and self.path is not None:
            if (by_ear := self._by_sound(asked_now)) is not None:
                return by_ear
            answer, asked_now = self._by_timeline(asked_now)
            if answer is not None:
                return answer
            where = asked_now.where
        if self.path is not None and (recogniser or (self._head and talks and plainly)):
            answer, asked_now = self._by_recogniser(asked_now, recogniser, stored)
            if answer is not None:
                return answer
        if self._assistant.llm is not None and not self._is_learnt(prompt, stored, adapter):
            return self._by_llm(self._assistant.llm, asked_now, prompt)
        model = self._assistant.model
        guessed = heard.likely(model.name) if talks and prompt is None and adapter == "auto" else ""
        if guessed:
            return say(guessed, typed, self._assistant.name, self._remember)
        began, task_score = time.perf_counter(), None
        if prompt is None:
            prompt, task_score = self._chosen(question if asked and adapter == "auto" else None)
        if adapter == "auto" and prompt.name in adapter_folders(model.name):
            stored = find_adapter(prompt.name, model.name)
        wants = stored is None and adapter == "auto" and _wants_adapter(prompt)
        warnings = [NO_ADAPTER.format(task=prompt.name)] if wants else []
        if (task, adapter) == ("auto", "auto") and talks and plainly and wants_several(question):
            warnings.append(ONE_ALONE)
        loaded = self._assistant.adapter(stored)
        sees = self.path is not None and (loaded is None or loaded.recipe.frames > 0)
        if sees and loaded is None and prompt.name == "chat":
            asked_now = at_moment(asked_now, self._times, self.look(*where).duration)
            where = asked_now.where
        clip = self.look(*where) if sees else None
        self._last = answer_by_model(
            model,
            asked_now,
            prompt,
            loaded,
            said=self._said(prompt, dialogue, where),
            seen=self._clip,
            clip=clip,
            without=self._without,
            task_score=task_score,
            warnings=warnings,
            began=began,
            on_end=partial(self._remember, typed),
        )
        return self._last

    def _by_sound(self, asked: Asked) -> Answer | None:
        """The answer to a question about sound; None: it is about something else."""
        if "heard" in self._without:
            return None
        answer = answer_by_sound(
            asked,
            self._clip,
            lambda: self.duration,
            model=self._assistant.name,
            on_end=self._remember,
        )
        self._last = answer or self._last
        return answer

    def _by_timeline(self, asked: Asked) -> tuple[Answer | None, Asked]:
        """The answer to a question about times; None: a model gives it, in the range of what is
        then asked."""
        answer, asked = answer_by_timeline(
            asked,
            self._times,
            lambda: self.duration,
            lambda: self._said(find_task("chat"), asked.dialogue, asked.where),
            model=self._assistant.name,
            notes=self._clip.notes,
            on_end=self._remember,
        )
        self._last = answer or self._last
        return answer, asked

    def _by_recogniser(
        self, asked: Asked, named: str | Path | None, stored: StoredAdapter | None
    ) -> tuple[Answer | None, Asked]:
        """The answer of the recogniser that is ``named``, whatever is asked, else of the session's
        own to what asks for an action, where it is sure; None: another gives it, knowing what that
        one thinks."""
        folder = self._head if named is None else find_recogniser(named)
        if folder is None or (named is None and (stored or not asks_for_action(asked.plain))):
            return None, asked
        began = time.perf_counter()
        found = recognise(folder, asked, self._clip, self._assistant, self._namers)
        if named is None and not found.is_sure:
            return None, replace(asked, recognised=found)
        self._last = answer_by_recogniser(
            asked,
            found,
            model=self._assistant.name,
            notes=self._clip.notes,
            began=began,
            on_end=self._remember,
        )
        return self._last, asked

    @cached_property
    def _times(self) -> Times:
        if self.path is None:
            raise InputError("there is no clip, only a dialogue; events happen in clips")
        return Times(self.path, self._assistant, self._frames)

    def _by_llm(self, llm: ChatModel, asked: Asked, prompt: TaskPrompt | None) -> Answer:
        """The answer of a language model of the person's own, from words alone."""
        said = self._said(find_task("chat"), asked.dialogue, asked.where)
        llm.prepare()
        began = time.perf_counter()
        if self.path is not None and (prompt is None or prompt.name == "chat"):
            asked = at_moment(asked, self._times, self.look(*asked.where).duration)
        clip = self.look(*asked.where) if self.path is not None else None
        scenes = scenes_noted(asked, self._times, clip.duration) if clip else []
        names = sources_noted(asked.question, self._without) if clip else []
        return answer_by(
            llm,
            asked,
            prompt or find_task("chat"),
            said=said,
            clip=clip,
            sources=self._clip.perceive(asked.where, names) if clip else (),
            notes=self._clip.notes,
            scenes=scenes,
            began=began,
            on_end=partial(self._remember, asked.typed),
        )

    def _is_learnt(
        self, prompt: TaskPrompt | None, stored: StoredAdapter | None, adapter: str | Path
    ) -> bool:
        """Whether an adapter answers: one that was named, or that of a task which was."""
        task = prompt.name if prompt is not None and adapter == "auto" else None
        return stored is not None or task in adapter_folders(self._assistant.name)

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

    def take_up(self, conversation: Conversation) -> None:
        """Go on with what was said elsewhere."""
        self.conversation = conversation

    def clear(self) -> None:
        """Forget the conversation; what was seen stays."""
        self.conversation = Conversation()

    def _heard(self, text: str, dialogue: DialogueLike | None, *, talks: bool) -> Heard:
        """What a text means in the conversation."""
        return hear(
            text,
            self.conversation,
            talks=talks,
            about="the dialogue" if self.path is None else "the clip",
            is_said=lambda: dialogue is not None or bool(self.dialogue),
            duration=lambda: self.duration,
            last=self._last,
            follows=self._assistant.llm is not None,
        )

    def _remember(self, question: str, found: dict[str, Any], answer: str) -> None:
        self.conversation = self.conversation.add(question, answer, found)

    def check(self, task: str | Path = "auto", adapter: str | Path = "auto") -> None:
        """Whether they can be asked for, and the clip be looked at.

        Raises:
            InputError, ConfigError: there is none. VideoError: nothing could be decoded.
        """
        self._check(self._range, *self._named(task, adapter))

    def _named(
        self, task: str | Path, adapter: str | Path
    ) -> tuple[TaskPrompt | None, StoredAdapter | None]:
        """The prompt and the adapter that were asked for by name; None: they are not."""
        name = self._assistant.name
        stored = None if adapter in ("auto", "none") else find_adapter(adapter, name)
        if task != "auto":
            return find_task(task, name), stored
        return None if stored is None else adapter_prompt(stored), stored

    def _check(self, where: Range, prompt: TaskPrompt | None, stored: StoredAdapter | None) -> None:
        """Whether the clip can be listened to, and looked at where that is certain to be wanted."""
        self._spoken.check()
        if stored is None and prompt and prompt.name in adapter_folders(self._assistant.name):
            stored = find_adapter(prompt.name, self._assistant.name)
        reads = self._spoken.is_given if prompt is None else stored and not stored.recipe.frames
        if not reads:  # an adapter that reads text alone does not look
            self._clip.check(where)

    def _chosen(self, question: str | None) -> tuple[TaskPrompt, float | None]:
        """The prompt that a question is for, and the score that chose it; None: nothing did."""
        if not question:
            return find_task("chat"), None
        model = self._assistant.model
        chosen = choose_task(question, model.name, base=model.fingerprint)
        prompt = find_task(chosen.task, model.name)
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


def _wants_adapter(prompt: TaskPrompt) -> bool:
    """Whether ``prompt`` is a shipped task that the base weights do not know."""
    return prompt.name in list_prompts() and prompt.name not in BASE_TASKS
