"""The Q-Former in space and time: MTransLLAMA's transfer of an image Q-Former, without pretraining.

Per layer: self-attention over queries and text (Eq. 7), channel swap and the same attention block
over frames (Eq. 9, 10), cross-attention to the frame's patches (Eq. 8), feed-forward. With gates at
0 and fresh adapters it is the image model run per frame. Ours: frame contrast after each layer, and
rereading, the last layer run again over the pooled queries and the text.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.models.instructblip.modeling_instructblip import InstructBlipQFormerAttention

from assistant.core.config import MOST_REREADS, TransferConfig
from assistant.model.adapter_parts import Parts, mean_token
from assistant.model.qformer import QFormer
from assistant.model.routing import routed_attention
from assistant.model.temporal import mean_over_frames

__all__ = ["IMAGE", "SpatioTemporalQFormer", "States"]

IMAGE = TransferConfig(frames=1, temporal=False, gate=0.0, routing="none", contrast=0)
"""No transfer: the image model run per frame."""


@dataclass(frozen=True)
class States:
    """The queries of one forward pass."""

    layers: list[Tensor]  # (B, T, L, D), of each frame after each adapted layer
    steps: list[Tensor]  # (B, L, D), of the clip: frames pooled, then after each rereading
    routes: list[dict[str, Tensor]]  # alpha (B, p) in "space" and "time" per layer

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
        self.temporal = nn.ModuleList(
            tied_copy(layer.attention) for layer in image.qformer.encoder.layer
        )
        last = image.qformer.encoder.layer[-1]
        self.rereads = nn.ModuleList(tied_copy(last) for _ in range(MOST_REREADS))
        self.parts = self.new_parts(config)

    def new_parts(self, config: TransferConfig) -> Parts:
        """What an adapter with ``config`` learns beside its LoRAs, at its start."""
        parts = Parts(config, self.image.config)
        if config.temporal and not config.reuse:
            shape = self.image.qformer.config
            parts.fresh.extend(InstructBlipQFormerAttention(shape) for _ in range(parts.layers))
        return parts

    @property
    def config(self) -> TransferConfig:
        """Of the parts in use."""
        return self.parts.config

    def forward(
        self, patches: Tensor | None, ids: Tensor, mask: Tensor, frames: Tensor | None = None
    ) -> Tensor:
        """Visual tokens ``(B, L, W)``.

        Args:
            patches: ``(B, T, K, Dv)``; None: text alone, T = 1, no cross-attention.
            ids, mask: text ``(B, Kt)``. frames: ``(B, T)``, 1 where there is a frame; None: all.
        """
        return self.image.projection(self.states(patches, ids, mask, frames).pooled)

    def states(
        self, patches: Tensor | None, ids: Tensor, mask: Tensor, frames: Tensor | None = None
    ) -> States:
        """The queries on their way, and how far each layer looked."""
        batch, count = (len(ids), 1) if patches is None else patches.shape[:2]
        length = self.image.config.queries
        start = self.image.queries.expand(batch, -1, -1)
        x = self.image.qformer.embeddings(input_ids=ids, query_embeds=start)  # (B, L+Kt, D)
        x = x[:, None]  # (B, 1, L+Kt, D): one for all frames until something tells them apart
        seen = None if patches is None else patches.flatten(0, 1).to(x.dtype)  # (B*T, K, Dv)
        times = times_of(count, frames).to(x.device)
        text_bias = hide(mask, length, x.dtype)  # (B, 1, 1, L+Kt)
        frame_bias = None if frames is None else hide(frames, 0, x.dtype)  # (B, 1, 1, T)
        parts, routes, adapted = self.parts, [], []
        layers = self.image.qformer.encoder.layer
        for index, layer in enumerate(layers):
            place = index - parts.first  # among the adapted layers
            last = index + 1 == len(layers) and self.config.pooling != "saliency"  # text is unread
            alphas: dict[str, Tensor] = {}
            with torch.set_grad_enabled(torch.is_grad_enabled() and place >= 0):
                if place == 0:
                    placed = x[:, :, :length] + self._places(times).to(x.dtype)
                    text = x[:, :, length:].expand(-1, count, -1, -1)
                    x = torch.cat([placed, text], dim=2)  # (B, T, L+Kt, D) from here on
                read, heard = length if last else None, x[:, :, length:]
                x = self._in_space(place, layer.attention, x, text_bias, frames, alphas, read)
                queries, text = x[:, :, :length].expand(-1, count, -1, -1), x[:, :, length:]
                if self.config.temporal and count > 1 and place >= 0:
                    queries = self._in_time(place, queries, frame_bias, frames, times, alphas)
                flat = queries.flatten(0, 1).contiguous()  # (B*T, L, D)
                if layer.has_cross_attention and seen is not None:
                    flat = layer.crossattention(flat, encoder_hidden_states=seen)
                queries = layer.feed_forward_chunk_query(flat).unflatten(0, (batch, count))
                if place >= 0 and len(parts.contrasts):
                    queries = parts.contrasts[place](queries, frames)
                if place >= 0 and len(parts.text_means):
                    queries = parts.text_means[place](queries, heard, mask)
                x = queries
                if place >= 0:
                    adapted.append(queries)
                if not last:
                    text = text.flatten(0, 1).contiguous()  # a slice takes 20 times as long
                    text = layer.feed_forward_chunk(text).unflatten(0, (batch, -1))
                    x = torch.cat([queries, text.expand(-1, count, -1, -1)], dim=2)
            routes.append(alphas)
        framed, said = x[:, :, :length], x[:, :, length:]
        steps = [self.pool(framed, said, mask, frames)]
        if parts.reread_gates is not None:
            text = mean_over_frames(heard, frames)
            steps += self._reread(parts.reread_gates, steps[0], text, mask)
        return States(adapted, steps, routes)

    def pool(
        self, states: Tensor, text: Tensor, mask: Tensor, frames: Tensor | None = None
    ) -> Tensor:
        """``(B, T, L, D)`` -> ``(B, L, D)``: frames averaged, or weighed.

        By a learned score of each query, or by saliency: how near a frame's mean query is to the
        text's mean token, ``softmax_t(cos / temperature)`` (Cross-modal Knowledge Mining, 3.5).
        """
        scores = states.new_zeros(*states.shape[:2], 1)  # (B, T, 1 or L)
        if self.parts.pooling is not None:
            scores = self.parts.pooling(states.to(self.parts.pooling.weight.dtype))[..., 0]
        elif self.config.pooling == "saliency":
            words = mean_token(text, mask)
            likeness = F.cosine_similarity(states.mean(2).float(), words.float(), dim=-1)
            scores = likeness[..., None] / self.config.temperature
        if frames is not None:
            scores = scores.masked_fill(frames[:, :, None] == 0, -torch.inf)
        weights = scores.float().softmax(1).to(states.dtype)
        return (states * weights[..., None]).sum(1)

    def _reread(
        self, gates: Tensor, queries: Tensor, text: Tensor, mask: Tensor
    ) -> Iterator[Tensor]:
        """``(B, L, D)`` after each rereading: the last layer again, without cross-attention, over
        the clip's queries and the text ``(B, Kt, D)`` that the last layer had read.

        Frames are told apart in the last layers, which leaves none to compare what was found and
        to name it in the question's words.
        """
        length = queries.shape[1]
        bias = hide(mask, length, queries.dtype)
        for gate, layer in zip(gates.to(queries.dtype), self.rereads[: len(gates)], strict=True):
            both = torch.cat([queries, text], dim=1)
            told = attend(layer.attention, both, bias, "none", None, None, length)
            told = layer.feed_forward_chunk_query(told)
            queries = queries + gate * (told - queries)
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

    def _in_space(
        self,
        place: int,
        block: nn.Module,
        x: Tensor,
        bias: Tensor,
        frames: Tensor | None,
        alphas: dict[str, Tensor],
        read: int | None,
    ) -> Tensor:
        """Self-attention over queries and text of each frame, ``(B, T, L+Kt, D)``, Eq. 7; of the
        first ``read`` alone, if not None."""
        batch, count, tokens = x.shape[:3]
        length = self.image.config.queries
        alpha = field = None
        form = self.config.routing if place >= 0 else "none"
        if form != "none":
            router = self.parts.spatial_routers[place]
            alphas["space"] = router(x[:, :, :length], frames)
            alpha = alphas["space"].repeat_interleave(count, dim=0)
            field = router.field(alpha, length, tokens - length)
        bias = bias.repeat_interleave(count, dim=0)
        x = attend(block, x.flatten(0, 1), bias, form, field, alpha, read)
        return x.unflatten(0, (batch, count))

    def _in_time(
        self,
        place: int,
        queries: Tensor,
        bias: Tensor | None,
        frames: Tensor | None,
        times: Tensor,
        alphas: dict[str, Tensor],
    ) -> Tensor:
        """The same block over frames of each query, ``(B, T, L, D)``, Eq. 9, behind a gate."""
        batch, count, length = queries.shape[:3]
        alpha = field = None
        if self.config.routing != "none":
            router = self.parts.temporal_routers[place]
            alphas["time"] = router(queries, frames)
            alpha = alphas["time"].repeat_interleave(length, dim=0)
            field = router.field(alpha, count)
        swapped = queries.transpose(1, 2).reshape(batch * length, count, -1)  # (B*L, T, D)
        if bias is None:
            bias = swapped.new_zeros(1, 1, 1, count)
        else:
            bias = bias.repeat_interleave(length, dim=0)
        reused = self.temporal[self.parts.first + place]
        block = reused if self.config.reuse else self.parts.fresh[place]
        if self.config.windows:
            window = self.parts.windows[place](times).to(bias.dtype)  # (1 or B, H, 1, T)
            bias = bias + (window if len(window) == 1 else window.repeat_interleave(length, dim=0))
        if not self.config.reuse:  # what begins anew is kept in fp32
            swapped, bias = swapped.float(), bias.float()
        moved = attend(block, swapped, bias, self.config.routing, field, alpha).to(queries.dtype)
        moved = moved.unflatten(0, (batch, length)).transpose(1, 2)  # (B, T, L, D)
        if self.parts.gates is None:
            return moved
        return queries + self.parts.gates[place].to(queries.dtype) * (moved - queries)


def times_of(count: int, frames: Tensor | None) -> Tensor:
    """``(1 or B, T)``: 0 at a clip's first frame, 1 at its last and after."""
    last = torch.tensor([[count - 1]]) if frames is None else frames.sum(1, keepdim=True) - 1
    place = torch.arange(count, device=last.device)
    return (place / last.clamp(min=1)).clamp(max=1.0)


