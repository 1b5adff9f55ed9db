"""A question that was checked, and what any answer to it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assistant.dialogue.spoken import DialogueLike, Range
from assistant.vqa.basis import Basis
from assistant.vqa.conversation import Turn

if TYPE_CHECKING:
    from assistant.dialogue.subtitles import Dialogue
    from assistant.model.features import ClipFeatures
    from assistant.tasks.prompts import TaskPrompt
    from assistant.vqa.by_recogniser import Recognised


@dataclass(frozen=True)
class Asked:
    """A question, and where it looks."""

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
    warnings: tuple[str, ...] = ()  # for the person
    recognised: Recognised | None = None  # what a recogniser thinks, which is not sure

    def basis(
        self,
        prompt: TaskPrompt,
        model: str,
        *,
        clip: ClipFeatures | None,
        said: Dialogue,
        about_clip: Sequence[str],
        warnings: Sequence[str],
        dropped_lines: int,
        **more: Any,
    ) -> Basis:
        """
        Args:
            clip: None: no frame is looked at. said: in the range that is asked about.
            about_clip: for the person. warnings: of who answers.
            dropped_lines: of the dialogue. more: of `Basis`.
        """
        told = [*(clip.warnings if clip else ()), *about_clip, *said.warnings]
        told += said.outside(clip.duration) if clip else ()
        told += [*self.warnings, *warnings]
        if dropped_lines:
            told.append(f"the oldest {dropped_lines} dialogue lines did not fit")
        return Basis(
            question=self.typed,
            task=prompt.name,
            model=model,
            frames=clip.seconds if clip else (),
            start=clip.start if clip else self.where[0],
            end=clip.end if clip else self.where[1],
            window=self.where,
            range_source=self.range_source,
            dialogue_source=said.source,
            warnings=tuple(told),
            asked_as=self.question if self.question != self.typed else "",
            recognised=self.recognised,
            **more,
        )
