"""The Q-Former in space and time: MTransLLAMA's transfer of an image Q-Former, without pretraining.

Per layer: self-attention over queries and text (Eq. 7), channel swap and the same attention block
over frames (Eq. 9, 10), cross-attention to the frame's patches (Eq. 8), feed-forward. With gates at
0 and fresh adapters it is the image model run per frame. What is heard beside a frame joins its
queries and text from the first adapted layer on. Ours: frame contrast after each layer, and
rereading, the last layer run again over the pooled queries and the text.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assistant.core.config import MOST_REREADS, TransferConfig
from assistant.model.adapter_parts import AdapterParts, mean_token
from assistant.model.hearing import Heard
from assistant.model.qformer import (
    QFormer,
    attend,
    attend_in_space,
    attend_to_patches,
    hide,
    run_layer,
)
from assistant.model.routing import Route
from assistant.model.temporal import mean_over_frames

IMAGE = TransferConfig(frames=1, temporal=False, gate=0.0, routing="none", contrast=0)
"""No transfer: the image model run per frame."""
TEMPERATURE = 0.1  # of saliency


@dataclass(frozen=True)
class States:
    """The queries of one forward pass."""

    layers: list[Tensor]  # (B, T, L, D), of each frame after each adapted layer
    steps: list[Tensor]  # (B, L, D), of the clip: frames pooled, then after each rereading
    routes: list[dict[str, Tensor]]  # alpha (B, p) in "space" and "time" per layer
    heard: Tensor | None = None  # (B, T, D), what was added to each frame's queries of its sound

    @property
    def framed(self) -> Tensor:
        """``(B, T, L, D)``, of each frame at last."""
        return self.layers[-1]

    @property
    def pooled(self) -> Tensor:
        """``(B, L, D)``, as they leave the Q-Former."""
        return self.steps[-1]


class SpatioTemporalQFormer(nn.Module):
    """Text and T frames in, L visual tokens out, whatever T is.

    ``parts`` may be exchanged: an adapter brings its own, with their config.
    """

    def __init__(self, image: QFormer, config: TransferConfig = IMAGE) -> None:
        super().__init__()
        self.image = image
        self.temporal = nn.ModuleList(tied_copy(layer.attention) for layer in image.layers)
        self.hearing = nn.ModuleList(tied_copy(layer.attention) for layer in image.layers)
        self.rereads = nn.ModuleList(tied_copy(image.layers[-1]) for _ in range(MOST_REREADS))
        self.parts = AdapterParts(config, image)

    @property
    def config(self) -> TransferConfig:
        """Of the parts in use."""
        return self.parts.config

    def forward(
        self,
        patches: Tensor | None,
        ids: Tensor,
        mask: Tensor,
        frames: Tensor | None = None,
        heard: Heard | None = None,
        expected: Tensor | None = None,
    ) -> Tensor:
        """Visual tokens ``(B, L, W)``.

        Args:
            patches: ``(B, T, K, Dv)``; None: no cross-attention, and T = 1 where nothing is heard.
            ids, mask: text ``(B, Kt)``. frames: ``(B, T)``, 1 where there is a frame; None: all.
            heard: beside each frame; None: nothing. Only an adapter with sound listens.
            expected: signals ``(B, K)`` of the last line; None: nothing is said, or nobody asks.
        """
        states = self.states(patches, ids, mask, frames, heard, expected)
        return self.image.projection(states.pooled)

    def states(
        self,
        patches: Tensor | None,
        ids: Tensor,
        mask: Tensor,
        frames: Tensor | None = None,
        heard: Heard | None = None,
        expected: Tensor | None = None,
    ) -> States:
        """The queries on their way, and how far each layer looked."""
        parts, layers = self.parts, self.image.layers
        heard = None if parts.sound_tokens is None else heard
        queries, text = self.image.embed(ids)  # (B, 1, L, D), (B, 1, Kt, D)
        scores = None if parts.regression is None else parts.regression(text, mask, expected)
        seen = patches.to(queries.dtype) if patches is not None and self.config.sees else None
        count = 1  # T
        if seen is not None:
            count = seen.shape[1]
        elif heard is not None:
            count = heard.tokens.shape[1]
        else:
            frames = None
        times = times_of(count, frames).to(ids.device)
        there = torch.ones_like(times) if frames is None else frames  # (1 or B, T)
        text_bias = hide(mask, queries.shape[2], queries.dtype)  # (B, 1, 1, L+Kt)
        frame_bias = hide(there, 0, queries.dtype)  # (1 or B, 1, 1, T)

        with torch.no_grad():
            for layer in layers[: parts.first]:
                queries, text = run_layer(layer, queries, text, text_bias, seen)  # Eq. 7, 8

        queries = queries + self._places(times).to(queries.dtype)  # (B, T, L, D), Eq. 6
        sound, now, bias = None, None, text_bias
        if heard is not None and parts.sound_tokens is not None:
            sound, now = parts.sound_tokens(heard)
            queries = queries + now[:, :, None].to(queries.dtype)  # (B, T, L, D)
            sound = sound.to(queries.dtype)  # (B, T, A, D)
            bias = beside(text_bias, heard.mask)  # (B, T, 1, 1, L+Kt+A)
        adapted: list[Tensor] = []
        routes: list[dict[str, Tensor]] = [{} for _ in range(parts.first)]
        for place, layer in enumerate(layers[parts.first :]):
            told, last = text, layer is layers[-1] and self.config.pooling != "saliency"
            more = 0 if sound is None else sound.shape[2]
            space = parts.route_in_space(place, queries, frames, text.shape[2] + more)  # Eq. 12
            ear = None if sound is None else (self.hearing[parts.first + place], sound)
            queries, text, sound = attend_in_space(
                layer.attention, queries, text, bias, space, heard=ear, last=last
            )  # (B, T, L, D), (B, T, Kt, D), (B, T, A, D), Eq. 7, 11
            time = parts.route_in_time(place, queries, frames)  # Eq. 12
            queries = self._attend_in_time(place, queries, frame_bias, times, time)  # Eq. 9 to 11
            queries = attend_to_patches(layer, queries, seen)  # Eq. 8
            queries = layer.feed_forward_chunk_query(queries)
            queries = parts.contrast(place, queries, frames)
            queries = parts.tell_text(place, queries, told, mask)
            queries = parts.tell_scores(place, queries, scores)
            text = layer.feed_forward_chunk(text)
            sound = None if sound is None else layer.feed_forward_chunk(sound)
            adapted.append(queries)
            routes.append({axis: r.alpha for axis, r in (("space", space), ("time", time)) if r})

        steps = [self.pool(queries, text, mask, frames)]  # (B, L, D)
        steps += self._reread(steps[0], mean_over_frames(told, frames), text_bias)
        return States(adapted, steps, routes, now)

    def pool(
        self, states: Tensor, text: Tensor, mask: Tensor, frames: Tensor | None = None
    ) -> Tensor:
        """``(B, T, L, D)`` -> ``(B, L, D)``: frames averaged, or weighed.

        By a learned score of each query, or by saliency: how near a frame's mean query is to the
        text's mean token, ``softmax_t(cos / 0.1)`` (Cross-modal Knowledge Mining, 3.5).
        """
        scores = states.new_zeros(*states.shape[:2], 1)  # (B, T, 1 or L)
        if self.parts.pooling is not None:
            scores = self.parts.pooling(states.to(self.parts.pooling.weight.dtype))[..., 0]
        elif self.config.pooling == "saliency":
            words = mean_token(text, mask)
            likeness = F.cosine_similarity(states.mean(2).float(), words.float(), dim=-1)
            scores = likeness[..., None] / TEMPERATURE
        if frames is not None:
            scores = scores.masked_fill(frames[:, :, None] == 0, -torch.inf)
        weights = scores.float().softmax(1).to(states.dtype)
        return (states * weights[..., None]).sum(1)

    def _reread(self, queries: Tensor, text: Tensor, bias: Tensor) -> Iterator[Tensor]:
        """``(B, L, D)`` after each rereading: the last layer again, without cross-attention, over
        the clip's queries and the text ``(B, Kt, D)`` that the last layer had read.

        Frames are told apart in the last layers, which leaves none to compare what was found and
        to name it in the question's words.
        """
        gates = [] if self.parts.reread_gates is None else self.parts.reread_gates
        for gate, layer in zip(gates, self.rereads[: len(gates)], strict=True):
            told, _ = run_layer(layer, queries[:, None], text[:, None], bias, None, last=True)
            queries = queries + gate.to(queries.dtype) * (told[:, 0] - queries)
            yield queries

    def _places(self, times: Tensor) -> Tensor:
        """Temporal and spatial embedding ``(B, T, L, D)``, Eq. 6; e^t is interpolated at
        ``times`` ``(B, T)``."""
        learned = self.parts.frame_embedding
        if learned is None:
            return self.parts.query_embedding.expand(*times.shape, -1, -1)
        exact = times * (len(learned) - 1)
        before = exact.long().clamp(max=len(learned) - 1)
        after = (before + 1).clamp(max=len(learned) - 1)
        at = torch.lerp(learned[before], learned[after], (exact - before)[..., None])  # (B, T, D)
        return at[:, :, None] + self.parts.query_embedding

    def _attend_in_time(
        self, place: int, queries: Tensor, bias: Tensor, times: Tensor, route: Route | None
    ) -> Tensor:
        """The same block over the frames of each query, ``(B, T, L, D)``, behind a gate."""
        parts = self.parts
        if not self.config.temporal or len(times[0]) == 1:
            return queries
        block = self.temporal[parts.first + place] if self.config.reuse else parts.fresh[place]
        if self.config.windows:
            bias = bias + parts.windows[place](times).to(bias.dtype)  # (1 or B, H, 1, T)
        swapped = queries.transpose(1, 2).flatten(0, 1)  # the channel swap
        swapped = swapped.unflatten(0, (len(queries), -1))  # (B, L, T, D)
        swapped = swapped.to(block.output.LayerNorm.weight.dtype)  # fp32 where it begins anew
        moved = attend(block, swapped, bias, route).to(queries.dtype)
        moved = moved.transpose(1, 2)  # (B, T, L, D)
        if parts.gates is None:
            return moved
        return queries + parts.gates[place].to(queries.dtype) * (moved - queries)


def times_of(count: int, frames: Tensor | None) -> Tensor:
    """``(1 or B, T)``: 0 at a clip's first frame, 1 at its last and after."""
    last = torch.tensor([[count - 1]]) if frames is None else frames.sum(1, keepdim=True) - 1
    place = torch.arange(count, device=last.device)
    return (place / last.clamp(min=1)).clamp(max=1.0)


def beside(text_bias: Tensor, mask: Tensor) -> Tensor:
    """Bias ``(B, T, 1, 1, S+A)`` of text ``(B, 1, 1, S)`` and sound with ``mask`` ``(B, T, A)``."""
    frames = mask.shape[1]
    of_text = text_bias[:, None].expand(-1, frames, -1, -1, -1)
    of_sound = (1.0 - mask[:, :, None, None].to(of_text.dtype)) * torch.finfo(of_text.dtype).min
    return torch.cat([of_text, of_sound], dim=-1)


def tied_copy(block: nn.Module) -> nn.Module:
    """A second module that holds the SAME parameters, so that each can have its own LoRA."""
    other = copy.deepcopy(block)
    for name, parameter in block.named_parameters():
        owner, _, leaf = name.rpartition(".")
        setattr(other.get_submodule(owner), leaf, parameter)
    return other
