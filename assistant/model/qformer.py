"""The Q-Former, image form: run per frame, queries averaged over frames.

The module tree is InstructBLIP's (``transformers``), so a stock checkpoint loads key for key.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from assistant.core.config import QFormerConfig
from assistant.errors import WeightsError
from assistant.model.qformer_layers import QFormerModel
from assistant.model.routing import Route, routed_attention


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
        self.qformer = QFormerModel(config, patch_width, attention)
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
        queries, text = self.embed(ids)  # (B, 1, L, D), (B, 1, Kt, D)
        bias = hide(mask, self.config.queries, queries.dtype)  # (B, 1, 1, L+Kt)
        seen = None if patches is None else patches.to(queries.dtype)  # (B, T, K, Dv)
        states: list[Tensor] = []
        for layer in self.layers:
            last = layer is self.layers[-1]
            queries, text = run_layer(layer, queries, text, bias, seen, last)
            states.append(torch.cat([queries.mean(1), text.mean(1)], dim=1))
        return states

    @property
    def layers(self) -> nn.ModuleList:
        return self.qformer.encoder.layer

    def embed(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Queries ``(B, 1, L, D)`` and text ``(B, 1, Kt, D)``: one for all frames, as long as
        nothing tells these apart."""
        start = self.queries.expand(len(ids), -1, -1)
        x = self.qformer.embeddings(ids, start)[:, None]
        return x[:, :, : self.config.queries], x[:, :, self.config.queries :]


def run_layer(
    layer: nn.Module,
    queries: Tensor,
    text: Tensor,
    bias: Tensor,
    seen: Tensor | None,
    last: bool = False,
) -> tuple[Tensor, Tensor]:
    """One layer of the image model over each frame: queries and text after it."""
    queries, text, _ = attend_in_space(layer.attention, queries, text, bias, last=last)  # Eq. 7
    queries = attend_to_patches(layer, queries, seen)  # (B, T, L, D), Eq. 8
    return layer.feed_forward_chunk_query(queries), layer.feed_forward_chunk(text)


def attend_in_space(
    block: nn.Module,
    queries: Tensor,
    text: Tensor,
    bias: Tensor,
    route: Route | None = None,
    *,
    heard: tuple[nn.Module, Tensor] | None = None,
    last: bool = False,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Self-attention over queries ``(B, T, L, D)``, text ``(B, 1 or T, Kt, D)`` and what is heard
    of each frame.

    Args:
        heard: sound ``(B, T, A, D)`` and the block that reads it. last: nobody reads text and sound
            after it, of which none is returned.
    """
    length = queries.shape[2]
    x = torch.cat([queries, text.expand(-1, queries.shape[1], -1, -1)], dim=2)  # (B, T, L+Kt, D)
    streams = [(block, x)] if heard is None else [(block, x), heard]
    x, *others = attend_together(streams, bias, route, length if last else None)
    queries, text = x[:, :, :length], x[:, :, length:]
    sound = others[0] if others else None
    return (
        queries.contiguous(),
        text.contiguous(),
        sound,
    )  # a slice's feed-forward: 20 times as long


def attend_to_patches(layer: nn.Module, queries: Tensor, seen: Tensor | None) -> Tensor:
    """Cross-attention of queries ``(B, 1 or T, L, D)`` to their frame's patches
    ``(B, T, K, Dv)``, where the layer has it."""
    if seen is None or not layer.has_cross_attention:
        return queries
    flat = queries.expand(-1, seen.shape[1], -1, -1).flatten(0, 1).contiguous()  # (B*T, L, D)
    flat = layer.crossattention(flat, seen.flatten(0, 1))
    return flat.unflatten(0, seen.shape[:2])


def attend(
    block: nn.Module, x: Tensor, bias: Tensor, route: Route | None = None, read: int | None = None
) -> Tensor:
    """One whole attention block (post-LN) inside each of G groups, ``(B, G, S, D)``.

    Args:
        bias: additive, ``(B or 1, 1 or H, 1, S)``.
        read: how many of the S, from the first, are wanted; None: all.
    """
    return attend_together([(block, x)], bias, route, read)[0]


def attend_together(
    streams: Sequence[tuple[nn.Module, Tensor]],
    bias: Tensor,
    route: Route | None = None,
    read: int | None = None,
) -> list[Tensor]:
    """One attention over the tokens of several streams ``(B, G, S, D)``, each by a block of its
    own.

    Args:
        bias: additive, ``(B or 1, 1 or H, 1, S)`` over all streams, or ``(B, G, 1 or H, 1, S)``.
        read: how many of the first stream, from its first, are wanted, and none of the others;
            None: all.
    """
    heads = streams[0][0].attention.num_attention_heads

    def split(projected: Tensor) -> Tensor:
        return projected.unflatten(-1, (heads, -1)).transpose(2, 3)  # (B, G, H, S, Dh)

    wanted = [(block, x[:, :, :read].contiguous()) for block, x in streams[: 1 if read else None]]
    query = torch.cat([split(block.attention.query(x)) for block, x in wanted], dim=3)
    key = torch.cat([split(block.attention.key(x)) for block, x in streams], dim=3)
    value = torch.cat([split(block.attention.value(x)) for block, x in streams], dim=3)
    mixed = routed_attention(query, key, value, bias.to(query.dtype), route)
    mixed = mixed.transpose(2, 3).flatten(3)  # (B, G, N, D)
    parts = mixed.split([x.shape[2] for _, x in wanted], dim=2)
    whole = [part.contiguous() for part in parts]  # of a slice a projection takes far longer
    return [block.output(part, x) for (block, x), part in zip(wanted, whole, strict=True)]


def hide(mask: Tensor, before: int, dtype: torch.dtype) -> Tensor:
    """Additive bias ``(B, 1, 1, before + N)`` that hides where ``mask`` ``(B, N)`` is 0."""
    visible = torch.cat([mask.new_ones(len(mask), before), mask], dim=1)[:, None, None]
    return (1.0 - visible.to(dtype)) * torch.finfo(dtype).min


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
    missing = [key for key in missing if may_miss not in key]
    if missing or unexpected:
        raise WeightsError(
            f"the Q-Former's initialisation lacks {missing[:3]} and has unknown {unexpected[:3]}; "
            "clear the cache and fetch again"
        )
