"""One clip or dialogue, one conversation: decode and encode once, ask many times.

Most of this file is what its two public classes promise; they stand together since one makes the
other.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from assistant.core.checks import check_choices, check_question, check_range
from assistant.core.clip_names import clip_path
from assistant.dialogue.spoken import DialogueLike, Range, Spoken, as_dialogue, cut
from assistant.dialogue.subtitles import Dialogue
from assistant.errors import InputError
from assistant.model.features import ClipFeatures, FeatureStore
from assistant.sources import SOURCES, Perceived, Source, perceiver
from assistant.tasks.prompts import TaskPrompt, list_prompts
from assistant.tasks.recipes import Calibration, Recipe
from assistant.tasks.store import (
    StoredAdapter,
    adapter_folders,
    adapter_prompt,
    find_adapter,
    find_task,
)
from assistant.vqa.answer import Answer, Query, answer_together
from assistant.vqa.basis import Basis
from assistant.vqa.by_llm import answer_by, sources_noted
from assistant.vqa.candidates import candidates, surely
from assistant.vqa.clip import SessionClip
from assistant.vqa.conversation import Conversation, Turn
from assistant.vqa.evidence import check_frames
from assistant.vqa.forms import form_of
from assistant.vqa.hearing import Heard, hear, say
from assistant.vqa.perception import Perception
from assistant.vqa.request import Request, compose, sources_read
from assistant.vqa.task_choice import choose_task
from assistant.vqa.time_ranges import range_of
from assistant.vqa.weighing import Weigher, load_weighing

if TYPE_CHECKING:
    import numpy as np

    from assistant.model.assistant import VideoAssistant
    from assistant.model.chat.base import ChatModel
    from assistant.model.sight import Sight

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

    llm: ChatModel | None = None  # that answers instead, see `assistant.vqa.reading`

    def __init__(self, model: VideoAssistant, store: FeatureStore | None = None) -> None:
        self.model = model
        self.name = model.name
        self.store = store or FeatureStore()

    @property
    def waits(self) -> bool:
        """Whether the model is still to be loaded, which takes long."""
        return False

    def load(self) -> None:
        """Load now what answers, where that had waited."""
        self.model  # noqa: B018

    @property
    def answerer(self) -> object:
        """What answers, loaded or not: a session stays while it is the same."""
        return self.model

    def sharing(self, store: FeatureStore) -> Assistant:
        """The same with another store of features."""
        return Assistant(self.model, store)

    @property
    def sight(self) -> Sight:
        """What it looks with; the model itself where that is loaded."""
        return self.model

    def adapter(self, stored: StoredAdapter | None) -> LoadedAdapter | None:
        """An adapter in memory.

        Raises:
            WeightsError: it belongs to another base, or is damaged.
        """
        if stored is None:
            return None
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
            path: a text as people name clips (`assistant.core.clip_names`); None: there is no
                clip, and ``dialogue`` is what it is about.
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
            clip_path(path) if isinstance(path, str) else path,
            frames=frames,
            start=start,
            end=end,
            decoder=decoder,
            dialogue=dialogue,
            transcribe=transcribe,
            without=without,
        )


class LaterAssistant(Assistant):
    """One whose model is loaded when it is first needed: what is wrong otherwise shows before."""

    def __init__(
        self,
        name: str,
        load: Callable[[], VideoAssistant],
        store: FeatureStore,
        load_sight: Callable[[], Sight] | None = None,
    ) -> None:
        """``load_sight``: what it looks with alone, for who asks nothing; None: the model."""
        self.name, self._load, self.store = name, load, store
        self._load_sight = load_sight
        self._sight: Sight | None = None
        self._loading = Lock()

    @property
    def waits(self) -> bool:
        return "_loaded" not in self.__dict__

    @property
    def model(self) -> VideoAssistant:  # type: ignore[override]
        with self._loading:
            return self._loaded

    @property
    def sight(self) -> Sight:
        if self._load_sight is None or not self.waits:
            self._sight = None  # the model looks with its own
            return self.model
        with self._loading:
            if self._sight is None:
                self._sight = self._load_sight()
            return self._sight

    @cached_property
    def _loaded(self) -> VideoAssistant:
        return self._load()


@dataclass(frozen=True)
class _Asked:
    """A question, checked, and where it looks."""

    question: str
    typed: str  # the same before what was talked about stood for its pronouns
    plain: str  # less the time that chose the range
    turns: tuple[Turn, ...]  # of the conversation, that the model reads with it
    where: Range
    range_source: str  # of `Basis`
    choices: tuple[str, ...] | None
    dialogue: DialogueLike | None  # instead of the session's
    max_new_tokens: int | None
    beams: int | None


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
        self._last: Answer | None = None  # to the last question about the clip
        self._assistant = assistant
        self._range = (start, end)
        self._clip = SessionClip(path, frames, decoder, assistant)
        self._spoken = Spoken(path, dialogue, transcribe)
        self._without = frozenset(without)

    @property
    def assistant(self) -> Assistant:
        """What looks and answers."""
        return self._assistant

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
        if not answer.frames:
            return ()
        asked = basis.asked_as or basis.question
        wanted = [name for name in SOURCES if perceiver(name).wanted(asked)]
        found = self.perceive(*basis.window, sources=wanted)
        return tuple(item for source in found.sources for item in source.items)

    def pictures(self, answer: Answer | Perception, max_side: int = 192) -> np.ndarray:
        """The frames that ``answer`` looked at, ``(T, H, W, 3)`` uint8, decoded once more.

        Raises:
            InputError: it looked at none. VideoError: the clip cannot be read any more.
        """
        if isinstance(answer, Answer):
            check_frames(answer)
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
        asked = check_question(question) if question else None
        prompt, stored = self._named(task, adapter)
        typed = asked or check_question((prompt or find_task("chat")).question or "")
        fixed = choices is not None or (prompt is not None and prompt.choices is not None)
        talks = asked is not None and not fixed
        heard = self._heard(typed, dialogue, talks=talks)
        if heard.reply:
            return say(heard.reply, typed, self._assistant.name, self._remember)
        question = heard.question
        where, range_source, plain = (start, end), "none", question
        if self.path is not None:
            where, range_source, plain = range_of(
                question, where, self._range, lambda: self.duration
            )
        if self._assistant.waits:
            self._check(where, prompt, stored)
            if prompt is not None and self.path is None:
                self._said(prompt, dialogue, where)
        asked_now = _Asked(
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
        loaded = self._assistant.adapter(stored)
        self._last = self._by_model(asked_now, prompt, loaded, task_score, warnings, began)
        return self._last

    def _by_model(
        self,
        asked: _Asked,
        prompt: TaskPrompt,
        loaded: LoadedAdapter | None,
        task_score: float | None,
        warnings: Sequence[str],
        began: float,
    ) -> Answer:
        """The answer of the model that is loaded, with an adapter or by its base weights."""
        model = self._assistant.model
        sees = self.path is not None and (loaded is None or loaded.recipe.frames > 0)
        clip = self.look(*asked.where) if sees else None
        said = self._said(prompt, asked.dialogue, asked.where)
        left_out = self._without.union(loaded.recipe.without if loaded else ())
        reads = model.reads if loaded is None else ()
        names = sources_read(prompt, asked.question, left_out, reads)
        sources = self._clip.perceive(asked.where, names) if clip is not None else ()
        settling = [source for source in sources if perceiver(source.name).answers(asked.question)]
        proposals = [
            told for s in settling for told in perceiver(s.name).propose(s.items, asked.question)
        ]
        request = compose(
            prompt,
            model,
            asked.plain,
            said=said,
            turns=asked.turns,
            sources=sources,
            choices=asked.choices,
            proposals=proposals,
            max_new_tokens=asked.max_new_tokens,
            beams=asked.beams,
            adapter=loaded.key if loaded else None,
            without=left_out,
        )
        told = [*(clip.warnings if clip else ()), *self._clip.notes, *said.warnings]
        told += said.outside(clip.duration) if clip else ()
        told += [source.warning for source in settling if source.warning]
        if self.path is not None and not sees:
            told.append(TEXT_ALONE.format(task=prompt.name))
        told += warnings
        if request.dropped_lines:
            told.append(f"the oldest {request.dropped_lines} dialogue lines did not fit")
        basis = Basis(
            question=asked.typed,
            task=prompt.name,
            model=model.name,
            adapter=loaded.name if loaded else None,
            frames=clip.seconds if clip else (),
            start=clip.start if clip else asked.where[0],
            end=clip.end if clip else asked.where[1],
            window=asked.where,
            range_source=asked.range_source,
            dialogue_source=said.source,
            sources=sources,
            warnings=tuple(told),
            task_score=task_score,
            unfound=tuple(SOURCES[s.name].thing for s in settling if not s.items and not s.warning),
            settled="; ".join(
                filter(
                    None,
                    (perceiver(s.name).settled(s.items, asked.question) for s in settling),
                )
            )
            if request.proposals
            else "",
            answerable=bool(said) or not prompt.is_about_a_line,
            lacking=("dialogue",) if prompt.takes_dialogue and not said else (),
            asked_as=asked.question if asked.question != asked.typed else "",
        )
        return Answer(
            basis,
            Query(
                model,
                request,
                None if clip is None else clip.patches,
                weigher=self._weigher(asked, request, sources) if loaded is None else None,
            ),
            calibration=loaded.recipe.calibration if loaded else Calibration(),
            prior=model.choice_prior * (loaded.recipe.prior if loaded else 1.0),
            began=began,
            on_end=partial(self._remember, asked.typed, basis.as_dict()),
        )

    def _weigher(
        self, asked: _Asked, request: Request, sources: Sequence[Source]
    ) -> Weigher | None:
        """How a free answer of the base about a clip is weighed; None: it is not."""
        folder = self._assistant.model.reading
        if self.path is None or folder is None or request.candidates or asked.beams is not None:
            return None
        weighing = load_weighing(folder)
        if weighing is None:
            return None
        form = form_of(asked.plain)
        return Weigher(
            form,
            weighing.of(form.kind),
            tuple(candidates(form, sources)),
            lambda texts: self._clip.likeness(asked.where, texts),
            surely(form, sources),
        )

    def _by_llm(self, llm: ChatModel, asked: _Asked, prompt: TaskPrompt | None) -> Answer:
        """The answer of a language model of the person's own, from words alone."""
        said = self._said(find_task("chat"), asked.dialogue, asked.where)
        llm.prepare()
        began = time.perf_counter()
        clip = self.look(*asked.where) if self.path is not None else None
        names = sources_noted(asked.question, self._without) if clip else []
        return answer_by(
            llm,
            asked,
            prompt or find_task("chat"),
            said=said,
            clip=clip,
            sources=self._clip.perceive(asked.where, names) if clip else (),
            notes=self._clip.notes,
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
