"""``assistant finetune retrieval``: a fusion head from one file of events."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from assistant.core.config import from_yaml
from assistant.model.sight import Sight
from assistant.retrieval.embedding import Embedder
from assistant.retrieval.fusion import FusionNetwork
from assistant.retrieval.head import HeadConfig
from assistant.training.curves import draw_curves
from assistant.training.heads import CARD, CURVES, HEAD, RECIPE, put_head, rounded, run_loop
from assistant.training.loop import LOG, new_accelerator
from assistant.training.retrieval.config import RetrievalConfig
from assistant.training.retrieval.events import Events
from assistant.training.retrieval.features import Encoding
from assistant.training.retrieval.trainer import Data, RetrievalTrainer
from assistant.training.run_folder import check_run, run_folder
from assistant.weights.spaces import HEAD_CONFIG, HEAD_WEIGHTS


@dataclass(frozen=True)
class Finished:
    """What a run came to."""

    folder: Path | None  # of the head; None: no epoch was better than the bare joint space
    bare: dict[str, float]  # figures of the bare space on dev, in per cent
    figures: dict[str, float]  # of the head
    epoch: int
    parameters: int


def finetune_retrieval(
    config: RetrievalConfig, sight: Sight, events: Events, out: Path, *, resume: bool = False
) -> Finished:
    """Train a head over ``sight``'s joint space on ``events``.

    ``out`` holds the encoded parts, checkpoint, ``log.jsonl`` and the curves; ``out/head`` is the
    best epoch's, whole at any moment, where one is better on dev than the bare space.

    Raises:
        InputError: a file cannot be read, or ``out`` holds another run.
        ModelError: the loss is not finite any more.
    """
    if resume:
        check_run(out, resume)
    with run_folder(out, resume):
        encoding = Encoding(out / "features", Embedder(sight), sight.space, config.fusion)
        tables = {name: encoding.table(name, own) for name, own in events.sources.items() if own}
        told = hashlib.sha256(repr(events).encode()).hexdigest()
        data = Data(events.splits, tables, told)
        return train(config, data, sight.space.fingerprint, out, resume=resume)


def train(
    config: RetrievalConfig, data: Data, space: str, out: Path, *, resume: bool = False
) -> Finished:
    """Train on parts that are encoded; ``space``: fingerprint of the one that did."""
    torch.manual_seed(config.seed)
    width = next(iter(data.tables.values())).values.shape[1]
    network, accelerator = FusionNetwork(width, config.fusion), new_accelerator(out)
    trainer = RetrievalTrainer(config, network, data, accelerator, space)
    bare = trainer.dev_figures(0)  # the network adds nothing yet
    keeper = _Keeper(trainer, space, bare, out / HEAD)
    best = trainer.score(0, bare)
    run_loop(trainer, out, accelerator, keeper, best=best, resume=resume)
    parameters = sum(p.numel() for p in trainer.trained.values())
    if not (out / HEAD / HEAD_CONFIG).is_file():
        return Finished(None, bare, {}, 0, parameters)
    made = from_yaml(HeadConfig, out / HEAD / HEAD_CONFIG)
    (out / HEAD / CARD).write_text(card(made, config, parameters))
    draw_curves(out / LOG, out / HEAD / CURVES)
    return Finished(out / HEAD, bare, made.figures, made.epoch, parameters)


class _Keeper:
    """Writes the best epoch's head, beside its place first: what lies there is whole."""

    def __init__(
        self, trainer: RetrievalTrainer, space: str, bare: dict[str, float], folder: Path
    ) -> None:
        self.trainer, self.space, self.bare, self.folder = trainer, space, bare, folder

    def __call__(self, epoch: int, figures: dict[str, float]) -> None:
        trainer, config = self.trainer, self.trainer.config
        made = HeadConfig(
            space=self.space,
            temperature=config.temperature,
            fusion=config.fusion,
            data=trainer.data.digest,
            events=len(trainer.data.splits["train"]),
            epoch=epoch + 1,
            seed=config.seed,
            date=time.strftime("%Y-%m-%d"),
            figures=rounded(figures),
            bare=rounded(self.bare),
        )
        state = {**trainer.network.state_dict(), **trainer.averages}
        told = {HEAD_CONFIG: made, RECIPE: config}
        put_head(self.folder, (HEAD_WEIGHTS, state), told)


def card(made: HeadConfig, config: RetrievalConfig, parameters: int) -> str:
    """A first card; a person adds the data's terms and where the head fails."""
    rows = "\n".join(
        f"| {name} | {made.bare[name]:.1f} | {value:.1f} |" for name, value in made.figures.items()
    )
    without = f", without {', '.join(config.fusion.without)}" if config.fusion.without else ""
    kept = f"kept: epoch {made.epoch} of {config.epochs}"
    return f"""# A head for retrieval

Texts, pictures and clips of one event as vectors that lie together: the fusion module of
UniEvent-LVLM on the joint space `{made.space}`.

| | |
|---|---|
| file | `{HEAD_WEIGHTS}`, fp16: {parameters:,} parameters{without} |
| data | {made.events} training events, sha256 {made.data[:16]} |
| recipe | `{RECIPE}`: {config.negatives} negatives, temperature {config.temperature:g}; {kept} |
| made | {made.date}, seed {made.seed} |
| terms | those of the joint space, and those of the data |

On the events for dev, which chose the epoch:

| recall, % | joint space alone | with the head |
|---|---|---|
{rows}
"""
