"""From examples to their loss and their answers: what ``finetune`` and ``evaluate`` share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from assistant.model.assistant import VideoAssistant
from assistant.model.spatiotemporal import States
from assistant.tasks.recipes import Recipe
from assistant.training.clips import ClipTable
from assistant.training.examples import Asked, Example
from assistant.training.losses.motion import MotionSupervision, Moved
from assistant.training.losses.naming import NamedChoice
from assistant.training.losses.slots import WordSlots
from assistant.training.losses.walking import Walked, WalkSupervision
from assistant.vqa.scoring import score_answers

__all__ = ["CHOSEN", "Learner", "accuracies", "by_clip"]

CHOSEN = "accuracy"  # the dev figure that decides, where the data have choices; else the loss


class Learner(nn.Module):
    """From examples to their loss and their answers, through the adapter ``name``.

    All that learns is that adapter; None is the image model run per frame.
    """

    def __init__(
        self, model: VideoAssistant, recipe: Recipe, table: ClipTable | None, name: str | None
    ) -> None:
        super().__init__()
        self.model, self.recipe, self.table, self.name = model, recipe, table, name
        self.slots: WordSlots | None = None
        self.motion: MotionSupervision | None = None
        self.walking: WalkSupervision | None = None
        self.naming: NamedChoice | None = None
        if name is not None:  # else what is learned in time were no part of this module:
            self.qformer = model.adapters.qformer  # several processes would not share its gradients

    def forward(self, batch: Sequence[Asked], silent: bool, sparse: bool = False) -> Tensor:
        """Mean loss; ``silent`` skips the LLM, ``sparse`` every second frame."""
        total = torch.zeros((), device=self.model.qformer.queries.device)
        for part in by_clip(batch):
            total = total + self._loss(part, silent, sparse) * (len(part) / len(batch))
        return total

    def _loss(self, part: Sequence[Asked], silent: bool, sparse: bool) -> Tensor:
        training = self.recipe.training
        chosen = self._drawn_frames(len(part), sparse)
        states, visual = self._seen(part, chosen)
        loss = visual.new_zeros((), dtype=torch.float32)
        if training.motion:
            loss = loss + training.motion * self._dense(states, part, chosen.tolist())
        if self.naming is not None:
            places = [asked.example.named for asked in part]
            compared = states.steps[max(0, len(states.steps) - 2)]
            loss = loss + training.naming * self.naming(compared, places)
        answers = [asked.example.answer for asked in part]
        if self.slots is not None and (training.slots or silent):
            bags: list[tuple[str, ...]] = [()] * len(part)
            loss = loss + (training.slots or 1.0) * self.slots(visual, answers, bags)
        if not silent:
            llm = self.model.llm
            prompts = [llm.prompt_ids(a.request.prompt, a.request.history) for a in part]
            told = [self._right_first(asked.example) for asked in part]
            ids = [[llm.answer_ids(answer) for answer in some] for some in told]
            losses = llm.answer_losses(visual, prompts, ids)
            loss = loss + training.llm * torch.stack([some[0] for some in losses]).mean()
            if training.choices:
                shares = torch.stack([(-some).log_softmax(0)[0] for some in losses])
                loss = loss - training.choices * shares.mean()
        return loss

    def _dense(
        self, states: States, part: Sequence[Asked], chosen: Sequence[Sequence[int]]
    ) -> Tensor:
        """What is known of generated clips, of the ``chosen`` frames."""
        loss = states.pooled.new_zeros((), dtype=torch.float32)
        known = [asked.example.known for asked in part]
        moved = {row: k.at(chosen[row]) for row, k in enumerate(known) if isinstance(k, Moved)}
        walked = {row: k.at(chosen[row]) for row, k in enumerate(known) if isinstance(k, Walked)}
        if self.motion is not None and moved:
            rows = list(moved)
            told = self.motion(states.framed[rows], states.steps[0][rows], list(moved.values()))
            loss = loss + told
        if self.walking is not None and walked:
            loss = loss + self.walking(states, list(walked), list(walked.values()))
        return loss

    def _right_first(self, example: Example) -> list[str]:
        """The answer and, where they count, the other choices."""
        others = example.choices if self.recipe.training.choices else ()
        return [example.answer, *(choice for choice in others if choice != example.answer)]

    def visual(self, part: Sequence[Asked], *, blind: bool = False) -> Tensor:
        """Visual tokens of examples that all have a clip, or all have none."""
        return self._seen(part, self._drawn_frames(len(part)), blind=blind)[-1]

    def _drawn_frames(self, count: int, sparse: bool = False) -> Tensor:
        """Places ``(count, T)`` among the encoded frames: one of each ``jitter`` that follow each
        other, drawn in training and the middle one else; ``sparse``: of each twice as many."""
        frames, jitter = self.recipe.frames, self.recipe.training.jitter
        if sparse:
            frames, jitter = frames // 2, 2 * jitter
        middle = torch.full((count, frames), jitter // 2)
        within = torch.randint(jitter, (count, frames)) if self.training else middle
        return torch.arange(frames) * jitter + within

    def _seen(
        self, part: Sequence[Asked], chosen: Tensor, *, blind: bool = False
    ) -> tuple[States, Tensor]:
        """Queries on their way, and visual tokens ``(B, L, W)``.

        ``chosen`` ``(B, T)``: which of the encoded frames.
        """
        qformer_text = [
            a.request.blind_qformer_text if blind else a.request.qformer_text for a in part
        ]
        ids, mask = self.model.qformer_ids(qformer_text)
        patches = frames = None
        keys = [asked.example.clip for asked in part]
        if keys[0] is not None and self.table is not None and not blind:
            patches, frames = self.frames([key for key in keys if key is not None], chosen)
            patches, frames = patches.to(ids.device), frames.to(ids.device)
            if bool(frames.all()):
                frames = None
        with self.model.adapters.using(self.name) as qformer:
            states = qformer.states(patches, ids, mask, frames)
            return states, qformer.image.projection(states.pooled)

    def frames(self, keys: Sequence[str], chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Patches of clips ``(B, T, K, Dv)``, and ``(B, T)``: 1 where there is a frame."""
        assert self.table is not None
        return self.table.patches(keys, chosen)

    @torch.no_grad()
    def free_answers(self, part: Sequence[Asked], max_new_tokens: int) -> list[str]:
        """As the model decodes them; the examples all have a clip, or all have none."""
        llm = self.model.llm
        prompts = [llm.prompt_ids(a.request.prompt, a.request.history) for a in part]
        return llm.complete(self.visual(part), prompts, max_new_tokens)

    @torch.no_grad()
    def choices_told(
        self, part: Sequence[Asked], silent: bool, *, blind: bool = False
    ) -> list[int]:
        """Per example the place of the choice that is taken; ``blind``: without the clip."""
        if silent and self.slots is not None and part:
            choices = [asked.example.choices for asked in part]
            return self.slots.choose(self.visual(part, blind=blind), choices)
        scores = self.choice_scores(part, blind=blind)
        return [max(range(len(some)), key=some.__getitem__) for some in scores]

    @torch.no_grad()
    def choice_scores(self, part: Sequence[Asked], *, blind: bool = False) -> list[list[float]]:
        """Per example the log-score of each choice, as `assistant.vqa.scoring` has it.

        ``blind``: without the clip. The examples all have a clip, or all have none.
        """
        if not part:
            return []
        share = self.model.choice_prior * self.recipe.prior
        answers = [[(choice, True) for choice in asked.example.choices] for asked in part]
        requests = [asked.request for asked in part]
        alone = self.visual(part, blind=True) if blind or share else None
        if blind:
            prompts, nothing = [one.blind_prompt for one in requests], [()] * len(part)
            return self.model.score_batch(alone, prompts, nothing, answers)
        scored = score_answers(self.model, requests, answers, self.visual(part), alone)
        return [some.without_prior(share) for some in scored]


@torch.no_grad()
def accuracies(
    learner: Learner, asked: Sequence[Asked], size: int, silent: bool = False
) -> dict[str, float]:
    """Share of right choices, "accuracy" overall and "accuracy: TYPE" of each type.

    Examples without choices are left out. ``size``: of a batch; ``silent``: without the LLM.
    """
    right: dict[str, list[bool]] = {}
    offered = [one for one in asked if len(one.example.choices) > 1]
    for start in range(0, len(offered), size):
        for part in by_clip(offered[start : start + size]):
            for one, place in zip(part, learner.choices_told(part, silent), strict=True):
                told = one.example.choices[place] == one.example.answer
                right.setdefault(one.example.type or "questions", []).append(told)
    if not right:
        return {}
    every = [told for some in right.values() for told in some]
    by_type = {f"{CHOSEN}: {kind}": sum(some) / len(some) for kind, some in right.items()}
    return {CHOSEN: sum(every) / len(every)} | by_type


def by_clip(batch: Sequence[Asked]) -> Iterator[list[Asked]]:
    """Those with a clip, then those without: a forward pass has one kind."""
    for has_clip in (True, False):
        part = [asked for asked in batch if (asked.example.clip is not None) is has_clip]
        if part:
            yield part
