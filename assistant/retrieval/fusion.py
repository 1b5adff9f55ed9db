"""The event-aware fusion module of UniEvent-LVLM (section 3) over a joint space: any of a text, a
picture and a clip as one unit vector.

    F_V = F_V + Temporal(F_V)                               over key frames          3.1.1
    F_a = F_a + sum over b of Attention(F_a, F_b, F_b)      all ordered pairs        3.2.1
    F   = mean of the modalities + Pooling([F_T; F_I; F_V]) K event concepts         3.2.2
    Z   = F + MLP(F), of length 1                           one head for all         3.3

What each line adds begins as zero, so that an untrained module is the bare joint space: of a text
its vector, of frames their mean direction, of several modalities the mean of these. The paper gives
Pooling no equation; ours is in :class:`ConceptPooling`. Modalities that are not there are masked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from assistant.core.bounds import check_bounds
from assistant.data.events import MODALITIES
from assistant.errors import ConfigError
from assistant.tasks.recipes import RETRIEVAL_ABLATIONS

KEY_FRAMES = ("even", "salient")


@dataclass(frozen=True)
class FusionConfig:
    """A fusion module; its width is that of the joint space."""

    inner: int = 128  # width of attention
    heads: int = 4
    layers: int = 1  # of the temporal transformer
    concepts: int = 32  # K
    hidden: int = 512  # of the projection head
    dropout: float = 0.1
    frames: int = 8  # of a clip, at most
    key_frames: str = "even"  # or "salient", where there are more
    without: tuple[str, ...] = ()  # of RETRIEVAL_ABLATIONS; fusion: plain concatenation

    def __post_init__(self) -> None:
        check_bounds(self, inner=(1, 16384), heads=(1, 256), layers=(1, 48), concepts=(1, 65536))
        check_bounds(self, hidden=(1, 65536), dropout=(0, 0.95), frames=(1, 256))
        if self.inner % self.heads or self.inner % 2:
            raise ConfigError(
                f"inner {self.inner} is odd or no multiple of heads {self.heads}; change one"
            )
        if self.key_frames not in KEY_FRAMES:
            raise ConfigError(
                f"key_frames is {self.key_frames!r}; choose {' or '.join(KEY_FRAMES)}"
            )
        known = ", ".join(RETRIEVAL_ABLATIONS)
        if unknown := [part for part in self.without if part not in RETRIEVAL_ABLATIONS]:
            raise ConfigError(f"without {unknown[0]!r}: choose some of {known}")


@dataclass(frozen=True, eq=False)
class Tokens:
    """Vectors of the joint space, of B items: of a text itself and its words, of a picture its
    own, of a clip its frames."""

    values: Tensor  # (B, N, E)
    there: Tensor  # (B, N) bool

    @classmethod
    def of(cls, rows: Sequence[Tensor]) -> Tokens:
        """From ``(n, E)`` of each item; n may be 0, and is not for all of them."""
        lengths = torch.tensor([len(row) for row in rows])
        values = pad_sequence(list(rows), batch_first=True)
        return cls(values, torch.arange(values.shape[1]) < lengths[:, None])

    @property
    def known(self) -> Tensor:
        """``(B,)``: whether an item has this modality."""
        return self.there.any(1)


class Attention(nn.Module):
    """Queries look at what there is of another modality; ``(B, N, E)``, zero to begin with."""

    def __init__(self, width: int, config: FusionConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.query_norm, self.key_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query = nn.Linear(width, config.inner)
        self.key_value = nn.Linear(width, 2 * config.inner)
        self.out = zero(nn.Linear(config.inner, width))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, own: Tokens, other: Tokens) -> Tensor:
        query = self._parted(self.query(self.query_norm(own.values)))  # (B, H, N, I/H)
        key, value = map(self._parted, self.key_value(self.key_norm(other.values)).chunk(2, dim=-1))
        known = other.known[:, None]
        visible = (other.there | ~known)[:, None, None]  # no softmax over nothing
        found = F.scaled_dot_product_attention(query, key, value, attn_mask=visible)
        return self.out(self.dropout(found.transpose(1, 2).flatten(2))) * known[..., None]

    def _parted(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class TemporalTransformer(nn.Module):
    """What frames say of each other, ``(B, T, E)``, zero to begin with; times are shares of the
    clip, so that any number of frames will do."""

    def __init__(self, width: int, config: FusionConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.down = nn.Linear(width, config.inner)
        layer = nn.TransformerEncoderLayer(
            config.inner,
            config.heads,
            4 * config.inner,
            config.dropout,
            "gelu",
            batch_first=True,
            norm_first=True,
        )
        self.layers = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)
        self.out = zero(nn.Linear(config.inner, width))

    def forward(self, frames: Tokens) -> Tensor:
        known = frames.known[:, None]
        x = self.down(self.norm(frames.values))
        x = x + moments(frames.there, x.shape[-1])
        x = self.layers(x, src_key_padding_mask=~(frames.there | ~known))
        return self.out(x) * known[..., None]


class ConceptPooling(nn.Module):
    """K learned event concepts p_k, ``(B, N, E)`` -> ``(B, E)``, zero to begin with.

    a_kn = softmax_n(p_k . key_n), what of the event each concept sees; c_k = sum_n a_kn value_n;
    w_k = softmax_k(p_k . mean key), how much it matters; the event is Out(sum_k w_k c_k).
    """

    def __init__(self, width: int, config: FusionConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.key_value = nn.Linear(width, 2 * config.inner)
        self.concepts = nn.Parameter(torch.randn(config.concepts, config.inner))
        self.out = zero(nn.Linear(config.inner, width))

    def forward(self, tokens: Tokens) -> Tensor:
        key, value = self.key_value(self.norm(tokens.values)).chunk(2, dim=-1)  # (B, N, I)
        scores = key @ self.concepts.T / math.sqrt(key.shape[-1])  # (B, N, K)
        there = tokens.there[..., None]
        seen = scores.masked_fill(~there, -torch.inf).softmax(1)
        weight = ((scores * there).sum(1) / there.sum(1)).softmax(1)  # (B, K)
        return self.out(torch.einsum("bnk,bk,bni->bi", seen, weight, value))


class FusionNetwork(nn.Module):
    """Items of any modalities -> ``(B, E)``, unit vectors."""

    def __init__(self, width: int, config: FusionConfig) -> None:
        """``width``: E, of the joint space."""
        super().__init__()
        self.width, self.config = width, config
        without = config.without
        fused = "fusion" not in without
        if "temporal" not in without:
            self.temporal = TemporalTransformer(width, config)
        if fused and "attention" not in without:
            self.attention = nn.ModuleDict(
                {f"{a}_{b}": Attention(width, config) for a, b in permutations(MODALITIES, 2)}
            )
        if fused and "pooling" not in without:
            self.pooling = ConceptPooling(width, config)
        if not fused:
            self.join = nn.Linear(len(MODALITIES) * width, width, bias=False)
            with torch.no_grad():
                self.join.weight.copy_(torch.eye(width).repeat(1, len(MODALITIES)))
        self.project = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, config.hidden),
            nn.GELU(),
            nn.Dropout(config.dropout),
            zero(nn.Linear(config.hidden, width)),
        )

    def forward(self, items: Mapping[str, Tokens]) -> Tensor:
        """
        Args:
            items: by modality, each of the same B; each item has one at least.
        """
        x = self._timed(items)
        x = self._attended(x)
        event = self._joined(x)  # (B, E)
        return F.normalize(event + self.project(event), dim=-1)

    def _timed(self, items: Mapping[str, Tokens]) -> dict[str, Tokens]:
        """With what the temporal transformer adds to frames; in the order of `MODALITIES`."""
        x = {name: items[name] for name in MODALITIES if name in items}
        if "video" in x and hasattr(self, "temporal"):
            x["video"] = Tokens(x["video"].values + self.temporal(x["video"]), x["video"].there)
        return x

    def _attended(self, x: dict[str, Tokens]) -> dict[str, Tokens]:
        """With what each modality finds in the others."""
        if not hasattr(self, "attention"):
            return x
        found = {name: own.values for name, own in x.items()}
        for a, b in permutations(x, 2):
            found[a] = found[a] + self.attention[f"{a}_{b}"](x[a], x[b])
        return {name: Tokens(values, x[name].there) for name, values in found.items()}

    def _joined(self, x: Mapping[str, Tokens]) -> Tensor:
        """Summaries of the modalities as one vector of length 1, and the concepts' pooling."""
        known = {name: own.known[:, None] for name, own in x.items()}
        each = {name: summary(name, own) * known[name] for name, own in x.items()}  # (B, E)
        if hasattr(self, "join"):
            none = torch.zeros_like(next(iter(each.values())))
            return F.normalize(
                self.join(torch.cat([each.get(name, none) for name in MODALITIES], -1)), dim=-1
            )
        event = F.normalize(torch.stack(list(each.values())).sum(0), dim=-1)
        if not hasattr(self, "pooling"):
            return event
        every = Tokens(
            torch.cat([own.values for own in x.values()], 1),
            torch.cat([own.there for own in x.values()], 1),
        )
        return event + self.pooling(every)


