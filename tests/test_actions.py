"""The action recogniser: its losses, its gates, and what it makes of a clip."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from retrieval_sight import ColorSpace
from torch import nn

from assistant.actions.bank import Bank, Described
from assistant.actions.evidence import draw_evidence, rests_on
from assistant.actions.gates import SelfGate, as_shares, keyword_mask
from assistant.actions.head import ActionHead, ActionHeadConfig, score_states
from assistant.actions.losses import class_loss, image_loss, resized, text_loss
from assistant.actions.recogniser import Recogniser, RecogniserConfig, pooled
from assistant.actions.zero_shot import descriptions_of
from assistant.errors import ConfigError, InputError

RNG = np.random.default_rng(0)
TINY = RecogniserConfig(frames=3, grid=2, width=8, heads=2, layers=1, contrast=4, dropout=0.0)


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def near(found: torch.Tensor, wanted: np.ndarray | float) -> None:
    np.testing.assert_allclose(found.detach().numpy(), wanted, atol=1e-5)


def tensors(*arrays: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(x.astype(np.float32)) for x in arrays]


def bilinear(grid: np.ndarray, wanted: int) -> np.ndarray:
    """``(g, g, D)`` -> ``(w, w, D)``, cell by cell."""
    side = len(grid)
    found = np.zeros((wanted, wanted, grid.shape[2]))
    for row in range(wanted):
        for column in range(wanted):
            y, x = (min(max((n + 0.5) * side / wanted - 0.5, 0), side - 1) for n in (row, column))
            y0, x0 = int(y), int(x)
            y1, x1 = min(y0 + 1, side - 1), min(x0 + 1, side - 1)
            dy, dx = y - y0, x - x0
            upper = (1 - dx) * grid[y0, x0] + dx * grid[y0, x1]
            lower = (1 - dx) * grid[y1, x0] + dx * grid[y1, x1]
            found[row, column] = (1 - dy) * upper + dy * lower
    return found


def unit_rows(count: int, width: int) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(count, width), dim=1)


class TestLosses:
    def test_classes_as_numpy_has_them(self):
        """Eq. 3 and 4."""
        logits, labels = RNG.normal(size=(4, 3)), np.array([0, 2, 1, 1])
        shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        wanted = -np.log(shares[np.arange(4), labels]).mean()
        near(class_loss(*tensors(logits), torch.from_numpy(labels)), wanted)

    def test_texts_as_numpy_has_them(self):
        """Eq. 12, with two positives and three negatives."""
        video, texts = unit(RNG.normal(size=(2, 5))), unit(RNG.normal(size=(8, 5)))
        positive, negative = np.array([[0, 1], [5, 4]]), np.array([[7, 3, 2], [0, 6, 1]])
        wanted = 0.0
        for row in range(2):
            right = sum(np.exp(video[row] @ texts[n] / 0.07) for n in positive[row])
            wrong = sum(np.exp(video[row] @ texts[n] / 0.07) for n in negative[row])
            wanted -= np.log(right / (right + wrong)) / 2
        places = map(torch.from_numpy, (positive, negative))
        near(text_loss(*tensors(video, texts), *places, 0.07), wanted)

    @pytest.mark.parametrize("sides", [(2, 3), (3, 2), (4, 7)])
    def test_patches_move_to_another_grid_as_numpy_has_it(self, sides):
        own, wanted = sides
        grid = RNG.normal(size=(own, own, 3))
        found = resized(*tensors(grid.reshape(1, 1, own * own, 3)), wanted * wanted)
        near(found[0, 0], bilinear(grid, wanted).reshape(wanted * wanted, 3))

    def test_patches_as_numpy_has_them(self):
        """L1 on the teacher's grid, by frames that are there and inside the mask."""
        video, teacher = RNG.normal(size=(2, 2, 4, 3)), RNG.normal(size=(2, 2, 9, 3))
        there, mask = np.array([[1, 1], [1, 0]]), RNG.integers(0, 2, size=(2, 2, 9))
        total = 0.0
        for clip, frame in ((0, 0), (0, 1), (1, 0)):
            own = bilinear(video[clip, frame].reshape(2, 2, 3), 3).reshape(9, 3)
            apart = np.abs(teacher[clip, frame] - own) * mask[clip, frame][:, None]
            total += apart.mean() / 3
        near(image_loss(*tensors(video, teacher, there, mask)), total)


