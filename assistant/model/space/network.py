"""mini's joint space as a network: two towers on frozen features of pictures and texts."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assistant.core.config import SpaceConfig

ALL = slice(None)  # of the members
FIRST_SCALE = 14.0  # of similarities, when training begins: 1 / 0.07, as CLIP's


class Branch(nn.Module):
    """A linear map and a small network beside it, over normalised features."""

    def __init__(self, width_in: int, hidden: int, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width_in)
        self.straight = nn.Linear(width_in, width)
        self.up = nn.Linear(width_in, hidden)
        self.down = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)
        if width_in == width:  # sentence vectors are a good space to begin with
            nn.init.eye_(self.straight.weight)
            nn.init.zeros_(self.straight.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        return self.straight(x) + self.down(self.dropout(F.gelu(self.up(x))))


class Towers(nn.Module):
    """A picture's patches and names, and a text's token states, as unit vectors.

    The picture: attention-pooled patches, plus what its classes are called (ConSE, Norouzi et al.
    2014), so that a thing that no caption named lies near its name. The text: weighted mean of
    frozen token states.
    """

    def __init__(self, config: SpaceConfig, patch_width: int, text_width: int) -> None:
        super().__init__()
        hidden = config.hidden
        self.heads = config.heads
        self.patch = nn.Linear(patch_width, config.inner)
        self.patch_norm = nn.LayerNorm(config.inner)
        self.attend = nn.Linear(config.inner, config.heads)
        self.picture = Branch(config.inner, hidden, config.width, config.dropout)
        self.names = Branch(text_width, hidden, config.width, config.dropout)
        self.weigh = nn.Linear(text_width, 1)
        self.text = Branch(text_width, hidden, config.width, config.dropout)
        self.patch_word = nn.Linear(config.inner, config.word_width)
        self.text_word = nn.Linear(text_width, config.word_width)
        self.log_scale = nn.Parameter(torch.full((2,), FIRST_SCALE).log())  # whole, words
        nn.init.zeros_(self.weigh.weight)
        nn.init.zeros_(self.weigh.bias)

    def embed_picture(self, patches: Tensor, named: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures -> ``(B, E)``, and their patches ``(B, K, Ew)`` to match single words with.

        Args:
            patches: ``(B, K, Dv)``. named: ``(B, Dt)``, what the classes are called.
        """
        x = self.patch_norm(F.gelu(self.patch(patches)))  # (B, K, Di)
        share = self.attend(x).softmax(1)  # (B, K, H)
        parts = x.unflatten(2, (self.heads, -1))  # (B, K, H, Di/H)
        pooled = (share[..., None] * parts).sum(1).flatten(1)  # (B, Di)
        return unit(self.picture(pooled) + self.names(named)), unit(self.patch_word(x))

    def embed_text(self, states: Tensor, there: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Texts -> ``(N, E)``, their words ``(N, M, Ew)``, and each word's weight ``(N, M)``.

        Args:
            states: ``(N, M, Dt)`` of tokens. there: ``(N, M)``, where there is one.
        """
        weights = F.softplus(self.weigh(states)[..., 0]) * there
        weights = weights / weights.sum(1, keepdim=True)  # (N, M)
        pooled = (states * weights[..., None]).sum(1)
        return unit(self.text(pooled)), unit(self.text_word(states)), weights

    def scales(self) -> Tensor:
        """Of whole vectors, and of words."""
        return self.log_scale.exp().clamp(max=100.0)


class SpaceNetwork(nn.Module):
    """Several towers, trained one after the other: their vectors stand side by side, so that a
    similarity is the mean of theirs."""

    def __init__(
        self, config: SpaceConfig, patch_width: int, text_width: int, class_count: int
    ) -> None:
        """``class_count``: C, of the encoder."""
        super().__init__()
        self.config = config
        self.class_names: Tensor  # (C, Dt), as sentence vectors
        self.register_buffer("class_names", torch.zeros(class_count, text_width))
        self.members = nn.ModuleList(
            Towers(config, patch_width, text_width) for _ in range(config.members)
        )

    def named(self, classes: Tensor) -> Tensor:
        """``(B, C)`` probabilities -> ``(B, Dt)``: their names' mean as a sentence vector."""
        return classes @ self.class_names

    def embed_pictures(self, patches: Tensor, classes: Tensor, some: slice = ALL) -> Tensor:
        """``(B, K, Dv)`` and ``(B, C)`` -> ``(B, E)``; by ``some`` of the members alone."""
        named = self.named(classes)
        members = self.members[some]
        return unit(torch.cat([one.embed_picture(patches, named)[0] for one in members], -1))

    def embed_texts(self, states: Tensor, there: Tensor, some: slice = ALL) -> Tensor:
        """``(N, M, Dt)`` and ``(N, M)`` -> ``(N, E)``; by ``some`` of the members alone."""
        members = self.members[some]
        return unit(torch.cat([one.embed_text(states, there)[0] for one in members], -1))

    def embed_words(self, states: Tensor) -> Tensor:
        """Each token as a text of its own, ``(N, M, E)``."""
        return unit(torch.cat([one.text(states) for one in self.members], -1))

    def see(self, patches: Tensor, classes: Tensor) -> list[tuple[Tensor, Tensor]]:
        """``(B, K, Dv)`` and ``(B, C)`` -> what :meth:`compare` takes: each member's vectors."""
        named = self.named(classes)
        return [one.embed_picture(patches, named) for one in self.members]

    def compare(
        self, seen: Sequence[tuple[Tensor, Tensor]], states: Tensor, there: Tensor
    ) -> Tensor:
        """``(B, N)``: similarity of whole vectors and of words to their best patches, in the mean
        by their scales."""
        scores, scales = torch.zeros(()), torch.zeros(())
        for one, (whole, patches) in zip(self.members, seen, strict=True):
            text, words, weights = one.embed_text(states, there)
            scale = one.scales()
            by_words = word_similarity(patches, words, weights)
            scores = scores + scale[0] * whole @ text.T + scale[1] * by_words
            scales = scales + scale.sum()
        return scores / scales


def unit(x: Tensor) -> Tensor:
    return F.normalize(x.float(), dim=-1)


def word_similarity(patches: Tensor, words: Tensor, weights: Tensor) -> Tensor:
    """``(B, N)``: each word's most similar patch, in the mean over a text's words.

    Args:
        patches: ``(B, K, Ew)``. words: ``(N, M, Ew)``. weights: ``(N, M)``, 0 where there is none.
    """
    there = weights > 0
    best = torch.einsum("bke,we->bkw", patches, words[there]).amax(1)  # (B, W)
    text = there.nonzero()[:, 0]
    found = best.new_zeros(len(patches), len(words))
    return found.index_add(1, text, best * weights[there])
