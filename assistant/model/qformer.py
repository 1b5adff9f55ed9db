"""The Q-Former, image form: run per frame, queries averaged over frames.

The module tree is InstructBLIP's (``transformers``), so a stock checkpoint loads key for key.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import InstructBlipQFormerConfig, InstructBlipQFormerModel

from assistant.core.config import QFormerConfig
from assistant.errors import WeightsError

__all__ = ["QFormer", "initialise_from_bert"]


class QFormer(nn.Module):
    """Learned queries, text and the patches of each frame in; L visual tokens out.

    MTransLLAMA, Eq. 7 and 8, without the temporal part: frames are seen one by one.
    """

    def __init__(
        self, config: QFormerConfig, patch_width: int, token_width: int, attention: str = "sdpa"
    ) -> None:
        super().__init__()
        self.config = config
        self.queries = nn.Parameter(torch.zeros(1, config.queries, config.width))
        self.qformer = InstructBlipQFormerModel._from_config(
            InstructBlipQFormerConfig(
                vocab_size=config.vocabulary,
                hidden_size=config.width,
                num_hidden_layers=config.layers,
                num_attention_heads=config.heads,
                intermediate_size=config.intermediate,
                max_position_embeddings=config.text_positions,
                cross_attention_frequency=config.cross_every,
                encoder_hidden_size=patch_width,
                hidden_dropout_prob=0.0,
                attention_probs_dropout_prob=0.0,
            ),
            attn_implementation=attention,
        )
        self.projection = nn.Linear(config.width, token_width)

    def forward(self, patches: Tensor | None, ids: Tensor, mask: Tensor) -> Tensor:
        """Visual tokens for the frozen LLM.

        Args:
            patches: ``(B, T, K, Dv)``; None answers from the text alone (no cross-attention).
            ids: text ids ``(B, Kt)``. mask: ``(B, Kt)``, 1 where there is text.

        Returns:
            ``(B, L, W)`` in the LLM's embedding width.
        """
        return self.projection(self.query_states(patches, ids, mask))

    def query_states(self, patches: Tensor | None, ids: Tensor, mask: Tensor) -> Tensor:
        """Last-layer queries averaged over frames, ``(B, L, D)``."""
        return self.layer_states(patches, ids, mask)[-1]

    def layer_states(self, patches: Tensor | None, ids: Tensor, mask: Tensor) -> list[Tensor]:
        """Queries and text averaged over frames, ``(B, L+Kt, D)``, after each layer.

        The last layer has queries only: nothing reads its text.
        """
        batch, frames = (len(ids), 1) if patches is None else patches.shape[:2]
        x = self.qformer.embeddings(input_ids=ids, query_embeds=self.queries.expand(batch, -1, -1))
        bias = self._bias(mask, x.dtype)  # (B, 1, 1, L+Kt)
        seen = None if patches is None else patches.flatten(0, 1).to(x.dtype)  # (B*T, K, Dv)
        states: list[Tensor] = []
        for layer in self.qformer.encoder.layer:
            x, text = self._layer(layer, x, bias, seen)
            if layer is self.qformer.encoder.layer[0]:  # before it all frames are one
                bias = bias.repeat_interleave(frames, dim=0)  # (B*T, 1, 1, L+Kt)
            if layer is not self.qformer.encoder.layer[-1]:
                x = torch.cat([x, spread(layer.feed_forward_chunk(text), len(x))], dim=1)
            states.append(x.unflatten(0, (batch, frames)).mean(1))
        return states

    def _layer(
        self, layer: nn.Module, x: Tensor, bias: Tensor, seen: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Queries ``(B*T, L, D)`` and, before its feed-forward, text ``(B*T, Kt, D)``; where ``x``
        is ``(B, L+Kt, D)``, of all frames the same, so is the text."""
        x = layer.attention(x, attention_mask=bias)
        queries = x[:, : self.config.queries].contiguous()
        text = x[:, self.config.queries :].contiguous()
        if layer.has_cross_attention and seen is not None:
            queries = spread(queries, len(seen))
            queries = layer.crossattention(queries, encoder_hidden_states=seen)
        return layer.feed_forward_chunk_query(queries), text

    def _bias(self, mask: Tensor, dtype: torch.dtype) -> Tensor:
        """Additive self-attention bias over ``[queries; text]``: text padding is never seen."""
        queries = mask.new_ones(len(mask), self.config.queries)
        visible = torch.cat([queries, mask], dim=1)[:, None, None]
        return (1.0 - visible.to(dtype)) * torch.finfo(dtype).min


def spread(x: Tensor, rows: int) -> Tensor:
    """``(B, N, D)`` to ``(rows, N, D)``: each of B as often as it takes."""
    return x if len(x) == rows else x.repeat_interleave(rows // len(x), dim=0)


def initialise_from_bert(model: QFormer, folder: Path, seed: int) -> None:
    """Fill ``model`` from a BERT encoder (MiniLM) of the same depth and width.

    The query feed-forward starts as a copy of the text one, the cross-attention as a copy of the
    self-attention where shapes agree; token-type row 0 is folded into the positions.

    Raises:
        WeightsError: a tensor is missing or has another shape.
    """
    bert = load_file(folder / "model.safetensors")
    state = {
        "embeddings.word_embeddings.weight": bert["embeddings.word_embeddings.weight"],
        "embeddings.position_embeddings.weight": bert["embeddings.position_embeddings.weight"]
        + bert["embeddings.token_type_embeddings.weight"][0],
        "embeddings.layernorm.weight": bert["embeddings.LayerNorm.weight"],
        "embeddings.layernorm.bias": bert["embeddings.LayerNorm.bias"],
    }
    target = model.qformer.state_dict()
    for key in target:
        if not key.startswith("encoder."):
            continue
        source = _bert_name(key)
        if source in bert and bert[source].shape == target[key].shape:
            state[key] = bert[source]
    _load_named(model.qformer, state, may_miss="crossattention")
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.qformer.named_parameters():
            if "crossattention" in name and name not in state:
                parameter.normal_(0.0, 0.02, generator=generator)
        scale = bert["embeddings.word_embeddings.weight"].std()
        model.queries.normal_(0.0, float(scale), generator=generator)


def _bert_name(key: str) -> str:
    """Where BERT keeps what the Q-Former's ``key`` starts from."""
    name = key.replace("crossattention", "attention").replace(
        "attention.attention", "attention.self"
    )
    return name.replace("intermediate_query", "intermediate").replace("output_query", "output")


def _load_named(module: nn.Module, state: Mapping[str, Tensor], may_miss: str) -> None:
    missing, unexpected = module.load_state_dict(dict(state), strict=False)
    missing = [key for key in missing if may_miss not in key and "position_ids" not in key]
    if missing or unexpected:
        raise WeightsError(
            f"the Q-Former's initialisation lacks {missing[:3]} and has unknown {unexpected[:3]}; "
            "clear the cache and fetch again"
        )
