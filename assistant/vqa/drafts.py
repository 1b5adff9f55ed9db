"""From questions to what the model makes of them: candidates, or a stream, and their scores.

There is one way for one question and for several; a single one is a batch of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING

from assistant.vqa.scoring import Scored, score_answers
from assistant.vqa.weighing import Candidate, Weigher

if TYPE_CHECKING:
    from torch import Tensor

    from assistant.model.assistant import VideoAssistant
    from assistant.model.chat.base import Message
    from assistant.model.hearing import Heard
    from assistant.vqa.request import Request

HELD_BACK = 6  # pieces of a free answer, before it is known whether the clip supports it


@dataclass(frozen=True)
class Query:
    """A question as the model takes it, and about which frames."""

    model: VideoAssistant | None  # None: another one speaks
    request: Request
    patches: Tensor | None  # (T, K, Dv); None: it is about text alone
    spoken: Callable[[], Iterator[str]] | None = None  # pieces of an answer not by the model
    weigher: Weigher | None = None  # of free answers; None: the model's first one is said
    messages: tuple[Message, ...] = ()  # that another model got
    doubt: Callable[[str], str | None] | None = None  # why such an answer is unsure, once whole
    shares: Mapping[str, float] | None = None  # probabilities, of what was chosen by such an answer
    heard: Heard | None = None  # beside these frames; None: nothing
    expected: Tensor | None = None  # (K,), how expected the last line was; None: nobody asks


@dataclass(frozen=True)
class Claim:
    """What is scored: an answer, or the beginning of a longer one."""

    text: str
    ended: bool


@dataclass(frozen=True)
class Draft:
    """What the model makes of one question."""

    pieces: Iterator[str]  # of a free answer; nothing where there are candidates
    claims: tuple[Claim, ...]  # the candidates, or how the free answer begins; () where not scored
    scored: Scored
    weighed: tuple[Candidate, ...] = ()  # the candidates with all that speaks for them


def draft_answers(queries: Sequence[Query]) -> list[Draft]:
    """One pass of the model over questions that are alike: same adapter, as many frames, the
    same kind of answer. A single one's pieces come as they are made.
    """
    model, first = queries[0].model, queries[0].request
    if model is None:
        assert queries[0].spoken is not None
        return [Draft(queries[0].spoken(), (), Scored([], []))]
    import torch

    from assistant.model.expectation import stacked
    from assistant.model.hearing import together
    from assistant.model.memory import within_memory

    requests = [query.request for query in queries]
    heard = together([query.heard for query in queries])
    expected = stacked([query.expected for query in queries])
    frames = [query.patches for query in queries if query.patches is not None]
    seen = torch.stack(frames) if frames else None  # (B, T, K, Dv)
    with within_memory(), torch.inference_mode():
        texts = [r.qformer_text for r in requests]
        visual = model.visual_tokens(seen, texts, first.adapter, heard, expected)
    if queries[0].weigher is not None:
        return _weighed(queries, visual)
    if not first.candidates:
        streams = model.generate_batch(
            visual,
            [r.prompt for r in requests],
            [r.history for r in requests],
            first.max_new_tokens,
            first.beams,
            first.adapter,
        )
        if seen is None:  # nobody asks whether the clip supports it
            return [Draft(stream, (), Scored([], [])) for stream in streams]
        held = [list(islice(stream, HELD_BACK)) for stream in streams]
        pieces = [chain(own, stream) for own, stream in zip(held, streams, strict=True)]
        claims: list[tuple[Claim, ...]] = [(_beginning(own),) for own in held]
    else:
        pieces = [chain[str]() for _ in requests]
        claims = [tuple(Claim(text, True) for text in r.candidates) for r in requests]
    with within_memory(), torch.inference_mode():
        blind = model.visual_tokens(None, [r.blind_qformer_text for r in requests], first.adapter)
    answers = [[(claim.text, claim.ended) for claim in own] for own in claims]
    scored = score_answers(model, requests, answers, visual, blind)
    return list(map(Draft, pieces, claims, scored))


def _weighed(queries: Sequence[Query], visual: Tensor) -> list[Draft]:
    """Candidates written by the model, for those that may be, and offered by the sources, all
    weighed."""
    import torch

    from assistant.model.memory import within_memory

    model, requests = queries[0].model, [query.request for query in queries]
    assert model is not None
    weighers = [query.weigher for query in queries if query.weigher is not None]
    free = [row for row, weigher in enumerate(weighers) if weigher.is_free]
    written: list[list[str]] = [[] for _ in queries]
    with within_memory(), torch.inference_mode():
        if free:
            proposed = model.propose(
                visual[free],
                [requests[row].prompt for row in free],
                [requests[row].history for row in free],
                requests[0].max_new_tokens,
            )
            for row, answers in zip(free, proposed, strict=True):
                written[row] = answers
        blind = model.visual_tokens(None, [r.blind_qformer_text for r in requests])
    drafts = []
    texts = [w.candidates(own) for w, own in zip(weighers, written, strict=True)]
    claims = [[(text, True) for text in own] for own in texts]
    scored = score_answers(model, requests, claims, visual, blind)
    for weigher, own, some, told in zip(weighers, written, texts, scored, strict=True):
        found = weigher.weighed(some, told.scores, told.blind, own)
        drafts.append(Draft(iter(()), tuple(Claim(t, True) for t in some), told, found))
    return drafts


def _beginning(held: Sequence[str]) -> Claim:
    """The part of a free answer whose support is asked for."""
    text = "".join(held).strip()
    return Claim(text, len(held) < HELD_BACK or not text)
