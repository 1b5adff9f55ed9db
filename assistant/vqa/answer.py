"""The answer to one question: a stream of text, and what it rests on; or several at once."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from assistant.core.jsonl import finite
from assistant.vqa.drafts import Claim, Draft, Query, draft_answers
from assistant.vqa.forms import YES_NO
from assistant.vqa.scoring import softmax
from assistant.vqa.untold import CANNOT_TELL, cannot_tell
from assistant.vqa.weighing import weigh

if TYPE_CHECKING:
    from assistant.tasks.recipes import Calibration
    from assistant.vqa.basis import Basis
    from assistant.vqa.request import Request

AT_ONCE = 8  # questions in one pass of the model
MOST_FRAMES = 256  # in one pass, of all its questions together: as many as one may look at
HEDGED = 0.25  # chance from which an answer that is not sure is told as a guess


class Answer:
    """Iterate for the pieces of the text as they are made.

    ``text``, ``choice``, ``probabilities``, ``reason``, ``seconds`` and ``as_dict()`` first take
    what is left of the stream; where making it failed they raise what it failed with. ``close()``
    stops the model; the turn is then not remembered.

    An answer is unsure where the clip makes it no likelier than the question alone does, or, where
    several were weighed, where too few of such answers are right: then a free answer names what may
    be and what was seen ("I am not sure; perhaps ..."), or begins with ``CANNOT_TELL``, and
    ``reason`` says what it would have been. Of text alone that is not asked; it is unsure where
    there is no text. Among choices an adapter that was calibrated is unsure below its own threshold
    instead. A choice is told all the same, but not about a line of dialogue where none is there.
    """

    def __init__(
        self,
        basis: Basis,
        query: Query,
        *,
        calibration: Calibration,
        prior: float,
        began: float,
        on_end: Callable[[str], None],
    ) -> None:
        """``calibration``: the adapter's. ``prior``: share of the blind scores, see
        :func:`assistant.vqa.scoring.without_prior`. ``began``: ``time.perf_counter()`` at the
        question. ``on_end`` gets the whole text.
        """
        self.basis, self.query = basis, query
        self._calibration, self._prior = calibration, prior
        self._pieces: list[str] = []
        self._probabilities: dict[str, float] | None = None
        self._reason: str | None = None
        self._confidence: float | None = None
        self._claim = Claim("", True)  # what the model says
        self._evidence: tuple[float, ...] | None = None
        self._seconds = math.nan
        self._began, self._on_end = began, on_end
        self._failure: Exception | None = None
        self._draft: Draft | None = None
        self._stream = self._run()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._failure is not None:
            raise self._failure
        return next(self._stream)

    def close(self) -> None:
        """Stop the model; ``text`` is then what was made so far, ``seconds`` nan."""
        self._stream.close()

    def finish(self) -> None:
        """Take what is left of the stream."""
        for _ in self:
            pass

    @property
    def request(self) -> Request:
        """The question as the model takes it."""
        return self.query.request

    @property
    def text(self) -> str:
        """The whole answer: the join of the stream."""
        self.finish()
        return "".join(self._pieces)

    @property
    def is_complete(self) -> bool:
        """Whether it was made to its end."""
        return not math.isnan(self._seconds)

    @property
    def probabilities(self) -> dict[str, float] | None:
        """Of each choice, in the order given; None without choices."""
        self.finish()
        return self._probabilities

    @property
    def choice(self) -> str | None:
        """The likeliest choice; None without choices, or where none was taken."""
        return self.text if self.text in (self.request.choices or ()) else None

    @property
    def reason(self) -> str | None:
        """Why the answer is unsure; None where the clip supports it."""
        self.finish()
        return self._reason

    @property
    def confidence(self) -> float | None:
        """The chance that what it says, or would have said, is right; None: that is not known."""
        self.finish()
        return self._confidence

    @property
    def seconds(self) -> float:
        """From the question to the end of its answer."""
        self.finish()
        return self._seconds

    def evidence(self) -> tuple[float, ...]:
        """What each frame weighs, ``(T,)``: the mean log-probability per token that the answer
        loses when the frame is left out. Of an unsure answer: of what it would have been. () where
        no frame was looked at. An answer that no frame speaks for is unsure from then on.
        """
        for _ in self.weigh():
            pass
        return self._evidence or ()

    def weigh(self) -> Iterator[float]:
        """The evidence frame by frame, as it is worked out; whoever leaves early begins anew."""
        self.finish()
        patches, request, model = self.query.patches, self.request, self.query.model
        if patches is None or model is None:
            return
        if self._evidence is not None:
            yield from self._evidence
            return
        weights: list[float] = []
        for weight in model.occlusion(
            patches,
            heard=self.query.heard,
            expected=self.query.expected,
            qformer_text=request.qformer_text,
            prompt=request.prompt,
            history=request.history,
            adapter=request.adapter,
            choosing=request.choices is not None,
            answer=self._claim.text,
            ended=self._claim.ended,
        ):
            weights.append(weight)
            yield weight
        self._evidence = tuple(weights)
        weighed = self._confidence is not None  # by notes, too, which no frame's absence changes
        if self._reason is None and not weighed and not any(weight >= 0 for weight in weights):
            self._reason = f'no frame speaks for "{self._claim.text}"'

    def routing(self) -> list[dict[str, list[float]]]:
        """Per layer of the Q-Former how far it looked: the weight of each receptive field, the
        widest first, in "space" (over queries) and "time" (over frames); [] without an adapter.
        """
        request, model = self.request, self.query.model
        if model is None:
            return []
        return model.routing(
            self.query.patches,
            heard=self.query.heard,
            expected=self.query.expected,
            qformer_text=request.qformer_text,
            adapter=request.adapter,
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
        if self.choice is not None:
            found["choice"] = self.choice
        if self._probabilities is not None:
            found["probabilities"] = {
                choice: round(value, 4) for choice, value in self._probabilities.items()
            }
        if self._reason is not None:
            found |= {"unsure": True, "reason": self._reason}
        if self._confidence is not None:
            found["confidence"] = round(self._confidence, 4)
        if self._evidence is not None:
            found["evidence"] = [round(weight, 4) for weight in self._evidence]
            if routes := self.routing():
                found["routing"] = [
                    {axis: [round(share, 4) for share in alpha] for axis, alpha in route.items()}
                    for route in routes
                ]
        if self.basis.task_score is not None:
            found["task_score"] = round(self.basis.task_score, 3)
        return finite(found | self.basis.as_dict() | {"seconds": round(self.seconds, 3)})

    def _run(self) -> Generator[str, None, None]:
        try:
            draft = self._draft or draft_answers([self.query])[0]
            self._draft = None  # or closing would leave the model at work
            for piece in self._told(draft):
                self._pieces.append(piece)
                yield piece
        except Exception as error:
            self._failure = error
            for one in (error, error.__cause__):  # or what it computed with stays in memory
                traceback.clear_frames(one.__traceback__ if one else None)
            raise
        if self.query.doubt is not None:
            self._reason = self.query.doubt("".join(self._pieces))
        if self.request.choices is None and self._reason is None:
            self._claim = Claim("".join(self._pieces).strip(), True)
        self._seconds = time.perf_counter() - self._began
        self._on_end("".join(self._pieces))
        del self._on_end  # it may hold the session, which holds the answer: two that nobody frees

    def _told(self, draft: Draft) -> Iterator[str]:
        """What a draft comes to: its pieces, its best choice, or that the clip does not tell."""
        if self.query.spoken is not None:
            self._probabilities = dict(self.query.shares) if self.query.shares else None
            return draft.pieces
        sees = self.query.patches is not None
        unread = f"no {' or '.join(self.basis.lacking)} is there for it to read"
        if not sees and self.basis.lacking:
            self._reason = unread
        if self.request.choices is not None:
            chosen = self._choose(draft, sees)
            if self.basis.answerable:
                return iter([chosen])
        if not self.basis.answerable:
            self._reason, self._probabilities = unread, None
            return iter([CANNOT_TELL])
        if self.basis.unfound:
            self._reason = f"no {' or '.join(self.basis.unfound)} was found"
        if self.request.proposals:
            weighed = draft.scored.without_prior(1.0)
            self._claim = draft.claims[weighed.index(max(weighed))]
            return iter([self._claim.text])
        if draft.weighed:
            return iter([self._weigh(draft)])
        if draft.claims and draft.claims[0].text:
            (self._claim,) = draft.claims
            if self._reason is None:
                self._check_support(draft, 0)
        return draft.pieces if self._reason is None else iter([CANNOT_TELL])

    def _weigh(self, draft: Draft) -> str:
        """The candidate that won, or what was seen instead."""
        weigher = self.query.weigher
        assert weigher is not None
        verdict = weigh(draft.weighed, weigher.weights)
        self._claim, self._confidence = draft.claims[verdict.place], verdict.chance
        if not verdict.sure and self._reason is None and weigher.surely is not None:
            text, self._confidence = weigher.surely
            self._claim = Claim(text, True)
            return text
        if not verdict.sure and self._reason is None:
            self._reason = (
                f'"{self._claim.text}" would be right in {verdict.chance:.0%} of such cases, and '
                f"it answers from {verdict.least:.0%} on"
            )
        if self._reason is None and self._claim.text != CANNOT_TELL:
            return self._claim.text
        self._reason = self._reason or "the language model says so"
        worth = verdict.chance >= HEDGED and weigher.form.kind != YES_NO
        likeliest = self._claim.text if worth and self._claim.text != CANNOT_TELL else ""
        return cannot_tell(weigher.form, self.basis.sources, likeliest)

    def _choose(self, draft: Draft, sees: bool) -> str:
        """The likeliest choice; it may turn out unsure."""
        weighed = draft.scored.without_prior(self._prior)
        shares = softmax(weighed, self._calibration.temperature)
        place = max(range(len(shares)), key=shares.__getitem__)
        self._claim = draft.claims[place]
        texts = (claim.text for claim in draft.claims)
        self._probabilities = dict(zip(texts, shares, strict=True))
        if not all(map(math.isfinite, shares)):
            self._reason = "what the model computed is not a number; its weights may be damaged"
        elif self._calibration.examples:
            self._check_probability(shares[place])
        elif sees:
            self._check_support(draft, place)
        return self._claim.text

    def _check_support(self, draft: Draft, place: int) -> None:
        """Give a reason to be unsure where the claim is no likelier than without the clip."""
        if not draft.scored.scores[place] > draft.scored.blind[place]:  # or it is not a number
            told = self._claim.text + ("" if self._claim.ended else " ...")
            self._reason = f'the clip makes "{told}" no likelier than the question alone'

    def _check_probability(self, probability: float) -> None:
        """Give a reason to be unsure where the adapter is wrong too often at ``probability``."""
        least = self._calibration.unsure_below
        if probability < least:
            lacking = "".join(
                f"no {thing} is there for it to read; " for thing in self.basis.lacking
            )
            self._reason = (
                f'{lacking}"{self._claim.text}" has {probability:.0%}, '
                f"and this adapter is right often enough from {least:.0%} on"
            )


def answer_together(answers: Sequence[Answer]) -> None:
    """Take all of ``answers``, none of them begun, to their ends, some in each pass of the model.

    Each is what it would have been alone, but for rounding (`docs/models.md`).

    Raises:
        ModelError: the GPU's memory is full.
    """
    for group in _alike(answers):
        drafts = draft_answers([answer.query for answer in group])
        for answer, draft in zip(group, drafts, strict=True):
            answer._draft = draft
    for answer in answers:  # in the order of the questions
        answer.finish()


def _alike(answers: Sequence[Answer]) -> Iterator[list[Answer]]:
    """Those that can share a pass: the same adapter, as many frames, the same kind of answer."""
    alike: dict[Hashable, list[Answer]] = {}
    for answer in answers:
        request, patches = answer.request, answer.query.patches
        if answer.query.model is None:
            continue  # spoken as it is read
        shape = None if patches is None else patches.shape
        weighed = answer.query.weigher is not None
        free = (request.max_new_tokens, request.beams, weighed)
        form = "choices" if request.choices else "proposals" if request.proposals else free
        alike.setdefault((request.adapter, shape, form), []).append(answer)
    for group in alike.values():
        patches = group[0].query.patches
        room = AT_ONCE if patches is None else MOST_FRAMES // len(patches)
        size = max(1, min(AT_ONCE, room))
        for start in range(0, len(group), size):
            yield group[start : start + size]
