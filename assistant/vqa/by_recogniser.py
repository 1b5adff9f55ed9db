"""Answers by a recogniser of actions of the person's own, and what it thinks where it is not
asked, or not sure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assistant.actions.store import recogniser_called, written
from assistant.core.progress import report
from assistant.tasks.recipes import Calibration
from assistant.vqa.answer import HEDGED, Answer
from assistant.vqa.basis import Basis
from assistant.vqa.candidates import sentence
from assistant.vqa.conversation import ACTIONS
from assistant.vqa.drafts import Query
from assistant.vqa.forms import DESCRIBE, Form
from assistant.vqa.request import Request
from assistant.vqa.weighing import SURE_OF_TWO

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from assistant.actions.naming import Named, Namer
    from assistant.vqa.asked import Asked
    from assistant.vqa.assistants import Assistant
    from assistant.vqa.clip import SessionClip

MOST = 10  # labels, with their probabilities
FEW = 3  # that are told in passing
SURE = SURE_OF_TWO  # probability from which its label is the answer; of two, a half is chance


@dataclass(frozen=True, eq=False)
class Recognised:
    """What a recogniser thinks of a range of a clip."""

    by: str  # what it is called
    named: Named
    namer: Namer  # to draw what it rests on

    @property
    def label(self) -> str:
        return self.named.actions[0][0]

    @property
    def is_sure(self) -> bool:
        return self.named.actions[0][1] >= SURE and not self.named.none_likely

    @property
    def doubt(self) -> str:
        """Why it is not sure; "": it is."""
        if self.is_sure:
            return ""
        if self.named.none_likely:
            return f"{self.by} was taught by clips that are all less like this one"
        label, share = self.named.actions[0]
        return f'"{label}" has {share:.0%}, and {self.by} is believed from {SURE:.0%} on'

    @property
    def told(self) -> str:
        """``waving 41%, clapping 30%``."""
        return ", ".join(f"{label} {share:.0%}" for label, share in self.named.actions[:FEW])

    def candidates(self, form: Form) -> list[str]:
        """What may be the answer to a question of its kind, to be weighed among others."""
        likely = [label for label, share in self.named.actions if share >= HEDGED]
        return [sentence(label) for label in likely] if form.kind == DESCRIBE else likely

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        shares = [{"label": name, "probability": round(p, 4)} for name, p in self.named.actions]
        return {"by": self.by, "actions": shares, "sure_from": SURE}


def recognise(
    folder: Path,
    asked: Asked,
    clip: SessionClip,
    assistant: Assistant,
    namers: dict[tuple[Path, tuple[int, ...]], Namer],
) -> Recognised:
    """What the recogniser in ``folder`` thinks of the range that is asked about.

    Args:
        namers: those that are loaded, by folder and when it was written.
    Raises:
        InputError: it was made for another encoder. ConfigError, WeightsError: it is damaged.
        VideoError: nothing could be decoded.
    """
    from assistant.actions.naming import Namer

    assert clip.path is not None
    report("Looking for what is done", 0.0)
    key = folder, written(folder)
    namer = namers.get(key) or Namer(assistant.sight, assistant.store, folder)
    namers[key] = namer
    named = namer.name(clip.path, MOST, *asked.where)
    return Recognised(recogniser_called(folder), named, namer)


def answer_by_recogniser(
    asked: Asked,
    found: Recognised,
    *,
    model: str,
    notes: Sequence[str],
    began: float,
    on_end: Callable[[str, dict[str, Any], str], None],
) -> Answer:
    """Its likeliest label, unsure below `SURE`, with the probabilities of all.

    Args:
        model: name of the one that looks. notes: for the person. began: of `Answer`. on_end: gets
            the question, what the answer rests on, and its text.
    """
    named = found.named
    basis = Basis(
        question=asked.typed,
        task=ACTIONS,
        model=model,
        adapter=None,
        frames=named.seconds,
        start=named.start,
        end=named.end,
        window=asked.where,
        range_source=asked.range_source,
        dialogue_source="none",
        sources=(),
        warnings=tuple(dict.fromkeys((*named.warnings, *notes, *asked.warnings))),
        asked_as=asked.question if asked.question != asked.typed else "",
        recognised=found,
    )
    labels = tuple(label for label, _ in named.actions)
    request = Request("", "", (), "", "", labels, (), 1, None, 0)

    def spoken() -> Iterator[str]:
        yield found.label

    return Answer(
        basis,
        Query(
            None,
            request,
            None,
            spoken,
            doubt=lambda _: found.doubt or None,
            shares=dict(named.actions),
        ),
        calibration=Calibration(),
        prior=0.0,
        began=began,
        on_end=partial(on_end, asked.typed, basis.as_dict()),
    )


def rests_on(answer: Answer) -> Figure:
    """A picture of where in the frames its label rests. Raises VideoError: the clip cannot be
    read any more."""
    found = answer.basis.recognised
    assert found is not None
    return found.namer.evidence(found.named)


def heated(answer: Answer, max_side: int) -> np.ndarray:
    """The same as frames ``(T, H, W, 3)`` uint8."""
    from assistant.actions.evidence import heat_over

    found = answer.basis.recognised
    assert found is not None
    frames, _, heat = found.namer.rests(found.named, max_side)
    return heat_over(frames, heat)
