"""``assistant finetune actions``: a recogniser from clips with a label each."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from assistant.actions.assignment import report
from assistant.actions.head import (
    BY,
    CONFIG,
    KNOWN,
    TEXTS,
    VIDEO,
    WEIGHTS,
    ActionHeadConfig,
    mixed,
    nearness,
)
from assistant.core.config import from_yaml
from assistant.training.actions.config import ActionsConfig
from assistant.training.actions.features import ActionClips, Data, encode
from assistant.training.actions.trainer import ActionsTrainer, figures
from assistant.training.calibration import fit_share, fit_temperature
from assistant.training.curves import draw_curves
from assistant.training.heads import CARD, CURVES, HEAD, RECIPE, put_head, rounded, run_loop
from assistant.training.loop import LOG, new_accelerator
from assistant.training.run_folder import check_run, run_folder

if TYPE_CHECKING:
    from assistant.actions.bank import Bank
    from assistant.actions.video import VideoEncoder
    from assistant.model.sight import Sight

FEATURES = "features"
STRANGE = 0.05  # of the clips that show a label are less like it than what counts as known
NEVER = -1e9  # below any score: the first epoch is kept


@dataclass(frozen=True)
class Finished:
    """What a run came to."""

    folder: Path  # of the head
    made: ActionHeadConfig
    chosen: Mapping[str, Mapping[str, int]]  # how many clips of a label chose which description
    recalls: Mapping[str, float]  # on dev, of each label, in per cent
    clips: tuple[int, int]  # of train and dev


def finetune_actions(
    config: ActionsConfig,
    sight: Sight,
    clips: ActionClips,
    bank: Bank,
    out: Path,
    *,
    video: VideoEncoder | None = None,
    resume: bool = False,
) -> Finished:
    """Train a recogniser on ``clips``, taught by the joint space; ``bank`` describes their labels;
    ``video`` learns with it, instead of mini's own video encoder.

    ``out`` holds what was seen of the clips, checkpoint, ``log.jsonl`` and the curves; ``out/head``
    is the best epoch's, whole at any moment.

    Raises:
        InputError: a clip is wrong, or ``out`` holds another run.
        ModelError: the loss is not finite any more.
    """
    if resume:
        check_run(out, resume)
    with run_folder(out, resume):
        data = encode(clips, bank, config, sight, out / FEATURES, video)
        made = begun(config, clips, sight, video)
        finished = train(config, data, made, out, resume=resume)
    if data.assigned is None:
        return finished
    labels = data.truth[: data.learned].tolist()
    return replace(finished, chosen=report(bank, labels, data.assigned.positive))


def begun(
    config: ActionsConfig, clips: ActionClips, sight: Sight, video: VideoEncoder | None = None
) -> ActionHeadConfig:
    """What is known of a recogniser before it has learned."""
    return ActionHeadConfig(
        space=sight.space.fingerprint,
        encoder=sight.encoder_fingerprint if video is None else video.fingerprint,
        labels=clips.labels,
        patch_width=sight.encoder.width if video is None else video.raster.width,
        text_width=sight.space.width,
        recogniser=config.recogniser,
        video="" if video is None else video.digest,
        by=BY["ce" not in config.losses],
        text_loss="text" in config.losses,
        tau=config.tau,
        data=clips.digest,
        clips=len(clips.train),
        seed=config.seed,
    )


def train(
    config: ActionsConfig, data: Data, made: ActionHeadConfig, out: Path, *, resume: bool = False
) -> Finished:
    """Train on clips that are encoded."""
    if data.motion is not None:
        width = data.motion.rows.shape[-1]
        made = replace(made, motion=data.motion.fingerprint, motion_width=width)
    accelerator = new_accelerator(out)
    trainer = ActionsTrainer(config, data, made, accelerator)
    dev, truth = trainer.dev, data.truth[trainer.dev]
    taught = data.described.logits(data.taught.frames[dev])
    bare = figures(taught, truth)
    known, least = known_clips(data, len(made.labels))

    beside = {} if data.video is None else data.video.files
    beside = {f"{VIDEO}/{name}": content for name, content in beside.items()}

    def keep(epoch: int, found: dict[str, float]) -> None:
        if not accelerator.is_main_process:
            return
        own, share = trainer.dev_scores, 0.0
        if config.teacher:
            share, temperature = fit_share(own.tolist(), taught.tolist(), truth.tolist())
            found = figures(mixed(own, taught, share), truth)
        else:
            temperature = fit_temperature(own.tolist(), truth.tolist())
        kept = replace(
            made,
            teacher=share,
            temperature=float(f"{temperature:.4g}"),
            least_known=round(least, 4),
            epoch=epoch + 1,
            date=time.strftime("%Y-%m-%d"),
            figures=rounded(found),
            bare=rounded(bare),
        )
        state = {**trainer.network.state_dict(), TEXTS: trainer.class_texts, KNOWN: known}
        put_head(out / HEAD, (WEIGHTS, state), {CONFIG: kept, RECIPE: config}, beside)

    run_loop(trainer, out, accelerator, keep, best=NEVER, resume=resume)
    kept = from_yaml(ActionHeadConfig, out / HEAD / CONFIG)
    if accelerator.is_main_process:
        (out / HEAD / CARD).write_text(
            card(kept, config, trainer.phases, aside=trainer.data.sets_aside)
        )
        draw_curves(out / LOG, out / HEAD / CURVES)
    recalls = recalls_of(out / HEAD, trainer, taught, kept.teacher)
    return Finished(out / HEAD, kept, {}, recalls, (data.learned, len(dev)))


def known_clips(data: Data, labels: int) -> tuple[Tensor, float]:
    """``(C, E)`` what the clips of each label are to the teacher, and how near to these all but
    `STRANGE` of dev are."""
    frames, truth = data.taught.frames, data.truth
    own = [frames[: data.learned][truth[: data.learned] == n].mean(0) for n in range(labels)]
    known = torch.nn.functional.normalize(torch.stack(own), dim=-1)
    return known, float(nearness(frames[data.learned :], known).quantile(STRANGE))


def recalls_of(
    folder: Path, trainer: ActionsTrainer, taught: Tensor, share: float
) -> dict[str, float]:
    """Of each label on dev, by the head that was kept and its share of the teacher's scores."""
    from assistant.model.weight_files import read_weights

    state = read_weights(folder / WEIGHTS)
    del state[TEXTS], state[KNOWN]
    trainer.network.load_state_dict({name: value.float() for name, value in state.items()})
    truth = trainer.data.truth[trainer.dev]
    scores = mixed(trainer.scores(trainer.dev), taught, share)
    right = (scores.argmax(1) == truth).float()
    return {
        label: 100 * float(right[truth == place].mean())
        for place, label in enumerate(trainer.made.labels)
        if (truth == place).any()
    }