class TestGates:
    def test_self_attention_as_numpy_has_it(self):
        """Eq. 5."""
        torch.manual_seed(0)
        gate = SelfGate(4, 3)
        with torch.no_grad():
            for value in gate.parameters():
                value.add_(torch.randn_like(value) / 2)
        w = {name: value.detach().numpy() for name, value in gate.named_parameters()}
        z = RNG.normal(size=(5, 4))

        def linear(x: np.ndarray, name: str) -> np.ndarray:
            return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

        scores = linear(z, "query") @ linear(z, "key").T / np.sqrt(3)
        g = np.exp(scores) / np.exp(scores).sum(1, keepdims=True) @ linear(z, "value")
        spread = np.sqrt(g.var(1, keepdims=True) + 1e-5)
        normal = (g - g.mean(1, keepdims=True)) / spread * w["norm.weight"] + w["norm.bias"]
        hidden = torch.nn.functional.gelu(torch.from_numpy(linear(normal, "up"))).numpy()
        near(gate(*tensors(z[None, None]))[0, 0], linear(hidden, "down") + g)

    def test_keywords_as_numpy_has_them(self):
        """Eq. 6 to 8: a keyword that the frame does not show covers nothing."""
        dense = np.array([[[0.9, 0.2, 0.5], [0.1, 0.8, 0.3]], [[0.9, 0.9, 0.9], [0.6, 0.1, 0.2]]])
        relevance = np.array([[0.3, 0.4], [0.1, 0.3]])
        wanted = np.array([[1, 1, 1], [1, 0, 0]])
        near(keyword_mask(*tensors(dense, relevance), 0.5, 0.2), wanted)

    def test_similarities_become_shares(self):
        near(as_shares(*tensors(np.array([[-2.0, 0, 2], [3, 3, 3]]))), [[0, 0.5, 1], [0, 0, 0]])


def test_a_name_counts_as_much_as_all_that_describes_it():
    space = ColorSpace()
    own = Described("red", ("green", "blue"), ("green", "green blue"), "blue")
    found = descriptions_of(space, Bank("own", (own, Described("green"))))
    name, *told = space.embed_texts(own.texts)
    near(found.vectors[0], unit((name + sum(told) / 3).numpy()))
    near(found.vectors[1], space.embed_texts(["green"])[0].numpy())
    seen = space.embed_texts(["red", "green"])
    assert found.logits(seen).argmax(1).tolist() == [0, 1]


