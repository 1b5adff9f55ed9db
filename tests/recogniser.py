"""A small trained recogniser of actions, which are colors here, in a moment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from retrieval_sight import COLORS, WIDTH, TinySight
from torch.nn import functional as F

from assistant.actions.head import KNOWN, TEXTS, ActionHeadConfig
from assistant.actions.recogniser import Recogniser, RecogniserConfig
from assistant.actions.store import CONFIG, WEIGHTS
from assistant.training.heads import put_head

LABELS = {"waving": "red", "clapping": "blue"}
SHAPE = RecogniserConfig(frames=4, grid=2, width=16, heads=2, layers=1, contrast=8, dropout=0.0)


def colored(sight: TinySight, color: str) -> torch.Tensor:
    """``(4, 4, WIDTH)`` patches of four frames."""
    return sight.encoder(np.full((4, 48, 64, 3), COLORS[color], np.uint8)).patches.float()


def teach(folder: Path, sight: TinySight, labels=LABELS, least_known=None) -> Path:
    """A recogniser in ``folder``. Green is half of each label. ``least_known``: how near a clip
    must be to the colors of the labels, else it is strange."""
    torch.manual_seed(0)
    network = Recogniser(SHAPE, WIDTH, len(labels), sight.space.width)
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    own = torch.stack([colored(sight, color) for color in (*labels.values(), "green")])
    truth = torch.cat([torch.eye(len(labels)), torch.full((1, len(labels)), 1 / len(labels))])
    there = torch.ones(len(own), 4, dtype=torch.long)
    for _ in range(40):
        logits = network.logits(network.summary(network.states(own, there), there))
        loss = F.cross_entropy(logits, truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    made = ActionHeadConfig(
        space=sight.space.fingerprint,
        encoder=sight.encoder_fingerprint,
        labels=tuple(labels),
        patch_width=WIDTH,
        text_width=sight.space.width,
        recogniser=SHAPE,
        clips=12,
        figures={"top-1": 100.0},
        least_known=least_known,
    )
    texts = F.normalize(torch.ones(len(labels), sight.space.width), dim=1)
    folder.parent.mkdir(parents=True, exist_ok=True)
    known = F.normalize(own[: len(labels)].mean((1, 2)), dim=-1)
    beside = {TEXTS: texts} if least_known is None else {TEXTS: texts, KNOWN: known}
    put_head(folder, (WEIGHTS, {**network.state_dict(), **beside}), {CONFIG: made})
    return folder
