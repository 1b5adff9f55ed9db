"""What pretraining trains: the image Q-Former, phase by phase, and a running average of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from assistant.model.assistant import VideoAssistant
from assistant.model.loading import trained_names
from assistant.model.quantization import precision_of
from assistant.training.features import FeatureTable
from assistant.training.loop import Trainable, warmup_cosine
from assistant.training.losses.cells import SceneObjects
from assistant.training.losses.dense import Binding, Contents, Known, Places
from assistant.training.losses.slots import WordSlots
from assistant.training.pretraining.config import Phase, PretrainConfig
from assistant.training.pretraining.consensus import Consensus
from assistant.training.pretraining.examples import PretrainExample
from assistant.training.pretraining.photos import seen_in
from assistant.training.pretraining.sampler import Sampler
from assistant.training.pretraining.words import WordTruths

DEV_SAMPLES = 128  # per kind
DROPPED = ("crossattention.output.dropout", "output_query.dropout")
DROPOUT = 0.1
BLIND = 0.06  # share of batches that see no picture
FOLLOW_UPS = 0.1  # share of examples with an earlier turn
HEADS = "heads."  # begins the names of heads that are no part of the Q-Former

Batch = list[tuple[Phase, list[PretrainExample]]]  # parts, each with the weights of its losses


@dataclass(frozen=True)
class Data:
    """Tables of features and what is asked about them."""

    tables: tuple[FeatureTable, ...]
    train: dict[str, list[PretrainExample]]
    dev: dict[str, list[PretrainExample]]
    objects: dict[str, SceneObjects]
    names: tuple[str, ...]  # of the encoder's classes
    truths: WordTruths

    def patches(self, samples: Sequence[PretrainExample]) -> Tensor:
        """``(B, 1, K, Dv)``."""
        return torch.cat([self._table(s.picture).stills([s.picture]) for s in samples])

    def attributes(self, picture: str) -> str:
        """What the encoder's classifier finds, as the models read it."""
        return seen_in(self._table(picture), picture)

    def _table(self, name: str) -> FeatureTable:
        return next(table for table in self.tables if name in table)


