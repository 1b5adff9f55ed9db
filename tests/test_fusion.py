"""The fusion module of retrieval: its equations, what is masked, and where gradients reach."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch.nn import functional as F

from assistant.errors import ConfigError
from assistant.retrieval.fusion import (
    MODALITIES,
    FusionConfig,
    FusionNetwork,
    Tokens,
    key_frames,
    moments,
)
from assistant.training.retrieval.trainer import info_nce

WIDTH = 12
SIZES = {"text": (4, 2, 3), "image": (1, 1, 1), "video": (3, 5, 2)}  # tokens of each of 3 items
SMALL = {"inner": 8, "heads": 2, "concepts": 5, "hidden": 10}
SUBSETS = [s for n in (1, 2, 3) for s in itertools.combinations(MODALITIES, n)]


def network_of(*without: str, moved: bool = True) -> FusionNetwork:
    """With ``moved``, as it could be after training: nothing in it is zero."""
    torch.manual_seed(0)
    network = FusionNetwork(WIDTH, FusionConfig(**SMALL, without=without)).eval()
    if moved:
        with torch.no_grad():
            for value in network.parameters():
                value.add_(torch.randn_like(value) / 4)
    return network


def items_of(*kinds: str) -> dict[str, Tokens]:
    rng = torch.Generator().manual_seed(1)
    rows = {
        name: [F.normalize(torch.randn(n, WIDTH, generator=rng), dim=-1) for n in sizes]
        for name, sizes in SIZES.items()
    }
    return {name: Tokens.of(rows[name]) for name in kinds}


def close(one: torch.Tensor, other: torch.Tensor, atol: float = 1e-5) -> bool:
    return torch.allclose(one, other, atol=atol)


@pytest.mark.parametrize("without", [(), ("temporal",), ("attention",), ("pooling",), ("fusion",)])
@pytest.mark.parametrize("kinds", SUBSETS)
def test_an_untrained_module_is_the_joint_space(kinds, without):
    items = items_of(*kinds)
    means = []
    for name, own in items.items():
        if name == "text":
            means.append(own.values[:, 0])
            continue
        frames = [row[mask] for row, mask in zip(own.values, own.there, strict=True)]
        means.append(torch.stack([F.normalize(row.mean(0), dim=0) for row in frames]))
    wanted = F.normalize(torch.stack(means).mean(0), dim=-1)
    assert close(network_of(*without, moved=False)(items), wanted)


@pytest.mark.parametrize("without", [(), ("fusion",)])
@pytest.mark.parametrize("kinds", SUBSETS[:-1])
def test_what_is_not_there_changes_nothing(kinds, without):
    """Neither a modality that an item lacks, nor padding, whatever stands in its place."""
    network, items = network_of(*without), items_of(*kinds)
    found = network(items)
    junk = {
        name: Tokens(own.values + ~own.there[..., None] * 9, own.there)
        for name, own in items.items()
    }
    for name in set(MODALITIES) - set(kinds):
        there = torch.zeros(3, 4, dtype=torch.bool)
        junk[name] = Tokens(torch.full((3, 4, WIDTH), 7.0), there)
    assert close(network(junk), found)


def test_items_of_different_modalities_in_one_batch():
    network, items = network_of(), items_of(*MODALITIES)
    image = Tokens(items["image"].values, torch.tensor([[True], [False], [True]]))
    mixed = network(items | {"image": image})
    assert close(mixed[0], network(items)[0])
    assert close(mixed[1], network({n: items[n] for n in ("text", "video")})[1])
    assert not close(mixed[1], network(items)[1], atol=1e-2)


def test_the_equations_against_a_plain_version():
    """Item by item, without masks or batches."""
    network, items = network_of(), items_of(*MODALITIES)
    found = network(items)
    for n in range(3):
        x = {name: own.values[n][own.there[n]] for name, own in items.items()}
        frames = Tokens(x["video"][None], torch.ones(1, len(x["video"]), dtype=torch.bool))
        x["video"] = x["video"] + network.temporal(frames)[0]
        attended = {
            a: x[a] + sum(attention(network.attention[f"{a}_{b}"], x[a], x[b]) for b in x if b != a)
            for a in x
        }
        parts = [attended["text"][0], attended["image"].mean(0), attended["video"].mean(0)]
        event = F.normalize(sum(F.normalize(part, dim=0) for part in parts), dim=0)
        event = event + pooling(network.pooling, torch.cat([*attended.values()]))
        assert close(found[n], F.normalize(event + network.project(event), dim=0))


def attention(layer, own, other):
    """softmax(q k / sqrt(d)) v of each head, with the layer's own weights."""
    query = layer.query(layer.query_norm(own))
    key, value = layer.key_value(layer.key_norm(other)).chunk(2, dim=-1)
    heads = []
    for q, k, v in zip(*(x.chunk(layer.heads, dim=-1) for x in (query, key, value)), strict=True):
        heads.append((q @ k.T / math.sqrt(q.shape[-1])).softmax(-1) @ v)
    return layer.out(torch.cat(heads, -1))


