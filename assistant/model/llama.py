"""A Llama as plain torch modules: what the default model's answers are made of.

The module tree is that of `transformers`, so that its checkpoints load key for key; the library
itself takes seconds to import, and its loop over tokens spends more time around the layers than in
them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from assistant.model.qformer_layers import unfilled

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
PLAIN = {  # all that is built here
    "model_type": "llama",
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
}


@dataclass(frozen=True)
class LlamaConfig:
    """Fields of a checkpoint's ``config.json``, by its names."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    rms_norm_eps: float
    rope_theta: float
    tie_word_embeddings: bool


def read_config(folder: Path) -> LlamaConfig | None:
    """Of the checkpoint in ``folder``; None: no Llama, or one of a rarer kind or form."""
    if not all((folder / name).is_file() for name in FILES):
        return None
    return plain_config(json.loads((folder / "config.json").read_text(encoding="utf-8")))


def plain_config(known: Mapping[str, Any]) -> LlamaConfig | None:
    """From what ``config.json`` holds; None: no Llama, or one of a rarer kind."""
    rope = known.get("rope_parameters") or {}
    values = {**known, "rope_theta": rope.get("rope_theta")}
    names = [field.name for field in fields(LlamaConfig)]
    if any(values.get(name) is None for name in names):
        return None
    if any(known.get(key) != value for key, value in PLAIN.items()):
        return None
    if rope.get("rope_type") != "default" or "quantization_config" in known:
        return None
    return LlamaConfig(**{name: values[name] for name in names})


class RMSNorm(nn.Module):
    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        exact = x.float()
        exact = exact * torch.rsqrt(exact.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * exact.to(x.dtype)


class Attention(nn.Module):
    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        width, own = config.hidden_size, config.num_attention_heads * config.head_dim
        shared = config.num_key_value_heads * config.head_dim
        self.q_proj = nn.Linear(width, own, bias=False)
        self.k_proj = nn.Linear(width, shared, bias=False)
        self.v_proj = nn.Linear(width, shared, bias=False)
        self.o_proj = nn.Linear(own, width, bias=False)


class MLP(nn.Module):
    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        width, inner = config.hidden_size, config.intermediate_size
        self.gate_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)


class LlamaDecoderLayer(nn.Module):
    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.head_dim = config.head_dim
        self.self_attn = Attention(config)
        self.mlp = MLP(config)
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(
        self, x: Tensor, rotary: tuple[Tensor, Tensor], attend: Attend, apart: bool = False
    ) -> Tensor:
        """``x`` ``(B, N, W)``; ``attend`` gets queries ``(B, H, N, Dh)``, keys and values of the
        fewer heads that share them ``(B, Hkv, N, Dh)``, and returns ``(B, H, N, Dh)``.

        ``apart``: the longest sums place by place, which torch rounds otherwise in a batch.
        """
        query, key, value = (self.split(part) for part in self.qkv(self.input_layernorm(x)))
        mixed = attend(rotate(query, *rotary), rotate(key, *rotary), value)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        gate, up = self.gate_up(self.post_attention_layernorm(x))
        inner = F.silu(gate) * up
        if apart:
            return x + torch.stack([self.down(place) for place in inner.unbind(1)], dim=1)
        return x + self.down(inner)

    def split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)  # (B, H, N, Dh)

    def qkv(self, x: Tensor) -> Sequence[Tensor]:
        own = self.self_attn
        return own.q_proj(x), own.k_proj(x), own.v_proj(x)

    def out(self, x: Tensor) -> Tensor:
        return self.self_attn.o_proj(x)

    def gate_up(self, x: Tensor) -> Sequence[Tensor]:
        return self.mlp.gate_proj(x), self.mlp.up_proj(x)

    def down(self, x: Tensor) -> Tensor:
        return self.mlp.down_proj(x)


class LlamaModel(nn.Module):
    """Input embeddings to the last states."""

    def __init__(self, config: LlamaConfig, attention: str) -> None:
        super().__init__()
        self.embed_tokens = unfilled(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(
            LlamaDecoderLayer(config) for _ in range(config.num_hidden_layers)
        )
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.config = config
        self.attention = attention
        self.checkpointing = False

    def rotary(self, position_ids: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Cosine and sine ``(B, 1, N, Dh)`` of the angles by which positions turn."""
        exponents = torch.arange(0, self.config.head_dim, 2, device=position_ids.device)
        inverse = 1.0 / self.config.rope_theta ** (exponents.float() / self.config.head_dim)
        angles = position_ids[:, None, :, None].float() * inverse
        angles = torch.cat([angles, angles], dim=-1)
        return angles.cos().to(dtype), angles.sin().to(dtype)

    def forward(
        self, inputs_embeds: Tensor, attention_mask: Tensor, position_ids: Tensor, **_: object
    ) -> SimpleNamespace:
        """Args: inputs_embeds: ``(B, N, W)``. attention_mask: additive, ``(B, 1, N, N)``."""
        rotary = self.rotary(position_ids, inputs_embeds.dtype)
        groups = self.config.num_attention_heads // self.config.num_key_value_heads

        def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            key, value = (part.repeat_interleave(groups, dim=1) for part in (key, value))
            if self.attention == "sdpa":
                return F.scaled_dot_product_attention(query, key, value, attention_mask)
            weights = query @ key.transpose(2, 3) * self.config.head_dim**-0.5 + attention_mask
            return weights.softmax(-1, dtype=torch.float32).to(query.dtype) @ value

        x = inputs_embeds
        for layer in self.layers:
            if self.checkpointing and self.training:
                x = checkpoint(layer, x, rotary, attend, use_reentrant=False)
            else:
                x = layer(x, rotary, attend)
        return SimpleNamespace(last_hidden_state=self.norm(x))


class Llama(nn.Module):
    """A causal language model; the part of `transformers`' interface that is in use."""

    _no_split_modules = (LlamaDecoderLayer.__name__,)

    def __init__(self, config: LlamaConfig, attention: str = "sdpa") -> None:
        super().__init__()
        self.config = config
        self.model = LlamaModel(config, attention)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        if config.tie_word_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight

    @property
    def base_model(self) -> LlamaModel:
        return self.model

    @property
    def dtype(self) -> torch.dtype:
        return self.model.embed_tokens.weight.dtype

    def get_input_embeddings(self) -> nn.Embedding:
        return self.model.embed_tokens

    def get_output_embeddings(self) -> nn.Linear:
        return self.lm_head

    def set_attn_implementation(self, attention: str) -> None:
        self.model.attention = attention

    def activation_checkpointing_enable(self, _: object = None) -> None:
        self.model.checkpointing = True


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn pairs of channels by their positions' angles (RoPE)."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


def read_llama(folder: Path, config: LlamaConfig, dtype: torch.dtype, attention: str) -> Llama:
    """The checkpoint in ``folder`` (one safetensors file), in ``dtype``; no weight is set twice."""
    from safetensors.torch import load_file

    read = load_file(folder / "model.safetensors")
    return make_llama(config, {name: value.to(dtype) for name, value in read.items()}, attention)


def make_llama(config: LlamaConfig, state: dict[str, Tensor], attention: str = "sdpa") -> Llama:
    """A network whose parameters are the tensors of ``state``."""
    with torch.device("meta"):
        network = Llama(config, attention)
    if config.tie_word_embeddings:
        state = {**state, "lm_head.weight": state["model.embed_tokens.weight"]}
    network.load_state_dict(state, assign=True)
    if config.tie_word_embeddings:
        network.lm_head.weight = network.model.embed_tokens.weight
    return network
