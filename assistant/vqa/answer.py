"""The answer to one question: a stream of text, and what it rests on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from assistant.model.assistant import VideoAssistant
    from assistant.model.encoders.attributes import Attribute
    from assistant.model.features import ClipFeatures
    from assistant.tasks.recipes import Calibration
    from assistant.vqa.request import Request

__all__ = ["CANNOT_TELL", "Answer", "Basis", "Made", "beginning", "softmax", "without_prior"]

CANNOT_TELL = "I cannot tell."
HELD_BACK = 6  # pieces of a free answer, before it is known whether the clip supports it


@dataclass(frozen=True)
class Basis:
    """What an answer rests on, known before its first word."""

    question: str
    task: str
    model: str
    adapter: str | None  # name of the adapter in use; None: the base weights alone
    frames: tuple[float, ...]  # (T,) the times looked at, seconds on the clip's own clock
    start: float | None  # the range looked at, seconds; of text alone: as it was asked for
    end: float | None
    window: tuple[float | None, float | None]  # as it was asked for; None: where the clip does
    # Who chose it: "clip" (all of it), "session", "question" or "given"; "none": there is no clip.
    range_source: str
    dialogue_source: str  # "none", "given", "file:NAME", "sidecar:NAME", "embedded track" ...
    attributes: tuple[Attribute, ...]  # things the encoder's classifier finds, likeliest first
    warnings: tuple[str, ...]  # what the person should know, a line each
    task_score: float | None = None  # of the task, where the question chose it
    lacking: tuple[str, ...] = ()  # what the task reads and is not there: "dialogue"


@dataclass(frozen=True)
class Made:
    """What the model made of a question beside others (`assistant.vqa.together`)."""

    pieces: list[str]  # of a free answer
    scores: list[float]  # log-probability of each choice, or of a free answer's beginning
    blind: list[float]  # the same without the clip


class Answer:
    """Iterate for the pieces of the text as they are made.

    ``text``, ``choice``, ``probabilities``, ``reason``, ``seconds`` and ``as_dict()`` first take
    what is left of the stream. ``close()`` stops the model; the turn is then not remembered.

    An answer is unsure where the clip makes it no likelier than the question alone does: then a
    free answer is ``CANNOT_TELL``, and ``reason`` says what it would have been. Of text alone that
    is not asked; it is unsure where there is no text. Among choices an adapter that was calibrated
    is unsure below its own threshold instead. A choice is told all the same.
    """

    def __init__(
        self,
        basis: Basis,
        model: VideoAssistant,
        request: Request,
        clip: ClipFeatures | None,
        *,
        calibration: Calibration,
        prior: float,
        began: float,
        on_end: Callable[[str], None],
    ) -> None:
        """``clip``: None: it rests on text alone. ``calibration``: the adapter's. ``prior``: share
        of the blind scores in :func:`without_prior`. ``began``: ``time.perf_counter()`` at the
        question. ``on_end`` gets the whole text.
        """
        self.basis, self._calibration, self._prior = basis, calibration, prior
        self._pieces: list[str] = []
        self._probabilities: dict[str, float] | None = None
        self._reason: str | None = None
        self._claim: tuple[str, bool] = ("", True)  # what the model says, and whether to its end
        self._evidence: tuple[float, ...] | None = None
        self._asked = (model, request, clip)
        self._made: Made | None = None
        self._seconds = math.nan
        self._began, self._on_end = began, on_end
        self._stream = self._run(model, request, clip)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        return next(self._stream)

    def close(self) -> None:
        """Stop the model; ``text`` is then what was made so far, ``seconds`` nan."""
        self._stream.close()

    @property
    def asked(self) -> tuple[VideoAssistant, Request, ClipFeatures | None]:
        """The model, what it is asked, and about what; no clip: about text alone."""
        return self._asked

    def take(self, made: Made) -> None:
        """Rest on what is made already; before the first piece."""
        self._made = made

    @property
    def text(self) -> str:
        """The whole answer: the join of the stream."""
        for _ in self:
            pass
        return "".join(self._pieces)

    @property
    def probabilities(self) -> dict[str, float] | None:
        """Of each choice, in the order given; None without choices."""
        self.text  # noqa: B018, takes the rest of the stream
        return self._probabilities

    @property
    def choice(self) -> str | None:
        """The likeliest choice; None without choices."""
        return None if self.probabilities is None else self.text

    @property
    def reason(self) -> str | None:
        """Why the answer is unsure; None where the clip supports it."""
        self.text  # noqa: B018, takes the rest of the stream
        return self._reason

    @property
    def seconds(self) -> float:
        """From the question to the end of its answer."""
        self.text  # noqa: B018, takes the rest of the stream
        return self._seconds

    def evidence(self) -> tuple[float, ...]:
        """What each frame weighs, ``(T,)``: the mean log-probability per token that the answer
        loses when the frame is left out. Of an unsure answer: of what it would have been. () where
        no frame was looked at.
        """
        self.text  # noqa: B018, takes the rest of the stream
        model, request, clip = self._asked
        if clip is None:
            return ()
        if self._evidence is None:
            claim, ended = self._claim
            weights = model.occlusion(clip.patches, answer=claim, ended=ended, **request.asked())
            self._evidence = tuple(weights)
        return self._evidence

    def routing(self) -> list[dict[str, list[float]]]:
        """Per layer of the Q-Former how far it looked: the weight of each receptive field, the
        widest first, in "space" (over queries) and "time" (over frames); [] without an adapter.
        """
        model, request, clip = self._asked
        return model.routing(
            _patches(clip), qformer_text=request.qformer_text, adapter=request.adapter
        )

    @property
    def frames(self) -> tuple[float, ...]:
        """The times looked at, seconds."""
        return self.basis.frames

    @property
    def dialogue_source(self) -> str:
        """Where the dialogue came from."""
        return self.basis.dialogue_source

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the person should know about this answer, a line each."""
        return self.basis.warnings

    def as_dict(self) -> dict[str, Any]:
        """The answer as one JSON object; the keys are the same in ``ask --json`` and ``batch``."""
        found: dict[str, Any] = {"answer": self.text}
        if self._probabilities is not None:
            found["choice"] = self.choice
            found["probabilities"] = {
                choice: round(value, 4) for choice, value in self._probabilities.items()
            }
        if self._reason is not None:
            found |= {"unsure": True, "reason": self._reason}
        if self._evidence is not None:
            found["evidence"] = [round(weight, 4) for weight in self._evidence]
            if routes := self.routing():
                found["routing"] = [
                    {axis: [round(share, 4) for share in alpha] for axis, alpha in route.items()}
                    for route in routes
                ]
        if self.basis.task_score is not None:
            found["task_score"] = round(self.basis.task_score, 3)
        return found | {
            "attributes": [
                {"name": thing.name, "probability": round(thing.probability, 4)}
                for thing in self.basis.attributes
            ],
            "frames": [round(seconds, 3) for seconds in self.frames],
            "start": _rounded(self.basis.start),
            "end": _rounded(self.basis.end),
            "range_source": self.basis.range_source,
            "task": self.basis.task,
            "dialogue_source": self.dialogue_source,
            "warnings": list(self.warnings),
            "model": self.basis.model,
            "adapter": self.basis.adapter,
            "seconds": round(self.seconds, 3),
        }

    def _run(
        self, model: VideoAssistant, request: Request, clip: ClipFeatures | None
    ) -> Generator[str, None, None]:
        asked, seen, made = request.asked(), _patches(clip), self._made
        if seen is None and self.basis.lacking:
            self._reason = f"no {' or '.join(self.basis.lacking)} is there for it to read"
        if request.choices is None:
            if made is None:
                stream = model.generate(seen, max_new_tokens=request.max_new_tokens, **asked)
            else:
                stream = iter(made.pieces)
            if seen is not None:
                stream = self._supported(model, request, seen, stream)
            elif self._reason is not None:
                stream = iter([CANNOT_TELL])
        else:
            scores, blind = self._scores(model, request, seen, request.choices, ended=True)
            weighed = without_prior(scores, blind, self._prior)
            shares = softmax(weighed, self._calibration.temperature)
            self._probabilities = dict(zip(request.choices, shares, strict=True))
            place = max(range(len(shares)), key=shares.__getitem__)
            best = request.choices[place]
            self._claim = (best, True)
            if self._calibration.examples:
                self._check_probability(shares[place], best)
            elif seen is not None:
                self._check_support(scores[place], blind[place], best, ended=True)
            stream = iter([best])
        for piece in stream:
            self._pieces.append(piece)
            yield piece
        if request.choices is None and self._reason is None:
            self._claim = ("".join(self._pieces).strip(), True)
        self._seconds = time.perf_counter() - self._began
        self._on_end("".join(self._pieces))

    def _supported(
        self, model: VideoAssistant, request: Request, seen: Tensor, stream: Iterator[str]
    ) -> Iterator[str]:
        """The stream, once its beginning is known to rest on the clip; else ``CANNOT_TELL``."""
        held = list(islice(stream, HELD_BACK))
        begun, ended = beginning(held)
        if begun:
            self._claim = (begun, ended)
            (score,), (blind,) = self._scores(model, request, seen, [begun], ended=ended)
            self._check_support(score, blind, begun, ended=ended)
        if self._reason is not None:
            yield CANNOT_TELL
            return
        yield from held
        yield from stream

    def _scores(
        self,
        model: VideoAssistant,
        request: Request,
        seen: Tensor | None,
        answers: Sequence[str],
        *,
        ended: bool,
    ) -> tuple[list[float], list[float]]:
        """What the model makes of each answer, and what the question alone makes of it."""
        if self._made is not None:
            return self._made.scores, self._made.blind
        scores = model.score(seen, answers=answers, ended=ended, **request.asked())
        blind = model.score(
            None,
            qformer_text=request.blind_qformer_text,
            prompt=request.blind_prompt,
            adapter=request.adapter,
            answers=answers,
            ended=ended,
        )
        return scores, blind

    def _check_support(self, score: float, blind: float, answer: str, *, ended: bool) -> None:
        """Give a reason to be unsure where ``answer`` is no likelier than without the clip."""
        if score <= blind:
            more = "" if ended else " ..."
            self._reason = f'the clip makes "{answer}{more}" no likelier than the question alone'

    def _check_probability(self, probability: float, answer: str) -> None:
        """Give a reason to be unsure where the adapter is wrong too often at ``probability``."""
        least = self._calibration.unsure_below
        if probability < least:
            lacking = "".join(
                f"no {thing} is there for it to read; " for thing in self.basis.lacking
            )
            self._reason = (
                f'{lacking}"{answer}" has {probability:.0%}, '
                f"and this adapter is right often enough from {least:.0%} on"
            )


def beginning(pieces: Sequence[str]) -> tuple[str, bool]:
    """The part of a free answer whose support is asked for, and whether it is the whole answer."""
    return "".join(pieces[:HELD_BACK]).strip(), len(pieces) < HELD_BACK


def _patches(clip: ClipFeatures | None) -> Tensor | None:
    """``(T, K, Dv)``; None: no frame is looked at."""
    return None if clip is None else clip.patches


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def without_prior(scores: Sequence[float], blind: Sequence[float], share: float) -> list[float]:
    """Log-probabilities of choices less a share of what each has without the clip.

    What a model seldom says is not wrong for that. Source: Holtzman et al. 2021, Surface Form
    Competition (share 1).
    """
    return [score - share * dark for score, dark in zip(scores, blind, strict=True)]


def softmax(scores: Sequence[float], temperature: float = 1.0) -> list[float]:
    """Probabilities of log-scores."""
    highest = max(scores)
    weights = [math.exp((score - highest) / temperature) for score in scores]
    return [weight / sum(weights) for weight in weights]
