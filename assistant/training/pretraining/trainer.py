"""The training loop of pretraining: phases, running average, dev figures, checkpoints."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from assistant.model.assistant import VideoAssistant
from assistant.model.encoders.base import Encoder
from assistant.model.loading import trained_names
from assistant.training.losses.cells import SceneObjects
from assistant.training.losses.dense import DenseSupervision, Known
from assistant.training.losses.slots import WordSlots
from assistant.training.pretraining.config import Phase, PretrainConfig
from assistant.training.pretraining.consensus import Consensus
from assistant.training.pretraining.features import FeatureTable
from assistant.training.pretraining.sampler import Sampler
from assistant.training.pretraining.samples import Sample
from assistant.training.pretraining.words import WordTruths

__all__ = ["CHECKPOINT", "LOG", "Data", "Trainer"]

CHECKPOINT, LOG = "checkpoint.pt", "log.jsonl"
SAVE_EVERY = 240.0  # seconds
DEV_SAMPLES = 128  # per kind
DROPPED = ("crossattention.output.dropout", "output_query.dropout")


@dataclass(frozen=True)
class Data:
    """Tables of features and what is asked about them."""

    tables: tuple[FeatureTable, ...]
    train: dict[str, list[Sample]]
    dev: dict[str, list[Sample]]
    objects: dict[str, SceneObjects]
    encoder: Encoder
    truths: WordTruths

    def patches(self, samples: Sequence[Sample]) -> Tensor:
        """``(B, 1, K, Dv)``."""
        rows = [self._table(s.picture).patches([s.picture]) for s in samples]
        return torch.cat(rows)

    def attributes(self, picture: str) -> str:
        """What the encoder's classifier finds, as the models read it."""
        return self._table(picture).attributes(picture, self.encoder)

    def _table(self, name: str) -> FeatureTable:
        return next(table for table in self.tables if name in table.rows)


