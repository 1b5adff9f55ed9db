"""``assistant finetune events``: a head of events from one file of labelled clips."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.core.config import from_yaml
from assistant.timeline.head_folder import CONFIG, WEIGHTS, EventHeadConfig
from assistant.training.curves import draw_curves
from assistant.training.events.config import EventsConfig
from assistant.training.events.features import Data, LabelledClips, encode
from assistant.training.events.trainer import EventsTrainer, figures
from assistant.training.heads import CARD, CURVES, HEAD, RECIPE, put_head, rounded, run_loop
from assistant.training.loop import LOG, new_accelerator
from assistant.training.run_folder import check_run, run_folder

if TYPE_CHECKING:
    from assistant.timeline.making import Looks

FEATURES = "features"


@dataclass(frozen=True)
class Finished:
    """What a run came to."""

    folder: Path | None  # of the head; None: no epoch was better than the labels' texts
    bare: dict[str, float]  # figures of these on dev, in per cent
    figures: dict[str, float]  # of the head
    epoch: int
    segments: tuple[int, int]  # of train and dev
    main: str  # the figure that chose


def finetune_events(
    config: EventsConfig, assistant: Looks, clips: LabelledClips, out: Path, *, resume: bool = False
) -> Finished:
    """Train a head over the assistant's joint space on ``clips``.

    ``out`` holds the segments' vectors, checkpoint, ``log.jsonl`` and the curves; ``out/head`` is
    the best epoch's, whole at any moment, where one is better on dev than the labels' texts.

    Raises:
        InputError: a clip is wrong, or ``out`` holds another run. VideoError: one cannot be read.
        ModelError: the loss is not finite any more.
    """
    if resume:
        check_run(out, resume)
    with run_folder(out, resume):
        data = encode(clips, assistant, out / FEATURES)
        space = assistant.sight.space
        return train(config, data, space.fingerprint, space.scale, out, resume=resume)


def train(
    config: EventsConfig,
    data: Data,
    space: str,
    scale: float,
    out: Path,
    *,
    resume: bool = False,
) -> Finished:
    """Train on vectors that are there; ``space``: fingerprint of what made them, and its
    ``scale``."""
    accelerator = new_accelerator(out)
    trainer = EventsTrainer(config, data, accelerator, space, scale)
    bare = figures(trainer.start, data.dev)

    def keep(epoch: int, found: dict[str, float]) -> None:
        head = trainer.network.head()
        made = EventHeadConfig(
            space=space,
            labels=head.names,
            several=head.several,
            data=data.digest,
            segments=len(data.train.truth),
            epoch=epoch + 1,
            seed=config.seed,
            date=time.strftime("%Y-%m-%d"),
            figures=rounded(found),
            bare=rounded(bare),
        )
        state = {"weights": head.weights, "bias": head.bias}
        put_head(out / HEAD, (WEIGHTS, state), {CONFIG: made, RECIPE: config})

    run_loop(trainer, out, accelerator, keep, best=bare[trainer.main], resume=resume)
    counts = len(data.train.truth), len(data.dev.truth)
    if not (out / HEAD / CONFIG).is_file():
        return Finished(None, bare, {}, 0, counts, trainer.main)
    made = from_yaml(EventHeadConfig, out / HEAD / CONFIG)
    (out / HEAD / CARD).write_text(card(made, config))
    draw_curves(out / LOG, out / HEAD / CURVES)
    return Finished(out / HEAD, bare, made.figures, made.epoch, counts, trainer.main)


def card(made: EventHeadConfig, config: EventsConfig) -> str:
    """A first card; a person adds the data's terms and where the head fails."""
    rows = "\n".join(
        f"| {name} | {made.bare[name]:.2f} | {value:.2f} |" for name, value in made.figures.items()
    )
    began = "" if config.texts else ", begun without the labels' texts"
    recipe = f"{' + '.join(config.losses)}{began}; kept: epoch {made.epoch} of {config.epochs}"
    kind = "several at once" if made.several else "one at a time"
    return f"""# A head of events

P(y|V) of {len(made.labels)} labels, {kind}: a linear classifier of Cross-modal Knowledge Mining on
the joint space `{made.space}`.

| | |
|---|---|
| file | `{WEIGHTS}`, fp16 |
| data | {made.segments} training segments, sha256 {made.data[:16]} |
| recipe | `{RECIPE}`: {recipe} |
| made | {made.date}, seed {made.seed} |
| terms | those of the joint space, and those of the data |

On the segments for dev, which chose the epoch; shares in per cent:

| | labels' texts alone | trained |
|---|---|---|
{rows}
"""
