"""From a question and what surrounds it to the texts that the model takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assistant.adapter_store import adapter_folders, adapter_prompt, find_adapter
from assistant.errors import InputError
from assistant.templates import TaskPrompt, list_prompts, load_prompt

if TYPE_CHECKING:
    from assistant.conversation import Turn
    from assistant.model.assistant import VideoAssistant

__all__ = [
    "MAX_TURNS",
    "Request",
    "check_choices",
    "check_question",
    "check_range",
    "compose",
    "find_task",
    "takes_attributes",
    "takes_dialogue",
]

NO_TARGET = "..."  # where nothing is said: "is it sarcastic when <...>?"
SPOKEN = ("dialogue", "target", "context")  # fields of what is said
MAX_TURNS = 8  # earlier turns that the LLM reads again; older ones only cost time


@dataclass(frozen=True)
class Request:
    """One question as the model takes it."""

    fusion: str  # text into the Q-Former
    prompt: str  # text into the LLM
    history: tuple[tuple[str, str], ...]  # (question, answer), oldest first
    blind_fusion: str  # both texts again without anything that is from the clip
    blind_prompt: str
    choices: tuple[str, ...] | None  # answer by likelihood among these; None: free text
    max_new_tokens: int
    dropped_lines: int  # dialogue lines, the oldest, that did not fit into ``fusion``
    adapter: str | None = None  # name of the adapter in memory; None: the base weights alone

    def asked(self) -> dict[str, Any]:
        """What the model's methods take beside the frames."""
        return {
            "fusion": self.fusion,
            "prompt": self.prompt,
            "history": self.history,
            "adapter": self.adapter,
        }


def check_choices(choices: Sequence[str] | None) -> tuple[str, ...] | None:
    """``choices`` stripped, as a tuple.

    Raises:
        InputError: fewer than two, one of them empty, or one given twice.
    """
    if choices is None:
        return None
    if isinstance(choices, str) or not all(isinstance(choice, str) for choice in choices):
        raise InputError(f"choices are {choices!r}; give a list of texts")
    names = tuple(choice.strip() for choice in choices)
    if len(names) < 2 or len(set(names)) < len(names) or not all(names):
        raise InputError(f"choices are {list(choices)}; give at least two different answers")
    return names


def check_question(question: str) -> str:
    """``question`` stripped.

    Raises:
        InputError: it is empty, or no text.
    """
    asked = question.strip()
    if not asked:
        raise InputError("the question is empty; ask something about the clip")
    try:
        asked.encode()
    except UnicodeEncodeError as error:
        raise InputError("the question is not valid UTF-8 text; type it again") from error
    return asked


def check_range(start: float | None, end: float | None) -> None:
    """
    Raises:
        InputError: a time that is negative or not a number, or a range that is empty.
    """
    for name, value in (("start", start), ("end", end)):
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise InputError(
                f"{name} is {value}; give seconds from the clip's beginning, 0 or more"
            )
    if end is not None and end <= (start or 0.0):
        raise InputError(f"start {start or 0.0:g} s is not before end {end:g} s; give a range")


def find_task(name: str | Path, model: str = "mini") -> TaskPrompt:
    """The prompt of a shipped task, of a file, or of an adapter of ``model``; "auto" is chat.

    Raises:
        ConfigError: unknown or unusable.
    """
    if name == "auto":
        return load_prompt("chat")
    if str(name) not in list_prompts() and str(name) in adapter_folders(model):
        return adapter_prompt(find_adapter(name, model))
    return load_prompt(name)


def compose(
    task: TaskPrompt,
    model: VideoAssistant,
    question: str,
    *,
    turns: Sequence[Turn] = (),
    lines: Sequence[str] = (),
    attributes: str = "",
    choices: Sequence[str] | None = None,
    max_new_tokens: int | None = None,
    adapter: str | None = None,
    fused: bool = True,
) -> Request:
    """Fill ``task``'s templates; where the Q-Former's text runs out, the oldest lines go first.

    Args:
        turns: the conversation so far, oldest first.
        lines: dialogue of the asked range, oldest first.
        attributes: what the encoder's classifier finds.
        choices, max_new_tokens: instead of the task's own.
        adapter: name of the adapter in memory. fused: False gives the Q-Former no text; what it
            would have read goes into the LLM's prompt, so that nothing is lost.
    Raises:
        InputError: unusable choices, or a question that alone is too long.
    """
    previous = turns[-1].as_text() if turns and "{previous}" in task.fusion else ""
    spoken = lines if "{dialogue}" in task.fusion or "{context}" in task.fusion else ()
    shown = attributes if "{attributes}" in task.fusion else ""
    beside = [text for text in (previous, shown) if text]
    _, dropped = model.fit_fusion([question, *beside, *reversed(spoken)])
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
    blind["attributes"] = ""
    fusion = task.render_fusion(**fields, attributes=shown if shown in kept else "")
    prompt = task.render_prompt(**fields, attributes=attributes)
    blind_fusion, blind_prompt = task.render_fusion(**blind), task.render_prompt(**blind)
    if not fused:
        fusion, prompt = "", _prompt_alone(fusion, prompt)
        blind_fusion, blind_prompt = "", _prompt_alone(blind_fusion, blind_prompt)
    return Request(
        fusion=fusion,
        prompt=prompt,
        history=tuple((turn.question, turn.answer) for turn in turns[-MAX_TURNS:]),
        blind_fusion=blind_fusion,
        blind_prompt=blind_prompt,
        choices=chosen,
        max_new_tokens=task.max_new_tokens if max_new_tokens is None else max_new_tokens,
        dropped_lines=dropped_lines,
        adapter=adapter,
    )


def _prompt_alone(fusion: str, prompt: str) -> str:
    """The prompt, with those lines of the fusion text before it that it lacks."""
    there = set(prompt.splitlines())
    return "\n".join([*(line for line in fusion.splitlines() if line not in there), prompt])


def takes_dialogue(task: TaskPrompt) -> bool:
    """Whether ``task`` looks at what is said."""
    return any(f"{{{name}}}" in task.fusion + task.prompt for name in SPOKEN)


def takes_attributes(task: TaskPrompt) -> bool:
    """Whether ``task`` reads what the encoder's classifier finds."""
    return "{attributes}" in task.fusion or "{attributes}" in task.prompt
