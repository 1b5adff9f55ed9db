"""What the shipped motion adapter makes of frames, without a language model: a start for whatever
is to know motion, as no video encoder that learned from clips can be had from a registry.

The Q-Former is that of the base, spatio-temporal by the adapter (MTransLLAMA), and reads one fixed
question; its queries have learned from clips in which only motion answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from assistant.model.loading import load_trained, new_qformer
from assistant.model.lora import Adapters
from assistant.model.spatiotemporal import SpatioTemporalQFormer
from assistant.model.tokens import Tokens
from assistant.model.weight_files import read_weights
from assistant.tasks.store import adapter_key, find_adapter
from assistant.weights.base import find_base

if TYPE_CHECKING:
    from assistant.model.encoders.base import Encoder

MODEL, ADAPTER = "mini", "motion"
QUESTION = "Which way does it move?"


class MotionReader:
    """Frames in, a vector of each out: the mean of its queries."""

    def __init__(self, adapters: Adapters, name: str, ids: Tensor) -> None:
        """``name``: of the adapter, in memory. ``ids`` ``(1, Kt)``: what it is asked."""
        self._adapters, self.fingerprint, self._ids = adapters, name, ids

    @property
    def width(self) -> int:
        return self._adapters.qformer.image.config.width

    @torch.no_grad()
    def __call__(self, patches: Tensor) -> Tensor:
        """``(T, K, Dv)`` of one clip -> ``(T, D)``."""
        with self._adapters.using(self.fingerprint) as qformer:
            states = qformer.states(patches[None].float(), self._ids, torch.ones_like(self._ids))
        return states.framed[0].mean(1)


def fits(encoder: Encoder) -> bool:
    """Whether the adapter reads what ``encoder`` sees."""
    base = find_base(MODEL)
    return base is not None and getattr(encoder, "config", None) == base.config.encoder


def load_motion_reader(encoder: Encoder) -> MotionReader:
    """
    Raises:
        WeightsError: weights are missing or damaged.
    """
    base, stored = find_base(MODEL), find_adapter(ADAPTER, MODEL)
    assert base is not None
    state = read_weights(base.weights)
    llm_width = state["projection.weight"].shape[0]
    qformer, bert = new_qformer(base.config.qformer, encoder.width, llm_width)
    load_trained(qformer, base.weights)
    adapters = Adapters(SpatioTemporalQFormer(qformer.requires_grad_(False).eval()))
    name = adapter_key(stored.folder, stored.recipe, base.fingerprint)
    adapters.load(name, stored.folder, stored.recipe.lora, stored.recipe.transfer)
    return MotionReader(adapters, name, torch.tensor([Tokens(bert)(QUESTION)["input_ids"]]))
