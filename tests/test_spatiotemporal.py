"""The transfer's invariants: what it is at the start, what may and may not change its tokens."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny import official_qformer, tiny_qformer

from assistant.core.config import POOLINGS, ROUTINGS, LoraSettings, TransferConfig
from assistant.errors import ConfigError
from assistant.model.adapter_parts import masks_of
from assistant.model.lora import Adapters
from assistant.model.routing import receptive_fields
from assistant.model.spatiotemporal import SpatioTemporalQFormer, times_of
from assistant.model.temporal import TimeWindows

PLAIN = TransferConfig(frames=4, gate=0.0, routing="none", contrast=0)
BATCH, FRAMES, PATCHES = 2, 4, 5


@pytest.fixture(scope="module")
def image():
    return tiny_qformer()


@pytest.fixture(scope="module")
def seen():
    """Patches, text ids and mask; the second text is shorter."""
    torch.manual_seed(1)
    patches = torch.randn(BATCH, FRAMES, PATCHES, 20)
    ids = torch.randint(1, 120, (BATCH, 6))
    mask = torch.tensor([[1] * 6, [1] * 4 + [0] * 2])
    return patches, ids, mask


def moved(model, scale=0.3):
    """The model with everything learned moved away from its start."""
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in model.parts.parameters():
            parameter.add_(torch.randn_like(parameter) * scale)
    return model


@torch.no_grad()
def test_without_gate_and_routing_it_is_the_image_model_run_per_frame(image, seen):
    ours = SpatioTemporalQFormer(image, PLAIN)(*seen)
    assert torch.allclose(ours, image(*seen), atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("count", [1, 4, 8])
def test_fresh_adapters_behind_closed_gates_are_transformers_qformer_per_frame(count):
    """Clips of different lengths and texts of different lengths, in one batch."""
    image = tiny_qformer()
    adapters = Adapters(SpatioTemporalQFormer(image))
    adapters.add("fresh", LoraSettings(rank=4), TransferConfig(frames=4, gate=0.0))
    patches, ids = torch.randn(2, count, 9, 20), torch.randint(1, 100, (2, 7))
    mask = torch.tensor([[1] * 7, [1] * 4 + [0] * 3])
    frames = torch.ones(2, count, dtype=torch.long)
    frames[1, max(1, count - 2) :] = 0
    with adapters.using("fresh") as qformer:
        ours = qformer(patches, ids, mask, frames)
    plain = {
        name.replace(".base_layer", ""): value
        for name, value in image.qformer.state_dict().items()
        if "lora_" not in name
    }
    theirs = official_qformer(image, plain)
    for row, length in enumerate(frames.sum(1).tolist()):
        visible = torch.cat([torch.ones(1, image.config.queries).long(), mask[row : row + 1]], 1)
        states = [
            theirs(
                ids[row : row + 1],
                attention_mask=visible,
                query_embeds=image.queries,
                encoder_hidden_states=patches[row : row + 1, frame],
            ).last_hidden_state[:, : image.config.queries]
            for frame in range(length)
        ]
        wanted = image.projection(torch.stack(states).mean(0))
        assert wanted.std() > 1e-2  # the model sees something at all
        assert torch.allclose(ours[row : row + 1], wanted, atol=1e-5)


@torch.no_grad()
def test_log_bias_is_the_identity_at_the_start(image, seen):
    ours = SpatioTemporalQFormer(image, replace(PLAIN, routing="log_bias"))(*seen)
    assert torch.allclose(ours, image(*seen), atol=1e-5)


@torch.no_grad()
def test_layers_below_the_adapted_ones_are_the_image_model(image, seen):
    config = replace(PLAIN, gate=1.0, layers=1)
    model = moved(SpatioTemporalQFormer(image, config))
    assert len(model.parts.windows) == len(model.parts.gates) == 1
    assert model.parts.first == image.config.layers - 1
    below = replace(PLAIN, layers=1)
    start = SpatioTemporalQFormer(image, below)
    assert torch.allclose(start(*seen), image(*seen), atol=1e-5)
    assert not torch.allclose(model(*seen), image(*seen), atol=1e-2)


def test_gates_may_begin_open_in_the_last_layers_alone_or_not_be_there(image, seen):
    parts = SpatioTemporalQFormer(image, replace(PLAIN, gate=1.0, gate_layers=1)).parts
    assert parts.gates.tolist() == [0.0] * (image.config.layers - 1) + [1.0]
    without = SpatioTemporalQFormer(image, replace(PLAIN, gate=None))
    open_ = SpatioTemporalQFormer(image, replace(PLAIN, gate=1.0, gate_layers=0))
    assert without.parts.gates is None
    assert torch.allclose(without(*seen), open_(*seen), atol=1e-5)


@torch.no_grad()
def test_heads_look_at_their_own_time_and_together_at_all_of_it():
    window = TimeWindows(5)(times_of(9, None))  # (1, 5, 1, 9)
    assert window.argmax(-1).flatten().tolist() == [0, 2, 4, 6, 8]
    assert window.max() == 0


STILL = replace(PLAIN, temporal=False)
contrasts = pytest.mark.parametrize("contrast", [{"contrast": 3}, {"neighbours": 3}])


@torch.no_grad()
@contrasts
def test_contrast_adds_nothing_at_the_start_and_where_nothing_changes(image, seen, contrast):
    patches, ids, mask = seen
    fresh = SpatioTemporalQFormer(image, replace(STILL, **contrast))
    assert torch.allclose(fresh(*seen), image(*seen), atol=1e-5)
    model = moved(SpatioTemporalQFormer(image, replace(STILL, **contrast, layers=1)))
    model.parts.query_embedding.zero_()  # these two are no contrast
    model.parts.frame_embedding.zero_()
    still = patches[:, :1].expand(-1, FRAMES, -1, -1)
    assert torch.allclose(model(still, ids, mask), image(still, ids, mask), atol=1e-5)
    assert not torch.allclose(model(*seen), image(*seen), atol=1e-2)


@torch.no_grad()
@pytest.mark.parametrize("frames", [0, FRAMES])
def test_frames_that_are_not_told_their_time_are_a_set(image, seen, frames):
    patches, ids, mask = seen
    config = replace(PLAIN, temporal=False, contrast=0, frames=frames)
    model = moved(SpatioTemporalQFormer(image, config))
    back = model(patches.flip(1), ids, mask)
    assert torch.allclose(back, model(*seen), atol=1e-5) == (frames == 0)


@torch.no_grad()
@contrasts
def test_contrast_alone_tells_a_clip_from_its_reverse(image, seen, contrast):
    patches, ids, mask = seen
    model = moved(SpatioTemporalQFormer(image, replace(STILL, **contrast)))
    model.parts.frame_embedding.zero_()
    assert not torch.allclose(model(patches.flip(1), ids, mask), model(*seen), atol=1e-2)


@torch.no_grad()
@contrasts
def test_contrast_does_not_see_frames_that_fill_a_batch(image, seen, contrast):
    patches, ids, mask = seen
    frames = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    model = moved(SpatioTemporalQFormer(image, replace(PLAIN, gate=1.0, **contrast)))
    alone = model(patches[1:, :3], ids[1:], mask[1:])
    assert torch.allclose(model(patches, ids, mask, frames)[1:], alone, atol=1e-4)


TOLD = replace(PLAIN, temporal=False, text_mean=3)


@torch.no_grad()
def test_the_text_mean_adds_nothing_at_the_start_and_does_not_see_padding(image, seen):
    patches, ids, mask = seen
    model = SpatioTemporalQFormer(image, TOLD)
    assert torch.equal(model(*seen), SpatioTemporalQFormer(image, PLAIN)(*seen))
    told, other = moved(model)(*seen), ids.clone()
    other[1, 4:] = 7
    assert torch.allclose(model(patches, other, mask), told, atol=1e-5)
    alone = model(patches[1:], ids[1:, :4], mask[1:, :4])
    assert torch.allclose(alone, told[1:], atol=1e-5)


@torch.no_grad()
def test_the_text_mean_is_told_to_every_query_alike(image, seen):
    _, ids, mask = seen
    model = SpatioTemporalQFormer(image, replace(TOLD, layers=1))
    added = []
    model.parts.text_means[0].register_forward_hook(
        lambda module, given, made: added.append(made - given[0])
    )
    moved(model)(None, ids, mask)
    assert torch.allclose(added[0], added[0][:, :, :1].expand_as(added[0]), atol=1e-5)
    assert not torch.allclose(added[0][0], added[0][1], atol=1e-3)  # of another text


@torch.no_grad()
def test_rereading_behind_closed_gates_changes_nothing(image, seen):
    model = SpatioTemporalQFormer(image, replace(PLAIN, rereads=2))
    states = model.states(*seen)
    assert len(states.steps) == 3 and states.pooled is states.steps[-1]
    assert not torch.allclose(states.steps[1], states.steps[0], atol=1e-2)
    assert not torch.allclose(states.steps[2], states.steps[1], atol=1e-2)
    model.parts.reread_gates.zero_()
    assert torch.allclose(model(*seen), image(*seen), atol=1e-5)


@torch.no_grad()
def test_rereading_sees_neither_padding_nor_frames_that_fill_a_batch(image, seen):
    patches, ids, mask = seen
    frames = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    model = moved(SpatioTemporalQFormer(image, replace(PLAIN, gate=1.0, rereads=2)))
    alone = model(patches[1:, :3], ids[1:, :4], mask[1:, :4])
    assert torch.allclose(model(patches, ids, mask, frames)[1:], alone, atol=1e-4)
    still = model(None, ids, mask)
    assert torch.allclose(model(None, ids[1:, :4], mask[1:, :4]), still[1:], atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("form", ROUTINGS)
def test_text_alone_and_one_frame_work_in_every_form(image, seen, form):
    patches, ids, mask = seen
    model = moved(SpatioTemporalQFormer(image, TransferConfig(frames=4, routing=form)))
    assert torch.isfinite(model(None, ids, mask)).all()
    assert torch.isfinite(model(patches[:, :1], ids, mask)).all()


@torch.no_grad()
@pytest.mark.parametrize("form", ROUTINGS)
def test_padding_changes_nothing(image, seen, form):
    """Neither text that the mask hides nor frames that are only there to fill the batch."""
    patches, ids, mask = seen
    model = moved(SpatioTemporalQFormer(image, TransferConfig(frames=4, routing=form)))
    alone = model(patches[1:], ids[1:, :4], mask[1:, :4])
    padded = model(patches, ids, mask)[1:]
    assert torch.allclose(padded, alone, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("form", ROUTINGS)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_frames_that_fill_a_batch_are_not_seen(image, seen, form, pooling):
    patches, ids, mask = seen
    frames = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    config = TransferConfig(frames=4, routing=form, pooling=pooling)
    model = moved(SpatioTemporalQFormer(image, config))
    other = patches.clone()
    other[1, 3] += 5.0
    assert torch.allclose(
        model(other, ids, mask, frames), model(patches, ids, mask, frames), atol=1e-4
    )
    assert not torch.allclose(model(other, ids, mask), model(patches, ids, mask), atol=1e-2)


@torch.no_grad()
@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_short_clip_in_a_batch_is_what_it_is_alone(image, seen, pooling):
    """Times are shares of its own length; only routing's windows are as wide as the batch's."""
    patches, ids, mask = seen
    frames = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    model = moved(SpatioTemporalQFormer(image, replace(PLAIN, gate=1.0, pooling=pooling)))
    alone = model(patches[1:, :3], ids[1:], mask[1:])
    assert torch.allclose(model(patches, ids, mask, frames)[1:], alone, atol=1e-4)


@torch.no_grad()
def test_the_order_of_frames_counts_only_through_time(image, seen):
    patches, ids, mask = seen
    turned = patches.flip(1)
    still = SpatioTemporalQFormer(image, replace(PLAIN, temporal=False))
    assert torch.allclose(still(turned, ids, mask), still(patches, ids, mask), atol=1e-5)
    moving = moved(SpatioTemporalQFormer(image, replace(PLAIN, gate=1.0)))
    assert not torch.allclose(moving(turned, ids, mask), moving(patches, ids, mask), atol=1e-2)


@torch.no_grad()
def test_any_number_of_frames(image, seen):
    patches, ids, mask = seen
    model = moved(SpatioTemporalQFormer(image, TransferConfig(frames=4)))
    for count in (1, 2, 3, 7, 16):
        assert model(patches[:, :1].expand(-1, count, -1, -1), ids, mask).shape == (2, 4, 24)


def test_temporal_blocks_and_rereadings_hold_the_same_parameters(image):
    model = SpatioTemporalQFormer(image, TransferConfig())
    for layer, block in zip(image.qformer.encoder.layer, model.temporal, strict=True):
        own = dict(layer.attention.named_parameters())
        assert all(parameter is own[name] for name, parameter in block.named_parameters())
    for layer in model.rereads:
        own = dict(image.qformer.encoder.layer[-1].named_parameters())
        assert all(parameter is own[name] for name, parameter in layer.named_parameters())
    count = sum(parameter.numel() for parameter in model.parameters())  # each once
    assert count == sum(p.numel() for p in (*image.parameters(), *model.parts.parameters()))


@pytest.mark.parametrize("form", ROUTINGS)
def test_gradients_reach_every_learned_part(image, seen, form):
    config = TransferConfig(
        frames=4, routing=form, pooling="learned", contrast=3, neighbours=3, rereads=2, text_mean=3
    )
    model = moved(SpatioTemporalQFormer(image, config))
    model(*seen).square().sum().backward()
    still = [
        name for name, p in model.parts.named_parameters() if p.grad is None or not p.grad.any()
    ]
    first = "_routers.0."  # one receptive field in the first layer: nothing to choose
    assert all(first in name for name in still), still


def test_attention_over_frames_that_begins_anew_shares_nothing(image, seen):
    config = TransferConfig(frames=4, reuse=False)
    model = SpatioTemporalQFormer(image, config)
    shared = {id(parameter) for parameter in image.parameters()}
    fresh = list(model.parts.fresh.parameters())
    assert fresh and not shared & {id(parameter) for parameter in fresh}
    moved(model)(*seen).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in fresh)


@torch.no_grad()
@pytest.mark.parametrize("reuse", [True, False])
def test_a_base_in_bf16_runs_with_parts_in_fp32(seen, reuse):
    image = tiny_qformer().bfloat16()
    model = SpatioTemporalQFormer(image, TransferConfig(frames=4, reuse=reuse))
    model.parts.float()
    assert torch.isfinite(moved(model)(*seen)).all()


@torch.no_grad()
def test_saliency_prefers_the_frame_that_is_like_the_text(image, seen):
    mask = seen[2]
    model = SpatioTemporalQFormer(image, TransferConfig(frames=4, pooling="saliency"))
    text = torch.randn(2, 4, 6, 16)
    said = (text * mask[:, None, :, None]).sum(2) / mask.sum(1)[:, None, None]
    states = torch.randn(2, 4, 4, 16)
    states[:, 2] = said[:, 2, None]
    pooled = model.pool(states, text, mask)
    assert torch.allclose(pooled, states[:, 2], atol=0.5)
    assert not torch.allclose(pooled, states.mean(1), atol=0.2)


def test_receptive_fields_grow_and_deeper_layers_have_more():
    fields = receptive_fields(3, 8)
    assert fields[0].all()
    assert fields[1].sum() > fields[2].sum()
    assert torch.equal(fields[2][0], torch.tensor([1.0, 1, 1, 0, 0, 0, 0, 0]))
    counts = [masks_of(4, layer, 12) for layer in range(12)]
    assert counts == sorted(counts) and counts[0] == 1 and counts[-1] == 4


def test_unknown_forms_are_named():
    with pytest.raises(ConfigError, match=r"'bias'.*log_bias"):
        TransferConfig(routing="bias")
    with pytest.raises(ConfigError, match=r"'max'.*saliency"):
        TransferConfig(pooling="max")
