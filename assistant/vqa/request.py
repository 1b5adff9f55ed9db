"""From a question and what surrounds it to the texts that the model takes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assistant.core.checks import check_choices
from assistant.dialogue.subtitles import Dialogue
from assistant.errors import InputError
from assistant.sources import SOURCES, Source, lines_of, perceiver

if TYPE_CHECKING:
    from torch import Tensor

    from assistant.model.assistant import VideoAssistant
    from assistant.tasks.prompts import TaskPrompt
    from assistant.vqa.conversation import Turn

NO_TARGET = "..."  # where nothing is said: "is it sarcastic when <...>?"
MAX_TURNS = 8  # earlier turns that the LLM reads again; older ones only cost time


@dataclass(frozen=True)
class Request:
    """One question as the model takes it."""

    qformer_text: str  # text into the Q-Former
    prompt: str  # text into the LLM
    history: tuple[tuple[str, str], ...]  # (question, answer), oldest first
    blind_qformer_text: str  # both texts again without anything that is from the clip
    blind_prompt: str
    choices: tuple[str, ...] | None  # answer by likelihood among these; None: free text
    proposals: tuple[str, ...]  # free text is the one of these that the clip makes likeliest
    max_new_tokens: int
    beams: int | None  # of beam search; None: the model's own
    dropped_lines: int  # dialogue lines, the oldest, that did not fit into ``qformer_text``
    adapter: str | None = None  # name of the adapter in memory; None: the base weights alone

    @property
    def candidates(self) -> tuple[str, ...]:
        """The answers that there are to choose from; (): the model writes its own."""
        return self.choices or self.proposals


def sources_read(
    task: TaskPrompt, question: str, without: Collection[str], reads: Collection[str] = ()
) -> list[str]:
    """Names of the sources whose words ``task`` reads for a question, as it was asked.

    Args:
        reads: those that the LLM has learned to read; they are wanted always.
    """
    names = [name for name in task.takes_sources(reads) if name not in without]
    return [name for name in names if name in reads or perceiver(name).wanted(question)]


def compose(
    task: TaskPrompt,
    model: VideoAssistant,
    question: str,
    *,
    said: Dialogue | None = None,
    turns: Sequence[Turn] = (),
    sources: Sequence[Source] = (),
    choices: Sequence[str] | None = None,
    proposals: Sequence[str] = (),
    max_new_tokens: int | None = None,
    beams: int | None = None,
    adapter: str | None = None,
    without: Collection[str] = (),
) -> Request:
    """Fill ``task``'s templates, to answer, to learn and to measure alike.

    Where the Q-Former's text runs out, the oldest lines go first.

    Args:
        question: less the time that chose the range (`assistant.vqa.time_ranges.range_of`).
        said: in that range, oldest first (`assistant.dialogue.spoken.cut`).
        turns: the conversation so far, oldest first.
        sources: what is perceived. proposals: what they would answer.
        choices, max_new_tokens: instead of the task's own. beams: instead of the model's.
        adapter: name of the adapter in memory.
        without: parts of the model. Without "fusion" the Q-Former gets no text; what it would have
            read goes into the LLM's prompt, so that nothing is lost.
    Raises:
        InputError: unusable choices, or a question that alone is too long.
    """
    lines = [line.as_text() for line in said.lines] if said else []
    previous = turns[-1].as_text() if turns and "{previous}" in task.qformer_text else ""
    spoken = lines if "{dialogue}" in task.qformer_text or "{context}" in task.qformer_text else ()
    texts = {source.name: source.text for source in sources if source.text}
    shown = {name: text for name, text in texts.items() if _names_source(task.qformer_text, name)}
    beside = [text for text in (previous, *shown.values()) if text]
    _, dropped = model.fit_qformer_text([question, *beside, *reversed(spoken)])
    if dropped > len(beside) + len(spoken):
        raise InputError(f"the question has {len(question)} characters, too many; shorten it")
    kept = beside[: len(beside) + len(spoken) - dropped]
    dropped_lines = min(dropped, len(spoken))
    chosen = check_choices(task.choices if choices is None else choices)
    fields = {
        "question": question,
        "previous": previous if previous in kept else "",
        "dialogue": "\n".join(lines[dropped_lines:]),
        "target": lines[-1] if lines else NO_TARGET,
        "context": "\n".join(lines[dropped_lines:-1]),
        "choices": "\n".join(chosen or ()),
    }
    blind = fields | {"previous": "", "dialogue": "", "context": "", "target": NO_TARGET}
    blind |= _perceived({source.name: source.blind_text for source in sources})
    fitting = {name: text for name, text in shown.items() if text in kept}
    qformer_text = task.render_qformer_text(**fields, **_perceived(fitting))
    prompt = task.render_prompt(**fields, **_perceived(texts))
    blind_qformer_text, blind_prompt = (
        task.render_qformer_text(**blind),
        task.render_prompt(**blind),
    )
    if "fusion" in without:
        qformer_text, prompt = "", _prompt_alone(qformer_text, prompt)
        blind_qformer_text, blind_prompt = "", _prompt_alone(blind_qformer_text, blind_prompt)
    return Request(
        qformer_text=qformer_text,
        prompt=prompt,
        history=tuple((turn.question, turn.answer) for turn in turns[-MAX_TURNS:]),
        blind_qformer_text=blind_qformer_text,
        blind_prompt=blind_prompt,
        choices=chosen,
        proposals=() if chosen else tuple(proposals),
        max_new_tokens=task.max_new_tokens if max_new_tokens is None else max_new_tokens,
        beams=beams,
        dropped_lines=dropped_lines,
        adapter=adapter,
    )


def expected_by(model: VideoAssistant, task: TaskPrompt, said: Dialogue) -> Tensor | None:
    """The signals ``(K,)`` of what the last line stands beside; None: nothing is said."""
    if not said:
        return None
    return model.expectation([line.as_text() for line in said.lines], task.expects)


def _perceived(texts: dict[str, str]) -> dict[str, str]:
    """The variables that stand for what sources say."""
    return dict.fromkeys(SOURCES, "") | texts | {"sources": lines_of(texts)}


def _names_source(template: str, name: str) -> bool:
    return ("{sources}" in template and SOURCES[name].told) or f"{{{name}}}" in template


def _prompt_alone(qformer_text: str, prompt: str) -> str:
    """The prompt, with those lines of the Q-Former's text before it that it lacks."""
    there = set(prompt.splitlines())
    return "\n".join([*(line for line in qformer_text.splitlines() if line not in there), prompt])
