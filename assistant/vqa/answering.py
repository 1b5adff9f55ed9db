"""The one way from questions to what the model makes of them; a single one is a batch of one."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING

from assistant.vqa.scoring import Scored, score_answers

if TYPE_CHECKING:
    from torch import Tensor

    from assistant.model.assistant import VideoAssistant
    from assistant.vqa.request import Request

__all__ = ["AT_ONCE", "Claim", "Draft", "Query", "batches", "draft_answers"]

AT_ONCE = 8  # questions in one pass of the model
MOST_FRAMES = 256  # in one pass, of all its questions together: as many as one may look at
HELD_BACK = 6  # pieces of a free answer, before it is known whether the clip supports it


@dataclass(frozen=True)
class Query:
    """A question as the model takes it, and about which frames."""

    model: VideoAssistant
    request: Request
    patches: Tensor | None  # (T, K, Dv); None: it is about text alone


@dataclass(frozen=True)
class Claim:
    """What is scored: an answer, or the beginning of a longer one."""

    text: str
    ended: bool


@dataclass(frozen=True)
class Draft:
    """What the model makes of one question."""

    pieces: Iterator[str]  # of a free answer; nothing where there are choices
    claims: tuple[Claim, ...]  # the choices, or how the free answer begins; () where not scored
    scored: Scored


def draft_answers(queries: Sequence[Query]) -> list[Draft]:
    """One pass of the model over questions that are alike, as :func:`batches` has them.

    A single question's pieces come as they are made.
    """
    import torch

    from assistant.model.memory import within_memory

    model, first = queries[0].model, queries[0].request
    requests = [query.request for query in queries]
    frames = [query.patches for query in queries if query.patches is not None]
    seen = torch.stack(frames) if frames else None  # (B, T, K, Dv)
    with within_memory(), torch.inference_mode():
        visual = model.visual_tokens(seen, [r.qformer_text for r in requests], first.adapter)
    if first.choices is None:
        streams = model.generate_batch(
            visual,
            [r.prompt for r in requests],
            [r.history for r in requests],
            first.max_new_tokens,
        )
        if seen is None:  # nobody asks whether the clip supports it
            return [Draft(stream, (), Scored([], [])) for stream in streams]
        held = [list(islice(stream, HELD_BACK)) for stream in streams]
        pieces = [chain(own, stream) for own, stream in zip(held, streams, strict=True)]
        claims: list[tuple[Claim, ...]] = [(_beginning(own),) for own in held]
    else:
        pieces = [chain[str]() for _ in requests]
        claims = [tuple(Claim(choice, True) for choice in r.choices or ()) for r in requests]
    with within_memory(), torch.inference_mode():
        blind = model.visual_tokens(None, [r.blind_qformer_text for r in requests], first.adapter)
    answers = [[(claim.text, claim.ended) for claim in own] for own in claims]
    scored = score_answers(model, requests, answers, visual, blind)
    return list(map(Draft, pieces, claims, scored))


def batches(queries: Sequence[Query]) -> Iterator[list[int]]:
    """Places of questions that can share a pass: the same adapter, as many frames, the same kind of
    answer."""
    alike: dict[Hashable, list[int]] = {}
    for place, query in enumerate(queries):
        shape = None if query.patches is None else query.patches.shape
        request = query.request
        form = request.max_new_tokens if request.choices is None else "choices"
        alike.setdefault((request.adapter, shape, form), []).append(place)
    for group in alike.values():
        patches = queries[group[0]].patches
        room = AT_ONCE if patches is None else MOST_FRAMES // len(patches)
        size = max(1, min(AT_ONCE, room))
        for start in range(0, len(group), size):
            yield group[start : start + size]


def _beginning(held: Sequence[str]) -> Claim:
    """The part of a free answer whose support is asked for."""
    text = "".join(held).strip()
    return Claim(text, len(held) < HELD_BACK or not text)