def card(made: ActionHeadConfig, config: ActionsConfig, epochs: int, *, aside: bool) -> str:
    """A first card; a person adds the data's terms and where the recogniser fails.

    ``aside``: whether dev has clips that were not learned.
    """
    dev = "clips for dev, which" if aside else "clips that it learned: none was set aside, and they"
    rows = "\n".join(
        f"| {name} | {made.bare[name]:.2f} | {value:.2f} |" for name, value in made.figures.items()
    )
    named = "its classifier" if made.by == BY[0] else "the nearest descriptions"
    gate = f" ({config.gate} gate)" if "image" in config.losses else ""
    recipe = f"L_{' + L_'.join(config.losses)}{gate}; kept: epoch {made.epoch} of {epochs}"
    network, own = "a space-time transformer on the maps of", ""
    if made.motion:
        own = f" and of the motion adapter `{made.motion}`, with which it begins"
    if made.video:
        network, own = "a video encoder, fine-tuned whole, that was", " and of the video encoder"
    return f"""# An action recogniser

P(action | clip) of {len(made.labels)} labels, by {named}: {network}
`{made.encoder}`, taught by the joint space `{made.space}`.

| | |
|---|---|
| file | `{WEIGHTS}`, fp16 |
| data | {made.clips} training clips, sha256 {made.data[:16]} |
| recipe | `{RECIPE}`: {recipe} |
| share of the joint space in the answer | {made.teacher:g}, fitted on dev |
| temperature | {made.temperature:g}, fitted on dev |
| made | {made.date}, seed {made.seed} |
| terms | those of the joint space{own}, and those of the data |

On the {dev} chose the epoch, the share and the temperature; in per cent:

| | joint space alone, by descriptions | trained |
|---|---|---|
{rows}
"""