class TestRecogniser:
    def network(self) -> Recogniser:
        torch.manual_seed(0)
        return Recogniser(TINY, patch_width=6, classes=3, text_width=5)

    @pytest.mark.parametrize("which", ["ce", "text", "image"])
    def test_each_loss_alone_reaches_the_video_encoder_and_not_the_teacher(self, which):
        network, out = self.network(), nn.Linear(8, 4)
        patches, there = torch.randn(2, 3, 9, 6), torch.ones(2, 3, dtype=torch.long)
        texts = torch.nn.functional.normalize(torch.randn(6, 5), dim=1).requires_grad_()
        teacher = nn.Linear(6, 4).requires_grad_(False)
        states = network.states(patches, there)
        summary = network.summary(states, there)
        if which == "ce":
            loss = class_loss(network.logits(summary), torch.tensor([0, 2]))
        elif which == "text":
            places = torch.tensor([[0], [1]]), torch.tensor([[2, 3], [4, 5]])
            loss = text_loss(network.embed(summary), texts.detach(), *places, 0.07)
        else:
            loss = image_loss(out(states), SelfGate(4, 4)(teacher(patches)), there)
        loss.backward()
        for name, value in network.named_parameters():
            if name.startswith(("patch.", "blocks.0.time", "blocks.0.space", "place", "moment")):
                assert value.grad is not None and value.grad.abs().sum() > 0, name
        assert texts.grad is None
        assert all(value.grad is None for value in teacher.parameters())

    def test_absent_frames_tell_nothing(self):
        network = self.network().eval()
        patches = torch.randn(1, 3, 9, 6)
        there = torch.tensor([[1, 1, 0]])
        other = patches.clone()
        other[:, 2] = 7.0
        found = [
            network.logits(network.summary(network.states(own, there), there))
            for own in (patches, other)
        ]
        assert torch.allclose(*found, atol=1e-6)
        short = network.states(patches[:, :2], there[:, :2])
        assert torch.allclose(
            network.logits(network.summary(short, there[:, :2])), found[0], atol=1e-6
        )

    def test_the_order_of_frames_tells(self):
        network = self.network().eval()
        patches, there = torch.randn(1, 3, 9, 6), torch.ones(1, 3, dtype=torch.long)
        found = [
            network.embed(network.summary(network.states(own, there), there))
            for own in (patches, patches.flip(1))
        ]
        assert not torch.allclose(*found, atol=1e-4)

    @pytest.mark.parametrize("texts", [False, True])
    def test_what_an_action_rests_on(self, texts):
        """Grad-CAM: channels by their mean slope, what speaks for the label alone, 1 at most."""
        network = self.network()
        config = ActionHeadConfig("s", "e", ("a", "b", "c"), 6, 5, TINY)
        head = ActionHead(config, network, unit_rows(3, 5))
        patches, there = torch.randn(3, 9, 6), torch.ones(1, 3, dtype=torch.long)
        other = unit_rows(2, 5) if texts else None
        found = rests_on(head, patches, 1, other)
        states = network.states(patches[None], there).detach()
        base = score_states(head, states, there, other)[0, 1]
        slopes = torch.zeros(8)
        for channel in range(8):  # each alone, in all cells
            moved = states.clone()
            moved[..., channel] += 1e-2
            slopes[channel] = (score_states(head, moved, there, other)[0, 1] - base).detach() / 1e-2
        wanted = (states[0] @ slopes).relu()
        assert found.shape == (3, 2, 2) and found.max() == 1 and found.min() == 0
        assert torch.allclose(found.flatten(1), wanted / wanted.max(), atol=0.02)

    def test_every_frame_is_drawn_with_what_speaks_for_it(self):
        pictures = RNG.integers(0, 255, (5, 12, 16, 3)).astype(np.uint8)
        heat = torch.zeros(5, 2, 2)
        heat[4, 0, 1] = 1
        figure = draw_evidence(pictures, [0.0, 0.5, 1.0, 1.5, 2.0], heat, "costs $5")
        drawn = [axes for axes in figure.axes if axes.images]
        assert [axes.get_title() for axes in drawn] == ["0.0 s", "0.5 s", "1.0 s", "1.5 s", "2.0 s"]
        shown = np.stack([axes.images[0].get_array() for axes in drawn])
        assert (shown[:4] == pictures[:4]).all()  # what is cold is seen as it is
        changed = np.abs(shown[4].astype(int) - pictures[4]).sum(-1)
        assert changed[0, 15] > 0 and changed[11, 0] == 0
        figure.savefig(io.BytesIO())  # a lone dollar begins no formula

    def test_checkpointing_is_for_a_video_encoder(self):
        with pytest.raises(InputError, match="checkpointing is for a video encoder"):
            self.network().checkpoint()

    def test_a_shape_that_cannot_be_is_named(self):
        with pytest.raises(ConfigError, match="width is 10 and heads 4"):
            RecogniserConfig(width=10, heads=4)


@pytest.mark.parametrize("sides", [(7, 4), (4, 2), (3, 3)])
def test_patches_are_pooled_as_pictures_are(sides):
    own, side = sides
    patches = torch.randn(2, 3, own * own, 5)
    maps = patches.flatten(0, 1).transpose(1, 2).unflatten(2, (own, own))
    wanted = torch.nn.functional.adaptive_avg_pool2d(maps, side).flatten(2).transpose(1, 2)
    assert torch.allclose(pooled(patches, side).flatten(0, 1), wanted, atol=1e-6)