def summary(name: str, own: Tokens) -> Tensor:
    """``(B, E)``, of length 1: of a text its first token, of frames their mean direction."""
    if name == "text":
        return F.normalize(own.values[:, 0], dim=-1)
    return F.normalize((own.values * own.there[..., None]).sum(1), dim=-1)


def moments(there: Tensor, width: int) -> Tensor:
    """``(B, T)`` -> ``(B, T, width)``: sines and cosines of when each frame is, as a share of the
    clip."""
    count = there.sum(1, keepdim=True).clamp(min=1)
    share = (torch.arange(there.shape[1], device=there.device) + 0.5) / count  # (B, T)
    octaves = torch.arange(width // 2, device=there.device) * (6 / (width // 2))
    angles = torch.pi * share[..., None] * 2**octaves
    return torch.cat([angles.sin(), angles.cos()], -1)


def key_frames(frames: Tensor, count: int, how: str) -> list[int]:
    """Which ``count`` of ``(T, E)`` to look at, in their order, or all where there are no more.

    "salient": the one nearest to all of them, then always the one least like those chosen (k-centre
    greedy, Gonzalez 1985).
    """
    total = len(frames)
    if total <= count:
        return [*range(total)]
    if how == "even":
        return [int((k + 0.5) * total / count) for k in range(count)]
    alike = frames @ frames.T
    chosen = [int(alike.mean(0).argmax())]
    while len(chosen) < count:
        nearest = alike[chosen].amax(0)
        nearest[chosen] = torch.inf
        chosen.append(int(nearest.argmin()))
    return sorted(chosen)


def zero(layer: nn.Linear) -> nn.Linear:
    """The layer, which gives zero until it is trained."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