class Pretrainer(Trainable[Batch]):
    """The phases of a recipe; each begins with a new optimizer."""

    unit, restarts, fused = "phase", True, True

    def __init__(
        self, config: PretrainConfig, model: VideoAssistant, data: Data, accelerator: Accelerator
    ) -> None:
        self.config, self.settings, self.data = config, config, data
        self.identity = {
            "recipe": repr(config),
            "encoder": model.encoder_fingerprint,
            "precision": precision_of(model.llm.network),
        }
        self.phases = len(config.phases)
        self.device = accelerator.device
        self.model = model.to(self.device)
        samples = [s for kind in (data.train, data.dev) for part in kind.values() for s in part]
        self.slots = WordSlots(
            model.llm,
            {s.answer for s in samples}.union(data.names, *(s.choices for s in samples)),
            {word for s in samples for word in s.bag},
        ).to(self.device)
        shape = model.qformer.config
        self.dense = nn.ModuleDict(
            {
                "contents": Contents(shape.queries, shape.width, shape.layers, self.slots),
                "binding": Binding(shape.queries, shape.width, shape.layers),
                "places": Places(shape.width, shape.layers),
            }
        ).to(self.device)
        photos = {s.picture: (s.answer, *s.also) for s in data.train["caption"]}
        self.consensus = Consensus(photos.values())
        names = set(trained_names(model.qformer))
        self.masters = {  # fp32 copies that the optimizer moves; the model computes in bf16
            n: p.detach().clone().float() for n, p in model.qformer.named_parameters() if n in names
        }
        self.averages = {n: p.clone() for n, p in self.masters.items()}
        heads = {HEADS + name: p for name, p in self.dense.named_parameters()}
        self.trained = {**self.masters, **heads}
        model.qformer.to(torch.bfloat16)
        self.shown = {n: p for n, p in model.qformer.named_parameters() if n in names}
        for name, parameter in model.qformer.named_parameters():
            parameter.requires_grad_(name in names)
        for name, module in model.qformer.named_modules():
            if isinstance(module, nn.Dropout):  # its random numbers are costly: queries only
                module.p = DROPOUT if name.endswith(DROPPED) else 0.0

    def beside(self) -> dict[str, Tensor]:
        return self.averages

    def steps(self, phase: int) -> int:
        return self.config.phases[phase].steps

    def dev_every(self, phase: int) -> int:
        return self.config.phases[phase].dev_every

    def lr(self, phase: int, step: int) -> float:
        now = self.config.phases[phase]
        share = (step + 1) * now.batch / (now.horizon or now.steps * now.batch)
        return warmup_cosine(now.lr, share)

    def batches(self, phase: int, first: int) -> Iterator[Batch]:
        now = self.config.phases[phase]
        sampler = self._sampler(phase, now.mix, 0)
        silent = self._sampler(phase, now.silent_mix, 1) if now.silent else None
        quiet = replace(now, losses=now.losses | {"llm": 0.0})
        for step in range(first, now.steps):
            parts = [(now, part) for part in _parts(sampler.batch(step, now.batch), now.parts)]
            if silent is not None:
                parts += [(quiet, part) for part in _parts(silent.batch(step, now.silent), 1)]
            yield parts

    def _sampler(self, phase: int, mix: Mapping[str, float], number: int) -> Sampler:
        return Sampler(
            self.data.train,
            mix,
            self.config.seed + 1000 * phase + number,
            follow_ups=FOLLOW_UPS,
            attributes=self.data.attributes,
            attributes_kept=self.config.attributes_kept,
            names=self.data.names,
            renamed=self.config.phases[phase].renamed,
            views=self.config.views,
        )

    def losses(self, batch: Batch, phase: int, rng: np.random.Generator) -> Iterator[Tensor]:
        """Of each part; then the masters take over the bf16 gradients."""
        self._show(self.masters)
        self.model.qformer.train()
        for weights, part in batch:
            loss = self._part_loss(weights, part, rng)
            yield loss * (len(part) / self.config.phases[phase].batch)
        for name, parameter in self.shown.items():
            if parameter.grad is not None:  # cross-attention has none in a blind batch
                self.masters[name].grad = parameter.grad.float()
                parameter.grad = None

    def _part_loss(
        self, phase: Phase, part: list[PretrainExample], rng: np.random.Generator
    ) -> Tensor:
        if rng.random() < BLIND:
            return self._loss(phase, [s.blind() for s in part], None)
        patches = self.data.patches(part)
        count = patches.shape[2]
        kept = np.sort(rng.permutation(count)[: round(count * self.config.patches_kept)])
        return self._loss(phase, part, patches[:, :, torch.from_numpy(kept)])

    @torch.no_grad()
    def moved(self, step: int) -> None:
        decay = min(self.config.average, (1 + step) / (10 + step))
        averages, masters = list(self.averages.values()), list(self.masters.values())
        torch._foreach_lerp_(averages, masters, 1.0 - decay)

    @torch.no_grad()
    def _show(self, weights: Mapping[str, Tensor]) -> None:
        """Let the model compute with these."""
        torch._foreach_copy_(list(self.shown.values()), [weights[n] for n in self.shown])

    def _loss(
        self, phase: Phase, batch: Sequence[PretrainExample], patches: Tensor | None
    ) -> Tensor:
        ids, mask = self.model.qformer_ids([s.qformer_text for s in batch])
        if patches is not None:
            patches = patches.to(self.device)
        states = self.model.qformer.layer_states(patches, ids, mask)
        visual = self.model.qformer.projection(states[-1])
        answers, bags = [s.answer for s in batch], [s.bag for s in batch]
        weights = [phase.focus if s.choices else 1.0 for s in batch]
        losses = {"slots": partial(self.slots, visual, answers, bags, weights)}
        if patches is not None:
            pictures = [s.picture for s in batch]
            known = Known(
                bags=bags,
                scenes=[self.data.objects.get(picture) for picture in pictures],
                about=[s.about for s in batch],
                truths=self.data.truths.labels(pictures, ids),
            )
            losses |= {name: partial(head, states, known) for name, head in self.dense.items()}
        losses["llm"] = partial(self._answered, batch, visual, weights)
        loss = visual.new_zeros((), dtype=torch.float32)
        for name, found in losses.items():
            if phase.losses.get(name):
                loss = loss + phase.losses[name] * found()
        return loss

    def _answered(
        self, batch: Sequence[PretrainExample], visual: Tensor, weights: Sequence[float]
    ) -> Tensor:
        """Cross-entropy of each example's answers; captions count by their consensus."""
        llm = self.model.llm
        prompts = [llm.prompt_ids(s.prompt, s.history) for s in batch]
        told = [(s.answer, *s.also) for s in batch]
        answers = [[llm.answer_ids(text) for text in texts] for texts in told]
        found = llm.answer_losses(visual, prompts, answers)
        shares = [torch.tensor(self.consensus.weights(texts)) for texts in told]
        losses = [(part * some.to(part)).mean() for part, some in zip(found, shares, strict=True)]
        return (torch.stack(losses) * torch.tensor(weights).to(visual.device)).mean()

    @torch.no_grad()
    def dev_figures(self, phase: int) -> dict[str, float]:
        """Of the averaged weights, on the same dev samples every time: loss per kind, and per type
        the share of choices that the visual tokens spell best."""
        self.model.qformer.eval()
        self._show(self.averages)
        now, found = self.config.phases[phase], {}
        for kind in sorted({*now.mix, *now.silent_mix}):
            batch = self._dev_sampler(kind).batch(0, DEV_SAMPLES)
            parts = _parts(batch, DEV_SAMPLES // 32)
            losses = [self._loss(now, part, self.data.patches(part)) for part in parts]
            found[f"dev {kind}"] = float(torch.stack(losses).mean())
            found.update(self._dev_accuracies(kind))
        return found

    def _dev_sampler(self, kind: str, samples: Sequence[PretrainExample] | None = None) -> Sampler:
        pool = self.data.dev[kind] if samples is None else samples
        return Sampler({kind: pool}, {kind: 1.0}, self.config.seed, attributes=self.data.attributes)

    def _dev_accuracies(self, kind: str) -> dict[str, float]:
        found = {}
        asked = [s for s in self.data.dev[kind] if s.choices]
        for name in sorted({s.type for s in asked}):
            pool = [s for s in asked if s.type == name]
            batch = self._dev_sampler(kind, pool).batch(0, DEV_SAMPLES)
            visual = self.model.visual_tokens(
                self.data.patches(batch).to(self.device), [s.qformer_text for s in batch]
            )
            chosen = self.slots.choose(visual, [s.choices for s in batch])
            right = [s.choices[i] == s.answer for s, i in zip(batch, chosen, strict=True)]
            found[f"{kind}: {name}"] = round(sum(right) / len(right), 4)
        return found


def _parts(batch: Sequence[PretrainExample], count: int) -> list[list[PretrainExample]]:
    """The batch in ``count`` parts of like lengths, so that little is padded."""
    ordered = sorted(
        batch, key=lambda s: sum(map(len, (s.prompt, s.qformer_text, s.answer, *s.also)))
    )
    size = -(-len(ordered) // count)
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]
