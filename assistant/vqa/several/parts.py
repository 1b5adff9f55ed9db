"""What one of several clips has to say to a question about all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from assistant.dialogue.spoken import Range
    from assistant.vqa.answer import Answer
    from assistant.vqa.several.naming import ClipName


@dataclass(frozen=True, eq=False)
class Part:
    """Of one clip: its own answer where it was asked alone, else how it was judged."""

    clip: ClipName
    path: Path
    window: Range  # as it was asked for; None: where the clip does
    answer: Answer | None = None  # None: it was compared
    frames: tuple[float, ...] = ()  # (T,) the times looked at, seconds
    scores: tuple[float, ...] = ()  # (T,) what each frame says for what is looked for, log-odds
    chance: float | None = None  # that the clip shows it; None: nothing is looked for
    value: str = ""  # what was measured, as a person reads it
    seen: tuple[str, ...] = ()  # what is perceived in it and not, or also, in the others
    by: str = ""  # what judged it: "joint space", "heard", "model"

    @property
    def times(self) -> tuple[float, ...]:
        """Of the frames looked at."""
        return self.answer.frames if self.answer else self.frames

    def evidence(self) -> tuple[float, ...]:
        """``(T,)``: what each frame says for the answer; see `Answer.evidence` where the clip was
        asked alone."""
        return self.answer.evidence() if self.answer else self.scores

    def as_dict(self) -> dict[str, Any]:
        """For JSON; what is not known is left out."""
        named = {"clip": self.clip.name or self.clip.ordinal, "place": self.clip.place + 1}
        if self.answer is not None:
            own = self.answer
            return named | (own.as_dict() if own.is_complete else own.basis.as_dict())
        found: dict[str, Any] = {"frames": [round(second, 3) for second in self.frames]}
        if self.chance is not None:
            found["chance"] = round(self.chance, 4)
        if self.scores:
            found["scores"] = [round(score, 3) for score in self.scores]
        more = {"by": self.by, "value": self.value, "seen": list(self.seen)}
        return named | found | {key: value for key, value in more.items() if value}
