"""Decoding with a `Llama`, greedily or by beams: what `generate` of `transformers` answers, sooner.

Keys and values lie in one tensor, so that a step is the layers and little else. What then costs is
to read every weight for a token. A single greedy answer reads them for several at once: a copy of
the weights in 4 bit guesses some tokens ahead, one pass of the weights themselves says which of
these were right, and only such are told (Leviathan et al. 2023). A guess never decides anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assistant.model.llama import Llama, LlamaDecoderLayer

Ended = Callable[[Tensor], Tensor]  # ids (R, N) -> which rows have come to their end, (R,)
Rule = Callable[[Tensor, Tensor], Tensor]  # ids (R, N), scores (R, V) -> scores (R, V)
GUESSED = 4  # tokens ahead; up to 8 rows of a short bf16 product are rounded as one alone
GROUP = 32  # inputs that share a scale in 4 bit, as in llama.cpp's Q4
COLUMNS = 16  # outputs that the kernel for 4 bit makes at a time
NEVER = -1e9  # log-probability of a beam that is none


class Weights(NamedTuple):
    """What a step reads."""

    layers: Sequence[LlamaDecoderLayer]
    head: Callable[[Tensor], Tensor]


class Int8:
    """Some Linear layers without bias as one, in 8 bit by row."""

    def __init__(self, *layers: nn.Linear) -> None:
        weight = torch.cat([layer.weight for layer in layers])
        # The kernel's scales are bf16: rounded first, so that weights are rounded to fit them.
        self.scale = (weight.abs().amax(1).float().clamp(min=1e-9) / 126.5).bfloat16()
        self.weight = torch.empty(weight.shape, dtype=torch.int8)
        parts = (weight.split(512), self.weight.split(512), self.scale.split(512))
        for part, kept, scale in zip(*parts, strict=True):
            kept.copy_((part.float() / scale[:, None]).round_())

    def __call__(self, x: Tensor) -> Tensor:
        """``(R, 1, in)`` to ``(R, 1, out)``."""
        return torch._weight_int8pack_mm(x[:, 0], self.weight, self.scale)[:, None]


class Int4:
    """Some Linear layers without bias as one, in 4 bit by groups of inputs."""

    def __init__(self, *layers: nn.Linear) -> None:
        groups = torch.cat([layer.weight for layer in layers]).float().unflatten(1, (-1, GROUP))
        low, high = groups.aminmax(dim=2, keepdim=True)
        # What the kernel multiplies by is bf16: rounded first, as in 8 bit.
        scale = ((high - low) / 15).clamp(min=1e-6).bfloat16()
        middle = (low + 8 * scale).bfloat16()
        levels = ((groups - middle) / scale + 8).round().clamp(0, 15).int().flatten(1)
        self.weight = torch.ops.aten._convert_weight_to_int4pack_for_cpu(levels, 1)
        self.scales = torch.cat([scale, middle], dim=2).transpose(0, 1).contiguous()

    def __call__(self, x: Tensor) -> Tensor:
        """``(R, 1, in)`` to ``(R, 1, out)``."""
        multiply = torch.ops.aten._weight_int4pack_mm_for_cpu
        return multiply(x[:, 0].contiguous(), self.weight, GROUP, self.scales)[:, None]


class PackedLayer(LlamaDecoderLayer):
    """A layer that reads its matrices in 4 bit, for one place of each row."""

    def __init__(self, layer: LlamaDecoderLayer) -> None:
        nn.Module.__init__(self)
        own, mlp = layer.self_attn, layer.mlp
        self.head_dim = layer.head_dim
        self.input_layernorm = layer.input_layernorm
        self.post_attention_layernorm = layer.post_attention_layernorm
        self.sizes = [part.out_features for part in (own.q_proj, own.k_proj, own.v_proj)]
        self.qkv_, self.out_ = Int4(own.q_proj, own.k_proj, own.v_proj), Int4(own.o_proj)
        self.gate_up_, self.down_ = Int4(mlp.gate_proj, mlp.up_proj), Int4(mlp.down_proj)

    def qkv(self, x: Tensor) -> Sequence[Tensor]:
        return self.qkv_(x).split(self.sizes, dim=-1)

    def out(self, x: Tensor) -> Tensor:
        return self.out_(x)

    def gate_up(self, x: Tensor) -> Sequence[Tensor]:
        return self.gate_up_(x).chunk(2, dim=-1)

    def down(self, x: Tensor) -> Tensor:
        return self.down_(x)


@torch.inference_mode()
def guessing(network: Llama) -> Weights | None:
    """A small copy of the weights to guess with; None where that gains nothing or is not possible:
    all but bf16 on a processor."""
    linear = [part for part in network.model.modules() if isinstance(part, nn.Linear)]
    weight = network.lm_head.weight
    fits = all(
        type(part) is nn.Linear and not part.in_features % GROUP and not part.out_features % COLUMNS
        for part in linear
    )
    if weight.device.type != "cpu" or weight.dtype != torch.bfloat16 or not fits:
        return None
    return Weights([PackedLayer(layer) for layer in network.model.layers], Int8(network.lm_head))


class Steps:
    """The states of some prompts, each in as many rows as there are beams, and what comes after."""

    def __init__(
        self, network: Llama, prompts: Sequence[Tensor], room: int, beams: int = 1
    ) -> None:
        """``prompts``: embeddings ``(N, W)``. room: for so many tokens more."""
        config, first = network.config, prompts[0]
        self.model = network.model
        self.weights = Weights(list(network.model.layers), network.lm_head)
        lengths = torch.tensor([len(x) for x in prompts], device=first.device)
        self.lengths = lengths.repeat_interleave(beams)  # (R,)
        self.start = self.end = int(lengths.max())  # every prompt ends at ``start``
        shape = (len(self.lengths), config.num_key_value_heads, self.start + room, config.head_dim)
        self.kept = first.new_zeros(config.num_hidden_layers, 2, *shape)  # keys and values
        padding = torch.arange(shape[2], device=first.device) < self.start - self.lengths[:, None]
        self.bias = None  # (R, 1, 1, S): where prompts are equally long, nothing is hidden
        if padding.any():
            bias = first.new_zeros(padding.shape).masked_fill(padding, float("-inf"))
            self.bias = bias[:, None, None]
        told = [self._read(row * beams, beams, x) for row, x in enumerate(prompts)]
        self.logits = torch.cat(told)  # (R, V), after the prompts

    def _read(self, row: int, beams: int, x: Tensor) -> Tensor:
        """Logits ``(beams, V)`` after a prompt; its keys and values go to the rows from ``row``."""
        kept = self.kept[:, :, row : row + beams, :, self.start - len(x) : self.start]
        rotary = self.model.rotary(torch.arange(len(x), device=x.device)[None], x.dtype)
        x = x[None]
        for number, layer in enumerate(self.weights.layers):

            def attend(query: Tensor, key: Tensor, value: Tensor, number: int = number) -> Tensor:
                kept[number, 0], kept[number, 1] = key, value
                return F.scaled_dot_product_attention(
                    query, key, value, is_causal=True, enable_gqa=True
                )

            x = layer(x, rotary, attend)
        return self.weights.head(self.model.norm(x[:, -1:]))[:, 0].float().expand(beams, -1)

    def go_on(
        self, tokens: Tensor, rows: Tensor | None = None, weights: Weights | None = None
    ) -> Tensor:
        """Append ``tokens`` ``(R, k)``; the logits after each, ``(R, k, V)``.

        ``rows`` ``(R,)``: what each row now goes on from. ``weights``: instead of the network's.
        """
        layers, head = weights or self.weights
        if rows is not None:  # rows of one prompt differ only after it
            own = self.kept[:, :, :, :, self.start : self.end]
            own.copy_(own[:, :, rows])
        place, count = self.end, tokens.shape[1]
        self.end += count
        x = self.model.embed_tokens(tokens)  # (R, k, W)
        after = torch.arange(place - self.start, self.end - self.start, device=x.device)
        rotary = self.model.rotary(self.lengths[:, None] + after, x.dtype)
        for number, layer in enumerate(layers):

            def attend(query: Tensor, key: Tensor, value: Tensor, number: int = number) -> Tensor:
                keys, values = self.kept[number]
                keys[:, :, place : self.end], values[:, :, place : self.end] = key, value
                # One place after the other, so that none is rounded otherwise than alone.
                mixed = [
                    F.scaled_dot_product_attention(
                        query[:, :, at : at + 1],
                        keys[:, :, : place + at + 1],
                        values[:, :, : place + at + 1],
                        None if self.bias is None else self.bias[..., : place + at + 1],
                        enable_gqa=True,
                    )
                    for at in range(count)
                ]
                return torch.cat(mixed, dim=2)

            x = layer(x, rotary, attend, apart=count > 1)
        return head(self.model.norm(x)).float()


@torch.inference_mode()
def greedy(
    steps: Steps, longest: int, rule: Rule, ended: Ended, fill: int, guess: Weights | None = None
) -> Iterator[Tensor]:
    """The likeliest token of each row ``(R,)``, one after the other; ``fill`` where it has ended.

    ``guess`` makes a single row's come sooner.
    """
    ids = steps.lengths.new_empty(len(steps.lengths), 0)
    going = torch.ones(len(ids), dtype=torch.bool, device=ids.device)
    logits, ahead = steps.logits[:, None], ids  # after the last token and each that was guessed
    while True:
        for at in range(logits.shape[1]):
            token = rule(ids, logits[:, at]).argmax(-1).where(going, fill)
            ids = torch.cat([ids, token[:, None]], dim=1)
            yield token
            going = going & ~ended(ids)
            if ids.shape[1] == longest or not going.any():
                return
            if at < ahead.shape[1] and bool((token != ahead[:, at]).any()):
                break
        steps.end -= ahead.shape[1] - at  # wrong guesses, and what came after them
        ahead = ids[:, :0]
        if guess is not None and len(ids) == 1:
            most = min(GUESSED, longest - ids.shape[1] - 1)
            ahead = _ahead(steps, ids, most, rule, ended, guess)
        logits = steps.go_on(torch.cat([ids[:, -1:], ahead], dim=1))


def _ahead(
    steps: Steps, ids: Tensor, most: int, rule: Rule, ended: Ended, guess: Weights
) -> Tensor:
    """Up to ``most`` tokens ``(1, k)`` that probably follow; ``steps`` stay where they are."""
    known, place = ids.shape[1], steps.end
    while ids.shape[1] - known < most:
        logits = steps.go_on(ids[:, -1:], weights=guess)[:, 0]
        ids = torch.cat([ids, rule(ids, logits).argmax(-1, keepdim=True)], dim=1)
        if ended(ids).all():
            break
    steps.end = place
    return ids[:, known:]


@torch.inference_mode()
def search(steps: Steps, beams: int, longest: int, rule: Rule, ended: Ended) -> list[list[Tensor]]:
    """Ids of each prompt's answers: the first ``beams`` that end, that of the highest mean
    log-probability per token first."""
    count = len(steps.lengths) // beams
    device = steps.lengths.device
    prompt = torch.arange(count, device=device)[:, None]
    ids = steps.lengths.new_empty(count * beams, 0)
    scores = torch.full((count, beams), NEVER, device=device)
    scores[:, 0] = 0.0  # at the start all beams are one
    found: list[list[tuple[float, Tensor]]] = [[] for _ in range(count)]
    logits = steps.logits
    for number in range(1, longest + 1):
        chances = rule(ids, logits.log_softmax(-1)).unflatten(0, (count, beams))  # (B, beams, V)
        words = chances.shape[-1]
        best, place = (chances + scores[..., None]).flatten(1).topk(2 * beams)
        rows = prompt * beams + place // words
        longer = torch.cat([ids[rows], (place % words)[..., None]], dim=-1)
        over = ended(longer.flatten(0, 1)).unflatten(0, (count, -1)) | (number == longest)
        for own, score, text, stops in zip(
            found, best.tolist(), longer, over.tolist(), strict=True
        ):
            if len(own) < beams:
                own += [(score[at] / number, text[at]) for at in range(beams) if stops[at]]
        if all(len(own) >= beams for own in found) or bool(over.all()):
            break
        scores, chosen = (best + NEVER * over).topk(beams)
        rows, ids = rows.gather(1, chosen).flatten(), longer[prompt, chosen].flatten(0, 1)
        logits = steps.go_on(ids[:, -1:], rows)[:, 0]
    return [[ids for _, ids in sorted(own, key=lambda one: -one[0])] for own in found]
