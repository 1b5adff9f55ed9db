"""From examples to their loss and their answers: what ``finetune`` and ``evaluate`` share."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from assistant.model.assistant import VideoAssistant
from assistant.model.expectation import stacked
from assistant.model.hearing import Heard
from assistant.model.spatiotemporal import States
from assistant.tasks.recipes import Recipe
from assistant.training.examples import DrawnExample, Example
from assistant.training.features import FeatureTable
from assistant.training.losses.base import Loss, Seen
from assistant.training.sounds import heard_in
from assistant.vqa.scoring import score_answers

CHOSEN = "accuracy"  # the dev figure that decides, where the data have choices; else the loss


class Learner(nn.Module):
    """From examples to their loss and their answers, through the adapter ``name``.

    All that learns is that adapter; None is the image model run per frame.
    """

    def __init__(
        self,
        model: VideoAssistant,
        recipe: Recipe,
        table: FeatureTable | None,
        name: str | None,
        losses: Mapping[str, Loss] | None = None,
    ) -> None:
        """``losses``: by the key that has their weight; none where nothing is learned."""
        super().__init__()
        self.model, self.recipe, self.table, self.name = model, recipe, table, name
        self.losses = dict(losses or {})
        self.heads = nn.ModuleDict(self.losses)
        if name is not None:  # else what is learned in time were no part of this module:
            self.qformer = model.adapters.qformer  # several processes would not share its gradients

    def forward(self, batch: Sequence[DrawnExample], silent: bool) -> Tensor:
        """Mean loss; ``silent`` skips the LLM."""
        total = torch.zeros((), device=self.model.qformer.queries.device)
        for part in by_clip(batch):
            total = total + self._loss(part, silent) * (len(part) / len(batch))
        return total

    def _loss(self, part: Sequence[DrawnExample], silent: bool) -> Tensor:
        chosen = self._drawn_frames(len(part))
        states, visual = self._seen(part, chosen)
        losses = {n: one for n, one in self.losses.items() if not (silent and one.through_llm)}
        told: list[Tensor] = []
        if any(one.through_llm for one in losses.values()):
            told = self._told(part, visual, any(one.offers for one in losses.values()))
        seen = Seen(states, visual, chosen.tolist(), told)
        total = visual.new_zeros((), dtype=torch.float32)
        for name, one in losses.items():
            known = [drawn.example.known.get(name) for drawn in part]
            total = total + self.recipe.training.losses[name] * one(seen, known)
        return total

    def _told(self, part: Sequence[DrawnExample], visual: Tensor, offered: bool) -> list[Tensor]:
        """Per example the LLM's loss of the answer and, where they are ``offered``, of the other
        choices."""
        llm = self.model.llm
        prompts = [llm.prompt_ids(a.request.prompt, a.request.history) for a in part]
        told = [right_first(drawn.example, offered) for drawn in part]
        return llm.answer_losses(
            visual, prompts, [[llm.answer_ids(answer) for answer in some] for some in told]
        )

    def visual(self, part: Sequence[DrawnExample], *, blind: bool = False) -> Tensor:
        """Visual tokens of examples that all have a clip, or all have none."""
        return self._seen(part, self._drawn_frames(len(part)), blind=blind)[-1]

    def _drawn_frames(self, count: int) -> Tensor:
        """Places ``(count, T)`` among the encoded frames: one of each ``jitter`` that follow each
        other, drawn in training and the middle one else."""
        frames, jitter = self.recipe.frames, self.recipe.training.jitter
        middle = torch.full((count, frames), jitter // 2)
        within = torch.randint(jitter, (count, frames)) if self.training else middle
        return torch.arange(frames) * jitter + within

    def _seen(
        self, part: Sequence[DrawnExample], chosen: Tensor, *, blind: bool = False
    ) -> tuple[States, Tensor]:
        """Queries on their way, and visual tokens ``(B, L, W)``.

        ``chosen`` ``(B, T)``: which of the encoded frames.
        """
        qformer_text = [
            a.request.blind_qformer_text if blind else a.request.qformer_text for a in part
        ]
        ids, mask = self.model.qformer_ids(qformer_text)
        patches = frames = heard = None
        keys = [asked.example.clip for asked in part]
        if keys[0] is not None and self.table is not None and not blind:
            patches, frames = self.frames([key for key in keys if key is not None], chosen)
            patches, frames = patches.to(ids.device), frames.to(ids.device)
            if self.table.sounds is not None:
                heard = self.sounds([key for key in keys if key is not None], frames.shape[1])
                heard = None if heard is None else heard.to(ids.device)
            if bool(frames.all()):
                frames = None
        expected = None if blind else stacked([asked.example.expected for asked in part])
        expected = None if expected is None else expected.to(ids.device)
        with self.model.using(self.name) as qformer:
            states = qformer.states(patches, ids, mask, frames, heard, expected)
            return states, qformer.image.projection(states.pooled)

    def frames(self, keys: Sequence[str], chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Patches of clips ``(B, T, K, Dv)``, and ``(B, T)``: 1 where there is a frame."""
        assert self.table is not None
        return self.table.patches(keys, chosen)

    def sounds(self, keys: Sequence[str], frames: int) -> Heard | None:
        """What is heard in clips beside so many frames."""
        assert self.table is not None and self.table.sounds is not None
        return heard_in(self.table.sounds, keys, frames)

    @torch.no_grad()
    def free_answers(self, part: Sequence[DrawnExample], max_new_tokens: int) -> list[str]:
        """As the model decodes them; the examples all have a clip, or all have none."""
        llm = self.model.llm
        prompts = [llm.prompt_ids(a.request.prompt, a.request.history) for a in part]
        return llm.complete(self.visual(part), prompts, max_new_tokens)

    @torch.no_grad()
    def choices_told(
        self, part: Sequence[DrawnExample], silent: bool, *, blind: bool = False
    ) -> list[int]:
        """Per example the place of the choice that is taken; ``blind``: without the clip."""
        if silent and part:
            visual = self.visual(part, blind=blind)
            choices = [asked.example.choices for asked in part]
            told = (one.choose(visual, choices) for one in self.losses.values())
            if found := next(filter(None, told), None):
                return found
        scores = self.choice_scores(part, blind=blind)
        return [max(range(len(some)), key=some.__getitem__) for some in scores]

    @torch.no_grad()
    def choice_scores(
        self, part: Sequence[DrawnExample], *, blind: bool = False
    ) -> list[list[float]]:
        """Per example the log-score of each choice, as `assistant.vqa.answer.Answer` has it.

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


def right_first(example: Example, offered: bool) -> list[str]:
    """The answer and, where they are ``offered``, the other choices."""
    others = example.choices if offered else ()
    return [example.answer, *(choice for choice in others if choice != example.answer)]


@torch.no_grad()
def accuracies(
    learner: Learner, asked: Sequence[DrawnExample], size: int, silent: bool = False
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


def by_clip(batch: Sequence[DrawnExample]) -> Iterator[list[DrawnExample]]:
    """Those with a clip, then those without: a forward pass has one kind."""
    for has_clip in (True, False):
        part = [asked for asked in batch if (asked.example.clip is not None) is has_clip]
        if part:
            yield part