class Trainer:
    """Runs the phases; can stop and go on at any step."""

    def __init__(
        self, config: PretrainConfig, model: VideoAssistant, data: Data, out: Path
    ) -> None:
        self.config, self.data, self.out = config, data, out
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = model.to(self.device)
        samples = [s for kind in (data.train, data.dev) for part in kind.values() for s in part]
        self.slots = WordSlots(
            model.llm,
            {s.answer for s in samples}.union(data.encoder.names, *(s.choices for s in samples)),
            {word for s in samples for word in s.bag},
        ).to(self.device)
        shape = model.qformer.config
        self.dense = DenseSupervision(shape.queries, shape.width, shape.layers, self.slots)
        self.dense.to(self.device)
        photos = {s.picture: (s.answer, *s.also) for s in data.train["caption"]}
        self.consensus = Consensus(photos.values())
        names = set(trained_names(model.qformer))
        self.masters = {  # fp32 copies that the optimizer moves; the model computes in bf16
            n: p.detach().clone().float() for n, p in model.qformer.named_parameters() if n in names
        }
        self.averages = {n: p.clone() for n, p in self.masters.items()}
        model.qformer.to(torch.bfloat16)
        self.trained = {n: p for n, p in model.qformer.named_parameters() if n in names}
        for name, parameter in model.qformer.named_parameters():
            parameter.requires_grad_(name in names)
        for name, module in model.qformer.named_modules():
            if isinstance(module, torch.nn.Dropout):  # its random numbers are costly: queries only
                module.p = config.dropout if name.endswith(DROPPED) else 0.0
        self.phase, self.step = 0, 0
        self.optimizer = self._optimizer()

    def _optimizer(self) -> torch.optim.Optimizer:
        moved = [*self.masters.values(), *self.dense.parameters()]
        groups = [
            {"params": [p for p in moved if p.ndim > 1], "weight_decay": self.config.weight_decay},
            {"params": [p for p in moved if p.ndim <= 1], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, betas=tuple(self.config.betas), fused=True)

    def run(self) -> None:
        """Train from the current step to the end; Ctrl-C saves first."""
        try:
            while self.phase < len(self.config.phases):
                self._run_phase(self.config.phases[self.phase])
                self.phase, self.step = self.phase + 1, 0
                self.optimizer = self._optimizer()
                self.save()
        except KeyboardInterrupt:
            self.save()
            raise

    def _run_phase(self, phase: Phase) -> None:
        sampler = self._sampler(phase, phase.mix, 0)
        silent = self._sampler(phase, phase.silent_mix, 1) if phase.silent else None
        saved = time.monotonic()
        title = f"phase {self.phase + 1} of {len(self.config.phases)}"
        losses: list[float] = []
        with tqdm(total=phase.steps, initial=self.step, desc=title, unit="step") as bar:
            while self.step < phase.steps:
                losses.append(self._train_step(phase, sampler, silent))
                self.step += 1
                bar.update()
                if self.step % 50 == 0:
                    mean = sum(losses) / len(losses)
                    bar.set_postfix(loss=f"{mean:.3f}")
                    self.log(loss=mean)
                    losses = []
                if self.step % phase.dev_every == 0 or self.step == phase.steps:
                    self.log(**self.dev_figures(phase))
                if time.monotonic() - saved > SAVE_EVERY:
                    self.save()
                    saved = time.monotonic()

    def _sampler(self, phase: Phase, mix: Mapping[str, float], number: int) -> Sampler:
        return Sampler(
            self.data.train,
            mix,
            self.config.seed + 1000 * self.phase + number,
            follow_ups=phase.follow_ups,
            attributes=self.data.attributes,
            attributes_kept=self.config.attributes_kept,
            names=self.data.encoder.names,
            renamed=phase.renamed,
            views=self.config.views,
        )

    def _train_step(self, phase: Phase, sampler: Sampler, silent: Sampler | None) -> float:
        self.model.qformer.train()
        share = (self.step + 1) * phase.batch / (phase.horizon or phase.steps * phase.batch)
        rise = min(1.0, share / phase.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = phase.rate * rise * max(0.02, 0.5 * (1 + math.cos(math.pi * share)))
        parts = [
            (phase, part) for part in _parts(sampler.batch(self.step, phase.batch), phase.parts)
        ]
        if silent is not None:
            quiet = replace(phase, llm=0.0)
            parts += [(quiet, part) for part in _parts(silent.batch(self.step, phase.silent), 1)]
        rng = np.random.default_rng((self.config.seed, self.phase, self.step))
        torch.manual_seed(int(rng.integers(2**31)))  # dropout, the same after a resume
        total = 0.0
        for form, part in parts:
            loss = self._part_loss(form, part, rng) * (len(part) / phase.batch)
            loss.backward()
            total += float(loss.detach())
        self._move()
        return total

    def _part_loss(self, phase: Phase, part: list[Sample], rng: np.random.Generator) -> Tensor:
        if rng.random() < phase.blind:
            return self._loss(phase, [s.blind() for s in part], None)
        patches = self.data.patches(part)
        count = patches.shape[2]
        kept = np.sort(rng.permutation(count)[: round(count * self.config.patches_kept)])
        return self._loss(phase, part, patches[:, :, torch.from_numpy(kept)])

    def _move(self) -> None:
        """One step of the optimizer, from the bf16 gradients."""
        for name, parameter in self.trained.items():
            if parameter.grad is not None:  # cross-attention has none in a blind batch
                self.masters[name].grad = parameter.grad.float()
                parameter.grad = None
        moved = [p for group in self.optimizer.param_groups for p in group["params"]]
        torch.nn.utils.clip_grad_norm_(moved, self.config.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._show(self.masters)
        with torch.no_grad():
            decay = min(self.config.average, (1 + self.step) / (10 + self.step))
            averages, masters = list(self.averages.values()), list(self.masters.values())
            torch._foreach_lerp_(averages, masters, 1.0 - decay)

    @torch.no_grad()
    def _show(self, weights: Mapping[str, Tensor]) -> None:
        """Let the model compute with these."""
        torch._foreach_copy_(list(self.trained.values()), [weights[n] for n in self.trained])

    def _loss(self, phase: Phase, batch: Sequence[Sample], patches: Tensor | None) -> Tensor:
        if patches is not None:
            patches = patches.to(self.device)
        ids, mask = self.model.qformer_ids([s.qformer_text for s in batch])
        states = self.model.qformer.layer_states(patches, ids, mask)
        visual = self.model.qformer.projection(states[-1])
        bags = [s.bag for s in batch]
        weights = [phase.focus if s.choices else 1.0 for s in batch]
        loss = phase.slots * self.slots(visual, [s.answer for s in batch], bags, weights)
        if phase.dense and patches is not None:
            pictures = [s.picture for s in batch]
            known = Known(
                bags=bags,
                scenes=[self.data.objects.get(picture) for picture in pictures],
                about=[s.about for s in batch],
                truths=self.data.truths.labels(pictures, ids),
            )
            loss = loss + phase.dense * self.dense.contents(states, self.slots, known)
            if phase.binding:
                loss = loss + phase.binding * self.dense.binding(states, known)
            if phase.places:
                loss = loss + phase.places * self.dense.places(states, known)
        if phase.llm:
            losses = self._llm_losses(batch, visual)
            loss = loss + phase.llm * (losses * torch.tensor(weights).to(losses)).mean()
        return loss

    def _llm_losses(self, batch: Sequence[Sample], visual: Tensor) -> Tensor:
        """Cross-entropy of each sample's answers, ``(B,)``; captions count by their consensus."""
        llm = self.model.llm
        prompts = [llm.prompt_ids(s.prompt, s.history) for s in batch]
        told = [(s.answer, *s.also) for s in batch]
        answers = [[llm.answer_ids(text) for text in texts] for texts in told]
        found = llm.answer_losses(visual, prompts, answers)
        weights = [torch.tensor(self.consensus.weights(texts)) for texts in told]
        return torch.stack(
            [(part * w.to(part)).mean() for part, w in zip(found, weights, strict=True)]
        )

    @torch.no_grad()
    def dev_figures(self, phase: Phase) -> dict[str, float]:
        """Of the averaged weights, on the same dev samples every time: loss per kind, and per type
        the share of choices that the visual tokens spell best."""
        self.model.qformer.eval()
        self._show(self.averages)
        found = {}
        for kind in sorted({*phase.mix, *phase.silent_mix}):
            batch = self._dev_sampler(kind).batch(0, DEV_SAMPLES)
            parts = _parts(batch, DEV_SAMPLES // 32)
            losses = [self._loss(phase, part, self.data.patches(part)) for part in parts]
            found[f"dev {kind}"] = float(torch.stack(losses).mean())
            found.update(self._dev_accuracies(kind))
        self._show(self.masters)
        return found

    def _dev_sampler(self, kind: str, samples: Sequence[Sample] | None = None) -> Sampler:
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

    def log(self, **values: float) -> None:
        """Append one line to ``log.jsonl``."""
        line = {"phase": self.phase + 1, "step": self.step, "time": round(time.time()), **values}
        with (self.out / LOG).open("a") as file:
            file.write(json.dumps(line) + "\n")

    def save(self) -> None:
        """Write the checkpoint atomically."""
        part = self.out / (CHECKPOINT + ".part")
        torch.save(
            {
                "phase": self.phase,
                "step": self.step,
                "trained": self.masters,
                "averages": self.averages,
                "dense": self.dense.state_dict(),
                "optimizer": self.optimizer.state_dict(),
            },
            part,
        )
        part.replace(self.out / CHECKPOINT)

    def load(self, path: Path) -> None:
        """Go on where the checkpoint stopped."""
        state = torch.load(path, weights_only=True)
        for name, master in self.masters.items():
            master.copy_(state["trained"][name])
            self.averages[name].copy_(state["averages"][name])
        self.dense.load_state_dict(state["dense"])
        self._show(self.masters)
        self.phase, self.step = state["phase"], state["step"]
        self.optimizer.load_state_dict(state["optimizer"])


def _parts(batch: Sequence[Sample], count: int) -> list[list[Sample]]:
    """The batch in ``count`` parts of like lengths, so that little is padded."""
    ordered = sorted(
        batch, key=lambda s: sum(map(len, (s.prompt, s.qformer_text, s.answer, *s.also)))
    )
    size = -(-len(ordered) // count)
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]
