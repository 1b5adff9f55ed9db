"""Several questions at once: one pass of the model for all of them instead of one for each."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

from assistant.vqa.answer import Made, beginning

if TYPE_CHECKING:
    from assistant.vqa.answer import Answer

__all__ = ["AT_ONCE", "answer_together"]

AT_ONCE = 8  # questions in one pass of the model
MOST_FRAMES = 256  # in one pass, of all its questions together: as many as one may look at


def answer_together(answers: Sequence[Answer]) -> None:
    """Take all of ``answers``, of one model and none of them begun, to their ends.

    Each is what it would have been alone, but for rounding (`docs/models.md`). What can share a
    pass does: the same adapter, as many frames, the same kind of answer.

    Raises:
        ModelError: the GPU's memory is full.
    """
    alike: dict[Hashable, list[Answer]] = {}
    for answer in answers:
        _, request, clip = answer.asked
        frames = None if clip is None else clip.patches.shape
        form = request.max_new_tokens if request.choices is None else "choices"
        alike.setdefault((request.adapter, frames, form), []).append(answer)
    for group in alike.values():
        clip = group[0].asked[2]
        room = AT_ONCE if clip is None else MOST_FRAMES // len(clip.patches)
        size = max(1, min(AT_ONCE, room))
        for start in range(0, len(group), size):
            _make(group[start : start + size])
    for answer in answers:
        answer.text  # noqa: B018, in the order of the questions


def _make(group: Sequence[Answer]) -> None:
    """One pass for answers that are alike, and the passes that weigh them."""
    import torch

    model, first, _ = group[0].asked
    requests = [answer.asked[1] for answer in group]
    clips = [clip.patches for answer in group if (clip := answer.asked[2]) is not None]
    seen = torch.stack(clips) if clips else None  # (B, T, K, Dv)
    prompts, histories = [one.prompt for one in requests], [one.history for one in requests]
    with torch.inference_mode():
        visual = model.visual_tokens(seen, [one.qformer_text for one in requests], first.adapter)
    pieces: list[list[str]] = [[] for _ in group]
    if first.choices is None:
        pieces = model.write(visual, prompts, histories, first.max_new_tokens)
    claims = [
        [beginning(own)] if one.choices is None else [(choice, True) for choice in one.choices]
        for one, own in zip(requests, pieces, strict=True)
    ]
    scores: list[list[float]] = [[] for _ in group]
    blind = scores
    if first.choices is not None or seen is not None:  # else nobody asks
        scores = model.weigh(visual, prompts, histories, claims)
        with torch.inference_mode():
            dark = model.visual_tokens(
                None, [one.blind_qformer_text for one in requests], first.adapter
            )
        nothing = [() for _ in group]
        blind = model.weigh(dark, [one.blind_prompt for one in requests], nothing, claims)
    for answer, made in zip(group, map(Made, pieces, scores, blind), strict=True):
        answer.take(made)