def pooling(layer, tokens):
    key, value = layer.key_value(layer.norm(tokens)).chunk(2, dim=-1)
    event = torch.zeros(value.shape[-1])
    weights = (key.mean(0) @ layer.concepts.T / math.sqrt(key.shape[-1])).softmax(0)
    for concept, weight in zip(layer.concepts, weights, strict=True):
        seen = (key @ concept / math.sqrt(key.shape[-1])).softmax(0)
        event = event + weight * (seen[:, None] * value).sum(0)
    return layer.out(event)


def test_gradients_reach_each_part():
    network = network_of().train()
    target = torch.randn(3, WIDTH)
    items = items_of(*MODALITIES)
    items["image"] = items["video"]  # of one token alone, what asks for it would not matter
    (network(items) * target).sum().backward()
    assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []
    network = network_of("fusion").train()
    (network(items_of(*MODALITIES)) * target).sum().backward()
    assert network.join.weight.grad.any() and not hasattr(network, "attention")


def test_it_knows_the_order_of_frames_by_its_temporal_transformer_alone():
    items = items_of("video")
    own = items["video"]
    turned = Tokens(own.values[1:2].flip(1), own.there[1:2])
    straight = Tokens(own.values[1:2], own.there[1:2])
    network = network_of()
    assert not close(network({"video": turned}), network({"video": straight}), atol=1e-3)
    network = network_of("temporal")
    assert close(network({"video": turned}), network({"video": straight}))


def test_moments_are_shares_of_the_clip():
    there = torch.tensor([[True, True, False, False], [True, True, True, True]])
    found = moments(there, 8)
    assert not close(found[0, :2], found[1, :2], atol=1e-2)
    middle = moments(torch.ones(1, 1, dtype=torch.bool), 8)[0, 0]
    assert close(moments(torch.ones(1, 3, dtype=torch.bool), 8)[0, 1], middle)


def test_key_frames():
    still, other = torch.eye(WIDTH)[0], torch.eye(WIDTH)[1]
    frames = torch.stack([still] * 9 + [other])
    assert key_frames(frames, 2, "even") == [2, 7]
    assert 9 in key_frames(frames, 2, "salient")
    assert key_frames(frames, 10, "salient") == [*range(10)]
    assert len(set(key_frames(frames, 5, "salient"))) == 5  # though most are alike


def test_a_wrong_config_is_named():
    for wrong, told in (
        ({"inner": 10, "heads": 4}, "no multiple of heads 4"),
        ({"key_frames": "loud"}, "'loud'; choose even or salient"),
        ({"without": ("mqt",)}, "'mqt': choose some of temporal"),
        ({"concepts": 0}, "concepts is 0"),
    ):
        with pytest.raises(ConfigError, match=told):
            FusionConfig(**wrong)


@pytest.mark.parametrize("negatives", ["random", "semi-hard", "hard"])
def test_info_nce_against_a_plain_version(negatives):
    torch.manual_seed(2)
    queries, keys = (F.normalize(torch.randn(9, 4), dim=-1) for _ in range(2))
    tau, share = 0.2, 0.25
    total = 0.0
    for own, other in ((queries, keys), (keys, queries)):
        for n in range(9):
            positive = float(own[n] @ other[n])
            others = sorted(float(own[n] @ other[m]) for m in range(9) if m != n)
            if negatives == "semi-hard":
                others = [one for one in others if one < positive]
            if negatives != "random":
                others = others[-2:]  # a quarter of 8
            below = sum(math.exp(one / tau) for one in [positive, *others])
            total -= math.log(math.exp(positive / tau) / below) / 9 / 2
    assert info_nce(queries, keys, tau, negatives, share).item() == pytest.approx(total, abs=1e-5)
