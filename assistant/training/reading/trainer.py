"""What is trained: LoRA on the language model, with the Q-Former and all else frozen."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from assistant.errors import WeightsError
from assistant.model.assistant import VideoAssistant
from assistant.model.lora import tune_language_model
from assistant.model.quantization import precision_of
from assistant.sources import Look, lines_of
from assistant.training.features import FeatureTable
from assistant.training.loop import Trainable, warmup_cosine
from assistant.training.pretraining.examples import chat_prompt
from assistant.training.pretraining.photos import view_name
from assistant.training.reading.config import ReadingConfig
from assistant.training.reading.notes import Notes, PhotoNotes, look_at, shown
from assistant.training.reading.questions import Asking

DEV_SAMPLES = 24  # per kind
SIDES = ("left", "right")  # an example that names one is not mirrored
FUSED = "attributes"  # the only source that the Q-Former learned to read


@dataclass(frozen=True)
class Asked:
    """An example as the model takes it."""

    photo: str  # with its view
    qformer_text: str
    prompt: str
    history: tuple[tuple[str, str], ...]
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Data:
    """Features, notes and questions."""

    tables: Mapping[str, FeatureTable]  # by set
    notes: PhotoNotes
    train: Mapping[str, Sequence[Asking]]  # by kind
    dev: Mapping[str, Sequence[Asking]]

    def patches(self, photos: Sequence[str]) -> Tensor:
        """``(B, 1, K, Dv)``."""
        return torch.cat([self._stills(photo) for photo in photos])

    def look(self, model: VideoAssistant, photo: str) -> Look:
        """The photo as sources perceive it."""
        folder, _, name = photo.partition("/")
        table = self.tables[folder]
        return look_at(model, table.clip(name), table.classes(name))

    def _stills(self, photo: str) -> Tensor:
        folder, _, name = photo.partition("/")
        return self.tables[folder].stills([name])


class ReadingTrainer(Trainable[list[list[Asked]]]):
    """One phase; a running average of the LoRA is what is kept."""

    phases, fused = 1, True

    def __init__(
        self,
        config: ReadingConfig,
        model: VideoAssistant,
        data: Data,
        accelerator: Accelerator,
        begun: Mapping[str, Tensor] | None = None,
    ) -> None:
        """``begun``: weights to begin with. Raises WeightsError: they are of another shape."""
        self.config, self.settings, self.data = config, config, data
        self.identity = {
            "recipe": repr(config),
            "base": model.fingerprint,
            "precision": precision_of(model.llm.network),
            "beginning": fingerprint_of(begun or {}),
        }
        self.device = accelerator.device
        self.model = model.to(self.device).eval()
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        self.shown = tune_language_model(model.llm.network, config.lora, seed=config.seed)
        if begun:
            self._begin(begun)
        # fp32 copies that the optimizer moves; the model computes in its own precision
        self.masters = {n: p.detach().clone().float() for n, p in self.shown.items()}
        self.averages = {n: p.clone() for n, p in self.masters.items()}
        self.trained = dict(self.masters)
        by_photo: dict[str, list[Asking]] = {}
        for kind in data.train.values():
            for reading in kind:
                by_photo.setdefault(reading.photo, []).append(reading)
        self._by_photo = by_photo
        self._photos = list(by_photo)

    @torch.no_grad()
    def _begin(self, begun: Mapping[str, Tensor]) -> None:
        own = {name: p.shape for name, p in self.shown.items()}
        if own != {name: value.shape for name, value in begun.items()}:
            raise WeightsError("the weights to begin with are of another shape than the recipe's")
        for name, parameter in self.shown.items():
            parameter.copy_(begun[name])

    def beside(self) -> dict[str, Tensor]:
        return self.averages

    def steps(self, phase: int) -> int:
        return self.config.samples // self.config.batch

    def dev_every(self, phase: int) -> int:
        return self.config.dev_every

    def lr(self, phase: int, step: int) -> float:
        return warmup_cosine(self.config.lr, (step + 1) / self.steps(phase))

    def batches(self, phase: int, first: int) -> Iterator[list[list[Asked]]]:
        kinds = [kind for kind, weight in self.config.mix.items() if weight and kind in self._kinds]
        weights = np.array([self.config.mix[kind] for kind in kinds])
        for step in range(first, self.steps(phase)):
            rng = np.random.default_rng((self.config.seed, step))
            drawn = rng.choice(kinds, self.config.batch, p=weights / weights.sum())
            asked = [self._drawn(self.data.train[kind], rng) for kind in drawn.tolist()]
            yield _parts(asked, self.config.parts)

    @property
    def _kinds(self) -> set[str]:
        return {kind for kind, readings in self.data.train.items() if readings}

    def _drawn(self, readings: Sequence[Asking], rng: np.random.Generator) -> Asked:
        reading = readings[int(rng.integers(len(readings)))]
        told = " ".join((reading.question, *reading.answers))
        mirrored = not any(side in told for side in SIDES) and rng.random() < 0.5
        photo = view_name(reading.photo, bool(rng.random() < 0.5), mirrored)
        notes = shown(
            self.data.notes.of(reading.photo),  # its views differ little
            lambda: self.data.notes.of(self._photos[int(rng.integers(len(self._photos)))]),
            rng,
            kept=self.config.source_kept,
            unread=self.config.unread,
            wrong=self.config.wrong,
        )
        history: tuple[tuple[str, str], ...] = ()
        if rng.random() < self.config.follow_ups:
            others = self._by_photo[reading.photo]
            before = others[int(rng.integers(len(others)))]
            if before.question != reading.question:
                history = ((before.question, before.answer),)
        answers = reading.answers
        if len(answers) > self.config.captions:
            some = rng.choice(len(answers), self.config.captions, replace=False)
            answers = tuple(answers[place] for place in some.tolist())
        return ask(photo, reading.question, answers, notes, history)

    def losses(
        self, batch: list[list[Asked]], phase: int, rng: np.random.Generator
    ) -> Iterator[Tensor]:
        """Of each part; then the masters take over the gradients."""
        self._show(self.masters)
        for part in batch:
            unseen = rng.random() < self.config.unseen
            yield self._loss(part, unseen=unseen) * (len(part) / self.config.batch)
        for name, parameter in self.shown.items():
            assert parameter.grad is not None
            self.masters[name].grad = parameter.grad.float()
            parameter.grad = None

    def _loss(self, part: Sequence[Asked], *, unseen: bool) -> Tensor:
        patches = None if unseen else self.data.patches([one.photo for one in part])
        with torch.no_grad():
            visual = self.model.visual_tokens(patches, [one.qformer_text for one in part])
        llm = self.model.llm
        prompts = [llm.prompt_ids(one.prompt, one.history) for one in part]
        answers = [[llm.answer_ids(text) for text in one.answers] for one in part]
        losses = llm.answer_losses(visual, prompts, answers)
        return torch.stack([some.mean() for some in losses]).mean()

    @torch.no_grad()
    def moved(self, step: int) -> None:
        decay = min(self.config.average, (1 + step) / (10 + step))
        averages, masters = list(self.averages.values()), list(self.masters.values())
        torch._foreach_lerp_(averages, masters, 1.0 - decay)

    @torch.no_grad()
    def _show(self, weights: Mapping[str, Tensor]) -> None:
        torch._foreach_copy_(list(self.shown.values()), [weights[n] for n in self.shown])

    @torch.no_grad()
    def dev_figures(self, phase: int) -> dict[str, float]:
        """Of the averaged weights: mean loss per kind on the same dev samples every time."""
        self._show(self.averages)
        found = {}
        for kind, readings in self.data.dev.items():
            rng = np.random.default_rng(self.config.seed)
            places = rng.permutation(len(readings))[:DEV_SAMPLES].tolist()
            some = [readings[place] for place in places]
            asked = [
                ask(r.photo, r.question, r.answers[:1], self.data.notes.of(r.photo)) for r in some
            ]
            if asked:
                losses = [self._loss(part, unseen=False) for part in _parts(asked, 3)]
                found[f"dev {kind}"] = float(torch.stack(losses).mean())
        return found


def fingerprint_of(weights: Mapping[str, Tensor]) -> str:
    """Tells some weights from others."""
    total = hashlib.sha256()
    for name, value in sorted(weights.items()):
        total.update(name.encode() + value.float().numpy().tobytes())
    return total.hexdigest()


def ask(
    photo: str,
    question: str,
    answers: tuple[str, ...],
    notes: Notes,
    history: tuple[tuple[str, str], ...] = (),
) -> Asked:
    """An example as chat would ask it."""
    prompt, previous = chat_prompt(), " ".join(history[-1]) if history else ""
    fused = {FUSED: notes[FUSED]} if notes.get(FUSED) else {}
    qformer_text = prompt.render_qformer_text(
        question=question, previous=previous, sources=lines_of(fused), dialogue=""
    )
    text = prompt.render_prompt(question=question, sources=lines_of(notes), dialogue="")
    return Asked(photo, qformer_text, text, history, answers)


def _parts(asked: Sequence[Asked], count: int) -> list[list[Asked]]:
    """In ``count`` parts of like lengths, so that little is padded."""
    ordered = sorted(asked, key=lambda one: len(one.prompt) + sum(map(len, one.answers)))
    size = -(-len(ordered) // count)
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]