def attend(
    block: nn.Module,
    x: Tensor,
    bias: Tensor,
    form: str,
    field: Tensor | None,
    alpha: Tensor | None,
    read: int | None = None,
) -> Tensor:
    """One whole attention block of the Q-Former (post-LN) with routed attention, ``(N, S, D)``.

    Args:
        read: how many of the S, from the first, are wanted; None: all.
    """
    inner = block.attention
    heads = inner.num_attention_heads

    def split(projected: Tensor) -> Tensor:
        return projected.unflatten(-1, (heads, -1)).transpose(1, 2)  # (N, H, S, Dh)

    wanted = x[:, :read].contiguous()
    query, key, value = split(inner.query(wanted)), split(inner.key(x)), split(inner.value(x))
    if field is not None:
        field = field[:, :, :read]
    mixed = routed_attention(query, key, value, bias, form, field, alpha)
    return block.output(mixed.transpose(1, 2).flatten(2), wanted)


def hide(mask: Tensor, before: int, dtype: torch.dtype) -> Tensor:
    """Additive bias ``(B, 1, 1, before + N)`` that hides where ``mask`` ``(B, N)`` is 0."""
    visible = torch.cat([mask.new_ones(len(mask), before), mask], dim=1)[:, None, None]
    return (1.0 - visible.to(dtype)) * torch.finfo(dtype).min


def tied_copy(block: nn.Module) -> nn.Module:
    """A second module that holds the SAME parameters, so that each can have its own LoRA."""
    other = copy.deepcopy(block)
    for name, parameter in block.named_parameters():
        owner, _, leaf = name.rpartition(".")
        setattr(other.get_submodule(owner), leaf, parameter)
    return other
