"""The layers of InstructBLIP's Q-Former, by the names that `transformers` gives them, so that a
stock checkpoint loads key for key; the library itself takes seconds to import."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assistant.core.config import QFormerConfig

EPS = 1e-12  # of every LayerNorm, as BERT has it


class QFormerModel(nn.Module):
    """Embeddings and layers; `assistant.model.qformer` runs them."""

    def __init__(self, config: QFormerConfig, patch_width: int, attention: str) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        self.encoder = nn.Module()
        self.encoder.layer = nn.ModuleList(
            QFormerLayer(config, None if number % config.cross_every else patch_width, attention)
            for number in range(config.layers)
        )


def unfilled(count: int, width: int) -> nn.Embedding:
    """An embedding that waits for its weights; to fill it on no device would load a compiler."""
    return nn.Embedding.from_pretrained(torch.empty(count, width), freeze=False)


class Embeddings(nn.Module):
    def __init__(self, config: QFormerConfig) -> None:
        super().__init__()
        self.word_embeddings = unfilled(config.vocabulary, config.width)
        self.position_embeddings = unfilled(config.text_positions, config.width)
        self.layernorm = nn.LayerNorm(config.width, eps=EPS)

    def forward(self, ids: Tensor, queries: Tensor) -> Tensor:
        """``(B, L+Kt, D)`` of queries ``(B, L, D)`` and text ids ``(B, Kt)``."""
        text = self.word_embeddings(ids) + self.position_embeddings.weight[: ids.shape[1]]
        return self.layernorm(torch.cat([queries, text], dim=1).to(self.layernorm.weight.dtype))


class QFormerLayer(nn.Module):
    def __init__(self, config: QFormerConfig, patch_width: int | None, attention: str) -> None:
        """``patch_width``: of the patches that the layer attends to; None: to none."""
        super().__init__()
        self.attention = AttentionBlock(config.width, config.heads)
        self.has_cross_attention = patch_width is not None
        if patch_width is not None:
            self.crossattention = AttentionBlock(config.width, config.heads, patch_width, attention)
        self.intermediate = Widened(config.width, config.intermediate)
        self.output = Added(config.intermediate, config.width)
        self.intermediate_query = Widened(config.width, config.intermediate)
        self.output_query = Added(config.intermediate, config.width)

    def feed_forward_chunk(self, text: Tensor) -> Tensor:
        return self.output(self.intermediate(text), text)

    def feed_forward_chunk_query(self, queries: Tensor) -> Tensor:
        return self.output_query(self.intermediate_query(queries), queries)


class AttentionBlock(nn.Module):
    """Attention, output projection, residual and LayerNorm."""

    def __init__(
        self, width: int, heads: int, seen_width: int | None = None, form: str = "sdpa"
    ) -> None:
        super().__init__()
        self.attention = Projections(width, heads, seen_width or width)
        self.output = Added(width, width)
        self.form = form

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """``x`` ``(B, N, D)`` attends to all of ``seen`` ``(B, S, Dv)``."""
        query, key, value = self.attention(x, seen)
        if self.form == "sdpa":
            mixed = F.scaled_dot_product_attention(query, key, value)
        else:
            weights = query @ key.transpose(2, 3) * query.shape[-1] ** -0.5
            mixed = weights.softmax(-1, dtype=torch.float32).to(query.dtype) @ value
        return self.output(mixed.transpose(1, 2).flatten(2), x)


class Projections(nn.Module):
    def __init__(self, width: int, heads: int, seen_width: int) -> None:
        super().__init__()
        self.num_attention_heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(seen_width, width)
        self.value = nn.Linear(seen_width, width)

    def forward(self, x: Tensor, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``(B, H, N, Dh)``, and two of ``(B, H, S, Dh)``."""
        query, key, value = (
            part.unflatten(-1, (self.num_attention_heads, -1)).transpose(1, 2)
            for part in (self.query(x), self.key(seen), self.value(seen))
        )
        return query, key, value


class Widened(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, inner)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.dense(x))


class Added(nn.Module):
    """A projection beside what it is added to, and their LayerNorm."""

    def __init__(self, inner: int, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(inner, width)
        self.LayerNorm = nn.LayerNorm(width, eps=EPS)

    def forward(self, x: Tensor, before: Tensor) -> Tensor:
        return self.LayerNorm(self.dense(x) + before)
